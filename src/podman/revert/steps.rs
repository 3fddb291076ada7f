//! What is renamed, made and written when a user's store becomes that of root's Podman.
//!
//! The order: the user's store is closed, so that only root enters it. In root's store, what an unused Podman made goes aside,
//! a guard takes the place of the layers, and the new database its own. What is taken over is renamed into a directory of
//! root's there. There the owners change, and then everything gets its place, the layers last: until then no Podman of root's
//! comes to any of it.

use super::secrets::{LIST, SecretList};
use crate::journal::Step;
use crate::journal::step::{Content, FileContent, StepPath};
use crate::podman::store::SQLITE;
use crate::store_move::MoveError;
use crate::store_move::move_steps::{LeftBehind, MoveSteps};
use crate::store_move::mtime::mtime_step;
use crate::store_move::steps::{GUARD_OWNER, renameable};

/// Makes the new database, in root's store.
pub(super) fn create_database(content: Vec<u8>) -> Step {
    Step::Create {
        at: StepPath::new(1, [SQLITE]),
        content: Content(content),
        made: GUARD_OWNER,
    }
}

/// The list of secrets has the path of their content. `user`: whose it is.
pub(super) fn rewrite_secrets(
    steps: &mut MoveSteps<'_>,
    list: SecretList,
    user: (u32, u32),
) -> Result<(), MoveError> {
    let path = steps.from.path.join(LIST.join("/"));
    let stat = renameable(&path)?;
    if (stat.uid, stat.gid) != user {
        let why = format!(
            "belongs to {}:{}, and not to the user. `chown {}:{}` it as root",
            stat.uid, stat.gid, user.0, user.1
        );
        return Err(MoveError::in_the_way(path, why));
    }
    if list.after == list.before {
        return Ok(());
    }
    let [dir, file] = LIST.map(str::as_bytes);
    let above = steps.from.path.join(LIST[0]);
    steps.late.push(mtime_step(steps.holder(&[dir]), &above)?);
    steps.rewritten.insert(vec![dir.to_vec(), file.to_vec()]);
    steps.late.push(Step::Rewrite {
        at: steps.holder(&[dir, file]),
        before: FileContent {
            text: list.before,
            mtime_ns: Some(list.mtime_ns),
            owner: Some(user),
        },
        after: FileContent {
            text: list.after,
            mtime_ns: None,
            owner: Some((0, 0)),
        },
    });
    Ok(())
}

/// A file of a container that root's Podman must not read.
pub(super) fn file_left(names: [String; 4]) -> LeftBehind {
    LeftBehind {
        aside: names[1..].join("-"),
        names: names.into(),
    }
}
