//! `idshift docker audit`

use console::style;

use super::super::args::AuditArgs;
use super::super::exit::{Exit, Failure};
use super::super::shift::jobs;
use super::super::signals;
use super::super::terminal::Terminal;
use super::super::text::{bytes, count, inodes, path, printable, say};
use super::{refused, userns_remap};
use crate::docker::audit::{Audit, Level, audit};
use crate::docker::daemon_json::DaemonJson;
use crate::docker::data_root;

/// Runs it.
pub fn run(args: &AuditArgs) -> Result<Exit, Failure> {
    let daemon_json = DaemonJson::read(&args.daemon.daemon_json).map_err(refused)?;
    let data_root = data_root::find(args.daemon.data_root.as_deref(), &daemon_json);
    let remap_to = userns_remap(&args.daemon, &daemon_json);
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

/// All of one width, with colour and without.
fn word(level: Level) -> String {
    match level {
        Level::Ok => style("ok     ").green(),
        Level::Warning => style("warning").yellow(),
        Level::Error => style("error  ").red(),
    }
    .to_string()
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
    let counts = audit.holds;
    say!(
        "{verdict}: {} has {} images, {} layers, {} containers, {} volumes.\n",
        path(&audit.data_root),
        counts.images,
        counts.layers,
        counts.containers_total,
        counts.volumes
    );
    for finding in &audit.findings {
        let (level, what) = (word(finding.level), finding.what);
        say!("  {level} {what:<26} {}", printable(&finding.found));
        if let Some(remedy) = &finding.remedy {
            say!("  {:36}-> {}", "", printable(remedy));
        }
    }
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
            say!("  {} {}", printable(&one.container), one.why);
            say!("    -> {}", one.remedy);
        }
    }
    if !audit.bind_mounts.is_empty() {
        say!("\nBind mounts:");
        let header = ["container", "source", "owner", "what to do"];
        let mut rows = vec![header.map(String::from).to_vec()];
        for mount in &audit.bind_mounts {
            let owner = mount.owner.clone().unwrap_or_else(|| "-".into());
            let read_only = if mount.read_only { " (ro)" } else { "" };
            rows.push(vec![
                printable(&mount.container),
                format!("{}{read_only}", path(&mount.source)),
                owner,
                printable(&mount.advice),
            ]);
        }
        let widths = [0, 1, 2].map(|column| {
            let cells = rows
                .iter()
                .map(|row| console::measure_text_width(&row[column]));
            cells.max().unwrap_or(0)
        });
        for row in &rows {
            let [a, b, c] = widths;
            say!(
                "  {:<a$}  {:<b$}  {:<c$}  {}",
                row[0],
                row[1],
                row[2],
                row[3]
            );
        }
    }
    if !audit.mounted_volumes.is_empty() {
        say!(
            "\nVolumes that are mounted from elsewhere, and are not shifted: {}",
            printable(&audit.mounted_volumes.join(", "))
        );
    }
    if !audit.bind_mounts.is_empty() || audit.holds.containers_total > 0 {
        say!(
            "\nContainers that make devices (mknod) cannot do so remapped; that cannot be known beforehand."
        );
    }
}
