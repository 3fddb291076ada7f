//! `idshift docker audit`

mod binds;
mod strategies;

use console::style;

use super::refused;
use crate::cli::args::AuditArgs;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::findings;
use crate::cli::output::json::Invocation;
use crate::cli::output::progress::Terminal;
use crate::cli::output::text::{bytes, count, inodes, one_line, path};
use crate::cli::output::{say, say_sentences};
use crate::docker::audit::containers::IncompatibleContainer;
use crate::docker::audit::remapped_roots::REMAPPED_ROOT;
use crate::docker::audit::state::RootState;
use crate::docker::audit::{Audit, AuditOptions, audit};
use crate::docker::conversion::summary::When;
use crate::docker::daemon_start::DaemonStart;
use crate::docker::data_root;
use crate::docker::guidance as help;
use crate::host::Level;
use crate::journal::Store;

/// Runs it.
pub fn run(args: &AuditArgs, invocation: &mut Invocation) -> Result<Exit, Failure> {
    let start = DaemonStart::of_host(args.daemon.daemon_json.as_deref());
    let daemon_json = start.settings().map_err(refused)?;
    let data_root = data_root::find(args.daemon.data_root.as_deref(), &daemon_json);
    invocation.set_roots(std::slice::from_ref(&data_root));
    let remap_to = daemon_json.remap_to(args.daemon.userns_remap.as_deref());
    let limits = args.limits.apply().map_err(Failure::refused)?;
    let monitor = Terminal::new(args.output.json || args.output.quiet);
    let options = AuditOptions {
        jobs: args.limits.threads(),
        quick: args.quick,
    };
    let store = Store::at(&args.store.journal_dir);
    let found = audit(
        &data_root,
        &remap_to,
        (&start, &daemon_json),
        &store,
        options,
        limits.control(&monitor),
    );
    monitor.clear();
    if limits.cancel.is_requested() {
        return Ok(invocation.print_interrupted());
    }
    let found = found.map_err(refused)?;
    if args.output.json {
        invocation.print("done", findings::object(&found, found.verdict())?);
    } else if !args.output.quiet {
        print(&found, args.output.verbose);
    }
    if !found.is_carried || found.is_idmapped {
        return Ok(Exit::Refused);
    }
    Ok(Exit::from(found.verdict()))
}

fn print(audit: &Audit, verbose: bool) {
    verdict(audit);
    findings::print(&audit.findings);
    work(audit);
    conversion(audit);
    strategies::print(&audit.strategies);
    containers(&audit.containers);
    binds::print(&audit.bind_mounts, verbose);
    volumes(audit);
    if !audit.bind_mounts.is_empty() || audit.holds.containers > 0 {
        say!("");
        paragraph(
            "A remapped container cannot create devices (mknod). idshift cannot know beforehand which containers do that.",
        );
    }
}

/// Whether it can be migrated, and what it has.
fn verdict(audit: &Audit) {
    let verdict = match is_remapped(audit) {
        true => style("Remapped already").bold().to_string(),
        false => findings::verdict(audit.verdict()),
    };
    paragraph(&format!(
        "{verdict}: {} has {}.\n",
        path(&audit.data_root),
        audit.holds
    ));
}

/// Whether all that is in the way is that nothing is left to do.
fn is_remapped(audit: &Audit) -> bool {
    let mut errors = audit.findings.iter().filter(|it| it.level == Level::Error);
    audit.verdict() == Level::Error
        && audit.state == RootState::Remapped
        && errors.all(|it| it.what == REMAPPED_ROOT)
}

/// Sentences, as wide as the terminal.
fn paragraph(text: &str) {
    say_sentences!("{text}");
}

/// What a migration shifts, and how long that takes.
fn work(audit: &Audit) {
    let Some(work) = &audit.work else { return };
    say!("");
    paragraph(&format!(
        "{} {} of {}, with {} renames and rewrites of files: about {:.0} s, and {} of journal.",
        match audit.idmapped_roots.is_empty() {
            true => "A migration shifts",
            false => "Made permanent by idshift docker migrate, it shifts",
        },
        count(work.to_shift),
        inodes(work.inodes),
        count(work.steps),
        work.seconds.max(1.0),
        bytes(work.journal_bytes)
    ));
}

/// What becomes of the containerd image store.
fn conversion(audit: &Audit) {
    let Some(store) = &audit.containerd_store else {
        return;
    };
    say!("");
    for line in store.sentences(When::Ahead, bytes) {
        paragraph(&one_line(&line));
    }
    paragraph(&format!(
        "The conversion reads and hashes {} of blobs: about {:.0} s. {}",
        bytes(store.read_bytes),
        store.seconds.max(1.0),
        store.not_counted()
    ));
}

/// Containers, and what helps. What helps several is said once.
fn containers(containers: &[IncompatibleContainer]) {
    if !containers.is_empty() {
        say!("\nContainers that will not work as they are:");
    }
    let mut left: Vec<_> = containers.iter().collect();
    while let Some(first) = left.first().copied() {
        let same = |one: &&IncompatibleContainer| one.remedy == first.remedy;
        let (these, others): (Vec<_>, Vec<_>) = left.into_iter().partition(same);
        for one in these {
            say!("  {} {}", one_line(&one.container), one_line(&one.why));
        }
        say!("    -> {}", one_line(&first.remedy));
        left = others;
    }
}

/// Volumes that are somewhere else, and whether they are shifted.
fn volumes(audit: &Audit) {
    if !audit.volumes_elsewhere.is_empty() {
        say!("\nVolumes whose content is elsewhere:");
    }
    for volume in &audit.volumes_elsewhere {
        let too = match volume.shifted_with_bind_mounts {
            true => format!("; {}", help::MIGRATE_BIND_MOUNTS),
            false => String::new(),
        };
        say!("  {}", one_line(&format!("{volume}{too}")));
    }
}
