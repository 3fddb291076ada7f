//! `idshift docker mount`

use super::refused;
use crate::cli::args::MountRootArgs;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::json::Invocation;
use crate::cli::output::say;
use crate::cli::output::text::path;
use crate::docker::daemon_start::DaemonStart;
use crate::docker::data_root;
use crate::docker::idmapped::mount_all;
use crate::docker::remap::Remap;

/// Runs it.
pub fn run(args: &MountRootArgs, invocation: &mut Invocation) -> Result<Exit, Failure> {
    let settings = DaemonStart::of_host(None).settings();
    // Without settings or ranges no daemon starts, and nothing is made.
    let remap = settings.as_ref().ok();
    let remap = remap.and_then(|it| Remap::resolve(&it.remap_to(None)).ok());
    let of_daemon = settings.as_ref().ok();
    let of_daemon =
        of_daemon.filter(|it| it.userns_remap.as_ref().is_some_and(|to| !to.is_empty()));
    let of_daemon = of_daemon.map(|it| data_root::find(None, it));
    let data_root = match &args.data_root {
        Some(path) => path.clone(),
        None => data_root::find(None, &settings.map_err(refused)?),
    };
    let is_its_own =
        of_daemon.is_some_and(|it| match (it.canonicalize(), data_root.canonicalize()) {
            (Ok(it), Ok(given)) => it == given,
            _ => false,
        });
    invocation.set_roots(std::slice::from_ref(&data_root));
    let mounted = mount_all(&data_root, remap.as_ref(), is_its_own).map_err(refused)?;
    if args.output.json {
        let points: Vec<_> = mounted
            .iter()
            .map(|(root, is_new)| serde_json::json!({"path": root.point(), "mounted_before": !is_new}))
            .collect();
        invocation.print("done", serde_json::json!({ "mounts": points }));
        return Ok(Exit::Done);
    }
    for (root, is_new) in mounted.iter().filter(|_| !args.output.quiet) {
        let is = if *is_new {
            "is mounted now"
        } else {
            "was mounted already"
        };
        say!(
            "{} {is}. On disk it is {}.",
            path(&root.point()),
            path(&root.content())
        );
    }
    Ok(Exit::Done)
}
