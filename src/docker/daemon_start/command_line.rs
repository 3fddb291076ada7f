//! Pure: the options of dockerd that matter here.

use super::{OptionSource, Word};
use crate::docker::daemon_json::StoreFeature;

/// An option that is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionValue {
    /// Its value.
    pub value: String,
    /// What gives it.
    pub source: OptionSource,
}

/// The options of one command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `--data-root`, `-g`, `--graph`
    pub data_root: Option<OptionValue>,
    /// `--userns-remap`
    pub userns_remap: Option<OptionValue>,
    /// `--config-file`
    pub config_file: Option<OptionValue>,
    /// `--exec-root`
    pub exec_root: Option<OptionValue>,
    /// `--storage-driver`, `-s`
    pub storage_driver: Option<OptionValue>,
    /// `--containerd-namespace`
    pub containerd_namespace: Option<OptionValue>,
    /// `--feature` with a switch that a remapped daemon must not have
    pub store_feature: Option<OptionValue>,
}

impl Options {
    /// Of the words after the program; of an option that is given twice the last counts (`pflag`).
    pub fn of(words: &[Word]) -> Options {
        let mut options = Options::default();
        let mut words = words.iter().skip(1);
        while let Some(word) = words.next() {
            let Some((name, value)) = option(&word.text) else {
                continue;
            };
            let Some(place) = options.place(name) else {
                continue;
            };
            let value = match value {
                Some(value) => Some(value.to_string()),
                None => words.next().map(|next| next.text.clone()),
            };
            // Of several features, each counts.
            if name == "feature" && !value.as_deref().is_some_and(is_of_store) {
                continue;
            }
            *place = value.map(|value| OptionValue {
                value,
                source: word.source.clone(),
            });
        }
        options
    }

    fn place(&mut self, name: &str) -> Option<&mut Option<OptionValue>> {
        match name {
            "data-root" | "graph" => Some(&mut self.data_root),
            "userns-remap" => Some(&mut self.userns_remap),
            "config-file" => Some(&mut self.config_file),
            "exec-root" => Some(&mut self.exec_root),
            "storage-driver" => Some(&mut self.storage_driver),
            "containerd-namespace" => Some(&mut self.containerd_namespace),
            "feature" => Some(&mut self.store_feature),
            _ => None,
        }
    }

    /// Those that may be in the configuration file too.
    pub fn both(&self) -> impl Iterator<Item = (&'static str, &OptionValue)> {
        let all = [
            ("data-root", &self.data_root),
            ("userns-remap", &self.userns_remap),
            ("exec-root", &self.exec_root),
            ("storage-driver", &self.storage_driver),
            ("containerd-namespace", &self.containerd_namespace),
        ];
        all.into_iter()
            .filter_map(|(name, said)| Some((name, said.as_ref()?)))
    }

    /// All that are given.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &OptionValue)> {
        let others = [
            ("config-file", &self.config_file),
            ("feature", &self.store_feature),
        ];
        let others = others.into_iter();
        let others = others.filter_map(|(name, said)| Some((name, said.as_ref()?)));
        self.both().chain(others)
    }
}

/// Whether a value of `--feature` switches on what a remapped daemon must not have: `NAME` or `NAME=true`.
fn is_of_store(value: &str) -> bool {
    let (name, is_on) = match value.split_once('=') {
        Some((name, on)) => (name, ["1", "t", "T", "true", "TRUE", "True"].contains(&on)),
        None => (value, true),
    };
    is_on && StoreFeature::ALL.iter().any(|it| it.name() == name)
}

/// Name and value of `--name=value`, `--name`, `-gVALUE`, `-g=VALUE`, `-Dg`; `-s` is like `-g`.
fn option(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(long) = text.strip_prefix("--") {
        return Some(match long.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (long, None),
        });
    }
    let short = text.strip_prefix('-')?;
    // -D is the only short option of dockerd without a value.
    let short = short.trim_start_matches('D');
    let names = [('g', "data-root"), ('s', "storage-driver")].into_iter();
    let (name, value) = names
        .filter_map(|(letter, name)| Some((name, short.strip_prefix(letter)?)))
        .next()?;
    let value = value.strip_prefix('=').unwrap_or(value);
    Some((name, (!value.is_empty()).then_some(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_an_option_is_read() {
        let of = |line: &str| {
            let word = |text: &str| Word {
                text: text.into(),
                source: OptionSource::Snap,
            };
            let words: Vec<Word> = line.split(' ').map(word).collect();
            Options::of(&words)
        };
        let root = |line: &str| of(line).data_root.map(|said| said.value);
        for line in [
            "dockerd --data-root /d",
            "dockerd --data-root=/d -H fd://",
            "dockerd -g /d",
            "dockerd -g=/d",
            "dockerd -g/d",
            "dockerd -Dg /d",
            "dockerd --graph=/d",
            "dockerd -g /other --data-root /d",
        ] {
            assert_eq!(root(line), Some("/d".into()), "{line}");
        }
        assert_eq!(root("dockerd -H fd:// --group g"), None);
        let driver = |line: &str| of(line).storage_driver.map(|said| said.value);
        for line in [
            "dockerd -s vfs",
            "dockerd -Dsvfs",
            "dockerd --storage-driver=vfs -g /d",
        ] {
            assert_eq!(driver(line), Some("vfs".into()), "{line}");
        }
        let feature = |line: &str| of(line).store_feature.map(|said| said.value);
        for (line, expected) in [
            (
                "dockerd --feature containerd-snapshotter --feature cdi=true",
                Some("containerd-snapshotter"),
            ),
            (
                "dockerd --feature=containerd-migration=true",
                Some("containerd-migration=true"),
            ),
            ("dockerd --feature=containerd-snapshotter=false", None),
            ("dockerd --feature cdi", None),
        ] {
            assert_eq!(feature(line).as_deref(), expected, "{line}");
        }
        let remap = of("dockerd --userns-remap default").userns_remap;
        assert_eq!(remap.map(|said| said.value), Some("default".into()));
    }
}
