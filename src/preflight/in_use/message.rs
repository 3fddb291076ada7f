//! Who uses a tree, and what ends that, for people.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::Use;
use crate::fs::escape::{escaped, one_line};
use crate::guidance::Guidance;

/// Users that are named.
const NAMED: usize = 10;

/// The users of a tree: each process once, with the first thing that it uses.
pub fn users(tree: &Path, uses: &[Use]) -> String {
    let mut text = format!("{}: is in use", escaped(tree));
    let mut by_user: Vec<(&Use, usize)> = Vec::new();
    for one in uses {
        let known = by_user.iter_mut().find(|(it, _)| is_same_user(it, one));
        match known {
            Some((_, more)) => *more += 1,
            None => by_user.push((one, 0)),
        }
    }
    for (n, (one, more)) in by_user.iter().enumerate().take(NAMED) {
        text += if n == 0 { " by " } else { "\n  and by " };
        text += &user(tree, one);
        if *more > 0 {
            text += &format!(", and {more} more");
        }
    }
    if by_user.len() > NAMED {
        text += &format!("\n  and by {} more", by_user.len() - NAMED);
    }
    text
}

/// Whether both are uses by one process. What is mounted, or is the kernel's, is told one by one.
fn is_same_user(a: &Use, b: &Use) -> bool {
    a.pid != 0 && a.pid == b.pid && a.release.is_none() && b.release.is_none()
}

fn user(tree: &Path, one: &Use) -> String {
    let command = one_line(&one.command);
    // As the process knows it: in a container that is another path.
    let path = escaped(&one.path);
    let who = match (&one.release, &one.container) {
        (Some(release), _) if release.is_our_mount() && one.pid != 0 => {
            return format!("what is mounted at {path}");
        }
        (_, Some(id)) => {
            let name = container_name(tree, id).unwrap_or_else(|| id.clone());
            format!(
                "process {} ({command}) in container {}",
                one.pid,
                one_line(&name)
            )
        }
        (_, None) if one.pid == 0 => command,
        (_, None) => format!("process {} ({command})", one.pid),
    };
    format!("{who}: {} {path}", one.how)
}

/// What ends the uses of any tree.
pub fn remedy(tree: &Path, uses: &[Use]) -> String {
    let mut commands = Commands::of(tree, uses);
    if !commands.containers.is_empty() {
        let names = commands.containers.join(" ");
        commands.first.push(format!("`docker stop {names}`"));
    }
    let end = format!("or {}", Guidance::AllowInUse);
    match commands.joined() {
        None => format!("Stop what uses the tree, {end}"),
        Some(commands) if uses.iter().all(is_ended_by_command) => {
            format!("Run {commands}, {end}")
        }
        Some(commands) => format!("Stop what uses the tree, {end}; {commands} stops a part of it"),
    }
}

fn is_ended_by_command(one: &Use) -> bool {
    one.release.is_some() || one.container.is_some()
}

/// What ends the uses of a daemon's directory.
pub fn remedy_of_service(tree: &Path, uses: &[Use]) -> String {
    let daemon = uses.iter().find(|one| one.command == "dockerd");
    let mut commands = Commands::of(tree, uses);
    let names = commands.containers.join(" ");
    if let Some(daemon) = daemon {
        // It takes down its mounts itself.
        let mut text = format!("Stop the daemon: `{}`", stop_daemon(daemon, uses));
        if !names.is_empty() {
            text = format!(
                "Stop the containers, `docker stop {names}`, then the daemon: `{}`",
                stop_daemon(daemon, uses)
            );
        }
        return text;
    }
    if !names.is_empty() {
        return match Path::new("/run/systemd/system").exists() {
            true => format!(
                "These containers run without their daemon (live-restore). Stop them: \
                 `systemctl start docker && docker stop {names} && systemctl stop docker.socket docker`"
            ),
            false => format!(
                "These containers run without their daemon (live-restore). Start it, `docker stop {names}`, \
                and stop it"
            ),
        };
    }
    let has_service = uses.iter().any(is_containerd_service);
    if has_service {
        // Killed, it is started again.
        commands.first.push("`systemctl stop containerd`".into());
    }
    let others = uses.iter().filter(|one| !is_ended_by_command(one));
    let others = others.filter(|one| !is_containerd_service(one));
    let pids: BTreeSet<String> = others.map(|one| one.pid.to_string()).collect();
    if !pids.is_empty() {
        let pids: Vec<String> = pids.into_iter().collect();
        commands.first.push(format!("`kill {}`", pids.join(" ")));
    }
    let commands = commands.joined().unwrap_or_default();
    format!("No daemon runs on it, but other processes use it. End them first: {commands}")
}

/// How the daemon that runs on this host is stopped.
fn stop_daemon(daemon: &Use, uses: &[Use]) -> String {
    let groups = control_groups(daemon);
    if groups.contains("snap.docker.") {
        "snap stop docker".into()
    } else if is_in_service(daemon, "docker") {
        match uses.iter().any(is_containerd_service) {
            true => "systemctl stop docker.socket docker containerd".into(),
            false => "systemctl stop docker.socket docker".into(),
        }
    } else {
        format!("kill {}", daemon.pid)
    }
}

fn control_groups(one: &Use) -> String {
    std::fs::read_to_string(format!("/proc/{}/cgroup", one.pid)).unwrap_or_default()
}

fn is_in_service(one: &Use, service: &str) -> bool {
    let end = format!("/{service}.service");
    control_groups(one).lines().any(|line| line.ends_with(&end))
}

/// Whether it is a containerd that systemd started, and not dockerd.
fn is_containerd_service(one: &Use) -> bool {
    one.command == "containerd" && is_in_service(one, "containerd")
}

/// Commands that end uses, and containers that have to be stopped.
struct Commands {
    first: Vec<String>,
    containers: Vec<String>,
}

impl Commands {
    fn of(tree: &Path, uses: &[Use]) -> Commands {
        // What is mounted last is taken down first.
        let releases = uses.iter().rev().filter_map(|one| one.release.as_ref());
        let mut known = BTreeSet::new();
        let commands = releases.map(|release| format!("`{release}`"));
        let first = commands
            .filter(|command| known.insert(command.clone()))
            .take(NAMED)
            .collect();
        let ids: BTreeSet<&String> = uses
            .iter()
            .filter_map(|one| one.container.as_ref())
            .collect();
        let name = |id: &String| container_name(tree, id).unwrap_or_else(|| id.clone());
        let mut containers: Vec<String> = ids.into_iter().map(name).collect();
        containers.sort();
        Commands { first, containers }
    }

    fn joined(&self) -> Option<String> {
        (!self.first.is_empty()).then(|| self.first.join(", "))
    }
}

/// The name of a container, by the beginning of its id: in the tree, where that is a data-root, in that of a daemon
/// that runs, or in the usual one.
pub fn container_name(tree: &Path, id: &str) -> Option<String> {
    let roots = [tree.to_path_buf()].into_iter().chain(data_roots());
    let usual = PathBuf::from("/var/lib/docker");
    roots.chain([usual]).find_map(|root| {
        let remapped = std::fs::read_dir(&root).into_iter().flatten().flatten();
        let remapped = remapped.map(|entry| entry.path()).filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(|first: char| first.is_ascii_digit()) && name.contains('.')
        });
        [root.clone()]
            .into_iter()
            .chain(remapped)
            .find_map(|root| name_in(&root, id))
    })
}

fn name_in(root: &Path, id: &str) -> Option<String> {
    let containers = std::fs::read_dir(root.join("containers")).ok()?;
    let is_it = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with(id);
    let mut found = containers
        .flatten()
        .filter(|entry| is_it(&entry.file_name()));
    let config = std::fs::read(found.next()?.path().join("config.v2.json")).ok()?;
    let config: serde_json::Value = serde_json::from_slice(&config).ok()?;
    Some(config["Name"].as_str()?.trim_start_matches('/').to_string())
}

/// The data-roots on the command lines of daemons that run.
fn data_roots() -> Vec<PathBuf> {
    let processes = procfs::process::all_processes()
        .into_iter()
        .flatten()
        .flatten();
    let lines = processes.filter_map(|process| {
        let is_daemon = process.stat().is_ok_and(|stat| stat.comm == "dockerd");
        is_daemon.then(|| process.cmdline().ok())?
    });
    lines.filter_map(|line| data_root_of(&line)).collect()
}

fn data_root_of(line: &[String]) -> Option<PathBuf> {
    let options = ["--data-root", "--graph", "-g"];
    line.iter().enumerate().find_map(|(n, word)| {
        options.iter().find_map(|option| {
            let value = word.strip_prefix(option)?;
            match value.strip_prefix('=') {
                Some(value) => Some(PathBuf::from(value)),
                None if value.is_empty() => line.get(n + 1).map(PathBuf::from),
                None => None,
            }
        })
    })
}

#[cfg(test)]
mod tests;
