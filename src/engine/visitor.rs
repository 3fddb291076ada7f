//! What happens to one inode.

use std::collections::HashSet;
use std::ffi::CStr;
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Access, AtFlags};
use rustix::io::Errno;

use super::exclude::Excludes;
use super::hardlinks::{HardLinkTable, Key, LinkedOutside, OutsideLinks, key};
use super::policy::{Policy, Rule, Uniform};
use super::sink::{Held, Sink};
use super::sync::Filesystems;
use super::{Monitor, Problem, ProblemKind, Stats, Stop};
use crate::fs::escape::shell_word;
use crate::fs::live_mounts::{KnownMounts, MountError};
use crate::fs::walk::{Enter, Visit};
use crate::fs::{
    Dir, DirPath, FirstCall, Identity, LookupEntry, LookupError, LookupOptions, Names, PinnedFile,
    Root, Stat, attributes, flags, lookup, process,
};
use crate::idmap::{Direction, IdMap};
use crate::journal::Transition;
use crate::journal::record::WalkOptions;
use crate::ownership::{Change, Extra, Flags, Mapping, Ownership};
use crate::preflight::accounts::{Account, LoginAccounts};
use crate::preflight::homes::Claim;
use crate::preflight::user_namespace::OverflowIds;

/// What the threads of one run share.
pub struct RunContext<'a> {
    /// The trees.
    pub roots: &'a [Root],
    /// What they are on.
    pub(super) filesystems: Filesystems,
    /// The map.
    pub map: &'a IdMap,
    /// Which way.
    pub direction: Direction,
    /// What each inode is to become.
    pub policy: &'a dyn Policy,
    /// How the walk is limited.
    pub walk: &'a WalkOptions,
    /// Accounts that no file is taken from; none where that is allowed.
    pub accounts: Option<LoginAccounts>,
    /// What is left out.
    pub exclude: Option<Excludes>,
    /// What is shown instead of an owner that is no id here.
    overflow: OverflowIds,
    /// Trouble is collected, not stopped over: for a dry run, and for `--keep-going`.
    pub carry_on: bool,
    /// Inodes that the journal already has, with their device: only needed where an id does not tell. Not with
    /// their tree, as hard links can lie in several.
    pub done: HashSet<(u64, Identity)>,
    /// Inodes of several names that were met.
    pub links: HardLinkTable,
    /// The mounts that are walked, too; none where no mount point is crossed.
    pub(super) known_mounts: Option<KnownMounts>,
    /// Hears of progress.
    pub monitor: &'a dyn Monitor,
    /// Asks the run to stop.
    pub stop: &'a Stop,
    /// The run cannot go on and is to be undone.
    pub gave_up: AtomicBool,
    /// The run was stopped before it had met everything.
    pub interrupted: AtomicBool,
}

impl<'a> RunContext<'a> {
    /// A run that has not begun. Opens what its trees are on. Of mounts in them it walks those that are there now: to
    /// be made before they are checked.
    pub fn new(
        roots: &'a [Root],
        map: &'a IdMap,
        direction: Direction,
        walk: &'a WalkOptions,
        monitor: &'a dyn Monitor,
        stop: &'a Stop,
    ) -> RunContext<'a> {
        RunContext {
            roots,
            filesystems: Filesystems::of(roots, walk.cross_mounts),
            map,
            direction,
            policy: match walk.assume_unshifted {
                true => &Uniform(Rule::MapAll),
                false => &Uniform(Rule::Map),
            },
            walk,
            accounts: None,
            overflow: OverflowIds::of_this_process(),
            exclude: None,
            carry_on: walk.keep_going,
            done: HashSet::new(),
            known_mounts: walk.cross_mounts.then(KnownMounts::now),
            links: HardLinkTable::new(match walk.outside_links {
                true => OutsideLinks::Allowed,
                false => OutsideLinks::Left,
            }),
            monitor,
            stop,
            gave_up: AtomicBool::new(false),
            interrupted: AtomicBool::new(false),
        }
    }

    /// Absolute path, for messages.
    pub fn path(&self, dir: &DirPath, name: &[u8]) -> PathBuf {
        let below = dir.join(name);
        let root = &self.roots[dir.root].path;
        match below.as_os_str().is_empty() {
            true => root.clone(),
            false => root.join(below),
        }
    }

    /// Who would lose an inode of this tree that gets another owner.
    fn account_losing_access(
        &self,
        root: usize,
        before: &Ownership,
        after: &Ownership,
    ) -> Option<Account> {
        let accounts = self.accounts.as_ref()?;
        let is_taken = before.uid != after.uid && !self.policy.is_of_containers(root);
        accounts.owner(before.uid).filter(|_| is_taken)
    }

    /// Counts an inode left as it is; ends the run over it unless it carries on.
    pub fn record_problem(&self, stats: &mut Stats, problem: Problem) -> ControlFlow<()> {
        self.monitor.problem(&problem);
        stats.add_problem(problem);
        match self.carry_on {
            true => ControlFlow::Continue(()),
            false => self.give_up(),
        }
    }

    /// Globs of what is to be left out that matched nothing; of a walk that came to its end.
    pub(super) fn unmatched_excludes(&self) -> Vec<String> {
        let excludes = self.exclude.as_ref().filter(|_| !self.is_cut_short());
        excludes.map(Excludes::unmatched).unwrap_or_default()
    }

    /// Ends the run.
    pub fn give_up(&self) -> ControlFlow<()> {
        self.gave_up.store(true, Ordering::Relaxed);
        ControlFlow::Break(())
    }

    /// Whether the run is over before its end, because it failed or somebody asked.
    pub(super) fn is_cut_short(&self) -> bool {
        if self.stop.is_asked() {
            self.interrupted.store(true, Ordering::Relaxed);
        }
        self.interrupted.load(Ordering::Relaxed) || self.gave_up.load(Ordering::Relaxed)
    }
}

/// Decides for each inode met by one thread; what is to change goes to a sink.
pub struct ShiftVisitor<'a, S> {
    run: &'a RunContext<'a>,
    sink: S,
    stats: Stats,
    /// Names that are looked at, and may be open, at once.
    group: usize,
    /// Of the group before, most were to be changed.
    changes_most: bool,
    /// Inodes of this group that have several names, all of them in it at one moment.
    all_here: Vec<Key>,
}

/// Why an inode with these flags is not changed.
pub(super) fn describe_protection(flags: Flags, path: &Path) -> String {
    let (what, letter) = match flags.immutable {
        true => ("immutable", 'i'),
        false => ("append-only", 'a'),
    };
    let path = shell_word(path);
    format!("is {what}; `chattr -{letter} {path}` or --immutable=clear lets it be changed")
}

/// What a name was found to mean.
pub(super) struct Candidate<'n> {
    pub(super) name: &'n [u8],
    pub(super) rule: Rule,
    pub(super) looked: LookupEntry,
    /// It has names outside: how many are in the trees, and how many there are.
    pub(super) elsewhere: Option<(u32, u32)>,
}

/// The inodes that have several names, all of them among these.
fn all_names_among(
    dir: &DirPath,
    names: &[&CStr],
    looks: &[Result<LookupEntry, LookupError>],
) -> Vec<Key> {
    let mut found = Vec::new();
    for (name, looked) in names.iter().zip(looks) {
        if let Ok(LookupEntry { stat, .. }) = looked
            && stat.nlink > 1
            && !stat.is_dir()
            // A file mounted over another one is no name of it.
            && !stat.crosses_mount(dir.dev)
        {
            found.push((key(stat), stat.nlink, *name));
        }
    }
    found.sort_unstable();
    // A directory that is changed may have given a name twice.
    found.dedup();
    let same = found.chunk_by(|one, next| one.0 == next.0);
    let whole = same.filter(|same| same.iter().all(|one| one.1 as usize == same.len()));
    whole.map(|same| same[0].0).collect()
}

/// Why what is below a mount point is not reached.
const OVER_IT: &str =
    "something was mounted over it meanwhile. `findmnt` shows what: unmount it, then run it again";

/// Names of one group.
const GROUP: usize = 256;

impl<'a, S: Sink> ShiftVisitor<'a, S> {
    /// One thread's.
    pub fn new(run: &'a RunContext<'a>, sink: S) -> Self {
        ShiftVisitor {
            run,
            sink,
            stats: Stats::default(),
            group: run
                .stop
                .group((process::descriptors_for_pins() / 4).clamp(1, GROUP)),
            changes_most: S::Held::IS_PIN,
            all_here: Vec::new(),
        }
    }

    pub(super) fn record_left(
        &mut self,
        kind: ProblemKind,
        dir: &DirPath,
        name: &[u8],
        reason: String,
    ) -> ControlFlow<()> {
        let path = self.run.path(dir, name);
        let problem = Problem { path, kind, reason };
        self.sink.left(&problem);
        self.run.record_problem(&mut self.stats, problem)
    }

    pub(super) fn record_failed(
        &mut self,
        dir: &DirPath,
        name: &[u8],
        call: &str,
        errno: Errno,
    ) -> ControlFlow<()> {
        let reason = match errno {
            Errno::MFILE => format!("{call}: {errno}. Raise the limit with `ulimit -n`"),
            Errno::XDEV => OVER_IT.into(),
            Errno::NOSYS => format!("{call}: /proc is not mounted here, and is needed"),
            _ => format!("{call}: {errno}"),
        };
        self.record_left(ProblemKind::Failed, dir, name, reason)
    }

    /// The names of a directory that are to be decided on, each with its rule.
    fn rules<'n>(
        &mut self,
        dir: &DirPath,
        names: &[&'n CStr],
        rule: Option<Rule>,
    ) -> (Vec<&'n CStr>, Vec<Rule>) {
        let mut kept = (Vec::new(), Vec::new());
        for name in names {
            let bytes = name.to_bytes();
            if let Some(exclude) = &self.run.exclude
                && exclude.matches(dir.root, &dir.join(bytes))
            {
                self.stats.excluded += 1;
                continue;
            }
            let rule = rule.unwrap_or_else(|| self.run.policy.name_in(dir, bytes));
            if rule != Rule::Skip {
                kept.0.push(*name);
                kept.1.push(rule);
            }
        }
        kept
    }

    /// Some names of a directory, few enough for all of them to be open at once.
    fn visit_group(
        &mut self,
        dir: &Dir,
        names: &[&CStr],
        rule: Option<Rule>,
        found: &mut Vec<Arc<DirPath>>,
    ) -> ControlFlow<()> {
        if self.run.is_cut_short() {
            return ControlFlow::Break(());
        }
        let (names, rules) = self.rules(&dir.path, names, rule);
        self.run.stop.take_turn(names.len());
        // Without attributes, the numbers say whether there is anything to be done.
        let wants = |n: usize, stat: &Stat, _| S::Held::IS_PIN && self.changes(rules[n], stat);
        let how = LookupOptions {
            guard: &dir.guard,
            first: match self.changes_most {
                true => FirstCall::Pin,
                false => FirstCall::Numbers,
            },
            keeps_names: self.run.links.guards(),
        };
        let looks = lookup(dir.as_fd(), &names, how, wants);
        self.all_here = match self.run.links.guards() && looks.is_consistent {
            true => all_names_among(&dir.path, &names, &looks.each),
            false => Vec::new(),
        };
        let changed = self.stats.seen - self.stats.already;
        for ((name, rule), looked) in names.iter().zip(rules).zip(looks.each) {
            match &looked {
                Ok(looked) if is_read_only_subvolume(dir, name, &looked.stat) => {
                    self.stats.seen += 1;
                    self.read_only(&dir.path, name.to_bytes())?;
                }
                _ => self.visit_name(dir, name, rule, looked, found)?,
            }
        }
        let changed = self.stats.seen - self.stats.already - changed;
        self.changes_most = S::Held::IS_PIN && changed * 2 > names.len() as u64;
        ControlFlow::Continue(())
    }

    /// A subvolume in which nothing can be changed; it is not entered.
    fn read_only(&mut self, dir: &DirPath, name: &[u8]) -> ControlFlow<()> {
        let path = shell_word(&self.run.path(dir, name));
        let reason = format!(
            "is a read-only subvolume (a snapshot). Leave it out with --exclude, or make it writable: \
             btrfs property set -ts {path} ro false"
        );
        self.record_left(ProblemKind::Failed, dir, name, reason)
    }

    /// Whether an inode without ACLs and capability is to be changed.
    fn changes(&self, rule: Rule, stat: &Stat) -> bool {
        let before = Ownership::new(stat.uid, stat.gid, stat.mode, Extra::default());
        let outcome = rule.outcome(&before, self.run.map, self.run.direction);
        matches!(outcome, Mapping::Change(_))
    }

    /// Whether an inode is to be changed, as far as can be told without reading its attributes.
    fn may_change(&self, rule: Rule, looked: &LookupEntry) -> bool {
        let plain = matches!(looked.present, Ok(present) if !present.any());
        !plain || self.changes(rule, &looked.stat)
    }

    /// What one name was found to mean.
    fn visit_name(
        &mut self,
        open: &Dir,
        c_name: &CStr,
        rule: Rule,
        looked: Result<LookupEntry, LookupError>,
        found: &mut Vec<Arc<DirPath>>,
    ) -> ControlFlow<()> {
        let dir = &open.path;
        let name = c_name.to_bytes();
        let looked = match looked {
            Ok(looked) => looked,
            Err(error) if error.errno == Errno::NOENT => {
                self.stats.vanished += 1;
                return ControlFlow::Continue(());
            }
            Err(LookupError { call, errno }) => return self.record_failed(dir, name, call, errno),
        };
        let stat = looked.stat;
        if stat.crosses_mount(dir.dev) {
            let Some(known) = &self.run.known_mounts else {
                self.visit_mount(dir, name);
                return ControlFlow::Continue(());
            };
            if let Err(error) = check_mount(known, open, c_name, &looked) {
                return self.record_left(ProblemKind::Failed, dir, name, error.to_string());
            }
        }
        let links = &self.run.links;
        if stat.is_dir() {
            found.push(dir.met(name, &stat));
        } else if self.all_here.contains(&key(&stat)) {
            if !links.is_first_name(&stat) {
                // Where it was put off by a name that may be gone by then, this one is looked up too.
                links.defer(&stat, dir, name);
                return ControlFlow::Continue(());
            }
        } else if links.guards() && self.may_change(rule, &looked) {
            // That an inode has one name says nothing where it has lost the one it was opened by.
            if stat.nlink > 1 || !looked.kept_name {
                links.defer(&stat, dir, name);
                return ControlFlow::Continue(());
            }
        } else if stat.nlink > 1 && !links.is_first_name(&stat) {
            return ControlFlow::Continue(());
        }
        let met = Candidate {
            name,
            rule,
            looked,
            elsewhere: None,
        };
        self.visit_inode(dir, met)
    }

    fn visit_mount(&mut self, dir: &DirPath, name: &[u8]) {
        let path = self.run.path(dir, name);
        self.sink.mount(&path);
        self.stats.mounts += 1;
        super::report::push_listed(&mut self.stats.mount_paths, path);
    }

    /// An inode on its first name.
    pub(super) fn visit_inode(
        &mut self,
        dir: &Arc<DirPath>,
        met: Candidate<'_>,
    ) -> ControlFlow<()> {
        let Candidate {
            name,
            rule,
            looked,
            elsewhere,
        } = met;
        let LookupEntry {
            stat, present, pin, ..
        } = looked;
        self.stats.seen += 1;
        if self.run.done.contains(&(stat.dev, stat.identity)) {
            self.stats.already += 1;
            return ControlFlow::Continue(());
        }
        let stays = match rule {
            Rule::Keep => true,
            Rule::Set { .. } => !stat.is_dir(),
            _ => false,
        };
        if stays {
            self.stats.already += 1;
            return ControlFlow::Continue(());
        }
        let read = attributes::read_looked(pin.as_ref(), &stat, present);
        let before = match read {
            Ok(before) => before,
            Err(error) => {
                return self.record_left(ProblemKind::Failed, dir, name, error.to_string());
            }
        };
        if self.run.overflow.hide(before.uid, before.gid) {
            let reason = format!(
                "is shown as {}:{}, which stands for every owner that this user namespace does not have \
                 (/proc/self/uid_map). Run idshift on the host, outside of containers",
                before.uid, before.gid
            );
            return self.record_left(ProblemKind::Unmapped, dir, name, reason);
        }
        let after = match rule.outcome(&before, self.run.map, self.run.direction) {
            Mapping::Change(after) => after,
            Mapping::Already => {
                self.stats.already += 1;
                return ControlFlow::Continue(());
            }
            Mapping::Unmapped(unmapped) => {
                return self.record_left(ProblemKind::Unmapped, dir, name, unmapped.to_string());
            }
        };
        if let Some(account) = self.run.account_losing_access(dir.root, &before, &after) {
            let reason = format!("{}; --allow-home shifts it too", Claim::Owner(account));
            return self.record_left(ProblemKind::Failed, dir, name, reason);
        }
        if let Some(names) = elsewhere {
            return self.elsewhere(dir, name, names);
        }
        let held = stat.flags();
        let clears = self.run.walk.clear_flags && flags::can_be_cleared(stat.file_type);
        if !held.is_empty() && !clears {
            let path = self.run.path(dir, name);
            let reason = describe_protection(held, &path);
            return self.record_left(ProblemKind::Protected, dir, name, reason);
        }
        let transition = Transition {
            file_type: stat.file_type,
            change: Change { before, after },
            held,
        };
        let Some(handle) = S::Held::of(pin) else {
            // It was not to be changed when it was looked at.
            return self.record_failed(dir, name, "open", Errno::STALE);
        };
        self.sink.change(
            self.run,
            &mut self.stats,
            dir,
            name,
            handle,
            stat.identity,
            transition,
        )
    }
}

/// Refuses what lies on a mount that came after the run was checked.
fn check_mount(
    known: &KnownMounts,
    dir: &Dir,
    name: &CStr,
    looked: &LookupEntry,
) -> Result<(), MountError> {
    match &looked.pin {
        Some(pin) => known.check(pin),
        None => {
            let io = |errno: Errno| MountError::Unknown(errno.into());
            let pin = PinnedFile::at(dir.as_fd(), name).map_err(io)?;
            let is_it = pin.stat().map_err(io)?.mount_id == looked.stat.mount_id;
            is_it.then_some(()).ok_or_else(|| io(Errno::STALE))?;
            known.check(&pin)
        }
    }
}

/// Subvolumes have device numbers of their own, and no mount of their own (`btrfs-subvolume(8)`).
fn is_read_only_subvolume(dir: &Dir, name: &CStr, stat: &Stat) -> bool {
    let is_subvolume =
        stat.is_dir() && stat.dev != dir.path.dev && !stat.crosses_mount(dir.path.dev);
    let may_write = || rustix::fs::accessat(dir.as_fd(), name, Access::WRITE_OK, AtFlags::empty());
    is_subvolume && may_write() == Err(Errno::ROFS)
}

impl<'a, S: Sink> ShiftVisitor<'a, S> {
    pub(super) fn run(&self) -> &'a RunContext<'a> {
        self.run
    }

    pub(super) fn record_vanished(&mut self) {
        self.stats.vanished += 1;
    }

    /// An inode that would change, and has names outside.
    fn elsewhere(&mut self, dir: &Arc<DirPath>, name: &[u8], names: (u32, u32)) -> ControlFlow<()> {
        if self.run.links.outside() == OutsideLinks::Refused {
            self.run.links.add_linked_outside(LinkedOutside {
                dir: Arc::clone(dir),
                name: name.into(),
                names,
            });
            return ControlFlow::Continue(());
        }
        let word = shell_word(&self.run.path(dir, name));
        let reason = format!("{}. {}", elsewhere(names), elsewhere_help(&word));
        self.record_left(ProblemKind::Failed, dir, name, reason)
    }
}

/// What is the matter with an inode that has names outside.
pub(super) fn elsewhere((there, names): (u32, u32)) -> String {
    format!(
        "has {there} of its {names} names in the tree: whoever uses the others would see another owner"
    )
}

/// What helps.
pub(super) fn elsewhere_help(word: &str) -> String {
    format!(
        "`find DIR -xdev -samefile {word}` finds them below DIR; --allow-outside-links shifts it all the same"
    )
}

impl<S: Sink> Visit for ShiftVisitor<'_, S> {
    type Output = Stats;

    fn root(&mut self, number: usize, root: &Root) -> ControlFlow<(), Enter> {
        let path = DirPath::top(number, root);
        let read = root.pin.try_clone().map_err(|errno| ("dup", errno));
        let read = read.and_then(|pin| match pin.stat() {
            Ok(stat) => Ok((pin, stat)),
            Err(errno) => Err(("statx", errno)),
        });
        let (pin, stat) = match read {
            Ok(read) => read,
            Err((call, errno)) => {
                self.record_failed(&path, b".", call, errno)?;
                return ControlFlow::Continue(Enter::No);
            }
        };
        let links = &self.run.links;
        let is_linked_file = !root.is_dir() && stat.nlink > 1;
        // Another of its names may lie in another of the trees. Where links are guarded it is refused below.
        if is_linked_file && !links.guards() && !links.is_first_name(&stat) {
            return ControlFlow::Continue(Enter::No);
        }
        let looked = LookupEntry {
            stat,
            present: attributes::present(&pin),
            pin: Some(pin),
            kept_name: true,
        };
        let met = Candidate {
            name: b".",
            rule: self.run.policy.root(number),
            looked,
            elsewhere: match root.is_dir() || !self.run.links.guards() {
                true => None,
                false => Some((1, stat.nlink)).filter(|&(met, names)| met < names),
            },
        };
        self.visit_inode(&path, met)?;
        ControlFlow::Continue(match root.is_dir() {
            true => Enter::Yes,
            false => Enter::No,
        })
    }

    fn names(
        &mut self,
        dir: &Dir,
        names: &Names,
        found: &mut Vec<Arc<DirPath>>,
    ) -> ControlFlow<()> {
        self.run.monitor.directory(&dir.path);
        let (seen, changed) = (self.stats.seen, self.stats.changed);
        let all: Vec<&CStr> = names.iter().collect();
        let rule = self.run.policy.all_in(&dir.path);
        for group in all.chunks(self.group) {
            self.visit_group(dir, group, rule, found)?;
        }
        let progress = (self.stats.seen - seen, self.stats.changed - changed);
        self.run.monitor.progress(progress.0, progress.1);
        ControlFlow::Continue(())
    }

    fn unreadable(&mut self, dir: &Arc<DirPath>, errno: Errno) -> ControlFlow<()> {
        match errno {
            Errno::NOENT => {
                self.stats.vanished += 1;
                ControlFlow::Continue(())
            }
            // ENOTDIR, ELOOP: something else has its name now.
            Errno::STALE | Errno::NOTDIR | Errno::LOOP => {
                let reason = "was replaced while the tree was read. Stop what changes the tree";
                self.record_left(ProblemKind::Failed, dir, b".", reason.into())
            }
            _ => self.record_failed(dir, b".", "open directory", errno),
        }
    }

    fn finish(mut self) -> Stats {
        let whole = !self.run.is_cut_short();
        self.sink.finish(self.run, &mut self.stats, whole);
        self.stats
    }
}
