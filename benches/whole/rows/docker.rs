//! Docker data-roots: remapped by a mount and by changed owners, audited, and with many containers.

use std::fs;
use std::io;
use std::path::Path;

use crate::Options;
use crate::goals::{AUDIT, MANY_CONTAINERS};
use crate::runs::Bench;
use crate::table::Table;
use crate::tree;

/// Containers of a data-root, where their number is not what is measured.
pub const CONTAINERS: usize = 50;

/// Inodes of the small data-root.
const SMALL: usize = 10_000;

/// All rows.
pub fn measure(bench: &Bench, options: &Options, table: &mut Table) -> io::Result<()> {
    both_ways(bench, options, table)?;
    many_containers(bench, options, table)
}

/// `docker migrate` in both ways and `docker audit`, of a small data-root and of a big one with as many containers.
fn both_ways(bench: &Bench, options: &Options, table: &mut Table) -> io::Result<()> {
    let big = match options.full {
        true => 1_000_000,
        false => options.inodes,
    };
    let [by_mount_small, by_mount_big, by_owners, audit, find] = bench.series();
    let make = |size| {
        let make = move |path: &Path| data_root(path, size, CONTAINERS);
        bench.tree(&format!("docker-{size}"), make)
    };
    // Both are there before the first round: a filesystem that holds more is slower by itself.
    let (small_root, big_root) = (make(SMALL)?, make(big)?);
    for _ in 0..options.rounds {
        for (root, by_mount) in [(&small_root, &by_mount_small), (&big_root, &by_mount_big)] {
            bench.settle()?;
            by_mount.take(bench.docker(&["migrate", "--idmapped"], &root.path)?);
            bench.idshift_on_journal("rollback")?;
        }
    }
    for _ in 0..options.rounds {
        bench.settle()?;
        audit.take(bench.docker(&["audit"], &big_root.path)?);
        find.take(bench.find(&big_root.path)?);
        bench.settle()?;
        by_owners.take(bench.docker(&["migrate"], &big_root.path)?);
        bench.idshift_on_journal("rollback")?;
    }
    bench.remove(&small_root)?;
    bench.remove(&big_root)?;
    let [of_small, of_big] = [SMALL, big].map(|size| format!("migrate --idmapped of {size}"));
    let by_mount = (&of_big[..], &by_mount_big);
    table.ratio(by_mount, (&of_small, &by_mount_small), 1.2);
    table.ratio(by_mount, ("migrate of as many", &by_owners), 0.02);
    table.ratio(("audit", &audit), ("find -printf", &find), AUDIT);
    let what = format!("migrate --idmapped of {CONTAINERS} containers, s");
    table.figure(&what, by_mount_small.median().seconds, 0.3);
    Ok(())
}

/// What a migration does besides owners: its time with 10,000 containers and next to no layers.
fn many_containers(bench: &Bench, options: &Options, table: &mut Table) -> io::Result<()> {
    let make = |path: &Path| data_root(path, 100, 10_000);
    let root = bench.tree("docker-many", make)?;
    let [migrate] = bench.series();
    for _ in 0..options.rounds.min(3) {
        bench.settle()?;
        migrate.take(bench.docker(&["migrate"], &root.path)?);
        bench.idshift_on_journal("rollback")?;
    }
    let seconds = migrate.median().seconds;
    table.figure("migrate of 10,000 containers, s", seconds, MANY_CONTAINERS);
    bench.remove(&root)
}

/// Makes a data-root with a mixed tree as the one layer that all containers have. Gives the number of its inodes.
pub fn data_root(path: &Path, inodes: usize, containers: usize) -> io::Result<usize> {
    let make = |below: &str| fs::create_dir_all(path.join(below));
    let image = "image/overlay2/imagedb/content/sha256";
    make(image)?;
    make("overlay2/l")?;
    make("overlay2/layer")?;
    fs::write(path.join(image).join("image"), "{}")?;
    for n in 0..containers {
        let id = format!("{n:064x}");
        let dir = format!("containers/{id}");
        make(&dir)?;
        let at = path.join(&dir);
        let config = serde_json::json!({
            "ID": id, "Name": format!("/c{n}"), "Driver": "overlay2", "Image": "sha256:image", "Config": {"User": ""},
            "HostnamePath": at.join("hostname"), "LogPath": at.join("log"), "MountPoints": {}, "State": {"Running": false},
        });
        fs::write(at.join("config.v2.json"), config.to_string())?;
        fs::write(
            at.join("hostconfig.json"),
            r#"{"UsernsMode":"","NetworkMode":"none"}"#,
        )?;
    }
    tree::mixed(&path.join(LAYER), inodes)
}

/// The layer in a data-root that was made here.
pub const LAYER: &str = "overlay2/layer/diff";
