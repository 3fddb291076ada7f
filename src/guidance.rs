//! What helps, in the words of the command line. The only place below `cli` that names its flags, but for the layers
//! that are a whole command each (`docker`, `podman`, `store_move`, `volume`, `mounts`, `host`).
//!
//! Errors and findings choose a kind. The words are not in `cli`, because a reason is text before `cli` sees it: a
//! manifest keeps reasons, the JSON has them, and the commands for Docker and volumes quote errors of the layers below.

use std::fmt;

/// A command, as records and messages name it.
pub const MIGRATE_ROOTLESS: &str = "docker migrate --rootless";

/// The way back.
pub const REVERT_ROOTLESS: &str = "docker revert --rootless";

/// The one that remaps by a mount.
pub const MIGRATE_IDMAPPED: &str = "docker migrate --idmapped";

/// The same for Podman, as records name it.
pub const MIGRATE_PODMAN: &str = "podman migrate";

/// The same, for a user who is to be named.
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

/// What the operator can do. Paths and journals are given as a command line or a sentence names them.
#[derive(Clone, Copy, Debug)]
pub enum Guidance<'a> {
    /// Of a tree that a login account works with.
    AllowHome,
    /// Of one inode of a login account.
    AllowHomeOfInode,
    /// Of a path of the operating system.
    AllowSystemPath,
    /// Of a tree that is in use.
    AllowInUse,
    /// Of a tree of which it cannot be told whether it is in use.
    AllowUnknownUse,
    /// The same, where the command has no option for it.
    MountProc,
    /// Of an inode that has names outside of the tree.
    AllowOutsideLinks,
    /// The same, of an inode with this path, where the command has these options.
    FindOutsideLinks(&'a str, CommandOptions),
    /// Of an inode whose names keep moving, where the command has these options.
    StopMovingLinks(CommandOptions),
    /// Of a map whose sides meet, before a run: nothing of this tree was shifted.
    AssumeUnshifted(&'a str),
    /// The same, where the tree is only looked at: all of it was.
    AssumeShifted(&'a str),
    /// Of an inode that is immutable (`i`) or append-only (`a`), where the command has these options.
    ClearFlag(char, &'a str, CommandOptions),
    /// Of a mount point in the tree.
    CrossMounts,
    /// Of something in the tree that cannot be changed.
    LeaveOut,
    /// The same, of something with this path.
    LeaveOutPath(&'a str),
    /// The same, of something that is mounted below the tree.
    LeaveOutMount,
    /// Of inodes that cannot be shifted, after what happens then.
    KeepGoing,
    /// The same, of a manifest that can be applied.
    ApplyKeepsGoing,
    /// Of data that somebody else had since.
    NotForced,
    /// Of a tree in which names changed during a run.
    ShiftAgain,
    /// The same, where ids do not tell what is shifted.
    RollBackAndShiftAgain,
    /// The same, of a run that works out everything before it begins.
    RunAgain,
    /// Of a process that may not change owners.
    DryRunWithoutRoot,
    /// Of a data-root of Docker.
    MigrateDataRoot(&'a str),
    /// Of the root of a remapped daemon, with the data-root that it is in.
    RemappedRoot(&'a str, &'a str),
    /// Of a directory in which no file can be put into place.
    WriteDaemonJsonByHand,
    /// Of a manifest that does not fit.
    NewManifest,
    /// Of a file that is none of what a report is made of.
    SourcesOfReport,
    /// Of a place for journals that cannot be used.
    OtherJournalDir,
    /// Of a place for journals that others can write in.
    PrivateJournalDir(&'a str),
    /// Of a journal that is not where it was looked for.
    JournalDirOfRun,
    /// Of a name that no journal in this directory has.
    ListJournals(&'a str),
    /// Of a journal that holds nothing, in this directory.
    PruneJournals(&'a str),
    /// Of this journal, damaged behind so many frames.
    UndoWholeFrames(u32, &'a str),
    /// Of a tree whose journal is lost.
    IsShifted,
    /// Of a number of frames in which there is no change.
    FramesToUndo,
    /// Of a journal that can be undone; as a command line names it.
    Rollback(&'a str),
    /// The command that undoes what can be undone; the journal as a command line names it.
    ForcedRollback(&'a str),
    /// Of a map that lacks ranges for ids with this letter.
    AddToMap(char),
    /// Of a map with more ranges than the kernel takes.
    LeaveOutRanges,
    /// Of a user who has no range.
    NameMapOrGiveRange {
        /// `uid` or `gid`.
        kind: &'a str,
        /// Who has none.
        user: &'a str,
    },
    /// Of a user whose ranges engines read differently.
    OrderOrNameMap,
    /// Of a file with the ranges of several users.
    NameUserOfLines,
    /// Of options that are relative to the ids of a user.
    NameUserOfPodman,
    /// Of an inode of a root that was remapped by a mount, of which times do not tell whose it is; where the command has
    /// these options.
    Undated(CommandOptions),
}

impl fmt::Display for Guidance<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Guidance::AllowHome => "add --allow-home if you mean this one",
            Guidance::AllowHomeOfInode => "--allow-home shifts it too",
            Guidance::AllowSystemPath => {
                "Name another directory, or add --allow-system-path if you mean this one"
            }
            Guidance::AllowInUse => {
                "add --allow-in-use if these processes can continue while owners change"
            }
            Guidance::AllowUnknownUse => "--allow-in-use skips this check",
            Guidance::MountProc => {
                "Is /proc mounted? `mount -t proc proc /proc`, then run this again"
            }
            Guidance::AllowOutsideLinks => "add --allow-outside-links",
            Guidance::CrossMounts => "--cross-mounts includes what is mounted there",
            Guidance::LeaveOut => "leave it out with --exclude",
            Guidance::LeaveOutMount => "leave it out with --exclude, or run without --cross-mounts",
            Guidance::KeepGoing => "unless --keep-going is given",
            Guidance::ApplyKeepsGoing => {
                "and `idshift shift --from-manifest` would be refused, unless --keep-going is given"
            }
            Guidance::NotForced => "--force does not help",
            Guidance::ShiftAgain => {
                "Stop what changes the tree, then run the same `idshift shift` again: it shifts what is left"
            }
            Guidance::RunAgain => "Stop what changes the tree, then run the same command again",
            Guidance::RollBackAndShiftAgain => {
                "The ids do not tell what is shifted: undo the run with `idshift rollback`, stop what changes the tree, \
                 then shift it again"
            }
            Guidance::DryRunWithoutRoot => "--dry-run works without root, if it can read the files",
            Guidance::WriteDaemonJsonByHand => {
                "Write the file there by hand, and run this without --write-daemon-json"
            }
            Guidance::NewManifest => {
                "Make a new one with `idshift shift --dry-run --manifest FILE`"
            }
            Guidance::SourcesOfReport => {
                "A report is made of a manifest (`--dry-run --manifest FILE`), a journal (`idshift journal list`) \
                 or the output of `idshift docker audit --json`"
            }
            Guidance::OtherJournalDir => "Name another directory with --journal-dir DIR",
            Guidance::FramesToUndo => {
                "--up-to takes 2 or more, and only for a damaged journal: `idshift journal check` names the number"
            }
            Guidance::IsShifted => {
                "`idshift verify --map MAP PATH` tells whether a tree is shifted"
            }
            Guidance::JournalDirOfRun => "Use the same --journal-dir as for the run",
            Guidance::LeaveOutRanges => "Leave out some ranges of --map",
            Guidance::OrderOrNameMap => {
                "Put them in order, or name the map that the engine uses: --map b:CONTAINER:HOST:SIZE"
            }
            Guidance::NameUserOfLines => {
                "Name the user whose lines in /etc/subuid and /etc/subgid count: --subid USER"
            }
            Guidance::NameUserOfPodman => "Name the user whose rootless Podman it is: --subid USER",
            Guidance::Undated(options) if options.undated => {
                "To decide for all such files at once: `idshift docker revert --undated keep` keeps their owners (containers \
                 had these ids before the migration); `idshift docker revert --undated give-back` gives them back to root \
                 (the daemon created them after it)"
            }
            Guidance::Undated(_) => {
                "Give each such file its right owner with chown, then run this again"
            }
            other => return other.fmt_with_names(f),
        };
        f.write_str(text)
    }
}

impl Guidance<'_> {
    /// Those that name a path, a journal, a user or a map.
    fn fmt_with_names(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Guidance::FindOutsideLinks(path, options) if options.outside_links => write!(
                f,
                "`find DIR -xdev -samefile {path}` finds them below DIR; --allow-outside-links shifts it anyway"
            ),
            Guidance::FindOutsideLinks(path, _) => write!(
                f,
                "Remove the other links: `find DIR -xdev -samefile {path}` lists those below DIR"
            ),
            Guidance::StopMovingLinks(options) if options.outside_links => {
                write!(
                    f,
                    "Stop what changes the tree, or {}",
                    Guidance::AllowOutsideLinks
                )
            }
            Guidance::StopMovingLinks(_) => {
                f.write_str("Stop what changes the tree, then run this again")
            }
            Guidance::AssumeUnshifted(path) => write!(
                f,
                "If you know that nothing below {} was shifted before, add --assume-unshifted",
                path
            ),
            Guidance::AssumeShifted(path) => write!(
                f,
                "If you know that everything below {} was shifted, add --assume-shifted",
                path
            ),
            Guidance::ClearFlag(letter, path, options) if options.immutable => write!(
                f,
                "`chattr -{letter} {path}` or --immutable=clear allows the change"
            ),
            Guidance::ClearFlag(letter, path, _) => {
                write!(f, "clear the flag as root: `chattr -{letter} {path}`")
            }
            Guidance::LeaveOutPath(path) => {
                write!(f, "Leave it out with --exclude {}", path)
            }
            Guidance::MigrateDataRoot(path) => write!(
                f,
                "`idshift docker migrate --data-root {}` migrates it",
                path
            ),
            Guidance::RemappedRoot(root, top) => write!(
                f,
                "Of a remapped root, name directories of volumes only: {root}/volumes/NAME/_data. `idshift docker audit \
                 --data-root {top}` tells what is there"
            ),
            Guidance::PrivateJournalDir(path) => write!(
                f,
                "If it is this directory itself, run `chown root: {path} && chmod 0700 {path}`; else name \
                another one with --journal-dir DIR",
                path = path
            ),
            Guidance::ListJournals(dir) => write!(
                f,
                "`idshift journal list --journal-dir {}` lists the journals",
                dir
            ),
            Guidance::PruneJournals(dir) => write!(
                f,
                "`idshift journal prune --journal-dir {}` removes the file",
                dir
            ),
            Guidance::UndoWholeFrames(frames, journal) => write!(
                f,
                "`idshift rollback --up-to {frames} {}` undoes only these",
                journal
            ),
            Guidance::Rollback(journal) => {
                write!(f, "`idshift rollback {journal}` undoes all of it")
            }
            Guidance::ForcedRollback(journal) => write!(f, "`idshift rollback --force {journal}`"),
            Guidance::AddToMap(letter) => write!(
                f,
                "add --map {letter}:0:100000:65536, or use b: for uids and gids"
            ),
            Guidance::NameMapOrGiveRange { kind, user } => write!(
                f,
                "Either name the map: --map b:0:HOST:SIZE (for example --map b:0:100000:65536), or give the user a \
                 range: usermod --add-sub{kind}s 100000-165535 {user}"
            ),
            _ => Ok(()),
        }
    }
}
