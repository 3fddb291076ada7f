//! `/etc/docker/daemon.json` (`dockerd(8)`): what of it matters here.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};

use super::DockerError;
use crate::fs::Root;
use crate::fs::shown::shown;
use crate::fs::structure::{look, read_file};
use crate::ownership::Mode;
use crate::record::Step;
use crate::record::step::{Content, Made, Place};

/// Where dockerd looks for it unless told otherwise.
pub const DEFAULT_PATH: &str = "/etc/docker/daemon.json";

/// The settings that matter here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct DaemonJson {
    /// The data-root, where it is not the default.
    #[serde(rename = "data-root", alias = "graph")]
    pub data_root: Option<String>,
    /// Whom it remaps to; empty means nobody.
    #[serde(rename = "userns-remap")]
    pub userns_remap: Option<String>,
    /// Switches, by name.
    #[serde(default)]
    pub features: std::collections::BTreeMap<String, bool>,
}

impl DaemonJson {
    /// Whom the daemon remaps to: as given, as the file says, or dockerd's default.
    pub fn remap_to(&self, given: Option<&str>) -> String {
        let said = self.userns_remap.as_deref();
        let value = given.or(said.filter(|value| !value.is_empty()));
        value.unwrap_or("default").to_string()
    }

    /// Images are kept by containerd, which cannot remap (Docker 29 refuses to start with both).
    pub fn uses_containerd_store(&self) -> bool {
        self.features.get("containerd-snapshotter") == Some(&true)
    }

    /// Reads it; one that is not there says nothing.
    ///
    /// # Errors
    /// It cannot be read, or is not a JSON object.
    pub fn read(path: &Path) -> Result<DaemonJson, DockerError> {
        match read_regular(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(DaemonJson::default()),
            Err(error) => Err(DockerError::io(path)(error)),
            Ok(text) => serde_json::from_str(&text).map_err(|error| not_json(path, &error)),
        }
    }
}

/// A fifo would be waited for.
fn read_regular(path: &Path) -> io::Result<String> {
    let mut file = File::options()
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(path)?;
    match file.metadata()?.is_file() {
        true => io::read_to_string(&mut file),
        false => Err(io::Error::other("is not a regular file")),
    }
}

/// The text with `userns-remap` set, or taken out for `None`; every other setting stays, in its
/// order.
///
/// # Errors
/// The text is not a JSON object.
pub fn with_userns_remap(
    text: &str,
    remap: Option<&str>,
    path: &Path,
) -> Result<String, DockerError> {
    // Values as they are written: a number may be larger than any type holds.
    let mut settings: IndexMap<String, Box<RawValue>> = match text.trim() {
        "" => IndexMap::new(),
        _ => serde_json::from_str(text).map_err(|error| not_json(path, &error))?,
    };
    let says = settings.get("userns-remap");
    let says = says.and_then(|value| serde_json::from_str::<String>(value.get()).ok());
    if says.as_deref() == remap && (remap.is_some() || !settings.contains_key("userns-remap")) {
        return Ok(text.to_string());
    }
    match remap {
        Some(remap) => {
            let value = to_raw_value(remap).map_err(|error| not_json(path, &error))?;
            settings.insert("userns-remap".into(), value)
        }
        None => settings.shift_remove("userns-remap"),
    };
    // Plain data with string keys: nothing that could fail.
    let text = serde_json::to_string_pretty(&settings).unwrap_or_default();
    Ok(text + "\n")
}

/// The steps that make the file say it, none where it does, and the directory they are taken in. A
/// symlink is followed to the file that is meant; a directory that is missing is made.
///
/// # Errors
/// The file cannot be read or is no JSON object.
pub fn step(
    path: &Path,
    remap: Option<&str>,
    root_number: usize,
) -> Result<(PathBuf, Vec<Step>), DockerError> {
    let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    let dir = path.parent().unwrap_or(Path::new("/"));
    let made = |mode| Made {
        uid: 0,
        gid: 0,
        mode: Mode::from_st_mode(mode),
    };
    if let (false, Some(above)) = (dir.exists(), dir.parent()) {
        let root = open(path, above)?;
        let dir = dir.file_name().unwrap_or_default().as_encoded_bytes();
        let Some(remap) = remap else {
            return Ok((root.path, Vec::new()));
        };
        let make_dir = Step::MakeDir {
            at: Place::new(root_number, [dir]),
            made: made(0o755),
        };
        let create = Step::Create {
            at: Place::new(root_number, [dir, name]),
            content: with_userns_remap("", Some(remap), path)?,
            made: made(0o644),
        };
        return Ok((root.path, vec![make_dir, create]));
    }
    let root = open(path, dir)?;
    let at = Place::new(root_number, [name]);
    let handle = std::fs::File::open(&root.path).map_err(DockerError::io(&root.path))?;
    let there = look(handle.as_fd(), name).map_err(|errno| DockerError::io(path)(errno.into()))?;
    let step = match (there, remap) {
        (None, None) => None,
        (None, Some(remap)) => Some(Step::Create {
            at,
            content: with_userns_remap("", Some(remap), path)?,
            made: made(0o644),
        }),
        (Some(_), remap) => {
            let (bytes, mtime) = read_file(handle.as_fd(), name).map_err(DockerError::io(path))?;
            let before = String::from_utf8(bytes).map_err(|_| {
                DockerError::in_the_way(
                    path,
                    "is not UTF-8; dockerd would not start with it either",
                )
            })?;
            let after = with_userns_remap(&before, remap, path)?;
            (before != after).then_some(Step::Rewrite {
                at,
                before: Content {
                    text: before,
                    mtime_ns: Some(mtime),
                },
                after: Content {
                    text: after,
                    mtime_ns: None,
                },
            })
        }
    };
    Ok((root.path, step.into_iter().collect()))
}

fn open(path: &Path, dir: &Path) -> Result<Root, DockerError> {
    Root::open(dir).map_err(|error| {
        let help = format!("{error}. `mkdir -p {}` makes it", shown(dir));
        DockerError::in_the_way(path, help)
    })
}

fn not_json(path: &Path, error: &serde_json::Error) -> DockerError {
    DockerError::in_the_way(
        path,
        format!("{error}. dockerd would not start with it either; correct it first"),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_fifo_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("daemon.json");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let error = DaemonJson::read(&fifo).unwrap_err().to_string();
        assert!(error.contains("not a regular file"), "{error}");
    }

    #[test]
    fn every_other_setting_stays() {
        let path = Path::new("daemon.json");
        let text = r#"{"b": 1, "userns-remap": "x", "a": {"z": [1.50, "<"]}}"#;
        let set = with_userns_remap(text, Some("default"), path).unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(&set).unwrap(),
            serde_json::json!({"b": 1, "userns-remap": "default", "a": {"z": [1.50, "<"]}})
        );
        let out = with_userns_remap(&set, None, path).unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(&out).unwrap(),
            serde_json::json!({"b": 1, "a": {"z": [1.50, "<"]}})
        );
        let huge = format!("{{\"a\": {}, \"b\": 1.10}}", "2".repeat(90));
        let set = with_userns_remap(&huge, Some("default"), path).unwrap();
        assert!(
            set.contains(&"2".repeat(90)) && set.contains("1.10"),
            "{set}"
        );
        assert!(with_userns_remap("{", None, path).is_err());
        let made = with_userns_remap("", Some("default"), path).unwrap();
        assert_eq!(made, "{\n  \"userns-remap\": \"default\"\n}\n");
    }
}
