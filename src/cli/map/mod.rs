//! The map that a command line names.
//!
//! - [`source`]: one `MAP` of `--from` and `--to`
//! - [`mod@file`]: `--map-from`: a map as another tool wrote it
//! - [`subid`]: the ranges of a user
//! - `engine`: what an engine, of root or of a user, is told
//! - `root_ranges`: the range of an instance of Incus or LXD that was not started yet
//! - `docker`: where none is named

mod docker;
mod engine;
mod file;
mod root_ranges;
pub mod source;
mod subid;

use std::path::Path;

use crate::cli::args::MapArgs;
use crate::cli::exit::Failure;
use crate::cli::output::tell;
use crate::cli::output::text::{one_line, shell_word};
use crate::docker::guidance::{map_options, ranges_as_options};
use crate::idmap::subid::DEFAULT_USER;
use crate::idmap::{Direction, IdMap, SubidReader};

/// A map, and where it is from.
#[derive(Clone, Debug)]
pub struct NamedMap {
    /// The map.
    pub map: IdMap,
    /// Where it is from, for people: `--map`, a file, a user's lines.
    pub source: String,
    /// The map that the container's files have on disk, where that is another one.
    pub on_disk: Option<IdMap>,
    /// Whether it is of a container without a user namespace.
    pub is_hosts: bool,
    /// Other facts in the source, and what it does not say, for people.
    pub notes: Vec<String>,
    /// Owners of lines in `/etc/subuid` that the map is made of, by name or uid.
    pub owners: Vec<String>,
}

impl NamedMap {
    /// A map without notes.
    fn plain(map: IdMap, source: impl Into<String>) -> NamedMap {
        NamedMap {
            map,
            source: source.into(),
            on_disk: None,
            is_hosts: false,
            notes: Vec::new(),
            owners: Vec::new(),
        }
    }

    /// Whether the container's files are on disk as it sees them, because an idmapped mount shows them.
    fn is_behind_mount(&self) -> bool {
        !self.is_hosts && self.on_disk == Some(IdMap::identity())
    }

    /// Prints the notes of the source on stderr.
    pub fn tell_notes(&self) {
        for note in &self.notes {
            tell!("{}: {}", one_line(&self.source), one_line(note));
        }
    }
}

impl MapArgs {
    /// True when the command line says something of a map.
    pub fn is_given(&self) -> bool {
        let is_named = self.subid.is_some() || self.docker_user.is_some();
        !self.maps.is_empty() || is_named || self.map_from.is_some()
    }

    /// The map that is asked for. Prints the notes of its source on stderr, unless the output is
    /// quiet.
    pub fn resolve(&self, quiet: bool) -> Result<IdMap, Failure> {
        Ok(self.with_range(quiet)?.map)
    }

    /// Resolves the map for files that are to be shifted in this direction.
    pub fn resolve_to_shift(&self, direction: Direction, quiet: bool) -> Result<IdMap, Failure> {
        let named = self.with_range(quiet)?;
        match direction == Direction::Into && named.is_behind_mount() {
            true => Err(Failure::refused(format!(
                "{}: an idmapped mount shows this container its root filesystem, so it must not be shifted. For another \
                directory, use `idshift prepare`, or name the ranges:{}",
                named.source,
                ranges_as_options(&named.map)
            ))),
            false => Ok(named.map),
        }
    }

    fn with_range(&self, quiet: bool) -> Result<NamedMap, Failure> {
        let named = self.named()?;
        if !quiet {
            named.tell_notes();
        }
        if let (true, Some(files)) = (named.is_hosts, &named.on_disk) {
            return Err(Failure::refused(format!(
                "{}: the container has no user namespace any more, and its files are still in {files}. \
                 `idshift shift --from FILE --to host` moves them out of it, with this file as FILE",
                named.source
            )));
        }
        if named.is_hosts {
            return Err(Failure::refused(format!(
                "{}: the container has no user namespace, so its ids are those of the host and there is \
                nothing to shift. \
                 Give the container a range first (LXC: lxc.idmap = u 0 100000 65536, and the same with g), or name the map: \
                 --map b:0:100000:65536",
                named.source
            )));
        }
        Ok(named)
    }

    /// The map that is asked for, and where it is from.
    pub fn named(&self) -> Result<NamedMap, Failure> {
        if !self.maps.is_empty() {
            let map = IdMap::from_specs(&self.maps).map_err(Failure::usage)?;
            return Ok(NamedMap::plain(map, "--map"));
        }
        match (&self.map_from, &self.subid) {
            (Some(path), user) => file::read(path, user.as_deref()),
            (None, Some(user)) => subid::map_of_user(user, SubidReader::Any),
            (None, None) => {
                let user = self.docker_user.as_deref().unwrap_or(DEFAULT_USER);
                subid::map_of_user(user, SubidReader::Docker)
            }
        }
    }

    /// The map of this user's rootless engine, range by range.
    ///
    /// # Errors
    /// There is no such user, or it has no ranges.
    pub fn of_rootless(user: &str) -> Result<MapArgs, Failure> {
        let map = subid::rootless(user)?.map.to_string();
        let specs = map.split(' ').map(str::parse);
        Ok(MapArgs {
            maps: specs.collect::<Result<_, _>>().map_err(Failure::refused)?,
            ..MapArgs::default()
        })
    }

    /// How this map, which these options gave, is chosen on another command line, each word with a space in front.
    pub fn words(&self, map: &IdMap) -> String {
        if let Some(user) = &self.docker_user {
            return map_options(user, map);
        }
        // Standard input is there once.
        if self.map_from.as_deref() == Some(Path::new("-")) {
            return ranges_as_options(map);
        }
        let maps = self.maps.iter().map(|map| format!(" --map {map}"));
        let file = self
            .map_from
            .iter()
            .map(|path| format!(" --map-from {}", shell_word(path)));
        let subid = self.subid.iter().map(|user| format!(" --subid {user}"));
        maps.chain(file).chain(subid).collect()
    }
}
