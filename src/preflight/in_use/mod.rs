//! Who is using a tree while its owners are about to change.
//!
//! - `processes`: the processes there are, and what each of them holds
//! - `mount_users`: every mount in every mount namespace, and which of them show part of a tree
//! - `overlay`: the directories that an overlay mount is made of
//! - `kernel`: files that the kernel itself has open
//! - `holders`: who may keep a file where nothing shows it
//! - `containment`: whether an inode lies in a tree
//!
//! Nothing is decided by comparing path names alone. A process's file is looked at through
//! `/proc/PID/fd/N`, which leads to the inode whatever its name (`proc(5)`); an inode is in a tree
//! when walking up from its directory reaches the tree's device and inode number, or when it was
//! reached through a mount whose root lies in the tree.

mod containment;
pub mod holders;
mod kernel;
mod message;
mod mount_users;
mod overlay;
mod processes;

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::path::PathBuf;

use containment::Seeker;
pub use message::{container_name, remedy, remedy_of_service, users};
pub use mount_users::{IDMAPPED_CONTENT, IDMAPPED_ROOT};
use mount_users::{MountUse, TreeMount};
use processes::Process;

use crate::fs::escape::shell_word;
use crate::fs::mountinfo::Mount;

/// One way in which one process uses a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// The process; 0 where it is the kernel itself.
    pub pid: u32,
    /// Its name, as `ps -o comm` shows it, or that of a loop device.
    pub command: String,
    /// In what way.
    pub how: UseKind,
    /// The first path found, as the process's own mount namespace names it.
    pub path: PathBuf,
    /// The first twelve digits of the id of the container it runs in.
    pub container: Option<String>,
    /// The command that ends the use, if no process has to be stopped for it.
    pub release: Option<Release>,
}

/// A command that ends a use of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Release {
    /// A mount of our own mount namespace.
    Unmount(PathBuf),
    /// An idmapped mount of our own mount namespace.
    UnmountIdmapped(PathBuf),
    /// A mount in the mount namespace of this process.
    UnmountIn(u32, PathBuf),
    /// A swap file.
    SwapOff(PathBuf),
    /// A loop device that is not mounted.
    DetachLoop(PathBuf),
}

impl Release {
    /// A mount of our own mount namespace is taken down.
    pub fn is_our_mount(&self) -> bool {
        matches!(self, Release::Unmount(_) | Release::UnmountIdmapped(_))
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Release::Unmount(point) => write!(f, "umount {}", shell_word(point)),
            Release::UnmountIdmapped(point) => {
                write!(f, "idshift umount {}", shell_word(point))
            }
            Release::UnmountIn(pid, point) => {
                write!(f, "nsenter -t {pid} -m umount {}", shell_word(point))
            }
            Release::SwapOff(file) => write!(f, "swapoff {}", shell_word(file)),
            Release::DetachLoop(device) => write!(f, "losetup -d {}", shell_word(device)),
        }
    }
}

/// In what way a process uses a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UseKind {
    /// It has a file or directory of the tree open.
    OpenFile,
    /// Its working directory is in the tree.
    WorkingDirectory,
    /// Its root directory is in the tree.
    Root,
    /// It runs a program of the tree.
    Executable,
    /// It has a file of the tree mapped into memory.
    MappedFile,
    /// Its mount namespace has a mount made from the tree or from something inside: a bind mount,
    /// or an overlay with a layer there. The process is the namespace's first.
    MountPoint,
    /// The kernel swaps to it.
    SwapFile,
    /// A loop device has its blocks there.
    BackingFile,
}

impl fmt::Display for UseKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UseKind::OpenFile => "open file",
            UseKind::WorkingDirectory => "working directory",
            UseKind::Root => "root directory",
            UseKind::Executable => "program",
            UseKind::MappedFile => "mapped file",
            UseKind::MountPoint => "mount",
            UseKind::SwapFile => "swap file",
            UseKind::BackingFile => "backing file",
        })
    }
}

/// A tree to ask about: a directory, or a single file.
#[derive(Clone, Debug)]
pub struct TreeInUse {
    /// Where it is.
    pub path: PathBuf,
    /// `st_dev` of its top.
    pub dev: u64,
    /// Inode number of its top.
    pub ino: u64,
}

/// Finds the processes that use any of the trees, at most one [`Use`] for each process and [`UseKind`], mounts, each by
/// itself, and what the kernel has open; by process id.
///
/// This process, its threads and the kernel's threads are left out. So is what other processes of
/// this program hold, where they see the same files: who of them may change a tree, a lock decides
/// ([`RunLock`](crate::journal::run_lock::RunLock)), and two runs that took each other for users would
/// both go away. So is what cannot be seen: a process that ends meanwhile, or that this user may not
/// look at. Only root gets the whole answer, and nothing holds the answer still: a process can start
/// the moment after.
///
/// It is an error when a path no longer leads to its tree, when `/proc` is not mounted, and on
/// kernels that do not tell an inode's mount (before Linux 5.8).
pub fn users_of(trees: &[TreeInUse]) -> io::Result<Vec<Use>> {
    if trees.is_empty() {
        return Ok(Vec::new());
    }
    let own_mounts = mount_users::of_this_thread()?;
    let homes = trees
        .iter()
        .map(|tree| TreeMount::find(tree, &own_mounts))
        .collect::<io::Result<Vec<_>>>()?;
    let mut seeker = Seeker::new(trees.iter().map(|tree| (tree.dev, tree.ino)));
    let kernel_files = kernel::files(&own_mounts);
    let processes = processes::all()?;
    let this = Process::this()?;

    let mut found = Users::default();
    for one in mount_users::uses(&homes, own_mounts, &this, &processes, &mut seeker) {
        found.add_mount(&one);
    }
    let of_kernel = kernel_files
        .into_iter()
        .filter(|file| seeker.holds_path(&file.path));
    found.uses.extend(of_kernel.map(|file| Use {
        pid: 0,
        command: file.user,
        how: file.how,
        path: file.path,
        container: None,
        release: Some(file.release),
    }));
    for process in others(&processes, &this) {
        process.holdings(&mut seeker, |how, path| found.add(process, how, path));
    }
    // Who ends takes most mounts along: processes first.
    found.uses.sort_by_key(|one| {
        (
            one.release.as_ref().is_some_and(Release::is_our_mount),
            one.pid,
        )
    });
    Ok(found.uses)
}

/// Finds the processes that use what is seen through an idmapped mount of our mount namespace: what they opened through it,
/// or through a bind mount of it in another namespace, and those bind mounts. Who uses the same files by another way is
/// no user of it.
///
/// # Errors
/// As of [`users_of`].
pub fn users_of_idmapped(mount: &Mount) -> io::Result<Vec<Use>> {
    let mut seeker = Seeker::new([]);
    let own_mounts = mount_users::of_this_thread()?;
    let processes = processes::all()?;
    let this = Process::this()?;
    let mut found = Users::default();
    for one in mount_users::uses_of_idmapped(mount, own_mounts, &this, &processes, &mut seeker) {
        found.add_mount(&one);
    }
    for process in others(&processes, &this) {
        process.holdings(&mut seeker, |how, path| found.add(process, how, path));
    }
    found.uses.sort_by_key(|one| one.pid);
    Ok(found.uses)
}

/// Those that are not this program, as far as it sees the same files.
fn others<'p>(processes: &'p [Process], this: &'p Process) -> impl Iterator<Item = &'p Process> {
    processes.iter().filter(|one| !one.is_another(this))
}

/// What was found so far: the first path for each process and way.
#[derive(Default)]
struct Users {
    uses: Vec<Use>,
    known: HashSet<(u32, UseKind)>,
}

impl Users {
    /// Each mount has to be taken down by itself, but for those that go with a container.
    fn add_mount(&mut self, mount: &MountUse<'_>) {
        let (process, point) = (mount.process, mount.point.clone());
        if !mount.is_ours && process.container().is_some() {
            return self.add(process, UseKind::MountPoint, point);
        }
        self.uses.push(Use {
            pid: process.pid,
            command: process.command.clone(),
            how: UseKind::MountPoint,
            path: point.clone(),
            container: None,
            release: Some(match (mount.is_ours, mount.idmapped) {
                (true, false) => Release::Unmount(point),
                (true, true) => Release::UnmountIdmapped(point),
                (false, _) => Release::UnmountIn(process.pid, point),
            }),
        });
    }

    fn add(&mut self, process: &Process, how: UseKind, path: PathBuf) {
        if self.known.insert((process.pid, how)) {
            self.uses.push(Use {
                pid: process.pid,
                command: process.command.clone(),
                how,
                path,
                container: process.container(),
                release: None,
            });
        }
    }
}
