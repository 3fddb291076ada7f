//! `/etc/docker/daemon.json` (`dockerd(8)`): what of it matters here.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde_json::error::Category;
use serde_json::value::{RawValue, to_raw_value};

use super::DockerError;
use crate::fs::Root;
use crate::fs::escape::shell_word;
use crate::fs::file_ops::{read_file, stat_entry};
use crate::host::runtime;
use crate::journal::Step;
use crate::journal::step::{FileContent, NewDirectory, StepPath};
use crate::ownership::Mode;

/// Where dockerd looks for it unless told otherwise.
pub const DEFAULT_PATH: &str = "/etc/docker/daemon.json";

/// The settings that matter here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DaemonJson {
    /// The data-root, where it is not the default.
    pub data_root: Option<String>,
    /// Whom it remaps to; empty means nobody.
    pub userns_remap: Option<String>,
    /// The storage driver, or the snapshotter.
    pub storage_driver: Option<String>,
    /// Switches, by name.
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
    /// It cannot be read, or dockerd would not start with it.
    pub fn read(path: &Path) -> Result<DaemonJson, DockerError> {
        match read_regular(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(DaemonJson::default()),
            Err(error) => Err(DockerError::io(path)(error)),
            Ok(bytes) => DaemonJson::parse(&bytes, Reader::of_host, path),
        }
    }

    fn parse(
        bytes: &[u8],
        reader: impl Fn() -> Reader,
        path: &Path,
    ) -> Result<DaemonJson, DockerError> {
        let bad = |error| not_json(path, &error);
        let text = decoded(bytes, &reader, path)?;
        let settings = first_object(&text, &reader).map_err(bad)?;
        let value = |names: &[&str]| -> Result<Option<String>, DockerError> {
            let raw = names.iter().find_map(|name| settings.get(*name));
            raw.map_or(Ok(None), |raw| serde_json::from_str(raw.get()).map_err(bad))
        };
        let features: Option<BTreeMap<String, Option<bool>>> = match settings.get("features") {
            Some(raw) => serde_json::from_str(raw.get()).map_err(bad)?,
            None => None,
        };
        // What is null is off.
        let features = features.unwrap_or_default().into_iter();
        Ok(DaemonJson {
            data_root: value(&["data-root", "graph"])?,
            userns_remap: value(&["userns-remap"])?,
            storage_driver: value(&["storage-driver"])?,
            features: features
                .map(|(name, on)| (name, on.unwrap_or_default()))
                .collect(),
        })
    }
}

/// Which dockerd reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    /// Before 23: of several JSON objects the first counts; a byte order mark or an empty file is an error.
    Before23,
    /// From 23 on: exactly one JSON object, UTF-8 or with a byte order mark; an empty file says nothing.
    From23,
}

impl Reader {
    fn of_host() -> Reader {
        match runtime::dockerd().and_then(|docker| docker.major()) {
            Some(major) if major < 23 => Reader::Before23,
            _ => Reader::From23,
        }
    }
}

/// The file's text, without a byte order mark. The reader matters only to what is out of the ordinary.
fn decoded(bytes: &[u8], reader: &impl Fn() -> Reader, path: &Path) -> Result<String, DockerError> {
    let refuse = |what: &str| {
        let why = format!(
            "{what}, and the dockerd of this host does not start with it; correct it first"
        );
        Err(DockerError::in_the_way(path, why))
    };
    let units = |pair: fn([u8; 2]) -> u16| -> Vec<u16> {
        bytes[2..]
            .chunks_exact(2)
            .map(|two| pair([two[0], two[1]]))
            .collect()
    };
    let text = match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8(rest.to_vec()).ok(),
        [0xff, 0xfe, ..] => String::from_utf16(&units(u16::from_le_bytes)).ok(),
        [0xfe, 0xff, ..] => String::from_utf16(&units(u16::from_be_bytes)).ok(),
        _ => {
            let text = String::from_utf8(bytes.to_vec()).ok();
            let is_empty = text.as_ref().is_some_and(|text| text.trim().is_empty());
            return match text {
                Some(_) if is_empty && reader() == Reader::Before23 => refuse("is empty"),
                Some(text) => Ok(text),
                None => refuse("is neither UTF-8 nor UTF-16"),
            };
        }
    };
    match text {
        Some(text) if reader() == Reader::From23 => Ok(text),
        Some(_) => refuse("begins with a byte order mark"),
        None => refuse("is neither UTF-8 nor UTF-16"),
    }
}

/// Settings by name, values as they are written; of a name that is there twice the last counts.
type Settings = IndexMap<String, Box<RawValue>>;

fn first_object(text: &str, reader: &impl Fn() -> Reader) -> serde_json::Result<Settings> {
    if text.trim().is_empty() {
        return Ok(Settings::new());
    }
    let mut objects = serde_json::Deserializer::from_str(text).into_iter::<Option<Settings>>();
    let first = objects.next().transpose()?.flatten().unwrap_or_default();
    let rest = &text[objects.byte_offset()..];
    match rest.trim().is_empty() || reader() == Reader::Before23 {
        true => Ok(first),
        // For its message about what follows.
        false => serde_json::from_str(text),
    }
}

/// The text of the file with `userns-remap` set or taken out.
///
/// # Errors
/// It cannot be read, or cannot be rewritten without loss.
pub fn text_with(path: &Path, remap: Option<&str>) -> Result<String, DockerError> {
    let bytes = match read_regular(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        result => result.map_err(DockerError::io(path))?,
    };
    let before = String::from_utf8(bytes).map_err(|_| not_plain(path))?;
    with_userns_remap(&before, remap, path)
}

fn not_plain(path: &Path) -> DockerError {
    let why = "is not plain UTF-8, so it is not rewritten. Save it as UTF-8 without a byte order mark, or set userns-remap in \
               it yourself and leave out --write-daemon-json";
    DockerError::in_the_way(path, why)
}

/// A fifo would be waited for.
fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::options()
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(path)?;
    match file.metadata()?.is_file() {
        true => {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(bytes)
        }
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
    if text.starts_with('\u{feff}') {
        return Err(not_plain(path));
    }
    // Values as they are written: a number may be larger than any type holds.
    let mut settings: Settings = match text.trim() {
        "" => Settings::new(),
        _ => serde_json::from_str(text).map_err(|error| match error.classify() {
            Category::Syntax if first_object(text, &|| Reader::Before23).is_ok() => {
                DockerError::in_the_way(
                    path,
                    "holds more than one JSON object, of which dockerd before 23 reads the first and later ones none. \
                     Put all settings into one",
                )
            }
            _ => not_json(path, &error),
        })?,
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

/// The text with `features.containerd-snapshotter` taken out where it is true: a remapped daemon finds nothing in
/// the store, or does not start.
fn without_containerd_store(text: &str, path: &Path) -> Result<String, DockerError> {
    const FEATURES: &str = "features";
    let bad = |error: serde_json::Error| not_json(path, &error);
    let mut settings: Settings = match text.trim() {
        "" => return Ok(text.into()),
        text => serde_json::from_str(text).map_err(bad)?,
    };
    let features = settings.get(FEATURES).map(|value| value.get());
    let features: Option<Settings> =
        serde_json::from_str(features.unwrap_or("null")).map_err(bad)?;
    let Some(mut features) = features else {
        return Ok(text.into());
    };
    match features.shift_remove("containerd-snapshotter") {
        Some(value) if value.get() == "true" => {}
        _ => return Ok(text.into()),
    }
    match features.is_empty() {
        true => drop(settings.shift_remove(FEATURES)),
        false => {
            let value = to_raw_value(&features).map_err(bad)?;
            settings.insert(FEATURES.into(), value);
        }
    }
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
    let made = |mode| NewDirectory {
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
            at: StepPath::new(root_number, [dir]),
            made: made(0o755),
        };
        let create = Step::Create {
            at: StepPath::new(root_number, [dir, name]),
            content: with_userns_remap("", Some(remap), path)?,
            made: made(0o644),
        };
        return Ok((root.path, vec![make_dir, create]));
    }
    let root = open(path, dir)?;
    let at = StepPath::new(root_number, [name]);
    let handle = std::fs::File::open(&root.path).map_err(DockerError::io(&root.path))?;
    let there =
        stat_entry(handle.as_fd(), name).map_err(|errno| DockerError::io(path)(errno.into()))?;
    let step = match (there, remap) {
        (None, None) => None,
        (None, Some(remap)) => Some(Step::Create {
            at,
            content: with_userns_remap("", Some(remap), path)?,
            made: made(0o644),
        }),
        (Some(_), remap) => {
            let (bytes, mtime) = read_file(handle.as_fd(), name).map_err(DockerError::io(path))?;
            let before = String::from_utf8(bytes).map_err(|_| not_plain(path))?;
            let after = with_userns_remap(&before, remap, path)?;
            let after = match remap {
                Some(_) => without_containerd_store(&after, path)?,
                None => after,
            };
            (before != after).then_some(Step::Rewrite {
                at,
                before: FileContent {
                    text: before,
                    mtime_ns: Some(mtime),
                    owner: None,
                },
                after: FileContent {
                    text: after,
                    mtime_ns: None,
                    owner: None,
                },
            })
        }
    };
    Ok((root.path, step.into_iter().collect()))
}

fn open(path: &Path, dir: &Path) -> Result<Root, DockerError> {
    Root::open(dir).map_err(|error| {
        let help = format!("{error}. `mkdir -p {}` makes it", shell_word(dir));
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
    fn the_command_makes_the_missing_directory() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("a b").join("c");
        let error = open(&missing.join("daemon.json"), &missing).err().unwrap();
        let command = format!("`mkdir -p '{}'`", missing.display());
        assert!(error.to_string().contains(&command), "{error}");
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
