//! Values of one Compose file: with variables replaced, and paths made absolute.

use std::path::{Path, PathBuf};

use super::HostPathDefaults;
use super::interpolate::{InterpolateError, Lookup, interpolate, interpolate_or_empty};
use super::yaml::{Data, Node, only_compose_resolves};
use crate::volume::binds::BindsError;
use crate::volume::binds::volume_syntax::clean;

/// How the values of one file are read.
#[derive(Clone, Copy)]
pub struct ComposeReader<'a> {
    /// The file, as people can read it.
    pub file: &'a str,
    /// What relative paths start from.
    pub dir: &'a Path,
    /// What `~` stands for.
    pub home: Option<&'a Path>,
    /// Variables.
    pub lookup: &'a Lookup<'a>,
    /// What a bind in the long syntax does where it does not say.
    pub defaults: HostPathDefaults,
}

impl ComposeReader<'_> {
    /// An error at a node.
    pub fn bad(&self, node: &Node, reason: impl Into<String>) -> BindsError {
        BindsError::at(self.file, node.line, reason)
    }

    /// Refuses tags such as `!reset`.
    pub fn check_tag(&self, node: &Node) -> Result<(), BindsError> {
        match &node.tag {
            None => Ok(()),
            Some(tag) => Err(self.bad(node, only_compose_resolves(tag))),
        }
    }

    /// A text with its variables replaced.
    pub fn text(&self, node: &Node, what: &str) -> Result<String, BindsError> {
        self.text_by(interpolate, node, what)
    }

    /// The text of a node, where a variable that is not known is an empty text.
    pub fn text_or_empty(&self, node: &Node, what: &str) -> Result<String, BindsError> {
        self.text_by(interpolate_or_empty, node, what)
    }

    fn text_by(
        &self,
        replace: fn(&str, &Lookup<'_>) -> Result<String, InterpolateError>,
        node: &Node,
        what: &str,
    ) -> Result<String, BindsError> {
        self.check_tag(node)?;
        let Data::Text(text) = &node.data else {
            return Err(self.bad(node, format!("{what} is not text")));
        };
        replace(text, self.lookup).map_err(|error| self.bad(node, format!("{what}: {error}")))
    }

    /// The text of a key, where it has one.
    pub fn text_of(&self, of: &Node, key: &str) -> Result<Option<String>, BindsError> {
        of.get(key).map(|node| self.text(node, key)).transpose()
    }

    /// The text of a node, where a variable that is not known is an empty text.
    pub fn text_of_or_empty(&self, of: &Node, key: &str) -> Result<Option<String>, BindsError> {
        of.get(key)
            .map(|node| self.text_or_empty(node, key))
            .transpose()
    }

    /// An id or a name. A number that YAML reads as another one is refused.
    pub fn id(&self, node: &Node, what: &str) -> Result<String, BindsError> {
        let text = self.text(node, what)?;
        let is_number = node.is_plain && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if is_number && text.len() > 1 && text.starts_with('0') {
            let reason =
                format!("{what}: {text} is not a decimal number for YAML; put it in quotes");
            return Err(self.bad(node, reason));
        }
        Ok(text)
    }

    /// A switch that is off where it is not there.
    pub fn switch(&self, of: &Node, key: &str) -> Result<bool, BindsError> {
        let Some(node) = of.get(key) else {
            return Ok(false);
        };
        match self.text(node, key)?.as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            other => Err(self.bad(node, format!("{key} is {other:?}, not true or false"))),
        }
    }

    /// The items of a list, or none.
    pub fn list<'n>(&self, of: &'n Node, key: &str) -> Result<&'n [Node], BindsError> {
        let Some(node) = of.get(key) else {
            return Ok(&[]);
        };
        self.check_tag(node)?;
        match &node.data {
            Data::List(items) => Ok(items),
            _ => Err(self.bad(node, format!("{key} is not a list"))),
        }
    }

    /// The texts of a list, or of one text.
    pub fn texts(&self, of: &Node, key: &str) -> Result<Vec<String>, BindsError> {
        if let Some(node) = of.get(key)
            && let Data::Text(_) = node.data
        {
            return Ok(vec![self.text(node, key)?]);
        }
        let items = self.list(of, key)?.iter();
        items.map(|item| self.id(item, key)).collect()
    }

    /// The entries of a mapping, or none.
    pub fn map<'n>(&self, of: &'n Node, key: &str) -> Result<&'n [(String, Node)], BindsError> {
        let Some(node) = of.get(key) else {
            return Ok(&[]);
        };
        self.check_tag(node)?;
        match &node.data {
            Data::Map(entries) => Ok(entries),
            _ => Err(self.bad(node, format!("{key} is not a mapping"))),
        }
    }

    /// A host path, absolute.
    pub fn path(&self, node: &Node, text: &str) -> Result<PathBuf, BindsError> {
        if text.is_empty() || text.contains('\0') {
            return Err(self.bad(node, format!("{text:?} is not a path")));
        }
        match text.strip_prefix('~') {
            None => Ok(clean(self.dir, text)),
            Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                let unknown = || match (self.lookup)("HOME") {
                    Some(Err(why)) => self.bad(node, format!("`~`: {why}")),
                    _ => self.bad(node, "`~` needs HOME in the environment"),
                };
                let home = self.home.ok_or_else(unknown)?;
                Ok(clean(home, rest.trim_start_matches('/')))
            }
            Some(_) => Err(self.bad(node, format!("{text:?}: write the home directory itself"))),
        }
    }
}
