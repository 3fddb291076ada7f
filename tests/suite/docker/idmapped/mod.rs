//! A data-root that is remapped by a mount.

mod audit;
mod clock;
mod copied;
mod copied_up;
mod exchanged;
mod metadata;
mod of_the_host;
mod permanent;
mod refusals;
mod services;
mod there_and_back;
mod undone;

use std::path::{Path, PathBuf};

use crate::support::daemon::Host;
use crate::support::docker::migrate;
use crate::support::{Idshift, Run, need_root, output};

pub(super) const INNER: &str = "100000.100000";
const HOLDER: &str = "idshift-idmapped-100000.100000";

/// Paths below a directory that belong, on disk, to somebody of the range.
fn in_range(top: &Path) -> Vec<PathBuf> {
    let args = ["-xdev", "(", "-uid", "+99999", "-o", "-gid", "+99999", ")"];
    let args = [&[top.to_str().unwrap()], &args[..]].concat();
    let found = String::from_utf8(output("find", args).stdout).unwrap();
    found.lines().map(PathBuf::from).collect()
}

fn content(host: &Host) -> PathBuf {
    host.data_root.join(HOLDER).join("content")
}

pub(super) fn tiny(host: &Host) {
    let daemon = host.start(&[]);
    daemon.import_tiny("tiny:1");
    let run = [
        "run",
        "--network=none",
        "--name",
        "one",
        "-v",
        "vol:/vol",
        "tiny:1",
    ];
    daemon.docker(
        &[
            &run[..],
            &["sh", "-c", "echo y > /vol/y && busybox chown 7:7 /vol/y"],
        ]
        .concat(),
    );
    daemon.stop();
}

fn unmount(host: &Host) {
    nix::mount::umount2(&host.data_root.join(INNER), nix::mount::MntFlags::empty()).unwrap();
}

/// A host with a container and a volume of one program each.
fn tiny_host() -> (Host, Idshift) {
    need_root();
    let host = Host::new();
    tiny(&host);
    (host, Idshift::new())
}

/// The same, remapped by a mount.
fn idmapped_host() -> (Host, Idshift) {
    let (host, idshift) = tiny_host();
    migrate(&idshift, &host, &["--idmapped"]).exits(0);
    (host, idshift)
}

/// Runs `idshift docker mount`.
fn mount(host: &Host, more: &[&str]) -> Run {
    let mut command = std::process::Command::new(Idshift::program());
    let root = host.data_root.to_str().unwrap();
    Run::of(
        command
            .args(["docker", "mount", "--data-root", root])
            .args(more),
    )
}
