//! A Docker data-root remapped by a mount, whatever its size, and by changed owners.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use crate::Options;
use crate::runs::Bench;
use crate::table::Table;
use crate::tree;

/// Containers of each data-root.
const CONTAINERS: usize = 50;

/// Measures both ways there on a small data-root and on a big one with as many containers.
pub fn measure(bench: &Bench, options: &Options, table: &mut Table) -> io::Result<()> {
    own_accounts(&bench.dir("etc")?)?;
    let sizes = [
        10_000,
        if options.full {
            1_000_000
        } else {
            options.inodes
        },
    ];
    let [small, big, shifted] = bench.series();
    for (size, series) in sizes.into_iter().zip([&small, &big]) {
        let root = bench.tree(&format!("docker-{size}"), |path| data_root(path, size))?;
        for _ in 0..options.rounds {
            bench.settle()?;
            series.take(bench.docker(&["migrate", "--idmapped"], &root.path)?);
            bench.idshift_on_journal("rollback")?;
            if size == sizes[1] {
                bench.settle()?;
                shifted.take(bench.docker(&["migrate"], &root.path)?);
                bench.idshift_on_journal("rollback")?;
            }
        }
        bench.remove(&root)?;
    }
    let [of_small, of_big] = sizes.map(|size| format!("migrate --idmapped of {size}"));
    table.ratio((&of_big, &big), (&of_small, &small), 1.2);
    table.ratio((&of_big, &big), ("migrate of as many", &shifted), 0.1);
    table.figure(
        "migrate --idmapped of 50 containers, s",
        small.median().seconds,
        0.3,
    );
    Ok(())
}

/// A data-root that holds a tree as the one layer that all containers have.
fn data_root(path: &Path, inodes: usize) -> io::Result<usize> {
    let make = |below: &str| fs::create_dir_all(path.join(below));
    make("image/overlay2/imagedb/content/sha256")?;
    make("overlay2/l")?;
    make("overlay2/layer")?;
    fs::write(
        path.join("image/overlay2/imagedb/content/sha256/image"),
        "{}",
    )?;
    for n in 0..CONTAINERS {
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
    tree::mixed(&path.join("overlay2/layer/diff"), inodes)
}

/// The ranges that dockerd's `default` has, in a mount namespace of this program's own.
fn own_accounts(dir: &Path) -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let none: Option<&Path> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    for (name, line) in [
        (
            "passwd",
            "dockremap:x:995:994::/home/dockremap:/bin/false\n",
        ),
        ("group", "dockremap:x:994:\n"),
        ("subuid", "dockremap:100000:65536\n"),
        ("subgid", "dockremap:100000:65536\n"),
    ] {
        let at = PathBuf::from("/etc").join(name);
        let file = dir.join(name);
        let there = fs::read_to_string(&at).unwrap_or_default();
        let others = there.lines().filter(|line| !line.starts_with("dockremap:"));
        let others: String = others.map(|line| format!("{line}\n")).collect();
        fs::write(&file, others + line)?;
        if !at.exists() {
            return Err(io::Error::other(format!("{} is not there", at.display())));
        }
        mount(Some(&file), &at, none, MsFlags::MS_BIND, none)?;
    }
    Ok(())
}
