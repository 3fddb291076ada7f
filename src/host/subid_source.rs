//! Where a user's ranges are kept: `/etc/subuid` and `/etc/subgid`, or where `nsswitch.conf` says.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use thiserror::Error;

use crate::idmap::{SubidError, SubidFile};

/// Why the ranges are not known.
#[derive(Debug, Error)]
pub enum SubidSourceError {
    /// A file cannot be read.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line is none.
    #[error(transparent)]
    Subid(#[from] SubidError),
    /// They are not in files, and the program that asks for them is not there.
    #[error(
        "/etc/nsswitch.conf: subid ranges come from {source_name}, and getsubids, which asks for them, is not installed. \
         Install it (package uidmap or shadow-utils-subid), or name the map: --map b:0:HOST:SIZE"
    )]
    NoProgram {
        /// As `nsswitch.conf` names it.
        source_name: String,
    },
    /// It gives none for this user.
    #[error(
        "getsubids {user}: no ranges from {source_name} (/etc/nsswitch.conf){said}. `getsubids {user}` must list some, or name \
         the map: --map b:0:HOST:SIZE"
    )]
    NoRanges {
        /// The user.
        user: String,
        /// As `nsswitch.conf` names it.
        source_name: String,
        /// What it said.
        said: String,
    },
}

/// The ranges of a user.
pub struct Ranges {
    /// Of uids and of gids.
    pub files: [SubidFile; 2],
    /// They were asked for, and are in no file that could be changed.
    pub were_asked_for: bool,
}

/// Reads the two files, or asks whoever `nsswitch.conf` names for the ranges of this user.
///
/// # Errors
/// They cannot be read, or not be asked for.
pub fn ranges_of(user: &str) -> Result<Ranges, SubidSourceError> {
    let nsswitch = std::fs::read_to_string("/etc/nsswitch.conf").unwrap_or_default();
    match source_name(&nsswitch) {
        None => ranges_in_files(),
        Some(source_name) => Ok(Ranges {
            files: [
                ask(user, source_name, &[])?,
                ask(user, source_name, &["-g"])?,
            ],
            were_asked_for: true,
        }),
    }
}

/// Reads the two files, as who does not look into `nsswitch.conf`.
///
/// # Errors
/// They cannot be read.
pub fn ranges_in_files() -> Result<Ranges, SubidSourceError> {
    Ok(Ranges {
        files: [read("/etc/subuid")?, read("/etc/subgid")?],
        were_asked_for: false,
    })
}

/// Whether `nsswitch.conf` leaves it to the two files.
pub fn are_in_files() -> bool {
    let nsswitch = std::fs::read_to_string("/etc/nsswitch.conf").unwrap_or_default();
    source_name(&nsswitch).is_none()
}

/// A file that is not there has no lines.
pub fn read(path: &str) -> Result<SubidFile, SubidSourceError> {
    let text = match std::fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(source) => {
            return Err(SubidSourceError::Io {
                path: path.into(),
                source,
            });
        }
        Ok(text) => text,
    };
    Ok(SubidFile::parse(&text, path)?)
}

/// What `nsswitch.conf(5)` names for `subid`, unless that is the files. The first counts (`getsubids(1)`).
fn source_name(nsswitch: &str) -> Option<&str> {
    let lines = nsswitch.lines().map(str::trim);
    let value = lines
        .filter_map(|line| line.strip_prefix("subid:"))
        .next()?;
    let source = value.split('#').next()?.split_whitespace().next()?;
    (source != "files").then_some(source)
}

/// `0: USER 100000 65536` on each line.
fn ask(user: &str, source_name: &str, options: &[&str]) -> Result<SubidFile, SubidSourceError> {
    let mut command = Command::new("getsubids");
    command.args(options).arg(user).stdin(Stdio::null());
    let output = command.output().map_err(|error| match error.kind() {
        ErrorKind::NotFound => SubidSourceError::NoProgram {
            source_name: source_name.to_string(),
        },
        _ => SubidSourceError::Io {
            path: "getsubids".into(),
            source: error,
        },
    })?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [_, owner, start, count] => format!("{owner}:{start}:{count}\n"),
            _ => format!("{line}\n"),
        }
    };
    let lines: String = text.lines().map(line).collect();
    if !output.status.success() || lines.is_empty() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim();
        return Err(SubidSourceError::NoRanges {
            user: user.to_string(),
            source_name: source_name.to_string(),
            said: match said.is_empty() {
                true => String::new(),
                false => format!(": {}", crate::fs::escape::one_line(said)),
            },
        });
    }
    let name = [&["getsubids"], options, &[user]].concat().join(" ");
    Ok(SubidFile::parse(lines.as_bytes(), &name)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_unless_another_source_comes_first() {
        for (text, expected) in [
            ("", None),
            ("passwd: files sss\n", None),
            ("subid: files\n", None),
            ("# subid: sss\nsubid:\tsss  # FreeIPA\n", Some("sss")),
            ("subid: files sss\n", None),
        ] {
            assert_eq!(source_name(text), expected, "{text}");
        }
    }
}
