//! The plan that makes a rootless data-root the plain daemon's.

use super::places::{check_is_there, check_places, check_same_filesystem};
use super::steps::there;
use super::{TAKEN, containers as metadata_of, layers, shape};
use crate::docker::DockerError;
use crate::docker::data_root::{ASIDE, DockerRoot, canonical, names};
use crate::docker::inventory::Inventory;
use crate::docker::path_rewriter::PathRewriter;
use crate::docker::rootless::checks::{
    check_content, check_drivers, check_store, check_unused_plain,
};
use crate::docker::rootless::metadata::containers;
use crate::docker::rootless::plan::{RootlessMove, RootlessRequest, shift_request};
use crate::docker::rootless::steps::{LAYERS, MoveSteps};
use crate::idmap::Direction;
use crate::ownership::OverlayNamespace;
use crate::preflight::TransientBlocker;
use crate::preflight::transient::check_nobody_holds;
use crate::store_move::layout::Layout;
use crate::store_move::place::Source;
use crate::store_move::steps::UNUSED;
use crate::store_move::untrusted::{begin_reading, check_is_roots, check_was_read};

impl RootlessMove {
    /// Reads both data-roots and makes the plan of the way back.
    ///
    /// # Errors
    /// What is in the way. Nothing was changed.
    pub fn prepare_revert(request: &RootlessRequest) -> Result<RootlessMove, DockerError> {
        let user = &request.user;
        let to = canonical(&request.data_root)?;
        check_is_there(&request.rootless_root, user)?;
        let from = Source::at(&request.rootless_root)?;
        let reading = begin_reading(&from.path)?;
        check_places(user, &from, &to)?;
        check_same_filesystem(&from, &to)?;
        check_is_roots(&to, OTHER_PLACE)?;
        let root = DockerRoot::at(&from.path);
        check_content(&root)?;
        check_drivers(&root)?;
        let all = containers(&root)?;
        check_store(&root, &all, LOAD)?;
        let drivers = root.drivers()?;
        let mut of: Vec<&str> = TAKEN.to_vec();
        of.extend(drivers.iter().map(String::as_str));
        let taken = there(&from.path, &of)?;
        shape::check(&root, &taken)?;
        for driver in &drivers {
            layers::check(&root, driver)?;
        }
        let stay = names(&from.path)?;
        let stay = stay.into_iter().filter(|it| !taken.contains(it)).collect();
        let moved = PathRewriter::new(&from.path, &to, stay)?;
        let metadata = metadata_of::check(&root, &all, (&moved, &to))?;
        let inventory = Inventory::of_moved(&moved)?;
        inventory.check()?;

        let unused = check_unused_plain(&to)?;
        let mut steps = MoveSteps::from_user(&from, &user.map);
        steps.close()?;
        steps.restrict(&to)?;
        steps.clear(&to, &unused)?;
        let held = steps.take(&taken)?;
        for file in metadata.rewritten {
            steps.rewrite(file)?;
        }
        steps.leave(&left(&drivers))?;
        steps.put(held);
        let mut blockers: Vec<TransientBlocker> = inventory.still_mounted().into_iter().collect();
        blockers.extend(check_nobody_holds(&user.map, &from.path).err());
        check_was_read(&reading, &from.path)?;
        Ok(RootlessMove {
            steps_before: steps.early.len(),
            steps: [steps.early, steps.late].concat(),
            request: shift_request(
                request,
                Direction::OutOf,
                vec![from.path.clone(), to.clone()],
            ),
            unchanged_since: Some(reading.since),
            policy: Layout::new(
                LAYERS,
                taken.iter().map(String::as_bytes),
                OverlayNamespace::Trusted,
                &steps.rewritten,
            ),
            troubled: Vec::new(),
            left_binds: Vec::new(),
            restarted: metadata.restarted,
            networks: metadata.networks,
            step_roots: Vec::new(),
            carried: Vec::new(),
            left_data: (names(&from.path)?.into_iter())
                .filter(|name| !taken.contains(name))
                .collect(),
            set_aside: (!unused.is_empty()).then(|| format!("{ASIDE}{UNUSED}")),
            from: from.path,
            to,
            inventory,
            blockers,
            stamps: None,
        })
    }
}

const OTHER_PLACE: &str =
    "Choose a plain data-root below directories of root's with --data-root DIR";

/// Of a rootless daemon with images in containerd.
const LOAD: &str =
    "`docker save` the images as the user, and `docker load` them in the plain daemon";

/// What of the directories that are taken over the plain daemon must not read: what it learnt of registries, and its
/// database of volumes, which it makes anew.
fn left(drivers: &[String]) -> Vec<Vec<String>> {
    let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
    let mut left = vec![names(&["volumes", "metadata.db"])];
    left.extend(
        drivers
            .iter()
            .map(|driver| names(&["image", driver, "distribution"])),
    );
    left
}
