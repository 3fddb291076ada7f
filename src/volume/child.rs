//! The child's side of [`probe`](super::probe): becomes a container's user and tries.

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Gid, Uid, getppid};

use super::entries;
use super::probe::{Answer, ProbeFailure, ProbeFile, Question, READY, What};
use super::user::ContainerUser;
use crate::fs::access_probe::{self, AccessResult};
use crate::fs::process::raise_descriptor_limit;

/// Becomes the user, makes the tests, and prints one answer per line.
pub fn answer(question: &str, out: &mut impl Write) {
    if let Err(failure) = try_all(question, out) {
        let _ = say(out, &Answer::Failed(failure.to_string()));
    }
}

fn try_all(question: &str, out: &mut impl Write) -> Result<(), ProbeFailure> {
    let question: Question = serde_json::from_str(question)?;
    let parent = getppid();
    become_user(&question.user, out)?;
    let stdin = io::stdin();
    let handle = stdin.as_fd();
    let mut say = |answer: Answer| say(out, &answer);
    let (probe, depth) = match question.what {
        What::Search => {
            let tried = access_probe::search(handle);
            return say(Answer::Tried(tried)).map_err(ProbeFailure::Answer);
        }
        What::Look => return look(handle, &mut say),
        What::Use { probe, depth } => (probe, depth),
    };
    let stat = crate::fs::stat::stat(handle).map_err(ProbeFailure::Handle)?;
    if !stat.is_dir() {
        return access_probe::file(handle, stat.file_type, probe.is_some())
            .into_iter()
            .try_for_each(|tried| say(Answer::Tried(tried)))
            .map_err(ProbeFailure::Answer);
    }
    let tried = try_directory(handle, probe.as_ref());
    // From here on there is nothing to be removed, and nobody to talk to without the parent.
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(failed("prctl"))?;
    if getppid() != parent {
        return Ok(());
    }
    for &one in &tried {
        say(Answer::Tried(one)).map_err(ProbeFailure::Answer)?;
    }
    // Where it cannot even be entered and listed there is nothing more to say.
    let open = tried[0].works() && tried[1].works();
    if open && depth != Some(0) {
        let _ = raise_descriptor_limit();
        entries::look_below(handle, question.user.uid, probe.is_some(), depth, &mut say)?;
    }
    Ok(())
}

/// Signals are blocked until the probe file is removed. After a SIGKILL, the parent removes it, or
/// the next check.
fn try_directory(handle: BorrowedFd<'_>, probe: Option<&ProbeFile>) -> Vec<AccessResult> {
    let names = probe.map(ProbeFile::names);
    let names = names.as_ref().map(|[a, b]| [a.as_c_str(), b.as_c_str()]);
    let before = SigSet::thread_get_mask();
    let blocked = SigSet::all().thread_block();
    let tried = access_probe::directory(handle, names.as_ref());
    if let (Ok(before), Ok(())) = (before, blocked) {
        let _ = before.thread_set_mask();
    }
    tried
}

/// The tests that create nothing.
fn look(
    handle: BorrowedFd<'_>,
    say: &mut impl FnMut(Answer) -> io::Result<()>,
) -> Result<(), ProbeFailure> {
    let stat = crate::fs::stat::stat(handle).map_err(ProbeFailure::Handle)?;
    let tried = match stat.is_dir() {
        true => access_probe::directory_unchanged(handle),
        false => access_probe::file(handle, stat.file_type, true),
    };
    tried
        .into_iter()
        .try_for_each(|one| say(Answer::Tried(one)))
        .map_err(ProbeFailure::Answer)
}

fn say(out: &mut impl Write, answer: &Answer) -> io::Result<()> {
    let line = serde_json::to_string(answer)?;
    writeln!(out, "{line}")?;
    out.flush()
}

fn failed(call: &'static str) -> impl Fn(nix::Error) -> ProbeFailure {
    move |errno| ProbeFailure::Call { call, errno }
}

fn become_user(user: &ContainerUser, out: &mut impl Write) -> Result<(), ProbeFailure> {
    unshare(CloneFlags::CLONE_NEWUSER).map_err(failed(
        "unshare(CLONE_NEWUSER); is user.max_user_namespaces 0?",
    ))?;
    writeln!(out, "{READY}")
        .and_then(|()| out.flush())
        .map_err(ProbeFailure::Answer)?;
    let start = Instant::now();
    while std::fs::read_to_string("/proc/self/gid_map").is_ok_and(|map| map.trim().is_empty()) {
        if start.elapsed() > Duration::from_secs(10) {
            return Err(ProbeFailure::NoMap);
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
