//! Remapped roots of a data-root that hold something, and what gives them back the ranges that they were made for.

use std::path::Path;

use nix::unistd::User;

use super::data_root::{DockerRoot, is_remapped_name, names};
use super::guidance;
use super::idmapped::IdmappedRoot;
use super::remap::{Remap, subid_file};
use super::{DockerError, image_store};
use crate::fs::escape::escaped;
use crate::host::missing_ranges::MissingRanges;
use crate::idmap::{IdMap, Range, RangeMap};

/// How many ids a range has, as dockerd gives them away: the name of a root tells only the first.
const USUAL_SIZE: u32 = 65_536;

/// The root of a remapped daemon.
#[derive(Clone, Debug)]
pub struct ExistingRoot {
    /// `B.B`
    pub name: String,
    /// Its ranges: as recorded where it is remapped by a mount, else as large as dockerd makes them.
    pub map: IdMap,
    /// It is remapped by a mount.
    pub is_idmapped: bool,
}

impl ExistingRoot {
    /// All of a data-root that hold something.
    ///
    /// # Errors
    /// One cannot be read, or a run on it has not come to its end.
    pub fn all(top: &Path) -> Result<Vec<ExistingRoot>, DockerError> {
        let mut found: Vec<ExistingRoot> = IdmappedRoot::all(top)?
            .into_iter()
            .map(|root| ExistingRoot {
                name: root.range,
                map: root.map,
                is_idmapped: true,
            })
            .collect();
        for name in names(top)?.into_iter().filter(|it| is_remapped_name(it)) {
            let root = DockerRoot::at(top.join(&name));
            if found.iter().any(|it| it.name == name) || root.path.is_symlink() {
                continue;
            }
            if image_store::is_unused(&root)? {
                continue;
            }
            found.extend(usual_map(&name).map(|map| ExistingRoot {
                name,
                map,
                is_idmapped: false,
            }));
        }
        Ok(found)
    }

    /// The ranges of its user as they were.
    pub fn remap(&self, user: &str) -> Option<Remap> {
        Some(Remap {
            user: user.to_string(),
            map: self.map.clone(),
            root: self.map.container_root()?,
        })
    }

    /// The command that makes what the user lacks to have these ranges, or the lines to write.
    fn give_back(&self, user: &str) -> Result<String, DockerError> {
        let uid = User::from_name(user).ok().flatten();
        let uid = uid.map(|user| user.uid.as_raw());
        let (uids, gids) = (subid_file("/etc/subuid")?, subid_file("/etc/subgid")?);
        let missing = MissingRanges::of_map(user, uid, [&uids, &gids], &self.map);
        Ok(match missing.map(|missing| missing.command_line()) {
            Some(command) if !command.is_empty() => format!("`{command}`"),
            _ => format!("put {}", guidance::lines_back(user, &self.map)),
        })
    }
}

/// The map of a root with this name.
fn usual_map(name: &str) -> Option<IdMap> {
    let (uid, gid) = name.split_once('.')?;
    let ranges = |first: &str| {
        let first: u32 = first.parse().ok()?;
        let size = USUAL_SIZE.min(u32::MAX - first);
        RangeMap::new([Range::new(0, first, size).ok()?]).ok()
    };
    Some(IdMap::new(ranges(uid)?, ranges(gid)?))
}

/// How a user that lacks something gets the ranges of roots that are there. Empty where there is none.
///
/// # Errors
/// A file cannot be read.
pub fn ranges_of(
    roots: &[ExistingRoot],
    user: &str,
    top: &Path,
) -> Result<Option<String>, DockerError> {
    let mut told = Vec::new();
    for root in roots {
        told.push(format!(
            "for {}, {}",
            escaped(&top.join(&root.name)),
            root.give_back(user)?
        ));
    }
    Ok((!told.is_empty()).then(|| {
        format!(
            "Give {user} the ranges of the root that is there: {}",
            told.join("; or ")
        )
    }))
}

/// What is beside the root of the daemon's range, and what makes one of them the daemon's; none where nothing is.
///
/// # Errors
/// As of [`ExistingRoot::all`].
pub fn beside(top: &Path, remap: &Remap) -> Result<Option<String>, DockerError> {
    let mut told = Vec::new();
    for root in ExistingRoot::all(top)? {
        let name = &root.name;
        told.push(match (*name == remap.dir_name(), root.is_idmapped) {
            (true, _) => format!("{name}, which is remapped already: {}", guidance::REVERT_GOES_BACK),
            (false, true) => format!(
                "{name}, which is remapped by a mount with another range than {} has now. Put {}",
                remap.user,
                guidance::lines_back(&remap.user, &root.map)
            ),
            (false, false) => format!(
                "{name}, of another range than {} has now. To move it into the present range: `{}`. To use the old range again, put {}",
                remap.user,
                guidance::rebase(&range_of(name, remap), top, &remap.user),
                guidance::lines_back(&remap.user, &root.map)
            ),
        });
    }
    Ok((!told.is_empty()).then(|| told.join("; and ")))
}

/// The range of a root with this name, as one word, if it is as large as that of the daemon.
pub fn range_of(name: &str, remap: &Remap) -> String {
    let (uid, gid) = name.split_once('.').unwrap_or((name, name));
    let [uids, gids] = [&remap.map.uids, &remap.map.gids].map(|map| match map.ranges() {
        [range] => range.size().to_string(),
        _ => "SIZE".to_string(),
    });
    match uid == gid && uids == gids {
        true => format!("b:0:{uid}:{uids}"),
        false => format!("u:0:{uid}:{uids},g:0:{gid}:{gids}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::idmap::tests::map;

    #[test]
    fn the_name_of_a_root_tells_its_range() {
        assert_eq!(usual_map("100000.100000"), Some(map("b:0:100000:65536")));
        assert_eq!(
            usual_map("100000.300000"),
            Some(map("u:0:100000:65536 g:0:300000:65536"))
        );
        assert_eq!(
            usual_map("4294967290.4294967290"),
            Some(map("b:0:4294967290:5"))
        );
        assert_eq!(usual_map("4294967296.0"), None);
    }
}
