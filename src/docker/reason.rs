//! Why a data-root, or something in it, stands in the way of what is asked, and what helps.

use std::path::PathBuf;

use thiserror::Error;

use super::daemon_json::StoreFeature;
use super::guidance as help;
use super::holds::Holds;
use crate::store_move::error::LeftOver;

/// The reason, to be printed after the path. It also says what helps.
#[derive(Debug, Error)]
pub enum Reason {
    /// There is no such directory.
    #[error("is not there. {}", help::DATA_ROOT)]
    NoDataRoot,
    /// It is something else.
    #[error("is not a directory. {}", help::DATA_ROOT)]
    NoDirectory,
    /// It is the directory of a remapped daemon in this data-root.
    #[error("is a remapped daemon's directory in the data-root: {}", help::this_data_root(.0))]
    RemappedRoot(PathBuf),
    /// A run on it has not come to its end.
    #[error(
        "a migration or its reverse was interrupted here. `idshift journal list` shows its journal: `idshift resume \
         JOURNAL` finishes it, `idshift rollback JOURNAL` undoes it. Do not start Docker before one of them \
         has"
    )]
    Interrupted,
    /// There is nothing of a plain daemon.
    #[error("has no images, containers or volumes of a plain daemon; {0}")]
    NoPlainContent(Instead),
    /// There is nothing of a daemon that is remapped to the range.
    #[error("there are no images, containers or volumes of a daemon remapped to this range; {0}")]
    NoRemappedContent(Instead),
    /// There is nothing of a daemon that is remapped to the range of before.
    #[error(
        "has no images, containers or volumes of a daemon remapped to {help}; {0}",
        help = help::RANGE_OF_FROM
    )]
    NoContentToMove(Instead),
    /// It is where the new remapped root would be.
    #[error(
        "holds {0} of a daemon that ran remapped. Two roots cannot be merged. To keep this one, start Docker with \
         userns-remap: there is nothing to migrate. To keep the other, save what you need of this one with a remapped \
         daemon, then move the directory away"
    )]
    RemappedRootInUse(String),
    /// It is where the plain root would be.
    #[error(
        "holds {0} of a plain daemon. Two roots cannot be merged. To go on with this one, start Docker without userns-remap: \
         there is nothing to revert. To go on with the remapped one, start a daemon without userns-remap, save what you need \
         of this one, and remove it with that daemon"
    )]
    PlainRootInUse(Holds),
    /// It is on another filesystem, or leads to one.
    #[error(
        "{0}. Move it into the data-root's filesystem first; /usr/share/doc/idshift/docs/docker.md has another way"
    )]
    NotRenamed(String),
    /// Both ranges are those of one root; with what helps.
    #[error("is the root of both ranges. {0}")]
    SameRoot(String),
    /// A mount cannot be made twice.
    #[error(
        "is remapped by a mount already; `idshift docker migrate` changes the owners on disk permanently, \
        and `idshift docker revert` goes back"
    )]
    AlreadyIdmapped,
    /// The root to move to another range is remapped by a mount.
    #[error("is remapped by a mount. {}", help::REBASE_IDMAPPED)]
    RebaseOfIdmapped,
    /// The root to remap by a mount is remapped by changed owners.
    #[error(
        "is remapped by changed owners. To have it remapped by a mount, {}",
        help::REVERT_THEN_IDMAPPED
    )]
    RemappedByOwners,
    /// Container and host ids overlap, as this says, where a mount would exchange them.
    #[error(
        "{0}, so they cannot be exchanged by a mount. Use a range that is above the ids of containers, or {help}",
        help = help::NOT_IDMAPPED
    )]
    OverlapOfIdmapped(String),
    /// They overlap, where bind mounts are shifted.
    #[error(
        "{0}, so an id does not tell whether a file that containers bind is shifted already. {help}",
        help = help::NO_BIND_MOUNTS
    )]
    OverlapOfBindMounts(String),
    /// The mount is not known to work with this storage driver.
    #[error(
        "the storage driver {0} was not tried with idmapped layers, only overlay2 was: {help}",
        help = help::NOT_IDMAPPED
    )]
    DriverOfIdmapped(String),
    /// The daemon would not start, or would show no images.
    #[error("{0}. {help}", help = help::ADD_WRITE_DAEMON_JSON)]
    StoreSwitchedOn(StoreFeature),
    /// dockerd is told an option that does not go with userns-remap, in a place where idshift writes nothing.
    #[error(
        "has {0}. With userns-remap, a daemon that is told this does not start, or does not show its images. Remove it there, \
         reload systemd if it is in a unit, and run this again"
    )]
    StoreSwitchedOnThere(String),
    /// It is a fifo, a device or the like.
    #[error("is not a regular file")]
    NoRegularFile,
    /// It cannot be rewritten without loss.
    #[error(
        "is not plain UTF-8, so it is not rewritten. Save it as UTF-8 without a byte order mark, or set userns-remap in \
         it yourself and {}",
        help::NO_DAEMON_JSON
    )]
    NoPlainUtf8,
    /// A new file in its place would be no other name of the same file any more.
    #[error(
        "has {names} names (hard links). A new file would take its place, and the other names would keep the old \
         settings. Make it a file of its own: `cp -p {word} {word}.new && mv {word}.new {word}`. Or {help}",
        help = help::NO_DAEMON_JSON
    )]
    HardLinked {
        /// How many.
        names: u32,
        /// Its path, for a shell.
        word: String,
    },
    /// The rollback of a migration that did not write it.
    #[error(
        "was not changed by the migration, so its rollback does not change it. Take userns-remap out of it yourself, if it is \
         there, and {}",
        help::AGAIN_NO_DAEMON_JSON
    )]
    NotWrittenByMigration,
    /// The dockerd of this host does not take it.
    #[error("{0}, and the dockerd of this host does not start with it; correct it first")]
    RefusedByDockerd(&'static str),
    /// `cp` does not copy subvolumes.
    #[error(
        "layers of the btrfs driver are subvolumes, which `cp` cannot copy. {}; make a snapshot of the \
        data-root before, if you want one",
        help::NO_COPY
    )]
    CopyOfSubvolumes,
    /// What an earlier run made is there.
    #[error(transparent)]
    Left(#[from] LeftOver),
    /// Anything else, in words.
    #[error("{0}")]
    Other(String),
}

/// What was found instead of the data of a daemon.
#[derive(Debug, Error)]
pub enum Instead {
    /// A containerd image store that is empty.
    #[error("its daemon used the containerd image store, which has no images either")]
    EmptyStore,
    /// The plain root has content, where a remapped one was to be reverted.
    #[error("the data-root is plain already. `idshift docker migrate` moves it into the range")]
    PlainRoot,
    /// Nothing at all.
    #[error(
        "and there is no remapped root that holds any either. {}",
        help::RIGHT_DATA_ROOT
    )]
    Nothing,
    /// Remapped roots, with what makes them the daemon's.
    #[error("beside it there is {0}")]
    Roots(String),
    /// No root of any range, where one was to be moved.
    #[error(
        "there is no root of any other range either. {}",
        help::RIGHT_DATA_ROOT
    )]
    NoRoot,
    /// Roots of other ranges, where one was to be moved.
    #[error("beside it there is {roots}: {help}", roots = .0.join(", "), help = help::NAME_THE_RANGE)]
    OtherRanges(Vec<String>),
}

impl From<String> for Reason {
    fn from(text: String) -> Reason {
        Reason::Other(text)
    }
}

impl From<&str> for Reason {
    fn from(text: &str) -> Reason {
        Reason::Other(text.to_string())
    }
}
