//! What `--version` says: which program this is, what it reads, and what it can carry. For people, and with `--json` for
//! programs.

use std::env::consts::{ARCH, OS};
use std::sync::LazyLock;

use serde_json::{Value, json};

use super::output::json::{FORMAT as JSON_FORMAT, Invocation};
use crate::docker::{conversion, rootless, storage_drivers};
use crate::journal::record::FORMAT as RECORD_FORMAT;
use crate::podman::store::DRIVER as PODMAN_DRIVER;

/// The oldest kernel that has all that a change of owners asks for (`statx` tells the tops of mounts).
const KERNEL: &str = "5.8";

/// The oldest kernel with idmapped mounts (`mount_setattr(2)`).
const KERNEL_OF_MOUNTS: &str = "5.12";

/// The oldest kernel with idmapped layers below overlayfs.
const KERNEL_OF_LAYERS: &str = "5.19";

/// The version, and the commit where the build was told it (`IDSHIFT_COMMIT`).
pub static SHORT: LazyLock<String> = LazyLock::new(|| match commit() {
    Some(commit) => format!("{} ({commit})", number()),
    None => number().to_string(),
});

/// Version, commit and features.
pub static LONG: LazyLock<String> = LazyLock::new(|| {
    let rows = [
        ("Built for", format!("{ARCH}, {OS}, {}", libc())),
        (
            "Needs",
            format!(
                "Linux {KERNEL}; {KERNEL_OF_MOUNTS} for idmapped mounts; {KERNEL_OF_LAYERS} for an idmapped Docker data-root"
            ),
        ),
        (
            "Formats",
            format!("journals and manifests {RECORD_FORMAT}, JSON {JSON_FORMAT}"),
        ),
        (
            "Docker",
            format!(
                "{}; containerd image store with {}",
                docker_drivers().join(", "),
                conversion::SNAPSHOTTER
            ),
        ),
        ("Rootless", rootless::DRIVERS.join(", ")),
        ("Podman", PODMAN_DRIVER.to_string()),
        (
            "Libraries",
            format!(
                "SQLite {}, zstd {}",
                rusqlite::version(),
                zstd::zstd_safe::version_string()
            ),
        ),
    ];
    let lines = rows.map(|(what, has)| format!("\n{:<11}{has}", format!("{what}:")));
    format!("{}{}", *SHORT, lines.concat())
});

/// Prints the object of `--version --json`.
pub fn print_json() {
    let version = json!({
        "version": number(),
        "commit": commit(),
        "target": {"arch": ARCH, "os": OS, "libc": libc()},
        "kernel": {
            "least": KERNEL,
            "idmapped_mounts": KERNEL_OF_MOUNTS,
            "idmapped_data_root": KERNEL_OF_LAYERS,
        },
        "formats": formats(),
        "storage_drivers": {
            "docker": docker_drivers(),
            "containerd": [conversion::SNAPSHOTTER],
            "rootless": rootless::DRIVERS,
            "podman": [PODMAN_DRIVER],
        },
        "libraries": {
            "sqlite": rusqlite::version(),
            "zstd": zstd::zstd_safe::version_string(),
        },
    });
    Invocation::new("version", &[], false, true).print("done", version);
}

fn number() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

fn commit() -> Option<&'static str> {
    option_env!("IDSHIFT_COMMIT").filter(|commit| !commit.is_empty())
}

fn libc() -> &'static str {
    match cfg!(target_env = "musl") {
        true => "musl",
        false => "glibc",
    }
}

/// The oldest and the latest of each kind of file that is read; the latest is what is written.
fn formats() -> Value {
    json!({
        "journal": {"oldest": RECORD_FORMAT, "latest": RECORD_FORMAT},
        "manifest": {"oldest": RECORD_FORMAT, "latest": RECORD_FORMAT},
        "json": {"oldest": JSON_FORMAT, "latest": JSON_FORMAT},
    })
}

fn docker_drivers() -> Vec<&'static str> {
    storage_drivers::drivers(true).map(|it| it.name).collect()
}
