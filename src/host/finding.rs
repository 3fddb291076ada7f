//! One thing that was looked at.

use serde::Serialize;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Good to know.
    Warning,
    /// It must be solved first.
    Error,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub level: Level,
    /// What was looked at.
    pub what: &'static str,
    /// What was found.
    pub found: String,
    /// What helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    fn new(level: Level, what: &'static str, found: impl Into<String>) -> Finding {
        Finding {
            level,
            what,
            found: found.into(),
            remedy: None,
        }
    }

    /// As it should be.
    pub fn ok(what: &'static str, found: impl Into<String>) -> Finding {
        Finding::new(Level::Ok, what, found)
    }

    /// Good to know.
    pub fn warning(what: &'static str, found: impl Into<String>) -> Finding {
        Finding::new(Level::Warning, what, found)
    }

    /// It must be solved first.
    pub fn error(what: &'static str, found: impl Into<String>) -> Finding {
        Finding::new(Level::Error, what, found)
    }

    /// With what helps.
    pub fn remedy(mut self, remedy: impl Into<String>) -> Finding {
        self.remedy = Some(remedy.into());
        self
    }
}
