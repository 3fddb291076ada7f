//! What is renamed, made and written when a user's store becomes that of root's Podman.
//!
//! The order: the user's store is closed, so that only root enters it. In root's store, what an unused Podman made goes aside,
//! a guard takes the place of the layers, and the new database its own. What is taken over is renamed into a directory of
//! root's there. There the owners change, and then everything gets its place, the layers last: until then no Podman of root's
//! comes to any of it.

use std::collections::HashSet;
use std::path::Path;

use super::secrets::{LIST, SecretList};
use crate::journal::Step;
use crate::journal::step::{Content, FileContent, StepPath};
use crate::podman::steps::GUARD;
use crate::podman::store::{DRIVER, SQLITE};
use crate::store_move::MoveError;
use crate::store_move::mtime::mtime_step;
use crate::store_move::place::Source;
use crate::store_move::steps::{
    CLOSED, GUARD_OWNER, Held, close_step, hold, holder, make_holder, place_all, renameable,
    restrict_step, set_aside,
};

/// Steps as they come together. The first root of them is the user's store, the second one is root's.
pub(super) struct TakeSteps<'a> {
    from: &'a Source,
    to: &'a Path,
    /// Files that are written anew, or stay behind: names in the store.
    pub rewritten: HashSet<Vec<Vec<u8>>>,
    /// Before the owners change.
    pub early: Vec<Step>,
    /// After.
    pub late: Vec<Step>,
}

impl<'a> TakeSteps<'a> {
    /// Begins with who enters the two stores.
    pub fn new(from: &'a Source, to: &'a Path) -> Result<TakeSteps<'a>, MoveError> {
        let mut early = vec![close_step(&from.path)?];
        early.extend(restrict_step(to, 0o700)?);
        early.push(mtime_step(StepPath::new(1, [""; 0]), to)?);
        Ok(TakeSteps {
            from,
            to,
            rewritten: HashSet::new(),
            early,
            late: Vec::new(),
        })
    }

    /// What an unused Podman of root's made goes into `aside`, and a guard and the new database take its place.
    pub fn clear(
        &mut self,
        (there, aside): (&[Vec<u8>], &str),
        database: Vec<u8>,
    ) -> Result<(), MoveError> {
        self.early.extend(set_aside(self.to, there, aside)?);
        self.early.push(Step::Create {
            at: StepPath::new(1, [DRIVER]),
            content: GUARD.to_string().into(),
            made: GUARD_OWNER,
        });
        self.early.push(Step::Create {
            at: StepPath::new(1, [SQLITE]),
            content: Content(database),
            made: GUARD_OWNER,
        });
        Ok(())
    }

    /// What is taken over goes where only root enters.
    pub fn take(&mut self, taken: &[&str]) -> Result<Vec<Held>, MoveError> {
        self.early.push(make_holder(1));
        let (steps, held) = hold(1, self.from, taken)?;
        self.early.extend(steps);
        Ok(held)
    }

    /// The list of secrets has the path of their content.
    pub fn rewrite(&mut self, list: SecretList, user: (u32, u32)) -> Result<(), MoveError> {
        let path = self.from.path.join(LIST.join("/"));
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
        let above = self.from.path.join(LIST[0]);
        self.late.push(mtime_step(holder(1, &[dir]), &above)?);
        self.rewritten.insert(vec![dir.to_vec(), file.to_vec()]);
        self.late.push(Step::Rewrite {
            at: holder(1, &[dir, file]),
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

    /// Files in what is taken over that root's Podman must not read go into `aside`, in the user's store.
    pub fn leave(&mut self, left: &[[String; 4]], aside: &str) -> Result<(), MoveError> {
        if left.is_empty() {
            return Ok(());
        }
        self.late.push(Step::MakeDir {
            at: self.from.step(&[aside]),
            made: CLOSED,
        });
        for names in left {
            let path = (names.iter()).fold(self.from.path.clone(), |path, name| path.join(name));
            let bytes: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
            let dir = path.parent().unwrap_or(&self.from.path);
            let above = holder(1, &bytes[..bytes.len() - 1]);
            self.late.push(mtime_step(above, dir)?);
            let owned = names.iter().map(|name| name.as_bytes().to_vec());
            self.rewritten.insert(owned.collect());
            self.late.push(Step::Rename {
                from: holder(1, &bytes),
                to: self.from.step(&[aside, &names[1..].join("-")]),
                identity: renameable(&path)?.identity,
            });
        }
        Ok(())
    }

    /// Everything gets its place in root's store, the layers last.
    pub fn put(&mut self, held: Vec<Held>) {
        self.late.extend(place_all(held, DRIVER, GUARD));
    }
}
