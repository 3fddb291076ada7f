//! `idshift docker audit`

use console::style;

use super::super::args::AuditArgs;
use super::super::exit::{Exit, Failure};
use super::super::findings;
use super::super::shift::jobs;
use super::super::signals;
use super::super::terminal::Terminal;
use super::super::text::{bytes, columns, count, inodes, one_line, path, say};
use super::refused;
use crate::docker::audit::bind_mounts::BindMount;
use crate::docker::audit::{Audit, audit};
use crate::docker::daemon_json::DaemonJson;
use crate::docker::data_root;
use crate::host::Level;

/// Runs it.
pub fn run(args: &AuditArgs) -> Result<Exit, Failure> {
    let daemon_json = DaemonJson::read(&args.daemon.daemon_json).map_err(refused)?;
    let data_root = data_root::find(args.daemon.data_root.as_deref(), &daemon_json);
    let remap_to = daemon_json.remap_to(args.daemon.userns_remap.as_deref());
    let (monitor, stop) = (Terminal::new(args.json), signals::stop_on_signals());
    let found = audit(&data_root, &remap_to, jobs(args.jobs), &monitor, &stop);
    monitor.clear();
    if stop.is_asked() {
        return Ok(Exit::Interrupted);
    }
    let found = found.map_err(refused)?;
    match args.json {
        true => {
            let mut value = serde_json::to_value(&found).map_err(Failure::refused)?;
            value["verdict"] = serde_json::to_value(found.verdict()).map_err(Failure::refused)?;
            say!("{value}");
        }
        false => print(&found),
    }
    Ok(match found.verdict() {
        Level::Ok | Level::Warning => Exit::Done,
        Level::Error => Exit::SomeLeft,
    })
}

fn print(audit: &Audit) {
    let verdict = match audit.verdict() {
        Level::Ok => style("Ready").green().bold().to_string(),
        Level::Warning => style("Ready, with things to know")
            .yellow()
            .bold()
            .to_string(),
        Level::Error => style("Not ready").red().bold().to_string(),
    };
    say!(
        "{verdict}: {} has {}.\n",
        path(&audit.data_root),
        audit.holds
    );
    findings::print(&audit.findings);
    if let Some(work) = &audit.work {
        say!(
            "\nA migration shifts {} of {}, with {} renames and rewrites of files: about {:.0} s, and {} of journal.",
            count(work.to_shift),
            inodes(work.inodes),
            count(work.steps),
            work.seconds.max(1.0),
            bytes(work.journal_bytes)
        );
    }
    if !audit.containers.is_empty() {
        say!("\nContainers that will not work as they are:");
        for one in &audit.containers {
            say!("  {} {}", one_line(&one.container), one_line(&one.why));
            say!("    -> {}", one_line(&one.remedy));
        }
    }
    bind_mounts(&audit.bind_mounts);
    if !audit.mounted_volumes.is_empty() {
        say!(
            "\nVolumes that are mounted from elsewhere, and are not shifted: {}",
            one_line(&audit.mounted_volumes.join(", "))
        );
    }
    if !audit.bind_mounts.is_empty() || audit.holds.containers > 0 {
        say!(
            "\nContainers that make devices (mknod) cannot do so remapped; that cannot be known beforehand."
        );
    }
}

fn bind_mounts(mounts: &[BindMount]) {
    if mounts.is_empty() {
        return;
    }
    say!("\nBind mounts:");
    let header = ["container", "source", "owner", "remapped", "what to do"];
    let mut rows = vec![header.map(String::from).to_vec()];
    for mount in mounts {
        let owner = mount.owner.clone().unwrap_or_else(|| "-".into());
        let read_only = if mount.read_only { " (ro)" } else { "" };
        let can = match (mount.readable, mount.writable) {
            (Some(true), Some(true)) => "read, write",
            (Some(true), _) => "read only",
            (Some(false), _) => "nothing",
            (None, _) => "-",
        };
        rows.push(vec![
            one_line(&mount.container),
            format!("{}{read_only}", path(&mount.source)),
            owner,
            can.to_string(),
            one_line(&mount.advice),
        ]);
    }
    say!("{}", columns(&rows).trim_end());
    let mut closed: Vec<&std::path::PathBuf> = mounts
        .iter()
        .flat_map(|mount| &mount.closed_parents)
        .collect();
    closed.sort();
    closed.dedup();
    for dir in closed {
        say!(
            "  {} cannot be searched by the container's root: runc from 1.1 on does not mind; for older ones, idshift prepare --fix-parents",
            path(dir)
        );
    }
}
