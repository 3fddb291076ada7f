//! What looks at paths, and changes nothing, tells of an idmapped mount, and proposes nothing that is refused there.

use crate::support::PYTHON;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::volume::{check, directory, place, prepare};
use crate::support::{Idshift, Kind, MAP, Mounted, Run, TestFs, scene, sh};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A place that everybody may enter, on a filesystem that can be mapped.
struct Place {
    // Dropped first: the directory cannot be removed while it is mounted on.
    _fs: Mounted,
    dir: TempDir,
}

impl Place {
    fn new() -> Place {
        let dir = place();
        let fs = Mounted::new("tmpfs", "mode=755", dir.path());
        Place { _fs: fs, dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// An empty directory.
    fn dir(&self, name: &str) -> PathBuf {
        directory(&self.path(name), (0, 0), 0o755)
    }
}

fn remedies(run: &Run) -> Vec<String> {
    let told = run.json();
    let remedies = told["remedies"].as_array().unwrap().iter();
    remedies
        .map(|remedy| remedy.as_str().unwrap().to_string())
        .collect()
}

#[test]
fn check_tells_an_idmapped_mount_and_what_works() {
    let place = Place::new();
    // As the user of a container has it, another container's, and one that is shown as nobody's.
    let own = directory(&place.path("t/own"), (1000, 1000), 0o755);
    let closed = directory(&place.path("t/closed"), (1000, 1000), 0o055);
    directory(&place.path("t/other"), (33, 33), 0o755);
    directory(&place.path("t/nobody"), (100_000, 100_000), 0o755);
    let mapped = place.dir("mapped");
    let mounted = Mounted::idmapped(&place.path("t"), &mapped);
    let point = mapped.to_str().unwrap();

    let run = check(&mapped.join("own"), &["--as", "1000", "--json"]).exits(0);
    let told = run.json()["idmapped_mount"].to_string();
    assert!(
        told.contains("idmapped mount") && told.contains(point),
        "{run}"
    );
    let text = check(&mapped.join("own"), &["--as", "1000"])
        .exits(0)
        .text();
    assert!(text.contains("on disk are not those shown"), "{text}");

    for name in ["other", "nobody"] {
        let run = check(&mapped.join(name), &["--as", "1000", "--json"]).exits(3);
        let all = remedies(&run);
        let [remedy] = &all[..] else { panic!("{run}") };
        assert!(!remedy.contains("prepare"), "{remedy}");
        let helps = ["findmnt -o SOURCE,FSROOT", point, "umount"];
        assert!(helps.iter().all(|help| remedy.contains(help)), "{remedy}");
        // What would be a shift on disk is not said to help there.
        assert!(!remedy.contains("idshift check"), "{remedy}");
        let command = remedy.split('`').nth(1).unwrap();
        assert!(command.starts_with("chown 101000:"), "{remedy}");
        sh("sh", ["-c", command]);
        check(&mapped.join(name), &["--as", "1000"]).exits(0);
        let on_disk = place.path("t").join(name);
        assert_eq!(fs::metadata(&on_disk).unwrap().uid(), 1000, "{name}");
        let before = if name == "other" { 33 } else { 100_000 };
        chown(&on_disk, Some(before), Some(before)).unwrap();
    }
    // With a runtime that stops at closed directories above.
    let above = directory(&place.path("above"), (0, 0), 0o700);
    let again = place.dir("above/again");
    let _again = Mounted::idmapped(&place.path("t"), &again);
    let old = ["--as", "1000", "--old-runtime", "--json"];
    let run = check(&again.join("own"), &old).exits(3);
    let all = remedies(&run);
    assert!(all[0].starts_with("setfacl -m u:100000:--x"), "{run}");
    assert!(all[0].ends_with(above.to_str().unwrap()), "{run}");
    // Commands that it proposes work.
    let run = check(&mapped.join("closed"), &["--as", "1000", "--json"]).exits(3);
    for command in [&all[0], &remedies(&run)[0]] {
        sh("sh", ["-c", command]);
    }
    check(&again.join("own"), &old).exits(0);
    check(&mapped.join("closed"), &["--as", "1000"]).exits(0);

    let missing = check(&mapped.join("own/new"), &["--as", "1000"]).exits(4);
    assert!(!missing.stderr.contains("idshift prepare"), "{missing}");
    missing.says("idmapped mount").says(point);
    let create = ["--create", "--owner", "1000:1000"];
    // Root may not even open what has an owner there that is not mapped.
    fs::set_permissions(place.path("t/nobody"), fs::Permissions::from_mode(0o700)).unwrap();
    let nobody = mapped.join("nobody");
    for run in [
        check(&nobody, &["--as", "1000"]),
        prepare(&Idshift::new(), &nobody, &[]),
        Idshift::new().run(["shift", "--map", MAP, nobody.to_str().unwrap()]),
    ] {
        run.exits(4).says("idmapped mount").says("findmnt");
    }
    for dry in [&["--dry-run"][..], &[]] {
        let run = prepare(
            &Idshift::new(),
            &mapped.join("own/new"),
            &[&create[..], dry].concat(),
        );
        run.exits(4).says("idmapped mount").says(point);
    }
    drop(mounted);
    // Without the mount it is what it was, and prepare is what helps.
    let run = check(&own, &["--as", "1000", "--json"]).exits(3);
    assert!(run.json().get("idmapped_mount").is_none(), "{run}");
    assert!(remedies(&run)[0].starts_with("idshift prepare"), "{run}");
    assert_eq!(fs::metadata(&closed).unwrap().uid(), 1000);
}

/// A data-root by hand, with a container that binds `source`.
fn data_root(root: &Path, source: Option<&Path>) {
    for below in [
        "image/overlay2/imagedb/content/sha256",
        "containers/c1",
        "volumes",
        "overlay2",
        "network/files",
    ] {
        fs::create_dir_all(root.join(below)).unwrap();
    }
    fs::set_permissions(root, fs::Permissions::from_mode(0o711)).unwrap();
    fs::write(root.join("image/overlay2/imagedb/content/sha256/abc"), "{}").unwrap();
    let mounts: serde_json::Map<String, Value> = source
        .iter()
        .map(|source| {
            let mount = json!({"Type": "bind", "Source": source, "Destination": "/d", "RW": true});
            ("/d".to_string(), mount)
        })
        .collect();
    let config = json!({"Name": "/web", "Driver": "overlay2", "Config": {"User": "33:33"}, "MountPoints": mounts});
    fs::write(
        root.join("containers/c1/config.v2.json"),
        config.to_string(),
    )
    .unwrap();
    fs::write(root.join("containers/c1/hostconfig.json"), "{}").unwrap();
}

fn audit(root: &Path, more: &[&str]) -> Run {
    let mut command = Command::new(Idshift::program());
    command.args(scene::docker_args("audit", root, more));
    Run::of(&mut command)
}

#[test]
fn an_idmapped_data_root_is_refused_and_told() {
    let place = Place::new();
    data_root(&place.path("real"), None);
    let root = place.dir("root");
    let mounted = Mounted::idmapped(&place.path("real"), &root);
    let idshift = Idshift::new();
    let told = audit(&root, &[]).exits(4);
    assert!(
        told.text().contains("is seen through an idmapped mount"),
        "{told}"
    );
    let json = audit(&root, &["--json"]).exits(4).json();
    assert_eq!(
        (&json["verdict"], &json["is_idmapped"]),
        (&json!("error"), &json!(true))
    );
    for more in [&[][..], &["--dry-run"]] {
        let run = idshift.run(scene::docker_args("migrate", &root, more));
        run.exits(4).says("is seen through an idmapped mount");
    }
    let doctor = || {
        let mut command = Command::new(Idshift::program());
        command.args(["doctor", "--daemon-json", "/nonexistent", "--data-root"]);
        Run::of(command.arg(&root))
    };
    let run = doctor().exits(3);
    assert!(
        run.text().contains("is seen through an idmapped mount"),
        "{run}"
    );
    drop(mounted);
    let run = audit(&place.path("real"), &[]).exits(0);
    assert!(!run.text().contains("idmapped mount"), "{run}");
}

#[test]
fn idmapped_bind_sources_and_volumes_are_left() {
    let place = Place::new();
    let data = directory(&place.path("data"), (33, 33), 0o700);
    fs::write(data.join("file"), "").unwrap();
    chown(data.join("file"), Some(70_000), Some(70_000)).unwrap();
    let (source, target) = (place.dir("source"), place.dir("target"));
    let _mounts = [&source, &target].map(|at| Mounted::idmapped(&data, at));
    // What a container of uid 33 can use there is none of an audit's business.
    chown(source.join("file"), Some(100_033), Some(100_033)).unwrap();
    let root = place.path("root");
    let below = directory(&data.join("below"), (0, 0), 0o700);
    chown(&below, Some(70_001), Some(70_001)).unwrap();
    data_root(&root, Some(&source.join("below")));
    fs::create_dir_all(root.join("volumes/v")).unwrap();
    symlink(target.join("below"), root.join("volumes/v/_data")).unwrap();
    let idshift = Idshift::new();
    let run = audit(&root, &["--json"]).exits(0);
    let told = run.json();
    let binds = told["bind_mounts"].as_array().unwrap();
    assert_eq!(binds.len(), 2, "{run}");
    for bind in binds {
        assert_eq!(bind["kind"], "idmapped", "{bind}");
        let advice = bind["advice"].as_str().unwrap();
        assert!(!advice.contains("idshift prepare"), "{advice}");
        assert!(advice.contains("findmnt -o SOURCE,FSROOT"), "{advice}");
    }
    let volume = told["volumes_elsewhere"][0].to_string();
    assert!(volume.contains("idmapped mount"), "{volume}");
    for dry in [&["--dry-run"][..], &[]] {
        let more = [&["--bind-mounts"], dry].concat();
        let run = idshift
            .run(scene::docker_args("migrate", &root, &more))
            .exits(0);
        run.says("stays as it is: never shift it through an idmapped mount");
    }
    assert_eq!(fs::metadata(&below).unwrap().uid(), 70_001);
    idshift.rollback();
    // On a volume's own place.
    fs::remove_file(root.join("volumes/v/_data")).unwrap();
    fs::create_dir(root.join("volumes/v/_data")).unwrap();
    let _on_volume = Mounted::idmapped(&data, &root.join("volumes/v/_data"));
    let text = audit(&root, &[]).exits(3).text();
    assert!(text.contains("is an idmapped mount"), "{text}");
    assert!(!text.contains("idshift prepare /"), "{text}");
    let run = idshift.run(scene::docker_args("migrate", &root, &[]));
    run.exits(4).says("is an idmapped mount");
}

#[test]
fn an_acl_with_an_unmapped_id_says_what_it_is() {
    let fs = TestFs::new(Kind::Ext4);
    let file = fs.path().join("file");
    fs::write(&file, "").unwrap();
    sh("setfacl", ["-m", "u:3000000:r", file.to_str().unwrap()]);
    // In a user namespace that lacks the id.
    let mut command = Command::new(PYTHON);
    let enter = crate::support::script("enter.py");
    command.arg(enter).args(["/", "b:0:0:200000", "--"]);
    command.arg(Idshift::program());
    command.args(["shift", "--map", MAP, "--dry-run"]);
    let run = Run::of(command.arg(&file)).exits(3);
    let text = run.text();
    for words in [
        "its ACL names a user with id 4294967295",
        "does not map",
        "Run idshift on the host",
    ] {
        assert!(text.contains(words), "{run}");
    }
}

/// A chroot that lies below the mount point does not show it in its mountinfo.
#[test]
fn an_idmapped_mount_hidden_by_a_chroot_is_refused() {
    let fs = TestFs::new(Kind::Ext4);
    let at = |name: &str| fs.path().join(name);
    for dir in [
        "t/root/usr",
        "t/root/proc",
        "t/root/tree",
        "t/root/program",
        "mapped",
    ] {
        fs::create_dir_all(at(dir)).unwrap();
    }
    for link in ["lib", "lib64", "bin"] {
        symlink(format!("usr/{link}"), at("t/root").join(link)).unwrap();
    }
    fs::write(at("t/root/tree/file"), "").unwrap();
    let program = Idshift::program();
    let run_in = |root: &Path, more: &[&str]| {
        let mounts = [
            Mounted::bind(Path::new("/usr"), &root.join("usr")),
            Mounted::bind(Path::new("/proc"), &root.join("proc")),
            Mounted::bind(program.parent().unwrap(), &root.join("program")),
        ];
        let mut command = Command::new("chroot");
        command.arg(root).arg("/program/idshift");
        let args = [
            "shift",
            "--map",
            MAP,
            "--allow-in-use",
            "--journal-dir",
            "/journals",
            "/tree",
        ];
        let run = Run::of(command.args(args).args(more));
        drop(mounts);
        run
    };
    {
        let _mapped = Mounted::idmapped(&at("t"), &at("mapped"));
        for more in [&[][..], &["--dry-run"], &["--cross-mounts"]] {
            let run = run_in(&at("mapped/root"), more).exits(4);
            run.says("/tree: is seen through an idmapped mount")
                .says("outside of this chroot");
        }
    }
    assert_eq!(fs::metadata(at("t/root/tree/file")).unwrap().uid(), 0);
    for more in [&["--dry-run"][..], &["--cross-mounts"]] {
        run_in(&at("t/root"), more).exits(0);
    }
    assert_eq!(fs::metadata(at("t/root/tree/file")).unwrap().uid(), 100_000);
}
