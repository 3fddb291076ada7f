//! `idshift podman audit`

use super::refused;
use crate::cli::args::PodmanAuditArgs;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::findings;
use crate::cli::output::json::Invocation;
use crate::cli::output::progress::Terminal;
use crate::cli::output::text::{count, inodes, one_line, path};
use crate::cli::output::{say, say_sentences};
use crate::journal::Store;
use crate::podman::audit::{Audit, AuditRequest, audit};

/// Runs it.
pub fn run(args: &PodmanAuditArgs, invocation: &mut Invocation) -> Result<Exit, Failure> {
    let limits = args.limits.apply().map_err(Failure::refused)?;
    let monitor = Terminal::new(args.output.json || args.output.quiet);
    let request = AuditRequest {
        storage: args.stores.storage.as_deref(),
        user: args.user.as_deref(),
        target: args.stores.target.as_deref(),
        copy: args.copy,
        jobs: args.limits.threads(),
    };
    let store = Store::at(&args.store.journal_dir);
    let found = audit(&request, &store, limits.control(&monitor));
    monitor.clear();
    if limits.cancel.is_requested() {
        return Ok(invocation.print_interrupted());
    }
    let found = found.map_err(refused)?;
    invocation.set_roots(std::slice::from_ref(&found.storage));
    if args.output.json {
        invocation.print("done", findings::object(&found, found.verdict())?);
    } else if !args.output.quiet {
        print(&found);
    }
    Ok(Exit::from(found.verdict()))
}

fn print(audit: &Audit) {
    let verdict = findings::verdict(audit.verdict());
    say!("{verdict}: {} has {}.\n", path(&audit.storage), audit.holds);
    findings::print(&audit.findings);
    if let (Some(work), Some(target)) = (&audit.work, &audit.target) {
        say_sentences!(
            "\nThe store would move to {}: {} of {} shifted, with {} renames and rewrites of files.",
            path(target),
            count(work.to_shift),
            inodes(work.inodes),
            count(work.steps)
        );
    }
    for (fatal, title) in [
        (true, "Containers that do not start there as they are:"),
        (false, "Containers that are different there:"),
    ] {
        let these: Vec<_> = audit
            .containers
            .iter()
            .filter(|it| it.fatal == fatal)
            .collect();
        if !these.is_empty() {
            say!("\n{title}");
        }
        for it in these {
            say_sentences!("  {} {}", one_line(&it.container), one_line(&it.why));
            say_sentences!("    -> {}", one_line(&it.remedy));
        }
    }
    if !audit.binds.is_empty() {
        say!("\nDirectories and files of the host that containers use; they keep their owners:");
        for bind in &audit.binds {
            say!("  {} {}", one_line(&bind.container), path(&bind.source));
        }
    }
}
