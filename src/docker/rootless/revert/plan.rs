//! The plan that makes a rootless data-root the plain daemon's.
//!
//! The order of its steps: the user's data-root is closed, so that only root enters it. Then what is taken over is renamed into
//! a directory of root's in the plain data-root, while a guard has the place of `containers` there. There the owners change
//! and metadata is rewritten, and then everything gets its place, `containers` last.

use std::path::Path;

use super::places::{check_is_there, check_places, check_same_filesystem};
use super::{TAKEN, containers as metadata_of, layers, shape};
use crate::docker::DockerError;
use crate::docker::data_root::{ASIDE, DockerRoot, canonical, names};
use crate::docker::inventory::Inventory;
use crate::docker::path_rewriter::PathRewriter;
use crate::docker::rootless::checks::{
    check_content, check_drivers, check_store, check_unused_plain,
};
use crate::docker::rootless::metadata::containers;
use crate::docker::rootless::plan::{RootlessMove, RootlessRequest};
use crate::docker::rootless::steps::{LAYERS, RootlessSteps};
use crate::docker::steps::{CONTAINERS, GUARD};
use crate::engine::Plan;
use crate::idmap::Direction;
use crate::journal::record::RunKind;
use crate::journal::step::StepPath;
use crate::ownership::OverlayNamespace;
use crate::preflight::TransientBlocker;
use crate::preflight::transient::check_nobody_holds;
use crate::store_move::layout::Layout;
use crate::store_move::move_steps::LeftBehind;
use crate::store_move::place::Source;
use crate::store_move::planned_move::{Blockers, PlannedMove};
use crate::store_move::request::shift_request;
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
        let taken = existing_names(&from.path, &of)?;
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
        let mut steps = RootlessSteps::from_user(&from, &to, &user.map)?;
        let aside = format!("{ASIDE}{UNUSED}");
        let guard = (CONTAINERS, GUARD);
        steps.list.clear(&to, (&unused, &aside), guard)?;
        steps.list.make_holder();
        let held = steps.list.hold(&taken)?;
        for file in metadata.rewritten {
            steps.rewrite(file)?;
        }
        let mut steps = steps.list;
        let left = left(&drivers).filter(|it| it.is_in(&from.path));
        steps.leave(left, StepPath::new(1, [format!("{ASIDE}rootless")]))?;
        steps.put(held, guard);
        let mut blockers: Vec<TransientBlocker> = inventory.still_mounted().into_iter().collect();
        blockers.extend(check_nobody_holds(&user.map, &from.path).err());
        check_was_read(&reading, &from.path)?;
        let shift = shift_request(
            user,
            (RunKind::DockerFromRootless, Direction::OutOf),
            vec![from.path.clone(), to.clone()],
            request.options,
        );
        let policy = Layout::new(
            LAYERS,
            taken.iter().map(String::as_bytes),
            OverlayNamespace::Trusted,
            &steps.rewritten,
        );
        let moved = PlannedMove {
            plan: Plan {
                unchanged_since: Some(reading.since),
                ..Plan::new(shift, Box::new(policy), steps.finish(Vec::new()))
            },
            left: (names(&from.path)?.into_iter())
                .filter(|name| !taken.contains(name))
                .collect(),
            carried: taken,
            incompatible: Vec::new(),
            binds: Vec::new(),
            set_aside: (!unused.is_empty()).then_some(aside),
            from: from.path,
            to,
            blockers: Blockers {
                hiding: None,
                others: blockers,
            },
            stamps: None,
        };
        Ok(RootlessMove {
            moved,
            restarted: metadata.restarted,
            networks: metadata.networks,
            inventory,
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
fn left(drivers: &[String]) -> impl Iterator<Item = LeftBehind> {
    let of_registries = (drivers.iter()).map(|driver| ["image", driver, "distribution"].to_vec());
    let all = [vec!["volumes", "metadata.db"]]
        .into_iter()
        .chain(of_registries);
    all.map(|names| LeftBehind {
        aside: names.join("-"),
        names: names.into_iter().map(String::from).collect(),
    })
}

/// Names of a docker root that are there.
fn existing_names(root: &Path, of: &[&str]) -> Result<Vec<String>, DockerError> {
    let mut all = names(root)?;
    all.retain(|name| of.contains(&name.as_str()));
    Ok(all)
}
