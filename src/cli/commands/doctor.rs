//! `idshift doctor`

use console::style;

use crate::cli::args::DoctorArgs;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::findings;
use crate::cli::output::json::Invocation;
use crate::cli::output::say;
use crate::docker::daemon_start::DaemonStart;
use crate::docker::doctor::{self, Daemon};
use crate::host::Level;

/// Runs it.
pub fn run(args: &DoctorArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let start = DaemonStart::of_host(args.daemon.daemon_json.as_deref());
    let daemon_json = start.settings();
    let found = doctor::doctor(&Daemon {
        data_root: args.daemon.data_root.as_deref(),
        userns_remap: args.daemon.userns_remap.as_deref(),
        volumes: &args.paths,
        start: &start,
        daemon_json,
    });
    let worst = found.iter().map(|finding| finding.level).max();
    let worst = worst.unwrap_or(Level::Ok);
    if args.output.json {
        invocation.print(
            "done",
            serde_json::json!({"verdict": worst, "findings": found}),
        );
    } else if args.output.is_for_people() {
        let verdict = match worst {
            Level::Ok => style("This host can run remapped containers")
                .green()
                .bold(),
            Level::Warning => style("This host can run remapped containers, with warnings")
                .yellow()
                .bold(),
            Level::Error => style("This host cannot run remapped containers yet")
                .red()
                .bold(),
        };
        say!("{verdict}.\n");
        findings::print(&found);
    }
    Ok(Exit::from(worst))
}
