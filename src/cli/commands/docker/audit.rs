//! `idshift docker audit`

use console::style;

use super::refused;
use crate::cli::args::AuditArgs;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::findings;
use crate::cli::output::json::Invocation;
use crate::cli::output::progress::Terminal;
use crate::cli::output::table::columns_and_remedy;
use crate::cli::output::text::{bytes, columns, count, inodes, one_line, path};
use crate::cli::output::{say, say_sentences};
use crate::docker::audit::containers::IncompatibleContainer;
use crate::docker::audit::remapped_roots::REMAPPED_ROOT;
use crate::docker::audit::state::RootState;
use crate::docker::audit::strategies::Strategy;
use crate::docker::audit::{Audit, AuditOptions, audit};
use crate::docker::bind_mounts::BindMount;
use crate::docker::conversion::summary::When;
use crate::docker::daemon_start::DaemonStart;
use crate::docker::data_root;
use crate::docker::guidance as help;
use crate::docker::idmapped::exchanged_data::{ExchangedData, ExchangedKind};
use crate::docker::owner_stats::OwnerStats;
use crate::host::Level;
use crate::journal::Store;

/// Runs it.
pub fn run(args: &AuditArgs, call: &mut Invocation) -> Result<Exit, Failure> {
    let start = DaemonStart::of_host(args.daemon.daemon_json.as_deref());
    let daemon_json = start.settings().map_err(refused)?;
    let data_root = data_root::find(args.daemon.data_root.as_deref(), &daemon_json);
    call.is_of(std::slice::from_ref(&data_root));
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
        call.print("interrupted", serde_json::json!({}));
        return Ok(Exit::Interrupted);
    }
    let found = found.map_err(refused)?;
    if args.output.json {
        let mut value = serde_json::to_value(&found).map_err(Failure::refused)?;
        value["verdict"] = serde_json::to_value(found.verdict()).map_err(Failure::refused)?;
        call.print("done", value);
    } else if !args.output.quiet {
        print(&found, args.output.verbose);
    }
    if !found.is_carried || found.is_idmapped {
        return Ok(Exit::Refused);
    }
    Ok(match found.verdict() {
        Level::Ok | Level::Warning => Exit::Done,
        Level::Error => Exit::SomeLeft,
    })
}

fn print(audit: &Audit, verbose: bool) {
    let verdict = match audit.verdict() {
        Level::Error if is_remapped(audit) => style("Remapped already").bold().to_string(),
        Level::Ok => style("Ready").green().bold().to_string(),
        Level::Warning => style("Ready, with warnings").yellow().bold().to_string(),
        Level::Error => style("Not ready").red().bold().to_string(),
    };
    paragraph(&format!(
        "{verdict}: {} has {}.\n",
        path(&audit.data_root),
        audit.holds
    ));
    findings::print(&audit.findings);
    if let Some(work) = &audit.work {
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
    if let Some(store) = &audit.containerd_store {
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
    strategies(&audit.strategies);
    if !audit.containers.is_empty() {
        say!("\nContainers that will not work as they are:");
        // What helps several is said once.
        let mut left: Vec<_> = audit.containers.iter().collect();
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
    bind_mounts(&audit.bind_mounts, verbose);
    if !audit.volumes_elsewhere.is_empty() {
        say!("\nVolumes whose content is elsewhere:");
        for volume in &audit.volumes_elsewhere {
            let too = match volume.shifted_with_bind_mounts {
                true => format!("; {}", help::MIGRATE_BIND_MOUNTS),
                false => String::new(),
            };
            say!("  {}", one_line(&format!("{volume}{too}")));
        }
    }
    if !audit.bind_mounts.is_empty() || audit.holds.containers > 0 {
        say!("");
        paragraph(
            "A remapped container cannot create devices (mknod). idshift cannot know beforehand which containers do that.",
        );
    }
}

/// Whether all that is in the way is that nothing is left to do.
fn is_remapped(audit: &Audit) -> bool {
    let mut errors = audit.findings.iter().filter(|it| it.level == Level::Error);
    audit.state == RootState::Remapped && errors.all(|it| it.what == REMAPPED_ROOT)
}

/// Sentences, as wide as the terminal.
fn paragraph(text: &str) {
    say_sentences!("{text}");
}

/// The two strategies, side by side.
fn strategies(strategies: &[Strategy]) {
    let [owners, mount] = strategies else {
        return;
    };
    let row =
        |what: &str, of: &dyn Fn(&Strategy) -> String| vec![what.into(), of(owners), of(mount)];
    let time = |strategy: &Strategy| match strategy.seconds {
        seconds if seconds < 1.0 => "under 1 s".to_string(),
        seconds => format!("about {seconds:.0} s"),
    };
    let rows = [
        row("", &|strategy| strategy.command.clone()),
        row("daemon stopped", &time),
        row("journal", &|strategy| bytes(strategy.journal_bytes)),
        row("possible here", &|strategy| match &strategy.refused {
            Some(_) => "no, see below".into(),
            None => "yes".into(),
        }),
        row("owners in backups", &|strategy| strategy.backups.clone()),
        row("quotas count", &|strategy| strategy.quotas.into()),
        row("going back", &|strategy| strategy.going_back.into()),
        row("needed at boot", &|strategy| strategy.needs.clone()),
    ];
    say!("\nThe two ways: change the owners on disk, or mount");
    say!("{}", columns(&rows).trim_end());
    for strategy in strategies {
        if let Some(why) = &strategy.refused {
            say_sentences!("  {} cannot: {}", strategy.command, one_line(why));
        }
    }
    exchanged(&mount.exchanged);
}

/// What a mount would show with other owners than its users expect.
fn exchanged(all: &[ExchangedData]) {
    if all.is_empty() {
        return;
    }
    let header = ["path", "what", "inodes", "on disk", "seen as"];
    let mut rows = vec![header.map(String::from).to_vec()];
    for data in all {
        rows.push(vec![
            path(&data.path),
            match data.kind {
                ExchangedKind::NotOfDocker => "not Docker's".into(),
                ExchangedKind::InRange => "in the range already".into(),
            },
            count(data.inodes),
            data.on_disk.clone(),
            data.seen_as.clone(),
        ]);
    }
    say!("\nBy a mount, these would be seen with other owners:");
    say!("{}", columns(&rows).trim_end());
    if all
        .iter()
        .any(|data| data.kind == ExchangedKind::NotOfDocker)
    {
        say_sentences!(
            "  Files that are not Docker's move with the data-root: move them out of it first if the host uses them."
        );
    }
    if all.iter().any(|data| data.kind == ExchangedKind::InRange) {
        say_sentences!(
            "  Files that have an id of the range already are seen as nobody (65534) in containers. `docker migrate` without \
             --idmapped cannot express that, and stops at them."
        );
    }
}

/// The owners that have most in a directory, as the host has them.
fn owners(holds: &OwnerStats, most: usize) -> String {
    let mut owners: Vec<(&String, &u64)> = holds.owners.iter().collect();
    owners.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let more = owners.len() > most || holds.more;
    let mut words: Vec<&str> = owners
        .iter()
        .take(most)
        .map(|(owner, _)| owner.as_str())
        .collect();
    match (words.is_empty(), more) {
        (true, _) => return "empty".into(),
        (_, true) => words.push("…"),
        _ => {}
    }
    words.join(" ")
}

fn bind_mounts(mounts: &[BindMount], verbose: bool) {
    if mounts.is_empty() {
        return;
    }
    let most = if verbose { usize::MAX } else { 3 };
    say!("\nBind mounts:");
    let header = [
        "container",
        "source",
        "owner",
        "holds",
        "remapped",
        "what to do",
    ];
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
            mount
                .holds
                .as_ref()
                .map_or("-".into(), |holds| owners(holds, most)),
            can.to_string(),
            one_line(&mount.advice),
        ]);
    }
    say!("{}", columns_and_remedy(&rows).trim_end());
    let mut closed: Vec<&std::path::PathBuf> = mounts
        .iter()
        .flat_map(|mount| &mount.closed_parents)
        .collect();
    closed.sort();
    closed.dedup();
    for dir in closed {
        say!(
            "  {} cannot be searched by the container's root. Only runc before 1.1 needs that: idshift prepare --fix-parents adds the permission",
            path(dir)
        );
    }
}
