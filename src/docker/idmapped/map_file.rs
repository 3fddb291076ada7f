//! The file beside the content of an idmapped root: what it is mounted with, and what it was made of.

use std::path::Path;

use super::copied;
use crate::docker::DockerError;
use crate::docker::data_root::read_text;
use crate::idmap::{IdMap, MapSpec};

/// Its name.
pub const MAP: &str = "map";

/// Before the time in a [`MAP`] file.
const SINCE: &str = "since ";

/// What the file [`MAP`] holds of a root that is made at this time of the docker root in this directory.
///
/// # Errors
/// The docker root cannot be read.
pub fn record(
    map: &IdMap,
    since: jiff::Timestamp,
    (docker_root, is_converted): (&Path, bool),
) -> Result<String, DockerError> {
    let since = since.as_millisecond();
    let inodes = copied::lines(docker_root, is_converted)?;
    Ok(format!(
        "# The content beside this file is a Docker data-root. It is mounted on the directory beside this one that is named\n\
         # by its range, with these ids (on disk : seen) exchanged. `idshift docker mount` mounts it, `idshift docker revert`\n\
         # takes it back. Do not change anything in here.\n{SINCE}{since}\n{inodes}{map}\n"
    ))
}

/// What it says.
pub(super) struct MapFile {
    pub map: IdMap,
    pub since: i64,
    pub inodes: Vec<copied::Recorded>,
}

impl MapFile {
    pub fn read(path: &Path) -> Result<MapFile, DockerError> {
        let text = read_text(path)?.unwrap_or_default();
        let since = text
            .lines()
            .find_map(|line| line.strip_prefix(SINCE)?.parse().ok());
        let inodes = text.lines().filter_map(copied::Recorded::read).collect();
        let lines = text.lines().filter(|line| {
            let others = ["#", SINCE, copied::INODE];
            !others.iter().any(|other| line.starts_with(other))
        });
        let specs: Result<Vec<MapSpec>, _> = lines
            .flat_map(str::split_whitespace)
            .map(str::parse)
            .collect();
        let map = specs.map_err(|error| error.to_string());
        let map = map.and_then(|specs| IdMap::from_specs(&specs).map_err(|it| it.to_string()));
        // Without it, an id of the range from before could not be told from one that the daemon was given.
        let since = since.ok_or_else(|| "it has no line `since MILLISECONDS`".to_string());
        match map.and_then(|map| Ok((map, since?))) {
            Ok((map, since)) => Ok(MapFile { map, since, inodes }),
            Err(error) => Err(DockerError::in_the_way(
                path,
                format!(
                    "does not say which ids this data-root is mounted with ({error}). Write two lines into \
                    it: the ranges that its user had in /etc/subuid when it was migrated, such as \
                    `b:0:100000:65536`; and `since MILLISECONDS` with the time of the migration, which `stat \
                    -c %W000 .` in this directory prints"
                ),
            )),
        }
    }
}
