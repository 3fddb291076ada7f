//! What containers bind, in the data-root and outside of it, is carried by a migration and back.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use super::volumes::{INNER, Place, owner};
use crate::support::daemon::{Daemon, Host};
use crate::support::docker::*;
use crate::support::{Idshift, need_root};
use serde_json::json;

#[test]
fn own_data_in_the_data_root_is_shifted_if_bound() {
    let place = Place::new();
    let root = place.root.clone();
    let at = |below: &str| root.join(below);
    own_data(&place);
    let audited = place.audit().exits(0);
    for words in [
        "nothing: it moves with the data-root and is shifted",
        "two binds it too and is not remapped",
        &format!(
            "needs the new path {}",
            root.join(INNER).join("appdata/web").display()
        ),
        "kept: not Docker's; moves with the data-root, not shifted",
    ] {
        assert!(audited.text().contains(words), "{words:?} in {audited}");
    }
    let idshift = Idshift::new();
    let told = place.run(&idshift, "migrate", &[]).exits(0);
    let now = root.join(INNER);
    for (below, expected) in [
        ("appdata/web/file", 100_033),
        ("volumes/bare/file", 100_033),
        ("appdata/done/file", 100_033),
        ("appdata/both/file", 33),
        ("appdata/none/file", 33),
    ] {
        assert_eq!(owner(&now.join(below)), expected, "{below}: {told}");
    }
    assert_eq!(place.source(&now, "web", "/a"), now.join("appdata/current"));
    assert_eq!(place.source(&now, "dots", "/b"), now.join("volumes/bare"));
    assert_eq!(place.source(&now, "all", "/docker"), now);
    let hostconfig = fs::read_to_string(now.join("containers/dots/hostconfig.json")).unwrap();
    let expected = format!("\"{}:/b\"", now.join("volumes/bare").display());
    assert!(hostconfig.contains(&expected), "{hostconfig}");

    // One container is removed meanwhile: nobody says any more whose the directory is.
    fs::remove_dir_all(now.join("containers/web")).unwrap();
    fs::create_dir_all(now.join("other")).unwrap();
    place.data(&now.join("other"));
    chown(now.join("other/file"), Some(100_001), None).unwrap();
    let reverted = place.run(&idshift, "revert", &[]).exits(0);
    assert_eq!(owner(&at("volumes/bare/file")), 33);
    for left in ["appdata/web", "appdata/done", "other"] {
        let command = format!(
            "idshift prepare --subid dockremap --reverse {}",
            at(left).display()
        );
        assert!(
            reverted.stderr.contains(&command),
            "{command:?} in {reverted}"
        );
        idshift.run(command.split(' ').skip(1)).exits(0);
    }
    assert_eq!(owner(&at("appdata/web/file")), 33);
    assert_eq!(place.source(&root, "dots", "/b"), at("volumes/bare"));
}

/// Directories in the data-root that are not Docker's, and what binds them.
fn own_data(place: &Place) {
    let root = &place.root;
    let at = |below: &str| root.join(below);
    for below in [
        "appdata/web",
        "appdata/both",
        "appdata/none",
        "volumes/bare",
        "appdata/done",
    ] {
        place.data(&at(below));
    }
    chown(at("appdata/done/file"), Some(100_033), Some(100_033)).unwrap();
    place.data(&at("kept"));
    symlink("web", at("appdata/current")).unwrap();
    let text = |below: &str| at(below).to_str().unwrap().to_string();
    place.container(
        "web",
        &[
            (&text("appdata/current"), "/a"),
            (&text("appdata/done"), "/d"),
        ],
        json!({}),
    );
    let dots = text("../root/volumes/bare");
    place.container(
        "dots",
        &[(&dots, "/b")],
        json!({"Binds": [format!("{dots}:/b")]}),
    );
    place.container("one", &[(&text("appdata/both"), "/c")], json!({}));
    place.container(
        "two",
        &[(&text("appdata/both"), "/c")],
        json!({"UsernsMode": "host"}),
    );
    place.container("all", &[(root.to_str().unwrap(), "/docker")], json!({}));
}

/// A container that reads and appends to `/m/file` as user 1000.
fn reader(daemon: &Daemon<'_>, name: &str, mount: &str) {
    let work = "busybox cat /m/file && echo more >> /m/file";
    let args = [
        "create",
        "--name",
        name,
        "--network=none",
        "--user=1000:1000",
        "-v",
        mount,
    ];
    daemon.docker(&[&args[..], &["tiny:1", "sh", "-c", work]].concat());
}

fn mine(dir: &Path) -> PathBuf {
    fs::create_dir_all(dir).unwrap();
    let file = dir.join("file");
    fs::write(&file, format!("{}\n", dir.file_name().unwrap().display())).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    chown(&file, Some(1000), Some(1000)).unwrap();
    dir.to_path_buf()
}

#[test]
fn binds_and_volumes_survive_migrate_and_revert() {
    need_root();
    let host = Host::new();
    let idshift = Idshift::new();
    let root = host.data_root.clone();
    let plain = host.start(&[]);
    plain.import_tiny("tiny:1");
    let beside = |name: &str| host.beside().join(name);
    let text = |path: &Path| path.to_str().unwrap().to_string();
    let (srv, compose, out) = (
        mine(&beside("srv")),
        mine(&beside("compose")),
        mine(&beside("out")),
    );
    mine(&root.join("appdata/web"));
    mine(&root.join("shared"));
    volumes(&plain, &root, &compose);
    let dots = format!("{}/../root/appdata/web:/m", root.display());
    let all = [
        ("srv", format!("{}:/m", text(&srv))),
        ("dots", dots),
        ("compose", "compose:/m".into()),
        ("v1", "v1:/m".into()),
        ("of-v1", "of-v1:/m".into()),
        ("far", "far:/m".into()),
        ("near", "near:/m".into()),
    ];
    for (name, mount) in &all {
        reader(&plain, name, mount);
    }
    let start_all = |daemon: &Daemon<'_>| {
        all.clone().map(|(name, _)| {
            daemon
                .docker(&["start", "-a", name])
                .lines()
                .next()
                .unwrap()
                .to_string()
        })
    };
    let expected = ["srv", "web", "compose", "_data", "_data", "out", "shared"];
    assert_eq!(start_all(&plain), expected);
    plain.stop();

    let audited = audit(&host).exits(0);
    for path in [&srv, &compose, &out] {
        let advice = format!("idshift prepare --subid dockremap {}", path.display());
        assert!(audited.text().contains(&advice), "{advice:?} in {audited}");
    }
    let told = migrate(&idshift, &host, &["--bind-mounts"]).exits(0);
    for path in [&srv, &compose, &out] {
        let words = format!("Bind mount {} is shifted in place", path.display());
        assert!(told.stderr.contains(&words), "{words:?} in {told}");
    }
    let remapped = host.start(REMAPPED);
    assert_eq!(start_all(&remapped), expected);
    remapped.stop();

    // Without the option they stay as they are, and are named.
    let audited = audit(&host).text();
    let reverted = revert(&idshift, &host, &[]).exits(0).stderr;
    for path in [&srv, &compose, &out] {
        let command = format!(
            "idshift prepare --subid dockremap --reverse {}",
            path.display()
        );
        for told in [&audited, &reverted] {
            assert!(told.contains(&command), "{command:?} in {told}");
        }
        assert_eq!(owner(&path.join("file")), 101_000);
    }
    idshift.run(["rollback", "latest"]).exits(0);
    revert_without_container(&idshift, &host, "/srv");
    for path in [&srv, &compose, &out] {
        assert_eq!(owner(&path.join("file")), 1000, "{}", path.display());
    }
    let plain = host.start(&[]);
    assert_eq!(start_all(&plain), expected);
    plain.stop();
}

/// Volumes of every kind: a plain one, with a device, and a symlink.
fn volumes(plain: &Daemon<'_>, root: &Path, compose: &Path) {
    let option = |device: &Path| format!("device={}", device.display());
    let create = |name: &str, device: Option<&Path>| {
        let device = device.map(option);
        let options = ["--opt", "type=none", "--opt", "o=bind", "--opt"];
        let mut args = vec!["volume", "create"];
        if let Some(device) = &device {
            args.extend(options);
            args.push(device);
        }
        args.push(name);
        plain.docker(&args);
    };
    create("v1", None);
    mine(&root.join("volumes/v1/_data"));
    create("compose", Some(compose));
    create("of-v1", Some(&root.join("volumes/v1/_data")));
    create("far", None);
    create("near", None);
    for (name, target) in [
        ("far", PathBuf::from("../../../out")),
        ("near", root.join("shared")),
    ] {
        let data = root.join("volumes").join(name).join("_data");
        fs::remove_dir(&data).unwrap();
        symlink(target, data).unwrap();
    }
}

/// Also binds of a container that is no more: the journal of the migration has them. The container is put aside for the
/// time of the revert, and comes back as it was before the migration.
fn revert_without_container(idshift: &Idshift, host: &Host, name: &str) {
    let containers = host.data_root.join(INNER).join("containers");
    let config = |path: &Path| fs::read_to_string(path.join("config.v2.json")).unwrap();
    let its_dir = fs::read_dir(containers)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let its_dir = its_dir
        .into_iter()
        .find(|path| config(path).contains(&format!("\"{name}\"")))
        .unwrap();
    let aside = host.beside().join("aside");
    fs::rename(&its_dir, &aside).unwrap();
    revert(idshift, host, &["--bind-mounts"]).exits(0);
    let id = its_dir.file_name().unwrap();
    let restored = host.data_root.join("containers").join(id);
    fs::rename(&aside, &restored).unwrap();
    for file in ["config.v2.json", "hostconfig.json"] {
        let old = fs::read_to_string(restored.join(file)).unwrap();
        fs::write(restored.join(file), old.replace(&format!("/{INNER}"), "")).unwrap();
    }
}

/// Once no container binds a directory any more, only the journal says that it is to be shifted back.
#[test]
fn journals_that_a_revert_needs_are_not_pruned() {
    let place = Place::new();
    let idshift = Idshift::new();
    let bound = place.data(&place.beside("bound"));
    place.data(&place.volume("kept").join("_data"));
    place.container("web", &[(bound.to_str().unwrap(), "/m")], json!({}));
    place.run(&idshift, "migrate", &["--bind-mounts"]).exits(0);
    assert_eq!(owner(&bound.join("file")), 100_033);
    fs::remove_dir_all(place.root.join(INNER).join("containers/web")).unwrap();

    let prune = |more: &[&str]| {
        let run = idshift.run([&["journal", "prune", "--older-than", "0"], more].concat());
        run.exits(0)
    };
    let migration = idshift.the_journal();
    let needed = "reads from it which host directories to shift back";
    for (dry_run, stays) in [(&["--dry-run"][..], "would stay"), (&[], "stays")] {
        let told = prune(dry_run).text();
        let words = format!(
            "{} {stays}: `idshift docker revert --bind-mounts` {needed}",
            migration.display()
        );
        assert!(told.contains(&words), "{words:?} in {told}");
        assert!(told.contains(bound.to_str().unwrap()), "{told}");
    }
    // A disk that is not mounted.
    let aside = place.beside("aside");
    fs::rename(&place.root, &aside).unwrap();
    let told = prune(&["--json"]).json();
    assert_eq!(told["removed"], json!([]));
    assert_eq!(told["kept"][0]["path"], json!(migration));
    let reason = told["kept"][0]["reason"].as_str().unwrap();
    let command = format!(
        "If that data-root is gone for good: `rm {}`",
        migration.display()
    );
    assert!(reason.contains(&command), "{reason}");
    fs::rename(&aside, &place.root).unwrap();

    place.run(&idshift, "revert", &["--bind-mounts"]).exits(0);
    assert_eq!(owner(&bound.join("file")), 33);
    assert!(prune(&[]).text().contains("2 journals removed"));
}
