//! What is renamed, made and written when a store becomes a user's.
//!
//! The order: everything is renamed into a directory that nobody but root enters. Files take the places of the layers and of
//! the database: they keep Podman and other programs from starting on half of a store. Then the owners change, and what has
//! paths in it is written. The last rename gives the directory to the user, whole: so the user never comes to a file of
//! root's that would run with root's rights (set-id bits). The old database stays where it was under another name, for a
//! rollback.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::database::json::{JsonKind, Rewriter};
use super::networks::{self, Network};
use super::store::{DRIVER, SQLITE, Store};
use crate::fs::Identity;
use crate::journal::Step;
use crate::journal::step::{Content, FileContent, NewDirectory, sha256};
use crate::ownership::Mode;
use crate::store_move::MoveError;
use crate::store_move::move_steps::MoveSteps;
use crate::store_move::mtime::mtime_step;
use crate::store_move::place::{Source, Target, stat_of};
use crate::store_move::steps::{
    GUARD_OWNER, StagedEntry, hand_over, hold_unused, owned, renameable,
};

const SECRETS: [&str; 2] = ["secrets", "secrets.json"];

/// The text of the files that keep Podman from starting.
pub(super) const GUARD: &str = "idshift is moving this Podman store, or was interrupted while it did.\n\
    This file keeps Podman from starting on half of its data. Do not remove it.\n\
    `idshift resume` finishes the move and `idshift rollback` undoes it; both remove this file.\n";

/// Steps as they come together.
pub(super) struct StoreSteps<'a> {
    /// The list.
    pub list: MoveSteps<'a>,
    to: &'a Target,
    /// The user, and its group.
    user: (u32, u32),
    /// What is in the new store, to know it by.
    layers: Option<Identity>,
}

impl<'a> StoreSteps<'a> {
    /// Begins with what is there: the directories that are missing above the new place, and the one that only root enters.
    pub fn new(
        from: &'a Source,
        to: &'a Target,
        user: (u32, u32),
    ) -> Result<StoreSteps<'a>, MoveError> {
        let mut list = MoveSteps::to_user(from, to, (user, 0o700))?;
        list.make_holder();
        Ok(StoreSteps {
            list,
            to,
            user,
            layers: None,
        })
    }

    /// Guards take the places of the layers, and of the database, which stays as `aside`.
    pub fn block(&mut self, aside: Option<&str>) -> Result<(), MoveError> {
        let path = self.list.from.path.join(DRIVER);
        // Podman mounts it on itself as long as containers run, which keeps a run from starting.
        let identity = stat_of(&path)?.identity;
        let from = self.list.from.step(&[DRIVER]);
        self.list.early.push(mtime_step(from.clone(), &path)?);
        self.list.early.push(Step::Block {
            from,
            to: self.list.holder(&[DRIVER.as_bytes()]),
            identity,
            content: GUARD.to_string(),
        });
        self.layers = Some(identity);
        if let Some(aside) = aside {
            self.list.early.push(Step::Block {
                from: self.list.from.step(&[SQLITE]),
                to: self.list.from.step(&[aside]),
                identity: renameable(&self.list.from.path.join(SQLITE))?.identity,
                content: GUARD.to_string(),
            });
        }
        Ok(())
    }

    /// Everything else goes where only root enters, and so does what an unused Podman made in the new place.
    pub fn hold(&mut self, names: &[Vec<u8>]) -> Result<(), MoveError> {
        self.list.early.extend(hold_unused(self.to)?);
        for name in names {
            let path = self.list.from.path.join(OsStr::from_bytes(name));
            // Its lists are written anew in it at each change: whether one was, since they were read, its time tells.
            if name.starts_with(DRIVER.as_bytes()) {
                self.list
                    .early
                    .push(mtime_step(self.list.from.step(&[name]), &path)?);
            }
            self.list.hold([name])?;
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
        let after = rewriter.rewrite(JsonKind::Secrets, &before);
        let after = after.map_err(|error| not_podmans(error.to_string()))?;
        if after == before {
            return Ok(());
        }
        let stat = renameable(&path)?;
        let [dir, file] = [dir, file].map(str::as_bytes);
        self.list.late.push(mtime_step(
            self.list.holder(&[dir]),
            &store.path.join(SECRETS[0]),
        )?);
        self.list
            .rewritten
            .insert(vec![dir.to_vec(), file.to_vec()]);
        self.list.late.push(Step::Rewrite {
            at: self.list.holder(&[dir, file]),
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
        self.list.late.push(Step::Expect {
            at: self.list.from.step(&[aside]),
            sha256: sha256(before),
        });
        let made = NewDirectory {
            mode,
            ..owned(self.user, 0)
        };
        self.list.late.push(Step::Create {
            at: self.list.holder(&[SQLITE.as_bytes()]),
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
            self.list.late.push(Step::MakeDir {
                at: self.list.holder(&[dir]),
                made: owned(self.user, 0o755),
            });
        }
        for network in all {
            self.list.late.push(Step::Create {
                at: self.list.holder(&[dir, network.file.as_bytes()]),
                content: network.text.clone().into(),
                made: owned(self.user, 0o644),
            });
        }
    }

    /// All of it goes to its new place, and is the user's. `database`: there is one.
    pub fn place(mut self, database: bool) -> MoveSteps<'a> {
        let Some(identity) = self.layers else {
            return self.list;
        };
        let entry = StagedEntry {
            name: DRIVER.into(),
            identity,
        };
        self.list
            .late
            .push(hand_over(self.to, entry, self.user, 0o700));
        // Last: until then no Podman of root's must start without its data.
        let guarded = [Some(DRIVER), database.then_some(SQLITE)];
        for name in guarded.into_iter().flatten() {
            self.list.late.push(Step::Remove {
                at: self.list.from.step(&[name]),
                content: GUARD.to_string(),
                made: GUARD_OWNER,
            });
        }
        self.list
    }
}
