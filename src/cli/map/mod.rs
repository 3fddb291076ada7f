//! The map that a command line names.
//!
//! - [`source`]: one `MAP` of `--from` and `--to`
//! - [`mod@file`]: `--map-from`: a map as another tool wrote it
//! - [`subid`]: the ranges of a user
//! - `docker`: where none is named

mod docker;
mod file;
pub mod source;
mod subid;

use crate::cli::args::MapArgs;
use crate::cli::exit::Failure;
use crate::cli::output::tell;
use crate::cli::output::text::one_line;
use crate::idmap::IdMap;
use crate::idmap::subid::DEFAULT_USER;

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
        !self.maps.is_empty() || self.subid.is_some() || self.map_from.is_some()
    }

    /// The map that is asked for. Prints the notes of its source on stderr, unless the output is
    /// quiet.
    pub fn resolve(&self, quiet: bool) -> Result<IdMap, Failure> {
        let named = self.named()?;
        if named.is_hosts {
            return Err(Failure::refused(format!(
                "{}: the container has no user namespace, so its ids are those of the host and there is \
                nothing to shift. \
                 Give the container a range first (LXC: lxc.idmap = u 0 100000 65536, and the same with g), or name the map: \
                 --map b:0:100000:65536",
                named.source
            )));
        }
        if !quiet {
            named.tell_notes();
        }
        Ok(named.map)
    }

    /// The map that is asked for, and where it is from.
    pub fn named(&self) -> Result<NamedMap, Failure> {
        if !self.maps.is_empty() {
            let map = IdMap::from_specs(&self.maps).map_err(Failure::usage)?;
            return Ok(NamedMap::plain(map, "--map"));
        }
        match &self.map_from {
            Some(path) => file::read(path, self.subid.as_deref()),
            None => subid::map_of_user(self.subid.as_deref().unwrap_or(DEFAULT_USER)),
        }
    }

    /// The map of this user's rootless engine, range by range.
    ///
    /// # Errors
    /// There is no such user, or it has no ranges.
    pub fn of_rootless(user: &str) -> Result<MapArgs, Failure> {
        let map = subid::rootless(user)?.to_string();
        let specs = map.split(' ').map(str::parse);
        Ok(MapArgs {
            maps: specs.collect::<Result<_, _>>().map_err(Failure::refused)?,
            ..MapArgs::default()
        })
    }

    /// How the map is chosen on a command line, each word with a space in front.
    pub fn words(&self) -> String {
        let maps = self.maps.iter().map(|map| format!(" --map {map}"));
        let file = self
            .map_from
            .iter()
            .map(|path| format!(" --map-from {}", crate::cli::output::text::shell_word(path)));
        let subid = self.subid.iter().map(|user| format!(" --subid {user}"));
        maps.chain(file).chain(subid).collect()
    }
}
