//! One `MAP` of `--from` and `--to`.

use std::path::Path;

use super::{NamedMap, file, subid};
use crate::cli::args::map_source::MapSource;
use crate::cli::exit::Failure;
use crate::cli::output::text::one_line;
use crate::idmap::{IdMap, MapError, MapSpec, SubidReader};

impl MapSource {
    /// The map, and where it is from. `reader`: of the lines of a user.
    pub fn named(&self, reader: SubidReader) -> Result<NamedMap, Failure> {
        match self {
            MapSource::Ranges(ranges) => {
                let map = IdMap::from_specs(ranges).map_err(|error| one_word(ranges, &error))?;
                let source = map.to_string();
                Ok(NamedMap::plain(map, source))
            }
            MapSource::Subid(user) => subid::map_of_user(user, reader),
            MapSource::Host => Ok(NamedMap::plain(IdMap::identity(), "host")),
            MapSource::File(path) => file::read(Path::new(path), None),
        }
    }
}

/// A map in one word cannot be completed by another option.
fn one_word(ranges: &[MapSpec], error: &MapError) -> Failure {
    let MapError::Half { missing, letter } = error else {
        return Failure::usage(error);
    };
    let said = |letter: &str| {
        let words = ranges.iter().map(|spec| format!("{letter}:{}", spec.range));
        words.collect::<Vec<_>>().join(",")
    };
    let has = if *letter == 'g' { "u" } else { "g" };
    Failure::usage(format!(
        "the map {} has no {missing}. Write both in one word, as in {},{letter}:0:100000:65536, or {} for uids and gids",
        said(has),
        said(has),
        said("b")
    ))
}

/// From one map's host ids to those of another; what their sources say beside goes to stderr.
pub fn moved(from: &MapSource, to: &MapSource, quiet: bool) -> Result<IdMap, Failure> {
    let reader = SubidReader::Any;
    let (from, to) = (from.named(reader)?, to.named(reader)?);
    if to.is_behind_mount() {
        return Err(Failure::refused(format!(
            "--to {}: the files of this container are not shifted, as an idmapped mount shows them. For its root filesystem, it \
            is --to host. For another directory, name the ranges: --to {}",
            one_line(&to.source),
            to.map.to_string().replace(' ', ",")
        )));
    }
    // What is moved are files.
    let files = from.on_disk.as_ref().unwrap_or(&from.map);
    let map = files.onto(&to.map);
    for (ranges, ids) in [(&map.uids, "uid"), (&map.gids, "gid")] {
        if ranges.is_empty() {
            return Err(Failure::usage(format!(
                "--from {} and --to {} have no {ids} of the container in common",
                from.map, to.map
            )));
        }
    }
    if !quiet {
        from.tell_notes();
        to.tell_notes();
    }
    Ok(map)
}
