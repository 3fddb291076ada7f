//! A directory that `cp` does not enter is not left out of a copy in silence.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::rootless_copy::unread;
use super::rootless_places::{to_rootless, user};
use super::volumes::{INNER, Place};
use crate::support::docker::same;
use crate::support::{Idshift, Kind, TestFs, data_root, output};

fn btrfs(what: &str, path: &Path) {
    output("btrfs", ["-q", "subvolume", what, path.to_str().unwrap()]);
}

#[test]
fn no_copy_has_an_empty_directory_for_a_subvolume() {
    let place = Place::new();
    fs::remove_dir_all(&place.root).unwrap();
    fs::create_dir(&place.root).unwrap();
    let _btrfs = TestFs::mount_inside(Kind::Btrfs, &place.root);
    data_root::empty(&place.root);
    fs::set_permissions(&place.root, PermissionsExt::from_mode(0o710)).unwrap();
    let home = user(&place);
    let idshift = Idshift::new();
    let refused = |path: &Path| {
        let said = format!("{}: is a subvolume of its own", path.display());
        let there = unread(place.dir.path());
        for more in [&["--copy"][..], &["--copy", "--dry-run"]] {
            to_rootless(&place, &idshift, more).exits(4).says(&said);
            place.run(&idshift, "migrate", more).exits(4).says(&said);
        }
        same(&there, &unread(place.dir.path()), "refused");
        to_rootless(&place, &idshift, &["--copy"]).stderr
    };
    let volumes = place.root.join("volumes");
    fs::remove_dir(&volumes).unwrap();
    btrfs("create", &volumes);
    refused(&volumes);
    btrfs("delete", &volumes);

    let data = place.volume("pg").join("_data");
    btrfs("create", &data);
    fs::write(data.join("table"), "rows").unwrap();
    let told = refused(&data);
    // As it advises.
    let command = told.split('`').find(|it| it.starts_with("mv "));
    output("sh", ["-c", command.unwrap()]);
    place.run(&idshift, "migrate", &["--copy"]).exits(0);
    let later = place.root.join(INNER).join("volumes/later");
    btrfs("create", &later);
    fs::write(later.join("dump"), "precious").unwrap();
    idshift
        .run(["rollback", "latest"])
        .exits(0)
        .says("volumes/later/dump")
        .says("may be nowhere else");
    to_rootless(&place, &idshift, &["--copy"]).exits(0);
    let copied = home.join(".local/share/docker/volumes/pg/_data/table");
    assert_eq!(fs::read_to_string(copied).unwrap(), "rows");
}
