//! Where the containerd of the host keeps its data: its command line, its configuration and what that imports
//! (containerd-config.toml(5)).

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use globset::Glob;
use serde::Deserialize;

use crate::docker::DockerError;

/// Where it is unless containerd is told otherwise.
const DEFAULT_ROOT: &str = "/var/lib/containerd";

/// Its configuration, unless another one is named.
const DEFAULT_CONFIG: &str = "/etc/containerd/config.toml";

/// Files that are imported by others, one after the other.
const MAX_FILES: usize = 100;

/// The parts of a configuration that matter here.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    root: String,
    imports: Vec<String>,
}

/// The directory; `words`: the command line.
///
/// # Errors
/// A file of the configuration is there and cannot be read: containerd's directory may be anywhere.
pub fn root_dir(words: &[String]) -> Result<PathBuf, DockerError> {
    if let Some(root) = option(words, "--root") {
        return Ok(root.into());
    }
    let config = option(words, "--config").or_else(|| option(words, "-c"));
    let mut files = vec![PathBuf::from(config.unwrap_or(DEFAULT_CONFIG.into()))];
    let mut root = None;
    let mut next = 0;
    // What is imported counts instead of what imports it.
    while next < files.len().min(MAX_FILES) {
        let file = files[next].clone();
        let config = read(&file)?;
        root = Some(config.root).filter(|it| !it.is_empty()).or(root);
        let imported = config.imports.iter().flat_map(|it| imported(&file, it));
        let imported: Vec<PathBuf> = imported.filter(|it| !files.contains(it)).collect();
        files.extend(imported);
        next += 1;
    }
    Ok(root.map_or(DEFAULT_ROOT.into(), PathBuf::from))
}

/// One file of the configuration. One that is not there says nothing.
fn read(file: &Path) -> Result<Config, DockerError> {
    let unusable = |why: String| {
        let reason = format!(
            "tells where the containerd of this host keeps images, and cannot be used: {why}. Correct it (`containerd config \
             dump` checks it), then run this again"
        );
        DockerError::in_the_way(file, reason)
    };
    match fs::read_to_string(file) {
        Ok(text) => toml::from_str(&text).map_err(|error| unusable(error.message().to_string())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Config::default()),
        Err(error) => Err(unusable(error.to_string())),
    }
}

/// The value of an option: `--name value` or `--name=value`. The last one counts.
fn option(words: &[String], name: &str) -> Option<String> {
    let mut values = words.iter().enumerate().filter_map(|(n, word)| {
        let rest = word.strip_prefix(name)?;
        match rest.strip_prefix('=') {
            Some(value) => Some(value.to_string()),
            None if rest.is_empty() => words.get(n + 1).cloned(),
            None => None,
        }
    });
    values.next_back()
}

/// The files that an `imports` of a file means: a path, from the file's directory, whose last name may be a pattern.
fn imported(of: &Path, pattern: &str) -> Vec<PathBuf> {
    let path = of.parent().unwrap_or(of).join(pattern);
    let (Some(dir), Some(name)) = (path.parent(), path.file_name().and_then(|it| it.to_str()))
    else {
        return Vec::new();
    };
    if !name.contains(['*', '?', '[']) {
        return vec![path];
    }
    let Ok(glob) = Glob::new(name) else {
        return Vec::new();
    };
    let glob = glob.compile_matcher();
    let names = fs::read_dir(dir).into_iter().flatten().flatten();
    let names = names.map(|entry| entry.file_name());
    let mut files: Vec<PathBuf> = names
        .filter(|name| glob.is_match(name))
        .map(|name| dir.join(name))
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_configuration_and_imports_say_where_it_is() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        let config = at("config.toml").display().to_string();
        let words = |more: &[&str]| -> Vec<String> {
            let line = ["/usr/bin/containerd", "--config", &config];
            line.iter()
                .chain(more)
                .map(|word| word.to_string())
                .collect()
        };
        let of = |text: &str| {
            fs::write(at("config.toml"), text).unwrap();
            root_dir(&words(&[])).unwrap().display().to_string()
        };
        fs::create_dir(at("conf.d")).unwrap();
        fs::write(at("conf.d/root.toml"), "root = '/imported'").unwrap();
        fs::write(at("conf.d/z.toml"), "version = 2").unwrap();
        for (text, expected) in [
            ("", "/var/lib/containerd"),
            (
                "version = 2\nroot = \"/x\" # a note\n[grpc]\nroot = \"/y\"\n",
                "/x",
            ),
            ("root = \"/x\"\nimports = [\"conf.d/*.toml\"]", "/imported"),
            ("root = \"/x\"\nimports = [\"conf.d/*.conf\"]", "/x"),
            (
                "imports = [\"config.toml\", \"conf.d/root.toml\"]",
                "/imported",
            ),
        ] {
            assert_eq!(of(text), expected, "{text}");
        }
        let with = |option: &[&str]| root_dir(&words(option)).unwrap();
        assert_eq!(with(&["--root", "/z"]), Path::new("/z"));
        assert_eq!(with(&["--root=/z"]), Path::new("/z"));
        assert_eq!(with(&["--rootless"]), Path::new("/imported"));
    }

    #[test]
    fn a_configuration_that_cannot_be_read_is_named() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        let main = at("config.toml").display().to_string();
        let words = ["containerd", "-c", &main].map(String::from);
        let refused = |file: &str| {
            let error = root_dir(&words).unwrap_err().to_string();
            assert!(
                error.starts_with(&at(file).display().to_string()),
                "{error}"
            );
        };
        fs::write(&main, "root = [").unwrap();
        refused("config.toml");
        fs::write(&main, "root = '/x'\nimports = ['more.toml']").unwrap();
        fs::write(at("more.toml"), b"root = '\xff'").unwrap();
        refused("more.toml");
        fs::remove_file(at("more.toml")).unwrap();
        assert_eq!(root_dir(&words).unwrap(), Path::new("/x"));
        fs::create_dir(at("more.toml")).unwrap();
        refused("more.toml");
    }
}
