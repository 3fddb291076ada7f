//! The settings of an Incus or LXD instance or profile, as `incus config show`, `incus query`, `incus list --format`
//! and an instance's `backup.yaml` have them.

use std::borrow::Cow;

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, ScalarStyle, YamlData, YamlLoader};
use saphyr_parser::Parser;
use thiserror::Error;

use super::NotationError;

const HELP: &str = "`incus config show --expanded NAME`, or lxc with LXD, prints what can be read";

/// Texts that are larger are none: the longest that Incus prints are some hundred KiB.
const MOST: usize = 16 << 20;

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    /// `raw.idmap`
    pub key: String,
    /// Without quotes.
    pub value: String,
    /// From 1.
    pub line: usize,
    /// Each line of the value is one of the text.
    pub is_block: bool,
}

/// What matters of one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Instance {
    /// In the text's order.
    pub settings: Vec<Setting>,
    /// Those of its profiles are among them.
    pub is_expanded: bool,
}

impl Instance {
    /// A setting that is not empty.
    pub fn get(&self, key: &str) -> Option<&Setting> {
        let setting = self.settings.iter().find(|setting| setting.key == key);
        setting.filter(|setting| !setting.value.is_empty())
    }

    /// Whether a switch is on.
    pub fn is_on(&self, key: &str) -> bool {
        let on = ["true", "1", "yes", "on"];
        self.get(key)
            .is_some_and(|it| on.contains(&it.value.to_ascii_lowercase().as_str()))
    }
}

/// Whether a JSON object is an instance.
pub(super) fn is_object(object: &serde_json::Map<String, serde_json::Value>) -> bool {
    let is_object = |key: &str| object.get(key).is_some_and(serde_json::Value::is_object);
    [
        "config",
        "expanded_config",
        "metadata",
        "instance",
        "container",
    ]
    .iter()
    .any(|key| is_object(key))
}

/// Whether a text is an instance by its outermost level: a YAML mapping with its settings, or a JSON list.
pub(super) fn is_structured(text: &str) -> bool {
    let list = text.trim_start().strip_prefix('[');
    let is_list = list.is_some_and(|rest| rest.trim_start().starts_with('{'));
    let mut lines = text.lines();
    is_list || lines.any(|line| ["config:", "expanded_config:"].contains(&line.trim_end()))
}

/// Whether a text has the settings of an instance.
pub(super) fn is_one(text: &str) -> bool {
    let starts_list = text.trim_start().starts_with(['[', '{']);
    let has_key = |line: &str| {
        let line = line.trim_start_matches(['-', ' ']);
        [
            "config:",
            "expanded_config:",
            "volatile.",
            "raw.idmap:",
            "security.idmap.",
        ]
        .iter()
        .any(|key| line.starts_with(key))
    };
    starts_list || text.lines().any(has_key)
}

/// The one instance of a text.
///
/// # Errors
/// It is no YAML or JSON, or none or several instances.
pub(super) fn read(text: &str, file: &str) -> Result<Instance, NotationError> {
    let bad = |reason: String| NotationError::new(file, reason, HELP);
    if text.len() > MOST {
        return Err(bad("is too large for an instance".into()));
    }
    if is_too_deep(text) {
        return Err(bad("is nested deeper than any instance".into()));
    }
    // JSON with tabs, as `incus query` prints it, is no YAML.
    let text = match text.trim_start().starts_with(['{', '[']) {
        true => Cow::Owned(text.replace('\t', "  ")),
        false => Cow::Borrowed(text),
    };
    let mut loader: YamlLoader<'_, MarkedYaml<'_>> = YamlLoader::default();
    loader.early_parse(false);
    let scanned = Parser::new_from_str(&text).load(&mut loader, true);
    if let Err(error) = scanned {
        let reason = format!("is not YAML: {}", error.info());
        return Err(bad(reason).at(error.marker().line()));
    }
    let documents = loader.into_documents();
    let [document] = &documents[..] else {
        return Err(bad(format!(
            "has {} YAML documents, not one",
            documents.len()
        )));
    };
    of_node(document).map_err(|error| bad(error.to_string()))
}

/// Levels at most: the loader goes down by recursion.
const DEEPEST: usize = 500;

/// Whether a text may have more levels. Each level of YAML is indented by a character or begins with `-`, `?`, `[` or
/// `{`.
fn is_too_deep(text: &str) -> bool {
    let indented = |line: &str| line.len() - line.trim_start_matches([' ', '-', '?']).len();
    let mut flow = 0_usize;
    text.lines().any(|line| {
        line.bytes().any(|byte| {
            match byte {
                b'[' | b'{' => flow += 1,
                b']' | b'}' => flow = flow.saturating_sub(1),
                _ => {}
            }
            flow > DEEPEST
        }) || indented(line) > DEEPEST
    })
}

/// Why a document is no instance.
#[derive(Debug, Error)]
enum NodeError {
    /// It has none, or several.
    #[error("has {0} instances, not one")]
    Several(usize),
    /// A virtual machine has a kernel of its own.
    #[error("is a virtual machine, which has no id map")]
    VirtualMachine,
    /// Its settings are of another kind.
    #[error("its config is not a mapping")]
    Config,
}

fn of_node(node: &MarkedYaml<'_>) -> Result<Instance, NodeError> {
    if let YamlData::Sequence(instances) = &node.data {
        return match &instances[..] {
            [one] => of_node(one),
            several => Err(NodeError::Several(several.len())),
        };
    }
    for outer in ["metadata", "instance", "container"] {
        if let Some(inner) = get(node, outer).filter(|inner| inner.is_mapping()) {
            return of_node(inner);
        }
    }
    if text_of(get(node, "type")).as_deref() == Some("virtual-machine") {
        return Err(NodeError::VirtualMachine);
    }
    let (config, is_expanded) = match get(node, "expanded_config") {
        Some(config) => (config, true),
        None => match get(node, "config") {
            Some(config) => (config, false),
            // The settings alone.
            None => (node, false),
        },
    };
    let YamlData::Mapping(config) = &config.data else {
        return Err(NodeError::Config);
    };
    let setting = |(key, value): (&MarkedYaml<'_>, &MarkedYaml<'_>)| {
        Some(Setting {
            key: text_of(Some(key))?,
            value: text_of(Some(value))?,
            line: value.span.start.line(),
            is_block: matches!(
                value.data,
                YamlData::Representation(_, ScalarStyle::Literal, _)
            ),
        })
    };
    Ok(Instance {
        settings: config.iter().filter_map(setting).collect(),
        is_expanded,
    })
}

fn get<'a, 'i>(node: &'a MarkedYaml<'i>, key: &str) -> Option<&'a MarkedYaml<'i>> {
    let YamlData::Mapping(mapping) = &node.data else {
        return None;
    };
    let mut entries = mapping.iter();
    let found = entries.find(|(name, _)| text_of(Some(name)).as_deref() == Some(key));
    found.map(|(_, value)| value)
}

/// A scalar as it is written, without quotes.
fn text_of(node: Option<&MarkedYaml<'_>>) -> Option<String> {
    match &node?.data {
        YamlData::Representation(text, ..) | YamlData::Value(Scalar::String(text)) => {
            Some(text.to_string())
        }
        _ => None,
    }
}
