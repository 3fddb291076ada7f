//! What is renamed, made and written when a store becomes a user's.
//!
//! The order: everything is renamed into a directory that nobody but root enters. Files take the places of the layers and of
//! the database: they keep Podman and other programs from starting on half of a store. Then the owners change, and what has
//! paths in it is written. The last rename gives the directory to the user, whole: so the user never comes to a file of
//! root's that would run with root's rights (set-id bits). The old database stays where it was under another name, for a
//! rollback.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::database::json::{Kind, Rewriter};
use super::networks::{self, Network};
use super::store::{DRIVER, SQLITE, Store};
use crate::fs::Identity;
use crate::journal::Step;
use crate::journal::step::{Content, FileContent, NewDirectory, StepPath, sha256};
use crate::ownership::Mode;
use crate::store_move::MoveError;
use crate::store_move::mtime::mtime_step;
use crate::store_move::place::{Source, Target, stat_of};
use crate::store_move::steps::{
    GUARD_OWNER, Held, hand_over, hold, hold_unused, holder, make_holder, make_parents, owned,
    renameable,
};

const SECRETS: [&str; 2] = ["secrets", "secrets.json"];

/// The text of the files that keep Podman from starting.
pub(super) const GUARD: &str = "idshift is moving this Podman store, or was interrupted while it did.\n\
    This file keeps Podman from starting on half of its data. Do not remove it.\n\
    `idshift resume` finishes the move and `idshift rollback` undoes it; both remove this file.\n";

/// Steps as they come together.
pub(super) struct MoveSteps<'a> {
    from: &'a Source,
    to: &'a Target,
    /// The user, and its group.
    user: (u32, u32),
    /// Files that are written anew, or stay behind: names in the store.
    pub rewritten: HashSet<Vec<Vec<u8>>>,
    /// Before the owners change.
    pub early: Vec<Step>,
    /// After.
    pub late: Vec<Step>,
    /// What is in the new store, to know it by.
    layers: Option<Identity>,
}

impl<'a> MoveSteps<'a> {
    /// Begins with what is there: the directories that are missing above the new place, and the one that only root enters.
    pub fn new(
        from: &'a Source,
        to: &'a Target,
        user: (u32, u32),
    ) -> Result<MoveSteps<'a>, MoveError> {
        let mut early = vec![
            mtime_step(StepPath::new(0, [""; 0]), &from.path)?,
            mtime_step(to.step(0), &to.anchor)?,
        ];
        early.extend(make_parents(to, user, 0o700));
        early.push(make_holder(0));
        Ok(MoveSteps {
            from,
            to,
            user,
            rewritten: HashSet::new(),
            early,
            late: Vec::new(),
            layers: None,
        })
    }

    /// Guards take the places of the layers, and of the database, which stays as `aside`.
    pub fn block(&mut self, aside: Option<&str>) -> Result<(), MoveError> {
        let path = self.from.path.join(DRIVER);
        // Podman mounts it on itself as long as containers run, which keeps a run from starting.
        let identity = stat_of(&path)?.identity;
        let from = self.from.step(&[DRIVER]);
        self.early.push(mtime_step(from.clone(), &path)?);
        self.early.push(Step::Block {
            from,
            to: holder(0, &[DRIVER.as_bytes()]),
            identity,
            content: GUARD.to_string(),
        });
        self.layers = Some(identity);
        if let Some(aside) = aside {
            self.early.push(Step::Block {
                from: self.from.step(&[SQLITE]),
                to: self.from.step(&[aside]),
                identity: renameable(&self.from.path.join(SQLITE))?.identity,
                content: GUARD.to_string(),
            });
        }
        Ok(())
    }

    /// Everything else goes where only root enters, and so does what an unused Podman made in the new place.
    pub fn hold(&mut self, names: &[Vec<u8>]) -> Result<(), MoveError> {
        self.early.extend(hold_unused(self.to)?);
        for name in names {
            let path = self.from.path.join(OsStr::from_bytes(name));
            // Its lists are written anew in it at each change: whether one was, since they were read, its time tells.
            if name.starts_with(DRIVER.as_bytes()) {
                self.early.push(mtime_step(self.from.step(&[name]), &path)?);
            }
            let (steps, _) = hold(0, self.from, [name])?;
            self.early.extend(steps);
        }
        Ok(())
    }

    /// The list of secrets has the path of their content.
    pub fn secrets(&mut self, store: &Store, rewriter: &Rewriter) -> Result<(), MoveError> {
        let [dir, file] = SECRETS;
        let name = SECRETS.join("/");
        let Some((bytes, mtime)) = store.file(&name)? else {
            return Ok(());
        };
        let path = store.path.join(&name);
        let not_podmans =
            |why: String| MoveError::in_the_way(&path, format!("is not what Podman writes: {why}"));
        let before = String::from_utf8(bytes).map_err(|error| not_podmans(error.to_string()))?;
        let after = rewriter.rewrite(Kind::Secrets, &before);
        let after = after.map_err(|error| not_podmans(error.to_string()))?;
        if after == before {
            return Ok(());
        }
        let stat = renameable(&path)?;
        let [dir, file] = [dir, file].map(str::as_bytes);
        self.late
            .push(mtime_step(holder(0, &[dir]), &store.path.join(SECRETS[0]))?);
        self.rewritten.insert(vec![dir.to_vec(), file.to_vec()]);
        self.late.push(Step::Rewrite {
            at: holder(0, &[dir, file]),
            before: FileContent {
                text: before,
                mtime_ns: Some(mtime),
                owner: Some((stat.uid, stat.gid)),
            },
            after: FileContent {
                text: after,
                mtime_ns: None,
                owner: Some(self.user),
            },
        });
        Ok(())
    }

    /// The new database. `before`: what it was made of, which is called `aside` by then: a Podman that ran while the store was
    /// read may have written to it.
    pub fn database(&mut self, (before, aside): (&[u8], &str), content: Vec<u8>, mode: Mode) {
        self.late.push(Step::Expect {
            at: self.from.step(&[aside]),
            sha256: sha256(before),
        });
        let made = NewDirectory {
            mode,
            ..owned(self.user, 0)
        };
        self.late.push(Step::Create {
            at: holder(0, &[SQLITE.as_bytes()]),
            content: Content(content),
            made,
        });
    }

    /// Networks that the store does not have.
    pub fn networks(&mut self, all: &[Network], has_directory: bool) {
        if all.is_empty() {
            return;
        }
        let dir = networks::USERS.as_bytes();
        if !has_directory {
            self.late.push(Step::MakeDir {
                at: holder(0, &[dir]),
                made: owned(self.user, 0o755),
            });
        }
        for network in all {
            self.late.push(Step::Create {
                at: holder(0, &[dir, network.file.as_bytes()]),
                content: network.text.clone().into(),
                made: owned(self.user, 0o644),
            });
        }
    }

    /// All of it goes to its new place, and is the user's. `database`: there is one.
    pub fn place(&mut self, database: bool) {
        let Some(identity) = self.layers else {
            return;
        };
        let entry = Held {
            name: DRIVER.into(),
            identity,
        };
        self.late.push(hand_over(self.to, entry, self.user, 0o700));
        // Last: until then no Podman of root's must start without its data.
        let guarded = [Some(DRIVER), database.then_some(SQLITE)];
        for name in guarded.into_iter().flatten() {
            self.late.push(Step::Remove {
                at: self.from.step(&[name]),
                content: GUARD.to_string(),
                made: GUARD_OWNER,
            });
        }
    }
}
