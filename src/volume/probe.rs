//! A child process in a user namespace that tries, as a container's user, what can be done with a
//! directory or file that is already open: the way a runtime hands a bind mount over.

use std::ffi::CString;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid};
use rustix::fs::Access;
use serde::{Deserialize, Serialize};

use super::VolumeError;
use super::user::ContainerUser;
use crate::fs::Pin;
use crate::fs::tries::{self, Tried};
use crate::idmap::{IdMap, RangeMap};
use crate::record::Name;

/// The hidden subcommand that is the child.
pub const SUBCOMMAND: &str = "probe";

/// What the child is to try with the handle on its standard input.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Question {
    /// As whom.
    pub user: ContainerUser,
    /// What.
    pub what: What,
}

/// What is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// To go through a directory.
    Search,
    /// To go through it and list it, or read it; whether it could be written is asked, nothing is made.
    Look,
    /// All that a container does with a volume.
    Use {
        /// Also to write.
        write: bool,
        /// How many levels of entries below are looked at; `None` for all.
        depth: Option<usize>,
    },
}

/// One line of the child's answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Something tried with the handle itself.
    Tried(Tried),
    /// An entry below that the user cannot use, by its path from there.
    Unusable {
        /// The path.
        path: Name,
        /// What is missing: `r`, `w`, `x` of them.
        lacks: String,
    },
    /// How many entries were looked at.
    Looked(u64),
    /// The child could not do as it was told.
    Failed(String),
}

/// The two names a probe file has, one after the other. Told by the parent's process id, so that
/// the parent can remove what a killed child left.
fn probe_names(parent: u32) -> [CString; 2] {
    // No name that is made of digits and these letters holds a NUL.
    ["a", "b"]
        .map(|part| CString::new(format!(".idshift-probe-{parent}-{part}")).unwrap_or_default())
}

/// Asks what a container's user can do with a pinned inode, under this map.
///
/// # Errors
/// The child could not be started, or made a user of the namespace.
pub fn ask(
    pin: &Pin,
    question: &Question,
    map: &IdMap,
    mut each: impl FnMut(Answer),
) -> Result<(), VolumeError> {
    let failed = |what: &str, error: io::Error| VolumeError::Probe(format!("{what}: {error}"));
    let handle: OwnedFd = pin
        .as_fd()
        .try_clone_to_owned()
        .map_err(|error| failed("dup", error))?;
    let json = serde_json::to_string(question).map_err(|error| failed("json", error.into()))?;
    let mut child = Command::new("/proc/self/exe")
        .arg(SUBCOMMAND)
        .arg(json)
        .arg(std::process::id().to_string())
        .stdin(Stdio::from(handle))
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| failed("/proc/self/exe", error))?;
    let stdout = child.stdout.take();
    let told = stdout.map_or(Ok(()), |stdout| {
        let mut lines = BufReader::new(stdout).lines();
        // Its first line says that it is in its namespace, whose map only its parent may write.
        match lines.next() {
            Some(Ok(line)) if line == READY => write_maps(child.id(), map)
                .map_err(|error| failed("the map of its user namespace", error))?,
            Some(Ok(line)) => return Err(VolumeError::Probe(line)),
            _ => return Err(VolumeError::Probe("ended before it began".into())),
        }
        for line in lines {
            let line = line.map_err(|error| failed("its answer", error))?;
            match serde_json::from_str(&line) {
                Ok(Answer::Failed(why)) => return Err(VolumeError::Probe(why)),
                Ok(answer) => each(answer),
                Err(_) => return Err(VolumeError::Probe(line)),
            }
        }
        Ok(())
    });
    if told.is_err() {
        let _ = child.kill();
    }
    let status = child.wait().map_err(|error| failed("wait", error))?;
    if matches!(question.what, What::Use { write: true, .. }) && !status.success() {
        let [a, b] = probe_names(std::process::id());
        tries::remove_probe(pin.as_fd(), &[&a, &b]);
    }
    told?;
    match status.success() {
        true => Ok(()),
        false => Err(VolumeError::Probe(status.to_string())),
    }
}

const READY: &str = "ready";

/// As a runtime writes them (`user_namespaces(7)`, "defining user and group ID mappings").
fn write_maps(pid: u32, map: &IdMap) -> io::Result<()> {
    let lines = |ranges: &RangeMap| {
        let line = |range: &crate::idmap::Range| {
            let (container, host, size) = (range.container(), range.host(), range.size());
            format!("{container} {host} {size}\n")
        };
        ranges.ranges().iter().map(line).collect::<String>()
    };
    std::fs::write(format!("/proc/{pid}/uid_map"), lines(&map.uids))?;
    // Last: the child waits for it.
    std::fs::write(format!("/proc/{pid}/gid_map"), lines(&map.gids))
}

/// The child: becomes the user, tries, and prints an answer a line.
pub fn answer(question: &str, parent: u32, out: &mut impl Write) {
    if let Err(why) = try_all(question, parent, out) {
        let _ = say(out, &Answer::Failed(why));
    }
}

fn try_all(question: &str, parent: u32, out: &mut impl Write) -> Result<(), String> {
    let question: Question = serde_json::from_str(question).map_err(|error| error.to_string())?;
    become_user(&question.user, out)?;
    let stdin = io::stdin();
    let handle = stdin.as_fd();
    let mut say = |answer: Answer| say(out, &answer).map_err(|error| error.to_string());
    let (write, depth) = match question.what {
        What::Search => return say(Answer::Tried(tries::search(handle))),
        What::Look => return look(handle, &mut say),
        What::Use { write, depth } => (write, depth),
    };
    let stat = crate::fs::stat::stat(handle).map_err(|errno| errno.to_string())?;
    if !stat.is_dir() {
        for tried in tries::file(handle, write) {
            say(Answer::Tried(tried))?;
        }
        return Ok(());
    }
    let [a, b] = probe_names(parent);
    let probe = [a.as_c_str(), b.as_c_str()];
    let tried = tries::directory(handle, write.then_some(&probe));
    for &one in &tried {
        say(Answer::Tried(one))?;
    }
    // Where it cannot even be entered and listed there is nothing more to say.
    let open = tried[0].works() && tried[1].works();
    if open && depth != Some(0) && rustix::process::fchdir(handle).is_ok() {
        look_below(question.user.uid, write, depth, &mut say)?;
    }
    Ok(())
}

/// What can be said without making anything.
fn look(
    handle: BorrowedFd<'_>,
    say: &mut impl FnMut(Answer) -> Result<(), String>,
) -> Result<(), String> {
    let stat = crate::fs::stat::stat(handle).map_err(|errno| errno.to_string())?;
    let tried = match stat.is_dir() {
        true => tries::directory_unchanged(handle),
        false => tries::file(handle, true),
    };
    tried
        .into_iter()
        .try_for_each(|one| say(Answer::Tried(one)))
}

fn say(out: &mut impl Write, answer: &Answer) -> io::Result<()> {
    let line = serde_json::to_string(answer)?;
    writeln!(out, "{line}")?;
    out.flush()
}

fn become_user(user: &ContainerUser, out: &mut impl Write) -> Result<(), String> {
    let failed = |what: &'static str| move |errno: nix::Error| format!("{what}: {errno}");
    unshare(CloneFlags::CLONE_NEWUSER).map_err(failed(
        "unshare(CLONE_NEWUSER); is user.max_user_namespaces 0?",
    ))?;
    writeln!(out, "{READY}")
        .and_then(|()| out.flush())
        .map_err(|error| error.to_string())?;
    let start = Instant::now();
    while std::fs::read_to_string("/proc/self/gid_map").is_ok_and(|map| map.trim().is_empty()) {
        if start.elapsed() > Duration::from_secs(10) {
            return Err("nobody wrote the map of the user namespace".into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    let groups: Vec<Gid> = user.groups.iter().copied().map(Gid::from_raw).collect();
    nix::unistd::setgroups(&groups).map_err(failed("setgroups"))?;
    nix::unistd::setresgid(gid, gid, gid).map_err(failed("setresgid"))?;
    // By way of the namespace's root: only who leaves that loses its capabilities
    // (`capabilities(7)`, "effect of user ID changes on capabilities").
    let root = Uid::from_raw(0);
    nix::unistd::setresuid(root, root, root).map_err(failed("setresuid"))?;
    nix::unistd::setresuid(uid, uid, uid).map_err(failed("setresuid"))
}

/// Asks the kernel about every entry below the working directory. What belongs to the user is its
/// own affair: it can give itself what the mode lacks.
fn look_below(
    uid: u32,
    write: bool,
    depth: Option<usize>,
    say: &mut impl FnMut(Answer) -> Result<(), String>,
) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt;
    let mut looked = 0;
    let mut walk = walkdir::WalkDir::new(".").min_depth(1);
    if let Some(depth) = depth {
        walk = walk.max_depth(depth);
    }
    for entry in walk {
        // A directory that cannot be read was met before, as an entry.
        let Ok(entry) = entry else { continue };
        let (Ok(found), kind) = (entry.metadata(), entry.file_type()) else {
            continue;
        };
        looked += 1;
        if kind.is_symlink() || found.uid() == uid {
            continue;
        }
        let mut wanted = vec![(Access::READ_OK, 'r')];
        if write {
            wanted.push((Access::WRITE_OK, 'w'));
        }
        if kind.is_dir() {
            wanted.push((Access::EXEC_OK, 'x'));
        }
        let path = entry.path().strip_prefix(".").unwrap_or(entry.path());
        let lacks: String = wanted
            .into_iter()
            .filter(|&(access, _)| !may(path, access))
            .map(|(_, letter)| letter)
            .collect();
        if !lacks.is_empty() {
            let path = Name::from(path);
            say(Answer::Unusable { path, lacks })?;
        }
    }
    say(Answer::Looked(looked))
}

fn may(path: &Path, access: Access) -> bool {
    let flags = rustix::fs::AtFlags::EACCESS | rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::accessat(rustix::fs::CWD, path, access, flags).is_ok()
}
