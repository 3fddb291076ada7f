//! What is renamed, made and written when a store becomes a user's.
//!
//! The order: everything is renamed into a directory that nobody but root enters. Files take the places of the layers and of
//! the database: they keep Podman and other programs from starting on half of a store. Then the owners change, and what has
//! paths in it is written. The last rename gives the directory to the user, whole: so the user never comes to a file of
//! root's that would run with root's rights (set-id bits). The old database stays where it was under another name, for a
//! rollback.

use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::PodmanError;
use super::database::json::{Kind, Rewriter};
use super::networks::{self, Network};
use super::store::{DRIVER, SQLITE, Store};
use crate::docker::data_root::{ASIDE, MOVING};
use crate::docker::rootless::place::{Source, Target, stat_of};
use crate::fs::dir::open_dir;
use crate::fs::file_ops::mtime_ns;
use crate::fs::{Identity, PinnedFile, Stat};
use crate::journal::step::{Content, FileContent, NewDirectory, StepPath, sha256};
use crate::journal::{Name, Step};
use crate::ownership::{FileType, Mode};

/// Where the new store comes together.
const HOLDER: &str = "rootless";

/// What holds, in the new store, what an unused Podman had made in its place.
pub(super) const UNUSED: &str = "unused";

const SECRETS: [&str; 2] = ["secrets", "secrets.json"];

/// The text of the files that keep Podman from starting.
pub(super) const GUARD: &str = "idshift is moving this Podman store, or was interrupted while it did.\n\
    This file keeps Podman from starting on half of its data. Do not remove it.\n\
    `idshift resume` finishes the move and `idshift rollback` undoes it; both remove this file.\n";

pub(super) const fn of_root(mode: u32) -> NewDirectory {
    NewDirectory {
        uid: 0,
        gid: 0,
        mode: Mode::from_st_mode(mode),
    }
}

/// A directory that is root's alone.
pub(super) const CLOSED: NewDirectory = of_root(0o700);

/// A guard: everybody can read why Podman does not start.
pub(super) const GUARD_OWNER: NewDirectory = of_root(0o644);

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
    ) -> Result<MoveSteps<'a>, PodmanError> {
        let mut steps = MoveSteps {
            from,
            to,
            user,
            rewritten: HashSet::new(),
            early: vec![
                times(StepPath::new(0, [""; 0]), &from.path)?,
                times(to.step(0), &to.anchor)?,
            ],
            late: Vec::new(),
            layers: None,
        };
        for n in 1..to.names.len() {
            steps.early.push(Step::MakeDir {
                at: to.step(n),
                made: steps.users(0o700),
            });
        }
        steps.early.push(Step::MakeDir {
            at: steps.holder(&[]),
            made: CLOSED,
        });
        Ok(steps)
    }

    /// The new store as long as it is root's, and what is in it.
    fn holder(&self, names: &[&[u8]]) -> StepPath {
        let holder = format!("{MOVING}{HOLDER}");
        let all = [holder.as_bytes()].into_iter().chain(names.iter().copied());
        StepPath::new(0, all)
    }

    fn users(&self, mode: u32) -> NewDirectory {
        NewDirectory {
            uid: self.user.0,
            gid: self.user.1,
            mode: Mode::from_st_mode(mode),
        }
    }

    /// Guards take the places of the layers, and of the database, which stays as `aside`.
    pub fn block(&mut self, aside: Option<&str>) -> Result<(), PodmanError> {
        let path = self.from.path.join(DRIVER);
        // Podman mounts it on itself as long as containers run, which keeps a run from starting.
        let identity = stat_of(&path)?.identity;
        let from = self.from.step(&[DRIVER]);
        self.early.push(times(from.clone(), &path)?);
        self.early.push(Step::Block {
            from,
            to: self.holder(&[DRIVER.as_bytes()]),
            identity,
            content: GUARD.to_string(),
        });
        self.layers = Some(identity);
        if let Some(aside) = aside {
            self.early.push(Step::Block {
                from: self.from.step(&[SQLITE]),
                to: self.from.step(&[aside]),
                identity: carried(&self.from.path.join(SQLITE))?.identity,
                content: GUARD.to_string(),
            });
        }
        Ok(())
    }

    /// Everything else goes where only root enters, and so does what an unused Podman made in the new place.
    pub fn hold(&mut self, names: &[Vec<u8>]) -> Result<(), PodmanError> {
        if self.to.there.is_some() {
            let aside = format!("{ASIDE}{UNUSED}");
            self.early.push(Step::Rename {
                from: self.to.top(),
                to: self.holder(&[aside.as_bytes()]),
                identity: carried(&self.to.path())?.identity,
            });
        }
        for name in names {
            let path = self.from.path.join(std::ffi::OsStr::from_bytes(name));
            // Its lists are written anew in it at each change: whether one was, since they were read, its time tells.
            if name.starts_with(DRIVER.as_bytes()) {
                self.early.push(times(self.from.step(&[name]), &path)?);
            }
            self.early.push(Step::Rename {
                from: self.from.step(&[name]),
                to: self.holder(&[name]),
                identity: carried(&path)?.identity,
            });
        }
        Ok(())
    }

    /// The list of secrets has the path of their content.
    pub fn secrets(&mut self, store: &Store, rewriter: &Rewriter) -> Result<(), PodmanError> {
        let [dir, file] = SECRETS;
        let name = SECRETS.join("/");
        let Some((bytes, mtime)) = store.file(&name)? else {
            return Ok(());
        };
        let path = store.path.join(&name);
        let not_podmans = |why: String| {
            PodmanError::in_the_way(&path, format!("is not what Podman writes: {why}"))
        };
        let before = String::from_utf8(bytes).map_err(|error| not_podmans(error.to_string()))?;
        let after = rewriter.rewrite(Kind::Secrets, &before);
        let after = after.map_err(|error| not_podmans(error.to_string()))?;
        if after == before {
            return Ok(());
        }
        let stat = carried(&path)?;
        let [dir, file] = [dir, file].map(str::as_bytes);
        self.late
            .push(times(self.holder(&[dir]), &store.path.join(SECRETS[0]))?);
        self.rewritten.insert(vec![dir.to_vec(), file.to_vec()]);
        self.late.push(Step::Rewrite {
            at: self.holder(&[dir, file]),
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
            ..self.users(0)
        };
        self.late.push(Step::Create {
            at: self.holder(&[SQLITE.as_bytes()]),
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
                at: self.holder(&[dir]),
                made: self.users(0o755),
            });
        }
        for network in all {
            self.late.push(Step::Create {
                at: self.holder(&[dir, network.file.as_bytes()]),
                content: network.text.clone().into(),
                made: self.users(0o644),
            });
        }
    }

    /// All of it goes to its new place, and is the user's. `database`: there is one.
    pub fn place(&mut self, database: bool) {
        let Some(identity) = self.layers else {
            return;
        };
        self.late.push(Step::HandOver {
            from: self.holder(&[]),
            to: self.to.top(),
            entry: Name(DRIVER.as_bytes().to_vec()),
            identity,
            closed: CLOSED,
            open: self.users(0o700),
        });
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

/// Restores the mtime of a directory when the steps are undone.
pub(super) fn times(at: StepPath, path: &Path) -> Result<Step, PodmanError> {
    let open = open_dir(rustix::fs::CWD, path).map_err(PodmanError::errno(path))?;
    let mtime_ns = mtime_ns(open).map_err(PodmanError::io(path))?;
    Ok(Step::Times { at, mtime_ns })
}

/// What is at a path, if it can be renamed.
pub(super) fn carried(path: &Path) -> Result<Stat, PodmanError> {
    let pin = PinnedFile::path(path);
    let stat = pin.and_then(|pin| pin.stat());
    let stat = stat.map_err(PodmanError::errno(path))?;
    let word = crate::fs::escape::shell_word(path);
    if stat.mount_root {
        let why = format!(
            "is a mount point, which cannot be renamed. `umount {word}`, if its content is there without it, too"
        );
        return Err(PodmanError::in_the_way(path, why));
    }
    if stat.file_type == FileType::Symlink {
        let why = "is a symlink, which idshift does not follow. Put what it leads to in its place";
        return Err(PodmanError::in_the_way(path, why));
    }
    Ok(stat)
}
