//! What a data-root points to, and what points into it: symlinked volumes, devices of volumes, bind mounts and
//! mounts inside of it. After a migration and after its revert all of it leads to the same inodes.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use crate::support::daemon::{Daemon, Host};
use crate::support::docker::*;
use crate::support::{Idshift, Kind, Run, TestFs, data_root, need_root, scene, sh};
use serde_json::{Value, json};
use tempfile::TempDir;

const INNER: &str = "100000.100000";

/// A data-root made by hand, with room beside it.
struct Place {
    dir: TempDir,
    root: PathBuf,
}

impl Place {
    fn new() -> Place {
        need_root();
        let dir = tempfile::Builder::new().tempdir_in("/var/tmp").unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).unwrap();
        let root = dir.path().join("root");
        data_root::empty(&root);
        Place { dir, root }
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A directory with a file of uid 33, closed to others.
    fn data(&self, path: &Path) -> PathBuf {
        fs::create_dir_all(path).unwrap();
        fs::write(path.join("file"), "data").unwrap();
        fs::set_permissions(path.join("file"), fs::Permissions::from_mode(0o600)).unwrap();
        chown(path.join("file"), Some(33), Some(33)).unwrap();
        path.to_path_buf()
    }

    fn volume(&self, name: &str) -> PathBuf {
        let dir = self.root.join("volumes").join(name);
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    fn linked(&self, name: &str, target: impl AsRef<Path>) -> PathBuf {
        let link = self.volume(name).join("_data");
        symlink(target, &link).unwrap();
        link
    }

    fn with_options(&self, name: &str, kind: &str, opts: &str, device: &str) {
        let dir = self.volume(name);
        fs::create_dir(dir.join("_data")).unwrap();
        let options = json!({"MountType": kind, "MountOpts": opts, "MountDevice": device, "Quota": {"Size": 0}});
        fs::write(dir.join("opts.json"), options.to_string()).unwrap();
    }

    fn device(&self, root: &Path, name: &str) -> PathBuf {
        let text = fs::read_to_string(root.join("volumes").join(name).join("opts.json")).unwrap();
        let options: Value = serde_json::from_str(&text).unwrap();
        options["MountDevice"].as_str().unwrap().into()
    }

    fn container(&self, name: &str, mounts: &[(&str, &str)], hostconfig: Value) {
        let dir = self.root.join("containers").join(name);
        fs::create_dir_all(&dir).unwrap();
        let mount = |(source, at): &(&str, &str)| {
            (
                at.to_string(),
                json!({"Type": "bind", "Source": source, "Destination": at, "RW": true}),
            )
        };
        let mounts: serde_json::Map<String, Value> = mounts.iter().map(mount).collect();
        let config = json!({"Name": format!("/{name}"), "Driver": "overlay2", "Config": {"User": "33:33"},
            "MountPoints": mounts});
        fs::write(dir.join("config.v2.json"), config.to_string()).unwrap();
        fs::write(dir.join("hostconfig.json"), hostconfig.to_string()).unwrap();
    }

    fn source(&self, root: &Path, container: &str, at: &str) -> PathBuf {
        let file = root
            .join("containers")
            .join(container)
            .join("config.v2.json");
        let config: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        config["MountPoints"][at]["Source"].as_str().unwrap().into()
    }

    fn run(&self, idshift: &Idshift, what: &str, more: &[&str]) -> Run {
        idshift.run(scene::docker_args(what, &self.root, more))
    }

    fn audit(&self) -> Run {
        let mut command = std::process::Command::new(Idshift::program());
        command.args(scene::docker_args("audit", &self.root, &[]));
        Run::of(&mut command)
    }
}

/// Without the inode numbers of what is written anew when it is rewritten: options and symlinks.
fn kept(root: &Path) -> Vec<String> {
    let lines = snapshot(root);
    let strip = |line: &String| {
        let mut value: Value = serde_json::from_str(line).unwrap();
        let path = value["path"].as_str().unwrap_or_default();
        if path.ends_with("opts.json") || value["type"] == "symlink" {
            let object = value.as_object_mut().unwrap();
            object.remove("ino");
            object.remove("atime_ns");
        }
        value.to_string()
    };
    lines.iter().map(strip).collect()
}

fn inode(path: &Path) -> u64 {
    fs::metadata(path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .ino()
}

fn owner(path: &Path) -> u32 {
    fs::metadata(path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .uid()
}

#[test]
fn symlinked_and_device_volumes_keep_their_inode() {
    let place = Place::new();
    let root = place.root.clone();
    let at = |below: &str| root.join(below);
    let out = place.data(&place.beside("out/big"));
    let shared = place.data(&at("shared"));
    place.data(&at("deep/er/est/of/all"));
    place.data(&at("volumes/v1/_data"));
    let text = |path: &Path| path.to_str().unwrap().to_string();
    let links = [
        ("relative-out", "../../../out/big".to_string(), &out),
        ("absolute-out", text(&out), &out),
        ("absolute-in", text(&shared), &shared),
        ("relative-in", "../../shared".into(), &shared),
        ("by-the-root's-name", "../../../root/shared".into(), &shared),
        (
            "deep",
            text(&at("deep/er/est/of/all")),
            &at("deep/er/est/of/all"),
        ),
        ("of-another", "../v1/_data".into(), &at("volumes/v1/_data")),
        (
            "of-another-absolute",
            text(&at("volumes/v1/_data")),
            &at("volumes/v1/_data"),
        ),
    ];
    for (name, target, _) in &links {
        place.linked(name, target);
    }
    place.linked("nowhere", "../nothing");
    symlink("../../out", at("volumes/whole")).unwrap();
    place.with_options(
        "binds-v1",
        "none",
        "bind,rw",
        &text(&at("volumes/v1/_data")),
    );
    place.with_options(
        "binds-shared",
        "none",
        "o=x,bind",
        &text(&at("volumes/../shared")),
    );
    place.with_options("binds-out", "none", "bind", &text(&out));
    place.with_options("nfs", "nfs", "addr=10.0.0.1,rw", ":/export");
    place.with_options("memory", "tmpfs", "size=1m,uid=33", "tmpfs");
    place.with_options("image", "ext4", "loop", &text(&at("deep/er/disk.img")));
    fs::write(at("deep/er/disk.img"), "").unwrap();
    let upper = format!(
        "lowerdir={}:/srv,upperdir={}",
        at("deep").display(),
        shared.display()
    );
    place.with_options("layers", "overlay", &upper, "overlay");
    let links: Vec<_> = links
        .iter()
        .map(|(name, target, leads_to)| (*name, target.clone(), inode(leads_to)))
        .collect();
    let devices: Vec<(&str, u64)> = ["binds-v1", "binds-shared", "binds-out", "image"]
        .map(|name| (name, inode(&place.device(&root, name))))
        .to_vec();
    let start = kept(&root);

    let audited = place.audit().exits(0);
    for words in [
        "whole is a symlink to",
        "rewritten to ../../../out\n",
        "relative-out is a symlink to",
        "it is rewritten to ../../../../out/big",
        &format!("absolute-out is a symlink to {}", out.display()),
        &format!("idshift prepare {}", out.display()),
        "absolute-in is a symlink to",
        &format!("rewritten to {}", root.join(INNER).join("shared").display()),
        "it goes along with the data-root, shifted",
        "nowhere is a symlink to ../nothing, where nothing is: left as it is",
        "nfs is a mount of nfs :/export when it is used: left as it is",
        "on the server",
        "uid= and gid= in its options are ids of the host",
        "image is a mount of ext4",
    ] {
        assert!(audited.text().contains(words), "{words:?} in {audited}");
    }
    let idshift = Idshift::new();
    place.run(&idshift, "migrate", &["--dry-run"]).exits(0);
    same(&start, &kept(&root), "after an audit and a dry run");

    let migrated = place.run(&idshift, "migrate", &[]).exits(0);
    let now = root.join(INNER);
    for (name, _, leads_to) in &links {
        let data = now.join("volumes").join(name).join("_data");
        assert_eq!(inode(&data), *leads_to, "{name}: {migrated}");
    }
    for (name, leads_to) in &devices {
        assert_eq!(
            inode(&place.device(&now, name)),
            *leads_to,
            "{name}: {migrated}"
        );
    }
    assert_eq!(inode(&now.join("volumes/whole/big")), inode(&out));
    let layers = fs::read_to_string(now.join("volumes/layers/opts.json")).unwrap();
    assert!(
        layers.contains(&format!("lowerdir={}:/srv,", now.join("deep").display())),
        "{layers}"
    );
    for (path, expected) in [
        (now.join("shared/file"), 100_033),
        (now.join("deep/er/est/of/all/file"), 100_033),
        (now.join("volumes/v1/_data/file"), 100_033),
        // Nobody binds it, and no volume is in it.
        (now.join("deep/er/disk.img"), 0),
        (out.join("file"), 33),
    ] {
        assert_eq!(owner(&path), expected, "{}: {migrated}", path.display());
    }
    idshift.run(["verify", "latest"]).exits(0);
    idshift.run(["rollback", "latest"]).exits(0);
    same(&start, &kept(&root), "after migrate and rollback");

    place.run(&idshift, "migrate", &["--bind-mounts"]).exits(0);
    assert_eq!(owner(&out.join("file")), 100_033);
    let reverted = place.run(&idshift, "revert", &["--bind-mounts"]).exits(0);
    for (name, target, leads_to) in &links {
        let data = root.join("volumes").join(name).join("_data");
        assert_eq!(inode(&data), *leads_to, "{name}: {reverted}");
        if !target.contains("/root/") {
            assert_eq!(fs::read_link(&data).unwrap(), Path::new(target), "{name}");
        }
    }
    for (name, leads_to) in &devices {
        assert_eq!(
            inode(&place.device(&root, name)),
            *leads_to,
            "{name}: {reverted}"
        );
    }
    assert_eq!(owner(&out.join("file")), 33);
    assert_eq!(owner(&shared.join("file")), 33);
    assert_eq!(owner(&at("deep/er/est/of/all/file")), 33);
}

#[test]
fn symlinks_of_a_copy_lead_where_the_plain_ones_do() {
    let place = Place::new();
    let out = place.data(&place.beside("out"));
    place.data(&place.root.join("shared"));
    place.linked("far", "../../../out");
    place.linked("near", place.root.join("shared"));
    fs::set_permissions(&place.root, fs::Permissions::from_mode(0o710)).unwrap();
    place.run(&Idshift::new(), "migrate", &["--copy"]).exits(0);
    let now = place.root.join(INNER);
    let far = now.join("volumes/far/_data");
    assert_eq!(inode(&far), inode(&out));
    let near = fs::canonicalize(now.join("volumes/near/_data")).unwrap();
    assert_eq!(near, now.join("shared"));
    assert_eq!(owner(&near.join("file")), 100_033);
    assert_eq!(owner(&place.root.join("shared/file")), 33);
    assert_eq!(inode(&place.root.join("volumes/far/_data")), inode(&out));
}

#[test]
fn mounts_in_a_data_root_are_refused_with_a_remedy() {
    let place = Place::new();
    let root = place.root.clone();
    place.data(&root.join("volumes/v0/_data"));
    place.container("c", &[], json!({}));
    let shm = root.join("containers/c/mounts/shm");
    fs::create_dir_all(&shm).unwrap();
    let places = ["volumes/v0/_data", "volumes/v0", "appdata/disk"];
    let idshift = Idshift::new();
    for below in places {
        let at = root.join(below);
        fs::create_dir_all(&at).unwrap();
        let start = snapshot(&root);
        let mounted = TestFs::mount_inside(Kind::Tmpfs, &at);
        let new = root.join(INNER).join(below);
        for told in [
            place.audit().exits(3),
            place.run(&idshift, "migrate", &["--dry-run"]).exits(4),
            place.run(&idshift, "migrate", &[]).exits(4),
            place.run(&idshift, "migrate", &["--keep-going"]).exits(4),
        ] {
            let text = told.text() + &told.stderr;
            for words in [
                format!("{}: is a mount point (tmpfs)", at.display()),
                format!("umount {}", at.display()),
                format!("idshift prepare {}", new.display()),
            ] {
                assert!(text.contains(&words), "{below}: {words:?} in {told}");
            }
        }
        drop(mounted);
        same(&start, &snapshot(&root), below);
    }
    // A volume that is shown elsewhere too.
    let shown = place.beside("shown");
    fs::create_dir(&shown).unwrap();
    sh(
        "mount",
        [
            "--bind".as_ref(),
            root.join("volumes/v0/_data").as_os_str(),
            shown.as_os_str(),
        ],
    );
    let refused = place.run(&idshift, "migrate", &[]);
    sh("umount", [&shown]);
    let refused = refused.exits(4);
    assert!(
        refused.stderr.contains("in use by what is mounted at"),
        "{refused}"
    );

    // A daemon that was killed left it: until then, it is its own.
    let left = TestFs::mount_inside(Kind::Tmpfs, &shm);
    place.audit().exits(0);
    let dry = place
        .run(&idshift, "migrate", &["--dry-run", "--json"])
        .exits(0);
    assert_eq!(dry.json()["would_refuse"][0]["kind"], "mounted", "{dry}");
    let refused = place.run(&idshift, "migrate", &[]).exits(4);
    for words in ["a dead daemon left", &format!("umount {}", shm.display())] {
        assert!(refused.stderr.contains(words), "{words:?} in {refused}");
    }
    drop(left);
    place.run(&idshift, "migrate", &[]).exits(0);

    // The same on the way back.
    let at = root.join(INNER).join("volumes/v0/_data");
    let mounted = TestFs::mount_inside(Kind::Tmpfs, &at);
    let refused = place.run(&idshift, "revert", &[]).exits(4);
    assert!(
        refused.stderr.contains("is a mount point (tmpfs)"),
        "{refused}"
    );
    drop(mounted);
    place.run(&idshift, "revert", &[]).exits(0);
}

#[test]
fn a_volume_leading_out_and_in_again_is_refused() {
    let place = Place::new();
    let shared = place.data(&place.root.join("shared"));
    fs::create_dir(place.beside("way")).unwrap();
    symlink(&shared, place.beside("way/_data")).unwrap();
    symlink("../../way", place.root.join("volumes/chain")).unwrap();
    let help = format!("Make the volume a symlink to {}", shared.display());
    let audited = place.audit().exits(3);
    assert!(audited.text().contains(&help), "{audited}");
    let idshift = Idshift::new();
    for more in [&["--dry-run"][..], &[]] {
        let refused = place.run(&idshift, "migrate", more).exits(4);
        assert!(refused.stderr.contains(&help), "{refused}");
    }
    fs::remove_file(place.root.join("volumes/chain")).unwrap();
    place.linked("chain", &shared);
    place.run(&idshift, "migrate", &[]).exits(0);
    let data = place.root.join(INNER).join("volumes/chain/_data/file");
    assert_eq!(owner(&data), 100_033);
}

#[test]
fn own_data_in_the_data_root_is_shifted_if_bound() {
    let place = Place::new();
    let root = place.root.clone();
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
    let audited = place.audit().exits(0);
    for words in [
        "nothing: it goes along with the data-root, shifted",
        "two binds it too and is not remapped",
        &format!("needs {}", root.join(INNER).join("appdata/web").display()),
        "kept: not Docker's; goes along as it is",
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
        let command = format!("idshift prepare --reverse {}", at(left).display());
        assert!(
            reverted.stderr.contains(&command),
            "{command:?} in {reverted}"
        );
        idshift.run(command.split(' ').skip(1)).exits(0);
    }
    assert_eq!(owner(&at("appdata/web/file")), 33);
    assert_eq!(place.source(&root, "dots", "/b"), at("volumes/bare"));
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
    create("compose", Some(&compose));
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
        let advice = format!("idshift prepare {}", path.display());
        assert!(audited.text().contains(&advice), "{advice:?} in {audited}");
    }
    let told = migrate(&idshift, &host, &["--bind-mounts"]).exits(0);
    for path in [&srv, &compose, &out] {
        let words = format!("Bind mount {} goes along", path.display());
        assert!(told.stderr.contains(&words), "{words:?} in {told}");
    }
    let remapped = host.start(REMAPPED);
    assert_eq!(start_all(&remapped), expected);
    remapped.stop();

    // Without the option they stay as they are, and are named.
    let audited = audit(&host);
    let reverted = revert(&idshift, &host, &[]).exits(0);
    for path in [&srv, &compose, &out] {
        let command = format!("idshift prepare --reverse {}", path.display());
        assert!(
            audited.text().contains(&command),
            "{command:?} in {audited}"
        );
        assert!(
            reverted.stderr.contains(&command),
            "{command:?} in {reverted}"
        );
        assert_eq!(owner(&path.join("file")), 101_000);
    }
    idshift.run(["rollback", "latest"]).exits(0);
    // Also of a container that is no more: the journal of the migration has it.
    let containers = host.data_root.join(INNER).join("containers");
    let config = |path: &Path| fs::read_to_string(path.join("config.v2.json")).unwrap();
    let of_srv = fs::read_dir(containers)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let of_srv = of_srv
        .into_iter()
        .find(|path| config(path).contains("\"/srv\""))
        .unwrap();
    let aside = beside("aside");
    fs::rename(&of_srv, &aside).unwrap();
    revert(&idshift, &host, &["--bind-mounts"]).exits(0);
    let id = of_srv.file_name().unwrap();
    // It comes back as it was before the migration.
    let restored = host.data_root.join("containers").join(id);
    fs::rename(&aside, &restored).unwrap();
    for name in ["config.v2.json", "hostconfig.json"] {
        let old = fs::read_to_string(restored.join(name)).unwrap();
        fs::write(restored.join(name), old.replace(&format!("/{INNER}"), "")).unwrap();
    }
    for path in [&srv, &compose, &out] {
        assert_eq!(owner(&path.join("file")), 1000, "{}", path.display());
    }
    let plain = host.start(&[]);
    assert_eq!(start_all(&plain), expected);
    plain.stop();
}
