//! Reads Compose files, `.env` and the environment.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::caller::doubt;
use super::compose::interpolate::{Lookup, Variable, VariableError};
use super::compose::yaml::MOST_BYTES;
use super::compose::{HostPathDefaults, Input, Selection, dotenv, resolve, shown};
use super::{BindsError, Service};

/// The services of Compose files, by the files alone.
///
/// # Errors
/// What cannot be read or resolved.
pub fn read_project(files: &[PathBuf], wanted: &Selection) -> Result<Vec<Service>, BindsError> {
    let files: Vec<PathBuf> = files
        .iter()
        .map(|file| absolute(file))
        .collect::<Result<_, _>>()?;
    let dir = project_dir(&files);
    let variables = variables(&dir)?;
    let lookup = |name: &str| from_environment(name).or_else(|| variables.get(name).cloned());
    let home = std::env::var_os("HOME").filter(|_| doubt("HOME").is_none());
    let home = home.map(PathBuf::from);
    let mut wanted = wanted.clone();
    if wanted.profiles.is_empty()
        && let Some(Ok(profiles)) = lookup("COMPOSE_PROFILES")
    {
        let profiles = profiles.split(',').map(str::trim);
        wanted.profiles = profiles
            .filter(|it| !it.is_empty())
            .map(str::to_string)
            .collect();
    }
    let input = Input {
        files: &files,
        read: &read,
        lookup: &lookup,
        home: home.as_deref().filter(|home| home.is_absolute()),
        dir: &dir,
        defaults: HostPathDefaults::SPECIFICATION,
    };
    resolve(&input, &wanted)
}

/// Files that `docker compose` takes when none is named, and what it puts over them (compose-go `cli/options.go`).
const DEFAULT_NAMES: [&str; 4] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
];
const OVERRIDE_NAMES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// A file beside the only one that is named, which `docker compose up` without `-f` puts over it.
pub fn override_beside(files: &[PathBuf]) -> Option<PathBuf> {
    let [file] = files else { return None };
    let name = file.file_name()?.to_str()?;
    let overrides = OVERRIDE_NAMES.iter().map(|name| file.with_file_name(name));
    let mut overrides = overrides.filter(|_| DEFAULT_NAMES.contains(&name));
    overrides.find(|path| path.exists())
}

/// Reads a file that is not too large.
///
/// # Errors
/// It cannot be read, or is no text.
pub fn read(path: &Path) -> Result<String, BindsError> {
    let file = shown(path);
    let failed = |error: std::io::Error| BindsError::new(&file, error.to_string());
    // A pipe or a device is never read to its end.
    let is_file = std::fs::metadata(path).map_err(failed)?.is_file();
    if !is_file {
        return Err(BindsError::new(&file, "is not a file"));
    }
    let opened = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    opened
        .take(MOST_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    String::from_utf8(bytes).map_err(|_| BindsError::new(&file, "is not UTF-8 text"))
}

/// A path from this directory on.
///
/// # Errors
/// There is no such directory.
pub fn absolute(file: &Path) -> Result<PathBuf, BindsError> {
    std::path::absolute(file).map_err(|error| BindsError::new(&shown(file), error.to_string()))
}

/// The directory that relative paths of a project start from.
pub fn project_dir(files: &[PathBuf]) -> PathBuf {
    let first = files.first().and_then(|file| file.parent());
    first.unwrap_or(Path::new("/")).to_path_buf()
}

fn from_environment(name: &str) -> Option<Variable> {
    let value = std::env::var_os(name)?;
    if let Some(why) = doubt(name) {
        return Some(Err(VariableError::Replaced(why)));
    }
    Some(value.into_string().map_err(|_| VariableError::NotUtf8))
}

/// `.env` of the working directory, then that of the project, as Compose reads them.
fn variables(dir: &Path) -> Result<dotenv::Variables, BindsError> {
    let mut known = dotenv::Variables::new();
    let here = std::env::current_dir().unwrap_or_default();
    for dir in [here.as_path(), dir] {
        let path = dir.join(".env");
        if !path.exists() {
            continue;
        }
        let text = read(&path)?;
        let outer: &Lookup<'_> =
            &|name: &str| from_environment(name).or_else(|| known.get(name).cloned());
        for (name, value) in dotenv::parse(&text, &shown(&path), outer) {
            known.entry(name).or_insert(value);
        }
    }
    Ok(known)
}
