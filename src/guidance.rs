//! What helps, in the words of the command line. The only place below `cli` that names its flags, but for the layers
//! that are a whole command each (`docker`, `podman`, `store_move`, `volume`, `mounts`, `host`).
//!
//! Errors and findings choose a kind. The words are not in `cli`, because a reason is text before `cli` sees it: a
//! manifest keeps reasons, the JSON has them, and the commands for Docker and volumes quote errors of the layers below.

use thiserror::Error;

/// A command, as records and messages name it.
pub const MIGRATE_ROOTLESS: &str = "docker migrate --rootless";

/// The way back.
pub const REVERT_ROOTLESS: &str = "docker revert --rootless";

/// The one that remaps by a mount.
pub const MIGRATE_IDMAPPED: &str = "docker migrate --idmapped";

/// Moves root's Podman store to a user, as records name it.
pub const MIGRATE_PODMAN: &str = "podman migrate";

/// Moves root's Podman store to a user who is to be named.
pub const MIGRATE_PODMAN_TO: &str = "podman migrate --to-user";

/// The way back.
pub const REVERT_PODMAN: &str = "podman revert";

/// Adds the claim of a login account to what a run may change.
pub const ALLOW_HOME: &str = "--allow-home";

/// Of a user that is not given in numbers.
pub const LOOK_UP_USER: &str = "--container and --image-user look names up";

/// Which of the options that messages name the command at hand has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommandOptions {
    /// `--exclude`
    pub exclude: bool,
    /// `--immutable=clear`
    pub immutable: bool,
    /// `--allow-outside-links`
    pub outside_links: bool,
    /// `--keep-going`
    pub keep_going: bool,
    /// `--undated`
    pub undated: bool,
}

impl CommandOptions {
    /// What else helps where something in the tree cannot be changed, after what helps first.
    pub fn or_leave_out(self) -> String {
        match self.exclude {
            true => format!(", or {}", Guidance::LeaveOut),
            false => String::new(),
        }
    }
}

/// What the operator can do, as the end of an error or a finding. Paths and journals are given as a command line or a
/// sentence names them.
#[derive(Clone, Copy, Debug, Error)]
pub enum Guidance<'a> {
    /// Of a tree that a login account works with.
    #[error("add --allow-home if you mean this one")]
    AllowHome,
    /// Of one inode of a login account.
    #[error("--allow-home shifts it too")]
    AllowHomeOfInode,
    /// Of a path of the operating system.
    #[error("Name another directory, or add --allow-system-path if you mean this one")]
    AllowSystemPath,
    /// Of a tree that is in use.
    #[error("add --allow-in-use if these processes can continue while owners change")]
    AllowInUse,
    /// Of a tree of which it cannot be told whether it is in use.
    #[error("--allow-in-use skips this check")]
    AllowUnknownUse,
    /// Of a tree of which it cannot be told whether it is in use, where the command has no option for it.
    #[error("Is /proc mounted? `mount -t proc proc /proc`, then run this again")]
    MountProc,
    /// Of an inode that has names outside of the tree.
    #[error("add --allow-outside-links")]
    AllowOutsideLinks,
    /// Of an inode with this path that has names outside of the tree, where the command has these options.
    #[error("{}", find_outside_links(.0, *.1))]
    FindOutsideLinks(&'a str, CommandOptions),
    /// Of an inode whose names keep moving, where the command has these options.
    #[error("Stop what changes the tree, {}", or_allow_outside_links(*.0))]
    StopMovingLinks(CommandOptions),
    /// Of a map whose sides meet, before a run: nothing of this tree was shifted.
    #[error("If you know that nothing below {0} was shifted before, add --assume-unshifted")]
    AssumeUnshifted(&'a str),
    /// Of a map whose sides meet, where the tree is only looked at: all of it was shifted.
    #[error("If you know that everything below {0} was shifted, add --assume-shifted")]
    AssumeShifted(&'a str),
    /// Of an inode that is immutable (`i`) or append-only (`a`), where the command has these options.
    #[error("{}", clear_flag(*.0, .1, *.2))]
    ClearFlag(char, &'a str, CommandOptions),
    /// Of a mount point in the tree.
    #[error("--cross-mounts includes what is mounted there")]
    CrossMounts,
    /// Of something in the tree that cannot be changed.
    #[error("leave it out with --exclude")]
    LeaveOut,
    /// Of something with this path that cannot be changed.
    #[error("Leave it out with --exclude {0}")]
    LeaveOutPath(&'a str),
    /// Of something that is mounted below the tree and cannot be changed.
    #[error("leave it out with --exclude, or run without --cross-mounts")]
    LeaveOutMount,
    /// Of inodes that cannot be shifted, after what happens then.
    #[error("unless --keep-going is given")]
    KeepGoing,
    /// Of inodes of a dry run that cannot be shifted, with a manifest that can be applied.
    #[error("and `idshift shift --from-manifest` would be refused, unless --keep-going is given")]
    ApplyKeepsGoing,
    /// Of data that somebody else had since.
    #[error("--force does not help")]
    NotForced,
    /// Of a tree in which names changed during a run.
    #[error(
        "Stop what changes the tree, then run the same `idshift shift` again: it shifts what is left"
    )]
    ShiftAgain,
    /// Of a tree in which names changed during a run, where ids do not tell what is shifted.
    #[error(
        "The ids do not tell what is shifted: undo the run with `idshift rollback`, stop what changes the tree, \
         then shift it again"
    )]
    RollBackAndShiftAgain,
    /// Of a tree in which names changed before a run that works out everything first.
    #[error("Stop what changes the tree, then run the same command again")]
    RunAgain,
    /// Of a process that may not change owners.
    #[error("--dry-run works without root, if it can read the files")]
    DryRunWithoutRoot,
    /// Of a data-root of Docker.
    #[error("`idshift docker migrate --data-root {0}` migrates it")]
    MigrateDataRoot(&'a str),
    /// Of the root of a remapped daemon, with the data-root that it is in.
    #[error(
        "Of a remapped root, name directories of volumes only: {0}/volumes/NAME/_data. `idshift docker audit \
         --data-root {1}` tells what is there"
    )]
    RemappedRoot(&'a str, &'a str),
    /// Of a directory in which no file can be put into place.
    #[error("Write the file there by hand, and run this without --write-daemon-json")]
    WriteDaemonJsonByHand,
    /// Of a manifest that does not fit.
    #[error("Make a new one with `idshift shift --dry-run --manifest FILE`")]
    NewManifest,
    /// Of a file that is none of what a report is made of.
    #[error(
        "A report is made of a manifest (`--dry-run --manifest FILE`), a journal (`idshift journal list`) \
         or the output of `idshift docker audit --json`"
    )]
    SourcesOfReport,
    /// Of a place for journals that cannot be used.
    #[error("Name another directory with --journal-dir DIR")]
    OtherJournalDir,
    /// Of a place for journals that others can write in.
    #[error(
        "If it is this directory itself, run `chown root: {0} && chmod 0700 {0}`; else name another one with \
         --journal-dir DIR"
    )]
    PrivateJournalDir(&'a str),
    /// Of a journal that is not where it was looked for.
    #[error("Use the same --journal-dir as for the run")]
    JournalDirOfRun,
    /// Of a name that no journal in this directory has.
    #[error("`idshift journal list --journal-dir {0}` lists the journals")]
    ListJournals(&'a str),
    /// Of a journal that holds nothing, in this directory.
    #[error("`idshift journal prune --journal-dir {0}` removes the file")]
    PruneJournals(&'a str),
    /// Of this journal, damaged behind so many frames.
    #[error("`idshift rollback --up-to {0} {1}` undoes only these")]
    UndoWholeFrames(u32, &'a str),
    /// Of a tree whose journal is lost.
    #[error("`idshift verify --map MAP PATH` tells whether a tree is shifted")]
    IsShifted,
    /// Of a number of frames in which there is no change.
    #[error(
        "--up-to takes 2 or more, and only for a damaged journal: `idshift journal check` names the number"
    )]
    FramesToUndo,
    /// Of a journal that can be undone; as a command line names it.
    #[error("`idshift rollback {0}` undoes all of it")]
    Rollback(&'a str),
    /// The command that undoes what can be undone; the journal as a command line names it.
    #[error("`idshift rollback --force {0}`")]
    ForcedRollback(&'a str),
    /// Of a map that lacks ranges for ids with this letter.
    #[error("add --map {0}:0:100000:65536, or use b: for uids and gids")]
    AddToMap(char),
    /// Of a map with more ranges than the kernel takes.
    #[error("Leave out some ranges of --map")]
    LeaveOutRanges,
    /// Of a user who has no range.
    #[error(
        "Either name the map: --map b:0:HOST:SIZE (for example --map b:0:100000:65536), or give the user a range: \
         usermod --add-sub{kind}s 100000-165535 {user}"
    )]
    NameMapOrGiveRange {
        /// `uid` or `gid`.
        kind: &'a str,
        /// Who has none.
        user: &'a str,
    },
    /// Of a user whose ranges engines read differently.
    #[error("Put them in order, or name the map that the engine uses: --map b:CONTAINER:HOST:SIZE")]
    OrderOrNameMap,
    /// Of a file with the ranges of several users.
    #[error("Name the user whose lines in /etc/subuid and /etc/subgid count: --subid USER")]
    NameUserOfLines,
    /// Of options that are relative to the ids of a user.
    #[error("Name the user whose rootless Podman it is: --subid USER")]
    NameUserOfPodman,
    /// Of an inode of a root that was remapped by a mount, of which times do not tell whose it is; where the command has
    /// these options.
    #[error("{}", undated(*.0))]
    Undated(CommandOptions),
}

fn find_outside_links(path: &str, options: CommandOptions) -> String {
    let find = format!("`find DIR -xdev -samefile {path}`");
    match options.outside_links {
        true => {
            format!("{find} finds them below DIR; --allow-outside-links shifts it anyway")
        }
        false => format!("Remove the other links: {find} lists those below DIR"),
    }
}

fn or_allow_outside_links(options: CommandOptions) -> String {
    match options.outside_links {
        true => format!("or {}", Guidance::AllowOutsideLinks),
        false => "then run this again".into(),
    }
}

fn clear_flag(letter: char, path: &str, options: CommandOptions) -> String {
    let chattr = format!("`chattr -{letter} {path}`");
    match options.immutable {
        true => format!("{chattr} or --immutable=clear allows the change"),
        false => format!("clear the flag as root: {chattr}"),
    }
}

fn undated(options: CommandOptions) -> &'static str {
    match options.undated {
        true => {
            "To decide for all such files at once: `idshift docker revert --undated keep` keeps their owners (containers \
             had these ids before the migration); `idshift docker revert --undated give-back` gives them back to root \
             (the daemon created them after it)"
        }
        false => "Give each such file its right owner with chown, then run this again",
    }
}
