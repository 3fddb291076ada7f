//! The range that Incus and LXD give to an instance at its first start: root's.

use std::path::Path;

use crate::cli::exit::Failure;
use crate::host::{kernel, subid_source};
use crate::idmap::IdMap;
use crate::idmap::notation::NotationError;
use crate::idmap::notation::incus::RootRanges;

const START_ONCE: &str = "Start the instance once: its map is then in volatile.idmap.current";

/// Ranges that are shorter are for single ids of `raw.idmap`.
const SHORTEST: u32 = 65_536;

/// What Incus and LXD take where one of the two files is not there: a million ids from a million on. Incus does so,
/// too, where `newuidmap` or `newgidmap` is not in `PATH` (`shared/idmap`, `NewSetFromSystem`); LXD, and Incus
/// before, does not look for them (`DefaultIdmapSet`).
const DEFAULT_RANGE: FirstAndCount = (1_000_000, 1_000_000_000);

/// The map over root's range, as Incus and LXD work it out at the first start.
pub(super) fn of_root(
    ranges: &RootRanges,
    name: &str,
    notes: &mut Vec<String>,
) -> Result<IdMap, Failure> {
    let missing = ["/etc/subuid", "/etc/subgid"]
        .into_iter()
        .find(|path| !Path::new(path).exists());
    let (uids, gids) = match missing {
        Some(path) => {
            notes.push(format!(
                "was not started yet: the map is computed from its settings and 1000000:1000000000, the range without {path}"
            ));
            (DEFAULT_RANGE, DEFAULT_RANGE)
        }
        None => {
            notes.push(
                "was not started yet: the map is computed from its settings and the ranges of root"
                    .into(),
            );
            of_lines(name)?
        }
    };
    ranges.over(uids, gids).map_err(Failure::refused)
}

/// First id and number of ids.
type FirstAndCount = (u32, u32);

/// Root's range of uids and of gids, from the two files.
fn of_lines(name: &str) -> Result<(FirstAndCount, FirstAndCount), Failure> {
    let range = |path: &str| {
        let file = subid_source::read(path).map_err(Failure::refused)?;
        let lines = file.lines_for("root", Some(0));
        let long: Vec<_> = lines.iter().filter(|line| line.count >= SHORTEST).collect();
        match long[..] {
            [line] => Ok((line.start, line.count)),
            _ => Err(Failure::refused(NotationError::new(
                name,
                format!(
                    "has no map of its own yet, and root has {} ranges of {SHORTEST} ids or more in {path}, \
                    but needs exactly one",
                    long.len()
                ),
                START_ONCE,
            ))),
        }
    };
    let found = (range("/etc/subuid")?, range("/etc/subgid")?);
    let missing = kernel::missing_helpers();
    if missing.is_empty() || found == (DEFAULT_RANGE, DEFAULT_RANGE) {
        return Ok(found);
    }
    let reason = format!(
        "has no map of its own yet, and {} is not installed: newer Incus then takes 1000000:1000000000, LXD and older Incus the \
        ranges of root",
        missing.join(", ")
    );
    Err(Failure::refused(NotationError::new(
        name, reason, START_ONCE,
    )))
}
