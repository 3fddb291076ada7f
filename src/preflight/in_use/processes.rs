//! The processes there are, and what each of them holds.

use std::cell::OnceCell;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use procfs::process::StatFlags;
use thiserror::Error;

use super::UseKind;
use super::containment::{FileId, Seeker, open_directory, top_above};

/// A process, other than this one and the kernel's threads.
#[derive(Debug)]
pub(super) struct Process {
    /// Its id.
    pub pid: u32,
    /// Its name.
    pub command: String,
    /// The directories below `/proc` of its threads; `/proc/PID` alone when there is but one.
    ///
    /// Working directory, root and mount namespace can differ between threads (`unshare(2)`).
    pub threads: Vec<PathBuf>,
    /// The directories below `/proc` that show its open files and its memory: `/proc/PID`, or, when
    /// the first thread has ended before the others, theirs: an ended one shows nothing.
    tables: Vec<PathBuf>,
}

/// Lists the processes by ascending id.
pub(super) fn all() -> io::Result<Vec<Process>> {
    let own = procfs::process::Process::myself()
        .map_err(io::Error::other)?
        .pid;
    let mut processes: Vec<Process> = procfs::process::all_processes()
        .map_err(io::Error::other)?
        .filter_map(Result::ok)
        .filter(|process| process.pid != own)
        .filter_map(|process| Process::look_at(&process))
        .collect();
    processes.sort_by_key(|process| process.pid);
    Ok(processes)
}

/// `/proc` shows this process, and does not let it read what it says.
#[derive(Debug, Error)]
#[error("/proc/self cannot be read")]
struct SelfUnreadable;

impl Process {
    /// This process.
    pub fn this() -> io::Result<Process> {
        let process = procfs::process::Process::myself().map_err(io::Error::other)?;
        Process::look_at(&process).ok_or_else(|| io::Error::other(SelfUnreadable))
    }

    fn look_at(process: &procfs::process::Process) -> Option<Process> {
        let stat = process.stat().ok()?;
        if StatFlags::from_bits_truncate(stat.flags).contains(StatFlags::PF_KTHREAD) {
            return None;
        }
        let directory = PathBuf::from(format!("/proc/{}", process.pid));
        let threads = match stat.num_threads {
            ..=1 => vec![directory.clone()],
            _ => entries(&directory.join("task")).collect(),
        };
        let tables = match stat.state {
            'Z' | 'X' => threads.clone(),
            _ => vec![directory],
        };
        Some(Process {
            pid: u32::try_from(process.pid).ok()?,
            command: stat.comm,
            threads,
            tables,
        })
    }

    /// The container it runs in: the first twelve digits of its id.
    pub fn container(&self) -> Option<String> {
        let process = procfs::process::Process::new(self.pid.try_into().ok()?).ok()?;
        let groups = process.cgroups().ok()?;
        groups
            .into_iter()
            .find_map(|group| container_of(&group.pathname))
    }

    /// Whether it runs the same program as `this` process and sees the same files: then the two meet at
    /// the same lock.
    pub fn is_another(&self, this: &Process) -> bool {
        let key = |process: &Process| {
            let thread = process.threads.first()?;
            let program = FileId::of(&thread.join("exe")).ok()?;
            Some((program.dev, program.ino, view_key(thread)?))
        };
        let of_this = key(this);
        of_this.is_some() && key(self) == of_this
    }

    /// Reports what it holds of the trees, the first of each kind.
    pub fn holdings(&self, seeker: &mut Seeker, mut report: impl FnMut(UseKind, PathBuf)) {
        for thread in &self.threads {
            let view = View::of(thread);
            for (link, how) in [("cwd", UseKind::WorkingDirectory), ("root", UseKind::Root)] {
                if let Some(path) = view.holds(seeker, &thread.join(link)) {
                    report(how, path);
                }
            }
        }
        for table in &self.tables {
            let view = View::of(table);
            if let Some(path) = view.holds(seeker, &table.join("exe")) {
                report(UseKind::Executable, path);
            }
            for (links, how) in [
                ("fd", UseKind::OpenFile),
                ("map_files", UseKind::MappedFile),
            ] {
                let first = entries(&table.join(links)).find_map(|link| view.holds(seeker, &link));
                if let Some(path) = first {
                    report(how, path);
                }
            }
        }
    }
}

/// The entries of a directory of `/proc`; none when it is gone or closed to us.
fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .map(|entry| entry.path())
}

/// The files as one thread sees them.
struct View<'a> {
    thread: &'a Path,
    top: OnceCell<Option<OwnedFd>>,
}

impl View<'_> {
    fn of(thread: &Path) -> View<'_> {
        let top = OnceCell::new();
        View { thread, top }
    }

    /// The top of its mount namespace: where the paths begin that `/proc`'s links show. That is not
    /// its own root where it lives in a `chroot(2)`. Only opened when a path has to be looked up.
    fn top(&self) -> Option<OwnedFd> {
        let open = || top_above(open_directory(&self.thread.join("root")).ok()?).ok();
        self.top.get_or_init(open).as_ref()?.try_clone().ok()
    }

    fn holds(&self, seeker: &mut Seeker, link: &Path) -> Option<PathBuf> {
        seeker.holds_link(link, || self.top())
    }
}

/// Whose view of the files a thread shares.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ViewKey {
    /// Its mount namespace (`namespaces(7)`: an inode number tells one from another).
    pub namespace: u64,
    root: FileId,
}

/// The key of a thread's view; `None` when it has ended or is closed to us.
pub(super) fn view_key(thread: &Path) -> Option<ViewKey> {
    let namespace = FileId::of(&thread.join("ns/mnt")).ok()?.ino;
    let root = FileId::of(&thread.join("root")).ok()?;
    Some(ViewKey { namespace, root })
}

/// The container id in a control group's path, as Docker, containerd, CRI-O and Podman write it:
/// 64 hexadecimal digits, alone (`/docker/ID`) or as the end of a scope (`docker-ID.scope`).
fn container_of(group: &str) -> Option<String> {
    group.split('/').rev().find_map(|component| {
        let name = component.strip_suffix(".scope").unwrap_or(component);
        let id = name.rsplit(['-', ':']).next()?;
        let is_id = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_id.then(|| id[..12].to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::container_of;

    #[test]
    fn a_container_is_known_by_its_control_group() {
        let id = "0123456789ab".to_owned() + &"c".repeat(52);
        for group in [
            format!("/docker/{id}"),
            format!("/system.slice/docker-{id}.scope"),
            format!("/kubepods.slice/pod1.slice/cri-containerd-{id}.scope"),
            format!("/kubepods-pod1.slice:cri-containerd:{id}"),
            format!("/machine.slice/libpod-{id}.scope/container"),
        ] {
            assert_eq!(
                container_of(&group).as_deref(),
                Some("0123456789ab"),
                "{group}"
            );
        }
    }

    #[test]
    fn what_is_no_container_has_no_name() {
        for group in [
            "/",
            "/user.slice/session-1.scope",
            "/docker/0123456789ab",
            "",
        ] {
            assert_eq!(container_of(group), None, "{group}");
        }
    }
}
