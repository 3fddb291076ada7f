//! The root that `docker migrate` makes, by changed owners or by a mount, is the one that a remapped daemon makes by itself:
//! owner and mode, path by path.

use std::collections::BTreeSet;

use crate::support::engine_host::{EngineHost, Release};
use crate::support::engine_scenario::{Scenario, Store};
use crate::support::{long, need_root};

/// Paths that may differ, below the docker root, and why.
const ALLOWED: &[(&str, &str)] = &[
    (
        "tmp/moby-detect-rro",
        "what a start of a daemon leaves, named at random",
    ),
    (
        "overlay2/ID/work/work/#",
        "where the kernel parks whiteouts: root's when a remapped daemon made them; the owner of a whiteout means nothing",
    ),
    (
        "overlay2/ID/diff/opt/dir/y c ",
        "a whiteout: root's when a remapped daemon's kernel made it",
    ),
    (
        "overlay2/ID-init/diff/etc/mtab l ",
        "a symlink that the daemon leaves to root: migrate gives it to the container's root, as all in a layer",
    ),
    (
        "overlay2/ID/diff/host f ",
        "written by a container with --userns=host: the plain daemon's containers all wrote like that",
    ),
    (
        "overlay2/ID/diff/labelled d 0:0 ",
        "a mount point in a container with --userns=host",
    ),
    (
        "volumes/elsewhere/_data d ",
        "where a volume with options is mounted, which hides it: the content is somebody else's, and is left",
    ),
    (
        "volumes/memory/_data d ",
        "where a volume with options is mounted, which hides it",
    ),
];

fn is_allowed(line: &str) -> bool {
    ALLOWED.iter().any(|(path, _)| line.starts_with(path))
}

/// `PATH TYPE OWNER MODE` of everything below a data-root and its docker root, as the host sees it; what is named at random
/// counts under one name.
fn layout(host: &EngineHost) -> BTreeSet<String> {
    let found = host.sh("find /var/lib/docker -xdev -printf '%P %y %U:%G %m\\n'");
    // Where an idmapped root is on disk.
    let lines = found
        .lines()
        .filter(|line| !line.starts_with("idshift-idmapped-"));
    let lines = lines.map(|line| {
        let (path, rest) = line.rsplit_once(" ").unwrap();
        let (path, owner) = path.rsplit_once(' ').unwrap();
        let path = path.strip_prefix("100000.100000/").unwrap_or(path);
        let parts: Vec<String> = path.split('/').map(without_id).collect();
        format!("{} {owner} {rest}", parts.join("/"))
    });
    lines.filter(|line| !is_allowed(line)).collect()
}

/// A part of a path, `ID` for what is an id or begins with one.
fn without_id(part: &str) -> String {
    let len = part.bytes().take_while(u8::is_ascii_alphanumeric).count();
    match len >= 25 {
        true => format!("ID{}", &part[len..]),
        false => part.into(),
    }
}

fn is_as_a_fresh_one(release: Release) {
    let plain = Scenario::new(release, Store::Overlay2);
    plain.populate(&[]);
    plain.host.stop_docker();
    let migrate = ["docker", "migrate", "--create-user", "--set-userns-host"];
    plain.host.idshift(&migrate).exits(0);
    let migrated = layout(&plain.host);
    plain.host.idshift(&["rollback", "latest"]).exits(0);
    plain
        .host
        .idshift(&[&migrate[..], &["--idmapped"]].concat())
        .exits(0);
    let idmapped = layout(&plain.host);
    drop(plain);

    let remapped = Scenario::remapped(release);
    remapped.populate(&["--userns=host"]);
    remapped.host.stop_docker();
    let fresh = layout(&remapped.host);
    for (found, way) in [(migrated, "migrate"), (idmapped, "migrate --idmapped")] {
        let missing: Vec<_> = fresh.difference(&found).collect();
        let new: Vec<_> = found.difference(&fresh).collect();
        assert!(
            missing.is_empty() && new.is_empty(),
            "{release:?}: a daemon makes\n{missing:#?}\n{way} makes\n{new:#?}"
        );
    }
}

#[test]
fn docker_20() {
    need_root();
    if long() {
        is_as_a_fresh_one(Release::Bookworm);
    }
}

#[test]
fn docker_26() {
    need_root();
    is_as_a_fresh_one(Release::Trixie);
}

#[test]
fn docker_28() {
    need_root();
    if long() {
        is_as_a_fresh_one(Release::Forky);
    }
}
