//! What can be said on the command line.

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::idmap::MapSpec;
use crate::journal::store::DEFAULT_PLACE;
use crate::volume::user::ContainerUser;

/// Move file ownership into and out of user-namespace id ranges.
#[derive(Debug, Parser)]
#[command(
    name = "idshift",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 done · 1 failed, and undone · 2 usage · 3 done, some inodes left as they were, or verify, check, audit, doctor or a dry run found problems \
                  · 4 refused before anything was changed · 5 failed, and could not be undone completely · 74 done, but output was lost · 130 interrupted\n\n\
                  Look first, then shift, and undo:\n  \
                  idshift shift --dry-run /srv/data\n  \
                  idshift shift /srv/data\n  \
                  idshift rollback latest"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Shift trees into an id range, or out of it with --reverse
    Shift(ShiftArgs),
    /// Undo a run: give every inode back what it had before, to the byte
    Rollback(RollbackArgs),
    /// Finish a run that was interrupted or killed
    Resume(ResumeArgs),
    /// Compare the disk with what a journal or a map says it should be; change nothing
    Verify(VerifyArgs),
    /// Look at journals, and remove old ones
    Journal(JournalArgs),
    /// Make host directories ready for `docker run -v` with userns-remap
    Prepare(PrepareArgs),
    /// Tell whether a container's user can use a host directory, by trying
    Check(CheckArgs),
    /// Tell whether this host can run remapped containers
    Doctor(DoctorArgs),
    /// Carry a Docker data-root into userns-remap, or back
    Docker(DockerArgs),
    #[command(hide = true)]
    Probe(ProbeArgs),
}

/// Where the map comes from.
#[derive(Clone, Debug, Default, Args)]
pub struct MapArgs {
    /// One range of the map: u (uids), g (gids) or b (both), then container id, host id and size.
    /// Several make one map
    #[arg(long = "map", value_name = "u|g|b:CONTAINER:HOST:SIZE")]
    pub maps: Vec<MapSpec>,
    /// Take the map from this user's lines in /etc/subuid and /etc/subgid [default: dockremap]
    #[arg(long, value_name = "USER", conflicts_with = "maps")]
    pub subid: Option<String>,
}

/// Where journals are.
#[derive(Clone, Debug, Args)]
pub struct StoreArgs {
    /// Directory of the journals
    #[arg(long, value_name = "DIR", default_value = DEFAULT_PLACE)]
    pub journal_dir: PathBuf,
}

/// How much is said.
#[derive(Clone, Debug, Default, Args)]
pub struct OutputArgs {
    /// Print one JSON object on stdout
    #[arg(long)]
    pub json: bool,
    /// Say nothing but errors
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
    /// List every problem, not only the first few
    #[arg(short, long)]
    pub verbose: bool,
}

/// `idshift shift`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    See what would change, and keep it for review:\n    \
    idshift shift --dry-run --manifest review.jsonl /srv/data\n  \
    Do just what was reviewed:\n    \
    idshift shift --from-manifest review.jsonl\n  \
    Shift into the range that /etc/subuid and /etc/subgid give to dockremap:\n    \
    idshift shift /srv/data\n  \
    Back out of it:\n    \
    idshift shift --reverse /srv/data\n  \
    A rootless engine's map:\n    \
    idshift shift --map b:0:1000:1 --map b:1:100000:65535 --assume-unshifted /home/me/data")]
pub struct ShiftArgs {
    /// Trees to shift: directories or single files. Symlinks are not followed
    #[arg(required_unless_present = "from_manifest", value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Shift out of the range: host ids become container ids
    #[arg(long)]
    pub reverse: bool,
    /// Make just the changes of a reviewed manifest; whatever is not as it says is a conflict
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dry_run", "maps", "subid", "reverse", "exclude", "cross_mounts", "assume_unshifted", "immutable"])]
    pub from_manifest: Option<PathBuf>,
    /// The rest
    #[command(flatten)]
    pub run: RunArgs,
}

/// More threads make nothing faster, and the memory and the mappings of thousands cannot be had.
const MOST_JOBS: i64 = 256;

/// How hard a command works: less, where others need the machine meanwhile
#[derive(Debug, Args)]
pub struct LimitArgs {
    /// Threads, 1 to 256 [default: 2 per CPU, at most 16; 1 with --nice or --rate]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MOST_JOBS))]
    pub jobs: Option<u16>,
    /// Limit to so many inodes per second
    #[arg(long, value_name = "INODES")]
    pub rate: Option<NonZeroU32>,
    /// Run at the lowest CPU and I/O priority
    #[arg(long)]
    pub nice: bool,
}

/// What is done about an inode that a flag keeps from being changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Immutable {
    /// It cannot be shifted.
    #[default]
    Refuse,
    /// The flag is cleared, and put back after.
    Clear,
}

/// What `idshift shift` and `idshift prepare` both take
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The map
    #[command(flatten)]
    pub map: MapArgs,
    /// Change nothing, say what would change. Needs no root where it can read
    #[arg(long)]
    pub dry_run: bool,
    /// With --dry-run: write each change to FILE, or to stdout for `-`; compressed when it ends in
    /// .zst
    #[arg(long, value_name = "FILE|-", requires = "dry_run")]
    pub manifest: Option<PathBuf>,
    /// Journals
    #[command(flatten)]
    pub store: StoreArgs,
    /// How hard it works
    #[command(flatten)]
    pub effort: LimitArgs,
    /// Leave out what matches, and everything below it. Relative to PATH, or absolute; `*` stops at a
    /// slash, `**` does not; a slash at the end means nothing
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
    /// Report what cannot be shifted and go on, instead of undoing everything
    #[arg(long)]
    pub keep_going: bool,
    /// What is immutable or append-only (chattr +i, +a) cannot be shifted; or the flag is cleared
    /// while it is, and put back
    #[arg(
        long,
        value_name = "refuse|clear",
        value_enum,
        default_value_t,
        hide_possible_values = true
    )]
    pub immutable: Immutable,
    /// Also shift what is mounted below PATH
    #[arg(long)]
    pub cross_mounts: bool,
    /// Shift although a process or a container uses the tree
    #[arg(long)]
    pub allow_in_use: bool,
    /// Shift although PATH is part of the system, such as /etc
    #[arg(long)]
    pub allow_system_path: bool,
    /// Shift although PATH is, holds or lies in the home of an account that people log in to, or files
    /// belong to one: the account can no longer use them
    #[arg(long)]
    pub allow_home: bool,
    /// Nothing below PATH was shifted before: needed where the map's two sides overlap
    #[arg(long)]
    pub assume_unshifted: bool,
    /// Also files that have names elsewhere: hard links
    #[arg(long)]
    pub allow_outside_links: bool,
    /// Output
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `idshift prepare`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    A service's files keep who they belong to, now in the container:\n    \
    idshift prepare /srv/app\n  \
    Everything for the user that RabbitMQ's image runs as:\n    \
    idshift prepare /root/data/rabbitmq --owner 999:999 --create\n  \
    Also for a runtime that stops at a closed directory above, as runc before 1.1 does:\n    \
    idshift prepare /root/data/rabbitmq --owner 999:999 --fix-parents\n  \
    Back, for a plain daemon:\n    \
    idshift prepare --reverse /root/data/rabbitmq")]
pub struct PrepareArgs {
    /// Directories to prepare, or single files
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Give everything to this user and group of the container; ids in ACLs and capabilities are
    /// shifted
    #[arg(long, value_name = "UID:GID", value_parser = ContainerUser::with_group)]
    pub owner: Option<ContainerUser>,
    /// Make directories that are missing, for --owner or else for the container's root
    #[arg(long)]
    pub create: bool,
    /// Let the container's root search directories above that are closed to it, by an ACL entry
    /// u:ID:--x on each
    #[arg(long, conflicts_with = "reverse")]
    pub fix_parents: bool,
    /// Take the runtime for one that stops at closed directories above, whatever is installed
    #[arg(long)]
    pub old_runtime: bool,
    /// Out of the range: host ids become container ids
    #[arg(long)]
    pub reverse: bool,
    /// The rest
    #[command(flatten)]
    pub run: RunArgs,
}

/// `idshift check`
#[derive(Debug, Args)]
#[command(
    group = clap::ArgGroup::new("who").required(true).args(["as", "container", "image_user"]),
    after_help = "Tries it, as that user, in a user namespace with the map: lists, makes a file of its own, writes, reads, renames and deletes it. Nothing of it is left; the directory keeps its times, but for the ctime.\n\n\
    Exit codes: 0 everything asked for works · 3 it does not · 4 could not be tried\n\n\
    Examples:\n  \
    idshift check /root/data/rabbitmq --as 999:999\n  \
    idshift check /srv/www --as 33:33 --read-only --recursive\n  \
    idshift check /srv/app --container web"
)]
pub struct CheckArgs {
    /// Directory or file that a container binds
    pub path: PathBuf,
    /// The container's user, in numbers; without GID the group is 0, as `docker run --user` has it
    #[arg(long, value_name = "UID[:GID]")]
    pub r#as: Option<ContainerUser>,
    /// The user that this container, a name or an id, runs as
    #[arg(long, value_name = "NAME")]
    pub container: Option<String>,
    /// The user that this image, a name or an id, runs as
    #[arg(long, value_name = "IMAGE")]
    pub image_user: Option<String>,
    /// Another group of the user
    #[arg(long = "group", value_name = "GID")]
    pub groups: Vec<u32>,
    /// It is mounted read-only: nothing is written
    #[arg(long)]
    pub read_only: bool,
    /// Find every entry below that the user cannot use
    #[arg(long)]
    pub recursive: bool,
    /// Take the runtime for one that stops at closed directories above, whatever is installed
    #[arg(long)]
    pub old_runtime: bool,
    /// The map
    #[command(flatten)]
    pub map: MapArgs,
    /// The daemon, for --container and --image-user
    #[command(flatten)]
    pub daemon: DaemonArgs,
    /// Print one JSON object on stdout
    #[arg(long)]
    pub json: bool,
}

/// `idshift doctor`
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 no errors · 3 something stands in the way\n\n\
    Examples:\n  \
    idshift doctor\n  \
    idshift doctor --data-root /srv/docker --json"
)]
pub struct DoctorArgs {
    /// The daemon
    #[command(flatten)]
    pub daemon: DaemonArgs,
    /// Print one JSON object on stdout
    #[arg(long)]
    pub json: bool,
}

/// The child of `idshift check`; not for people
#[derive(Debug, Args)]
pub struct ProbeArgs {
    /// What is to be tried with standard input
    pub question: String,
}

/// `idshift rollback`
#[derive(Debug, Args)]
#[command(
    after_help = "An inode that was changed, replaced or removed since the run is reported and left.\n\n\
    `latest` is the newest run. When that one is rolled back already, an older one has to be named.\n\n\
    Examples:\n  \
    idshift rollback --dry-run latest\n  \
    idshift rollback 0007-20260102T030405Z"
)]
pub struct RollbackArgs {
    /// Journal: an id or its number, a path, or `latest`
    #[arg(default_value = "latest")]
    pub journal: String,
    /// Change nothing, say what would be undone
    #[arg(long)]
    pub dry_run: bool,
    /// Also inodes that were changed since, where it is the same inode: their owner is put back, a newer
    /// mode, ACL or missing capability stays. And without the trees that are gone
    #[arg(long)]
    pub force: bool,
    /// Use only the first N frames of a journal that is damaged behind them; the whole one is kept beside it
    #[arg(long, value_name = "N")]
    pub up_to: Option<u32>,
    /// How hard it works
    #[command(flatten)]
    pub effort: LimitArgs,
    /// Journals
    #[command(flatten)]
    pub store: StoreArgs,
    /// Output
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `idshift resume`
#[derive(Debug, Args)]
#[command(
    after_help = "`latest` is the newest run. When that one is over, an older one has to be named.\n\n\
    Example:\n  idshift resume latest"
)]
pub struct ResumeArgs {
    /// Journal: an id or its number, a path, or `latest`
    #[arg(default_value = "latest")]
    pub journal: String,
    /// How hard it works
    #[command(flatten)]
    pub effort: LimitArgs,
    /// Journals
    #[command(flatten)]
    pub store: StoreArgs,
    /// Output
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `idshift verify`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    What the last run left, or its rollback:\n    \
    idshift verify latest\n  \
    Is every file in the range?\n    \
    idshift verify --map b:0:100000:65536 /srv/data\n  \
    Is every file out of it?\n    \
    idshift verify --reverse --subid dockremap /srv/data")]
pub struct VerifyArgs {
    /// A journal (an id, a path or `latest`), or, with --map or --subid, trees
    #[arg(required = true, value_name = "JOURNAL|PATH")]
    pub what: Vec<PathBuf>,
    /// The map
    #[command(flatten)]
    pub map: MapArgs,
    /// Out of the range, not into it
    #[arg(long)]
    pub reverse: bool,
    /// Leave out what matches
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
    /// Also look at what is mounted below PATH
    #[arg(long)]
    pub cross_mounts: bool,
    /// With --map or --subid: everything below PATH was shifted. Needed where the map's two sides overlap
    #[arg(long)]
    pub assume_shifted: bool,
    /// How hard it works
    #[command(flatten)]
    pub effort: LimitArgs,
    /// Journals
    #[command(flatten)]
    pub store: StoreArgs,
    /// Output
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `idshift journal`
#[derive(Debug, Args)]
pub struct JournalArgs {
    /// What to do with them.
    #[command(subcommand)]
    pub command: JournalCommand,
}

/// The subcommands of `idshift journal`
#[derive(Debug, Subcommand)]
pub enum JournalCommand {
    /// List the journals, oldest first
    List {
        /// Journals
        #[command(flatten)]
        store: StoreArgs,
        /// Print one JSON object on stdout
        #[arg(long)]
        json: bool,
    },
    /// Print every change of a journal, with whole paths
    Show {
        /// Journal: an id or its number, a path, or `latest`
        journal: String,
        /// Journals
        #[command(flatten)]
        store: StoreArgs,
        /// Print one JSON object on stdout
        #[arg(long)]
        json: bool,
    },
    /// Read a journal to its end and say whether it is whole
    Check {
        /// Journal: an id or its number, a path, or `latest`
        journal: String,
        /// Journals
        #[command(flatten)]
        store: StoreArgs,
        /// Print one JSON object on stdout
        #[arg(long)]
        json: bool,
    },
    /// Remove journals of runs that are finished or rolled back; never one that is still needed
    Prune {
        /// Keep finished ones younger than so many days: they can still be rolled back
        #[arg(long, value_name = "DAYS", default_value_t = 30)]
        older_than: u32,
        /// Only say which
        #[arg(long)]
        dry_run: bool,
        /// Journals
        #[command(flatten)]
        store: StoreArgs,
        /// Print one JSON object on stdout
        #[arg(long)]
        json: bool,
    },
}

/// `idshift docker`
#[derive(Debug, Args)]
pub struct DockerArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: DockerCommand,
}

/// The subcommands of `idshift docker`
#[derive(Debug, Subcommand)]
pub enum DockerCommand {
    /// Tell whether a data-root is ready to be migrated, and what will be different. Changes nothing
    Audit(AuditArgs),
    /// Carry everything of a stopped plain daemon into the root of a remapped one
    Migrate(MigrateArgs),
    /// The other direction: for a host that turns userns-remap off again
    Revert(MigrationArgs),
}

/// Which daemon.
#[derive(Clone, Debug, Args)]
pub struct DaemonArgs {
    /// Docker's data-root [default: as dockerd is started here, else /var/lib/docker]
    #[arg(long, value_name = "DIR")]
    pub data_root: Option<PathBuf>,
    /// Whom the daemon remaps to, as dockerd takes it: default, USER, USER:GROUP, UID or UID:GID
    /// [default: as dockerd is started here, else default]
    #[arg(long, value_name = "USER")]
    pub userns_remap: Option<String>,
    /// The daemon's configuration file [default: as dockerd is started here, else
    /// /etc/docker/daemon.json]
    #[arg(long, value_name = "FILE")]
    pub daemon_json: Option<PathBuf>,
}

/// `idshift docker audit`
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 ready · 3 something stands in the way · 4 images are where they cannot be carried, or the data-root cannot \
                  be read\n\n\
    Examples:\n  \
    idshift docker audit\n  \
    idshift docker audit --data-root /srv/docker --userns-remap app --json"
)]
pub struct AuditArgs {
    /// The daemon
    #[command(flatten)]
    pub daemon: DaemonArgs,
    /// Journals, for runs that are not finished
    #[command(flatten)]
    pub store: StoreArgs,
    /// How hard it works
    #[command(flatten)]
    pub effort: LimitArgs,
    /// Print one JSON object on stdout
    #[arg(long)]
    pub json: bool,
}

/// What `idshift docker migrate` and `revert` both take
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    See all that would be done:\n    \
    idshift docker migrate --dry-run --manifest plan.jsonl\n  \
    Stop the daemon, migrate, start it remapped:\n    \
    systemctl stop docker.socket docker\n    \
    idshift docker migrate --create-user --write-daemon-json\n    \
    systemctl start docker\n  \
    Before the daemon was started again, undo it:\n    \
    idshift rollback latest\n  \
    Later, with all that was made since:\n    \
    idshift docker revert --write-daemon-json")]
pub struct MigrationArgs {
    /// The daemon
    #[command(flatten)]
    pub daemon: DaemonArgs,
    /// Change nothing, say what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// With --dry-run: write each rename, rewrite and change of an owner to FILE, or to stdout for
    /// `-`
    #[arg(long, value_name = "FILE|-", requires = "dry_run")]
    pub manifest: Option<PathBuf>,
    /// Make the user dockremap and its ranges where they are missing, as dockerd would
    #[arg(long)]
    pub create_user: bool,
    /// Also set userns-remap in daemon.json, or take it out for revert; all else in it stays
    #[arg(long)]
    pub write_daemon_json: bool,
    /// Mark containers that cannot run remapped (privileged, --pid=host, --network=host, --ipc=host)
    /// with --userns=host
    #[arg(long)]
    pub set_userns_host: bool,
    /// Also shift the host directories that containers bind, or that are volumes (o=bind, symlinks),
    /// those for which the audit proposes it: none of the system's, no sockets. For revert: shift back
    /// those that are in the range
    #[arg(long)]
    pub bind_mounts: bool,
    /// Also change files that have further names (hard links) outside the data-root
    #[arg(long)]
    pub allow_outside_links: bool,
    /// Leave and report what cannot be shifted, instead of changing nothing
    #[arg(long)]
    pub keep_going: bool,
    /// What is immutable or append-only (chattr +i, +a) cannot be shifted; or the flag is cleared
    /// while it is, and put back
    #[arg(
        long,
        value_name = "refuse|clear",
        value_enum,
        default_value_t,
        hide_possible_values = true
    )]
    pub immutable: Immutable,
    /// How hard it works
    #[command(flatten)]
    pub effort: LimitArgs,
    /// Journals
    #[command(flatten)]
    pub store: StoreArgs,
    /// Output
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `idshift docker migrate`
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// Leave the plain root as it is, and migrate a copy of it (shared content where the filesystem
    /// can)
    #[arg(long, conflicts_with = "manifest")]
    pub copy: bool,
    /// With --bind-mounts: also homes and files of accounts that people log in to, who can no longer use
    /// them
    #[arg(long, requires = "bind_mounts")]
    pub allow_home: bool,
    /// The rest
    #[command(flatten)]
    pub carry: MigrationArgs,
}
