//! What a data-root points to, and what points into it: symlinked volumes, devices of volumes, bind mounts and
//! mounts inside of it. After a migration and after its revert all of it leads to the same inodes.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use crate::support::docker::*;
use crate::support::{Idshift, Kind, Run, TestFs, data_root, need_root, scene, sh};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(super) const INNER: &str = "100000.100000";

/// A data-root made by hand, with room beside it.
pub(super) struct Place {
    pub(super) dir: TempDir,
    pub(super) root: PathBuf,
}

impl Place {
    pub(super) fn new() -> Place {
        need_root();
        let dir = tempfile::Builder::new().tempdir_in("/var/tmp").unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).unwrap();
        let root = dir.path().join("root");
        data_root::empty(&root);
        Place { dir, root }
    }

    pub(super) fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A directory with a file of uid 33, closed to others.
    pub(super) fn data(&self, path: &Path) -> PathBuf {
        fs::create_dir_all(path).unwrap();
        fs::write(path.join("file"), "data").unwrap();
        fs::set_permissions(path.join("file"), fs::Permissions::from_mode(0o600)).unwrap();
        chown(path.join("file"), Some(33), Some(33)).unwrap();
        path.to_path_buf()
    }

    pub(super) fn volume(&self, name: &str) -> PathBuf {
        let dir = self.root.join("volumes").join(name);
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    pub(super) fn linked(&self, name: &str, target: impl AsRef<Path>) -> PathBuf {
        let link = self.volume(name).join("_data");
        symlink(target, &link).unwrap();
        link
    }

    pub(super) fn with_options(&self, name: &str, kind: &str, opts: &str, device: &str) {
        let dir = self.volume(name);
        fs::create_dir(dir.join("_data")).unwrap();
        let options = json!({"MountType": kind, "MountOpts": opts, "MountDevice": device, "Quota": {"Size": 0}});
        fs::write(dir.join("opts.json"), options.to_string()).unwrap();
    }

    pub(super) fn device(&self, root: &Path, name: &str) -> PathBuf {
        let text = fs::read_to_string(root.join("volumes").join(name).join("opts.json")).unwrap();
        let options: Value = serde_json::from_str(&text).unwrap();
        options["MountDevice"].as_str().unwrap().into()
    }

    pub(super) fn container(&self, name: &str, mounts: &[(&str, &str)], hostconfig: Value) {
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

    pub(super) fn source(&self, root: &Path, container: &str, at: &str) -> PathBuf {
        let file = root
            .join("containers")
            .join(container)
            .join("config.v2.json");
        let config: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        config["MountPoints"][at]["Source"].as_str().unwrap().into()
    }

    pub(super) fn run(&self, idshift: &Idshift, what: &str, more: &[&str]) -> Run {
        idshift.run(scene::docker_args(what, &self.root, more))
    }

    pub(super) fn audit(&self) -> Run {
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

pub(super) fn owner(path: &Path) -> u32 {
    fs::metadata(path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .uid()
}

/// Volumes that lead somewhere: symlinks with their targets, and volumes with a device; and the inodes that they lead to.
struct LeadingVolumes {
    links: Vec<(&'static str, String, u64)>,
    devices: Vec<(&'static str, u64)>,
}

impl LeadingVolumes {
    fn new(place: &Place, out: &Path, shared: &Path) -> LeadingVolumes {
        let at = |below: &str| place.root.join(below);
        place.data(&at("deep/er/est/of/all"));
        place.data(&at("volumes/v1/_data"));
        let text = |path: &Path| path.to_str().unwrap().to_string();
        let links = [
            ("relative-out", "../../../out/big".to_string(), out),
            ("absolute-out", text(out), out),
            ("absolute-in", text(shared), shared),
            ("relative-in", "../../shared".into(), shared),
            ("by-the-root's-name", "../../../root/shared".into(), shared),
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
        add_volumes_with_options(place, out, shared);
        let links: Vec<_> = links
            .iter()
            .map(|(name, target, leads_to)| (*name, target.clone(), inode(leads_to)))
            .collect();
        let devices: Vec<(&str, u64)> = ["binds-v1", "binds-shared", "binds-out", "image"]
            .map(|name| (name, inode(&place.device(&place.root, name))))
            .to_vec();
        LeadingVolumes { links, devices }
    }

    fn keep_their_inodes_in(&self, place: &Place, root: &Path) {
        for (name, _, leads_to) in &self.links {
            let data = root.join("volumes").join(name).join("_data");
            assert_eq!(inode(&data), *leads_to, "{name} in {}", root.display());
        }
        for (name, leads_to) in &self.devices {
            let device = place.device(root, name);
            assert_eq!(inode(&device), *leads_to, "{name} in {}", root.display());
        }
    }

    fn have_their_targets_again(&self, root: &Path) {
        for (name, target, _) in &self.links {
            if !target.contains("/root/") {
                let data = root.join("volumes").join(name).join("_data");
                assert_eq!(fs::read_link(&data).unwrap(), Path::new(target), "{name}");
            }
        }
    }
}

fn add_volumes_with_options(place: &Place, out: &Path, shared: &Path) {
    let at = |below: &str| place.root.join(below);
    let text = |path: &Path| path.to_str().unwrap().to_string();
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
    place.with_options("binds-out", "none", "bind", &text(out));
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
}

fn audit_names_what_is_rewritten(place: &Place, out: &Path) {
    let audited = place.audit().exits(0);
    for words in [
        "whole is a symlink to",
        "rewritten to ../../../out; `idshift docker migrate --bind-mounts` shifts its content, too\n",
        "relative-out is a symlink to",
        "it is rewritten to ../../../../out/big",
        &format!("absolute-out is a symlink to {}", out.display()),
        &format!("idshift prepare --subid dockremap {}", out.display()),
        "absolute-in is a symlink to",
        &format!(
            "rewritten to {}",
            place.root.join(INNER).join("shared").display()
        ),
        "it moves with the data-root and is shifted",
        "nowhere is a symlink to ../nothing, which does not exist: left as it is",
        "nfs is a mount of nfs :/export when it is used: left as it is",
        "on the server",
        "uid= and gid= in its options are ids of the host",
        "image is a mount of ext4",
    ] {
        assert!(audited.text().contains(words), "{words:?} in {audited}");
    }
}

#[test]
fn symlinked_and_device_volumes_keep_their_inode() {
    let place = Place::new();
    let root = place.root.clone();
    let at = |below: &str| root.join(below);
    let out = place.data(&place.beside("out/big"));
    let shared = place.data(&at("shared"));
    let volumes = LeadingVolumes::new(&place, &out, &shared);
    let start = kept(&root);

    audit_names_what_is_rewritten(&place, &out);
    let idshift = Idshift::new();
    place.run(&idshift, "migrate", &["--dry-run"]).exits(0);
    same(&start, &kept(&root), "after an audit and a dry run");

    let migrated = place.run(&idshift, "migrate", &[]).exits(0);
    let now = root.join(INNER);
    volumes.keep_their_inodes_in(&place, &now);
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
    place.run(&idshift, "revert", &["--bind-mounts"]).exits(0);
    volumes.keep_their_inodes_in(&place, &root);
    volumes.have_their_targets_again(&root);
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
    let idshift = Idshift::new();
    each_mount_is_refused(&place, &idshift);
    a_volume_mounted_elsewhere_is_refused(&place, &idshift);
    // A daemon that was killed left it: until then, it is its own.
    let left = TestFs::mount_inside(Kind::Tmpfs, &shm);
    place.audit().exits(0);
    let dry = place
        .run(&idshift, "migrate", &["--dry-run", "--json"])
        .exits(0);
    assert_eq!(dry.json()["would_refuse"][0]["kind"], "mounted", "{dry}");
    let refused = place.run(&idshift, "migrate", &[]).exits(4);
    for words in ["a killed daemon left", &format!("umount {}", shm.display())] {
        assert!(refused.stderr.contains(words), "{words:?} in {refused}");
    }
    drop(left);
    place.run(&idshift, "migrate", &[]).exits(0);

    // The same on the way back.
    let at = root.join(INNER).join("volumes/v0/_data");
    let mounted = TestFs::mount_inside(Kind::Tmpfs, &at);
    let refused = place.run(&idshift, "revert", &[]).exits(4);
    let back = root.join("volumes/v0/_data");
    refused
        .says("is a mount point (tmpfs)")
        .says(&format!("revert, mount it at {}", back.display()))
        .says(&format!("`idshift shift --reverse {}`", back.display()));
    drop(mounted);
    place.run(&idshift, "revert", &[]).exits(0);
}

fn each_mount_is_refused(place: &Place, idshift: &Idshift) {
    let root = &place.root;
    let places = [
        ("volumes/v0/_data", "`idshift shift {}`"),
        ("volumes/v0", "`idshift shift {}/_data`"),
        ("volumes", "`idshift shift {}/*/_data`"),
        ("overlay2", "`cp -a`"),
        ("appdata/disk", "outside of the data-root"),
    ];
    for (below, command) in places {
        let at = root.join(below);
        fs::create_dir_all(&at).unwrap();
        let start = snapshot(root);
        let mounted = TestFs::mount_inside(Kind::Tmpfs, &at);
        let new = root.join(INNER).join(below);
        for told in [
            place.audit().exits(3),
            place.run(idshift, "migrate", &["--dry-run"]).exits(4),
            place.run(idshift, "migrate", &[]).exits(4),
            place.run(idshift, "migrate", &["--keep-going"]).exits(4),
        ] {
            let text = told.text() + &told.stderr;
            for words in [
                format!("{}: is a mount point (tmpfs)", at.display()),
                format!("umount {}", at.display()),
                command.replace("{}", new.to_str().unwrap()),
            ] {
                assert!(text.contains(&words), "{below}: {words:?} in {told}");
            }
        }
        drop(mounted);
        same(&start, &snapshot(root), below);
    }
}

fn a_volume_mounted_elsewhere_is_refused(place: &Place, idshift: &Idshift) {
    let shown = place.beside("shown");
    fs::create_dir(&shown).unwrap();
    sh(
        "mount",
        [
            "--bind".as_ref(),
            place.root.join("volumes/v0/_data").as_os_str(),
            shown.as_os_str(),
        ],
    );
    let refused = place.run(idshift, "migrate", &[]);
    sh("umount", [&shown]);
    let refused = refused.exits(4);
    assert!(
        refused.stderr.contains("in use by what is mounted at"),
        "{refused}"
    );
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
