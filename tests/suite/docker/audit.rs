//! `docker audit` on data-roots made by hand: what a daemon of a test would rarely have.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support;
use crate::support::{Idshift, Kind, Run, TestFs, data_root, need_root, scene, trace};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A data-root of a plain daemon.
pub(super) struct Root {
    pub(super) dir: TempDir,
    pub(super) containers: usize,
}

impl Root {
    pub(super) fn new() -> Root {
        need_root();
        // The range has to be there, as on a host that is about to use it.
        let dir = tempfile::Builder::new().tempdir_in("/var/tmp").unwrap();
        data_root::empty(dir.path());
        Root { dir, containers: 0 }
    }

    pub(super) fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    pub(super) fn make(&self, below: &str) -> PathBuf {
        let path = self.path(below);
        fs::create_dir_all(&path).unwrap();
        path
    }

    pub(super) fn container(&mut self, name: &str, mut config: Value, hostconfig: Value) {
        self.containers += 1;
        let dir = self.make(&format!("containers/{:064x}", self.containers));
        config["Name"] = format!("/{name}").into();
        config["Driver"] = "overlay2".into();
        if config["Config"].is_null() {
            config["Config"] = json!({"User": "1000:1000"});
        }
        fs::write(dir.join("config.v2.json"), config.to_string()).unwrap();
        fs::write(dir.join("hostconfig.json"), hostconfig.to_string()).unwrap();
    }

    pub(super) fn audit(&self) -> (Option<i32>, Value) {
        let run = audit(&["--data-root", self.dir.path().to_str().unwrap(), "--json"]);
        let told = serde_json::from_slice(&run.stdout).unwrap_or_else(|_| panic!("{run}"));
        (run.code, told)
    }
}

pub(super) fn audit(args: &[&str]) -> Run {
    let mut command = Command::new(Idshift::program());
    command.args(["docker", "audit", "--daemon-json", "/nonexistent"]);
    command.args(args);
    Run::of(&mut command)
}

pub(super) fn bind(source: &Path, rw: bool) -> Value {
    json!({"Type": "bind", "Source": source, "Destination": format!("/m{}", source.display()), "RW": rw})
}

pub(super) fn dir_of(above: &Path, name: &str) -> PathBuf {
    let path = above.join(name);
    fs::create_dir(&path).unwrap();
    path
}

fn levels(told: &Value) -> Vec<String> {
    let findings = told["findings"].as_array().unwrap().iter();
    let bad = findings.filter(|it| it["level"] != "ok");
    bad.map(|it| {
        format!(
            "{} {}: {}",
            it["level"].as_str().unwrap(),
            it["what"].as_str().unwrap(),
            it["found"].as_str().unwrap()
        )
    })
    .collect()
}

#[test]
fn each_container_and_bind_mount_is_told_what_to_do() {
    let mut root = Root::new();
    let sources = BindSources::new(&root);
    containers_in_trouble(&mut root);
    containers_with_binds(&mut root, &sources);
    let (code, told) = root.audit();
    // Its files are in containerd, and would not be there afterwards.
    assert_eq!(code, Some(4), "{:#?}", levels(&told));
    assert_eq!(told["is_carried"], false);
    assert_eq!(told["running"], json!(["web"]));
    troubled_containers_are_told(&told);
    what_web_binds_is_told(&told, &sources);
    what_others_bind_is_told(&told, &sources);
}

/// What containers bind.
struct BindSources {
    beside: TempDir,
    own: PathBuf,
    shared: PathBuf,
    shifted: PathBuf,
    open: PathBuf,
    below_closed: PathBuf,
    socket: PathBuf,
    _listener: UnixListener,
    gone: PathBuf,
    /// Also bound by a container that is not remapped.
    both: PathBuf,
    /// In the data-root.
    inside: PathBuf,
}

impl BindSources {
    fn new(root: &Root) -> BindSources {
        let beside = tempfile::Builder::new().tempdir_in("/var/tmp").unwrap();
        fs::set_permissions(beside.path(), fs::Permissions::from_mode(0o711)).unwrap();
        let dir = |name: &str, owner: u32, mode: u32| {
            let path = beside.path().join(name);
            fs::create_dir_all(&path).unwrap();
            chown(&path, Some(owner), Some(owner)).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let (own, shared, shifted) = (
            dir("own", 1000, 0o700),
            dir("shared", 0, 0o755),
            dir("shifted", 101_000, 0o700),
        );
        let open = dir("open", 0, 0o755);
        fs::write(open.join("file"), "").unwrap();
        let below_closed = dir("closed", 0, 0o700).join("below");
        fs::create_dir(&below_closed).unwrap();
        let socket = beside.path().join("docker.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let gone = beside.path().join("gone");

        let closed_file = shared.join("secret");
        fs::write(&closed_file, "").unwrap();
        fs::set_permissions(&closed_file, fs::Permissions::from_mode(0o600)).unwrap();
        BindSources {
            both: dir_of(beside.path(), "both"),
            inside: root.make("volumes/mine/_data"),
            beside,
            own,
            shared,
            shifted,
            open,
            below_closed,
            socket,
            _listener: listener,
            gone,
        }
    }
}

fn containers_in_trouble(root: &mut Root) {
    root.container("pid", json!({}), json!({"PidMode": "host"}));
    root.container("net", json!({}), json!({"NetworkMode": "host"}));
    root.container("all", json!({}), json!({"Privileged": true}));
    let in_containerd = json!({});
    root.container("snapshotter", in_containerd, json!({}));
    let dir = root.path(&format!(
        "containers/{:064x}/config.v2.json",
        root.containers
    ));
    let text = fs::read_to_string(&dir).unwrap();
    fs::write(&dir, text.replace("\"overlay2\"", "\"overlayfs\"")).unwrap();
    root.container(
        "large",
        json!({"Config": {"User": "70000"}}),
        json!({"IpcMode": "shareable"}),
    );
    root.container("joins", json!({}), json!({"PidMode": "container:net"}));
    root.container("ipc", json!({}), json!({"IpcMode": "host"}));
    let volume =
        json!({"/v": {"Type": "volume", "Name": "far", "Driver": "nfs-plugin", "RW": true}});
    root.container("far", json!({"MountPoints": volume}), json!({}));
}

fn containers_with_binds(root: &mut Root, on: &BindSources) {
    let mounts = [
        (&on.own, true),
        (&on.open, false),
        (&on.shifted, true),
        (&on.socket, true),
        (&on.gone, true),
        (&PathBuf::from("/etc/hostname"), false),
        (&PathBuf::from("/"), false),
        (&on.below_closed, true),
    ];
    let mounts: Value = mounts
        .iter()
        .map(|(path, rw)| (format!("/m{}", path.display()), bind(path, *rw)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    root.container(
        "web",
        json!({"MountPoints": mounts, "State": {"Running": true}}),
        json!({}),
    );
    root.container(
        "host",
        json!({"MountPoints": {"/m": bind(&on.own, true)}}),
        json!({"Privileged": true, "UsernsMode": "host"}),
    );
    let mount = json!({"MountPoints": {"/m": bind(&on.both, true)}});
    root.container("uses", mount.clone(), json!({}));
    root.container("unmapped", mount, json!({"UsernsMode": "host"}));
    let part = json!({"MountPoints": {"/m": bind(&on.inside, true), "/s": bind(&on.shared, false),
        "/e": bind(Path::new("/etc/ssl"), true), "/n": bind(Path::new("/dev/null"), true)}});
    root.container("reads", part, json!({}));
}

fn troubled_containers_are_told(told: &Value) {
    let troubled: Vec<String> = told["containers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            format!(
                "{} {}",
                it["container"].as_str().unwrap(),
                it["why"].as_str().unwrap()
            )
        })
        .collect();
    for words in [
        "pid uses the host's processes",
        "net uses the host's network",
        "all is privileged",
        "host runs with --userns=host",
        "snapshotter has its files in overlayfs",
        "large runs as 70000",
        "joins shares a namespace with net",
        "ipc uses the host's IPC",
        "far uses volume far of the driver nfs-plugin",
    ] {
        assert!(
            troubled.iter().any(|line| line.starts_with(words)),
            "{words:?} in {troubled:#?}"
        );
    }
}

fn advice(told: &Value, container: &str, source: &Path) -> Value {
    let mounts = told["bind_mounts"].as_array().unwrap();
    let is_it =
        |it: &&Value| it["container"] == container && it["source"] == source.to_str().unwrap();
    mounts
        .iter()
        .find(is_it)
        .unwrap_or_else(|| panic!("{}", source.display()))
        .clone()
}

fn what_web_binds_is_told(told: &Value, on: &BindSources) {
    for (source, readable, writable, words) in [
        (
            &on.own,
            Some(false),
            Some(false),
            format!("idshift prepare {}", on.own.display()),
        ),
        (
            &on.open,
            Some(true),
            Some(false),
            "nothing: it can be used as it is".into(),
        ),
        (
            &on.shifted,
            Some(true),
            Some(true),
            "nothing: it is in the range already".into(),
        ),
        (&on.socket, None, None, "never shift a socket".into()),
        (&on.gone, None, None, "nothing: it is not there".into()),
        (
            &PathBuf::from("/etc/hostname"),
            None,
            None,
            "never shift a part of the system".into(),
        ),
        (
            &PathBuf::from("/"),
            None,
            None,
            "never shift a part of the system".into(),
        ),
    ] {
        let it = advice(told, "web", source);
        assert!(it["advice"].as_str().unwrap().starts_with(&words), "{it}");
        if readable.is_some() {
            assert_eq!(
                (it["readable"].as_bool(), it["writable"].as_bool()),
                (readable, writable),
                "{it}"
            );
        }
    }
    let closed = advice(told, "web", &on.below_closed);
    assert_eq!(
        closed["closed_parents"],
        json!([on.beside.path().join("closed")])
    );
    assert_eq!(advice(told, "web", &on.own)["owner_inside"], "65534:65534");
}

fn what_others_bind_is_told(told: &Value, on: &BindSources) {
    let shared_with = &advice(told, "uses", &on.both)["kind"];
    assert_eq!(shared_with, &json!({"shared": "unmapped"}));
    for (source, kind) in [
        (&on.inside, "data-root"),
        (&PathBuf::from("/etc/ssl"), "system"),
        (&PathBuf::from("/dev/null"), "device"),
        // The directory lets all in, a file in it does not.
        (&on.shared, "prepare"),
    ] {
        assert_eq!(
            advice(told, "reads", source)["kind"],
            kind,
            "{}",
            source.display()
        );
    }
    let held = &advice(told, "reads", &on.shared)["holds"];
    assert_eq!(
        held,
        &json!({"owners": {"0:0": 1}, "closed": 1, "more": false})
    );
    assert_eq!(
        advice(told, "host", &on.own)["advice"],
        "nothing: the container is not remapped"
    );
}

#[test]
fn what_stands_in_the_way_is_told() {
    let root = Root::new();
    let (code, told) = root.audit();
    assert_eq!(
        (code, &told["verdict"]),
        (Some(0), &json!("ok")),
        "{:#?}",
        levels(&told)
    );

    root.make("swarm");
    fs::write(root.path("swarm/docker-state.json"), "{}").unwrap();
    root.make(&format!("plugins/{:064x}", 7));
    root.make("100000.100000/image");
    root.make("300000.300000/containers/x");
    root.make("idshift-copy-100000.100000");
    let (code, told) = root.audit();
    let bad = levels(&told);
    assert_eq!(code, Some(0), "{bad:#?}");
    for words in [
        "warning swarm: this host is in a swarm",
        "warning plugins: 1 installed",
        "warning remapped root: 300000.300000, of another range, holds",
    ] {
        assert!(
            bad.iter().any(|line| line.starts_with(words)),
            "{words:?} in {bad:#?}"
        );
    }
    let all = told["findings"].to_string();
    assert!(all.contains("100000.100000 is there and unused"), "{all}");
    assert!(all.contains("idshift-copy-100000.100000 is left"), "{all}");

    root.make("100000.100000/volumes/mine/_data");
    root.make("image/zfs/layerdb/sha256/x");
    root.make("containers/broken");
    fs::write(root.path("containers/broken/config.v2.json"), "{").unwrap();
    fs::set_permissions(root.dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let mounted = root.make("builder");
    let fs = TestFs::mount_inside(Kind::Tmpfs, &mounted);
    let (code, told) = root.audit();
    let bad = levels(&told);
    assert_eq!(code, Some(3), "{bad:#?}");
    for words in [
        "error remapped root: 100000.100000 holds",
        "error storage driver:",
        "error container metadata:",
        "error filesystems:",
    ] {
        assert!(
            bad.iter().any(|line| line.starts_with(words)),
            "{words:?} in {bad:#?}"
        );
    }
    drop(fs);
    let closed = root.make("closed/root");
    fs::set_permissions(root.path("closed"), fs::Permissions::from_mode(0o700)).unwrap();
    let run = audit(&["--data-root", closed.to_str().unwrap()]);
    assert_eq!(run.code, Some(3), "{run}");
    assert!(run.text().contains("chmod o+x"), "{run}");
    for (args, words) in [
        (
            &["--data-root", "/nonexistent/docker"][..],
            "/nonexistent/docker",
        ),
        (
            &["--userns-remap", "default", "--userns-remap", "nosuchuser"],
            "cannot be used multiple times",
        ),
    ] {
        let run = audit(args);
        assert!(run.stderr.contains(words), "{run}");
    }
}

#[test]
fn immutable_inodes_are_told_with_the_option() {
    let fs = TestFs::new(Kind::Ext4);
    let top = data_root::filled(&fs.path().join("docker"));
    let file = top.join("overlay2/0123/diff/plain");
    let flags = |path: &Path| {
        let listed = support::output("lsattr", ["-d", path.to_str().unwrap()]);
        let listed = String::from_utf8(listed.stdout).unwrap();
        listed.split(' ').next().unwrap().to_string()
    };
    support::sh("chattr", ["+i", file.to_str().unwrap()]);
    let idshift = Idshift::new();
    let carry = |what: &str, more: &[&str]| idshift.run(scene::docker_args(what, &top, more));

    let audit = |more: &[&str]| {
        let args = scene::docker_args("audit", &top, more);
        Run::of(Command::new(Idshift::program()).args(args))
    };
    let audited = audit(&[]).exits(3).text();
    for words in [
        "immutable inodes",
        "overlay2/0123 (1)",
        "migrate with --immutable=clear",
    ] {
        assert!(audited.contains(words), "{words:?} in {audited}");
    }
    assert!(!audited.contains("a larger range"), "{audited}");
    // Both list it as what cannot be shifted.
    for (more, code) in [(&["--dry-run"][..], 3), (&[], 1)] {
        let told = carry("migrate", more).exits(code).to_string();
        assert!(told.contains("--immutable=clear"), "{told}");
    }

    carry("migrate", &["--immutable=clear"]).exits(0);
    let moved = top.join("100000.100000/overlay2/0123/diff/plain");
    assert!(fs::metadata(&moved).unwrap().uid() >= 100_000);
    assert!(flags(&moved).contains('i'), "{}", flags(&moved));
    carry("revert", &[]).exits(1);
    carry("revert", &["--immutable=clear"]).exits(0);
    assert!(flags(&file).contains('i'), "{}", flags(&file));
    carry("migrate", &["--immutable=clear"]).exits(0);
    idshift.rollback();
    assert!(flags(&file).contains('i'), "{}", flags(&file));
    assert!(fs::metadata(&file).unwrap().uid() < 100_000);
    support::sh("chattr", ["-i", file.to_str().unwrap()]);
}

#[test]
fn audit_and_dry_run_tell_how_to_end_a_killed_run() {
    let scene = scene::migrate(Kind::Ext4);
    let idshift = Idshift::new();
    let journals = idshift.journals().to_str().unwrap().to_string();
    let audit = || {
        let args = scene::docker_args("audit", &scene.top, &["--journal-dir", &journals]);
        Run::of(Command::new(Idshift::program()).args(args))
    };
    let events = scene.events();
    // While it lists, while owners change, between its last steps, and after them.
    let mut unfinished = 0;
    for n in [events / 8, events / 2, events - 6, events - 3, events - 2] {
        assert!(trace::kill_at(&scene.command(&idshift), n));
        match (
            idshift.journal_files().is_empty(),
            scene::is_unfinished(&idshift),
        ) {
            (true, _) => continue,
            (false, false) => break,
            (false, true) => unfinished += 1,
        }
        let audited = audit();
        assert_ne!(audited.code, Some(0), "{audited}");
        let told = audited.to_string();
        assert!(told.contains("rollback"), "killed at {n}: {audited}");
        let dry = idshift.run(scene::docker_args("migrate", &scene.top, &["--dry-run"]));
        assert!(dry.to_string().contains("rollback"), "killed at {n}: {dry}");
        scene.roll_back(&idshift, "as advised");
    }
    assert!(unfinished > 0);
}

#[test]
fn a_file_in_place_of_containers_is_told() {
    let fs = TestFs::new(Kind::Ext4);
    let top = data_root::filled(&fs.path().join("docker"));
    fs::remove_dir_all(top.join("containers")).unwrap();
    let idshift = Idshift::new();
    let migrate = || idshift.run(scene::docker_args("migrate", &top, &["--dry-run"]));
    fs::write(
        top.join("containers"),
        "A run of idshift has not ended here.",
    )
    .unwrap();
    migrate()
        .exits(4)
        .says("was interrupted here")
        .says("idshift resume");
    fs::write(top.join("containers"), "mine").unwrap();
    migrate().exits(4).says("Move it out of the data-root");
}

#[test]
fn an_undone_migration_does_not_tell_its_plan() {
    need_root();
    let test_fs = TestFs::new(Kind::Tmpfs);
    let top = data_root::filled(&test_fs.path().join("docker"));
    let idshift = Idshift::new();
    chown(top.join("overlay2/0123/diff/plain"), Some(70_000), None).unwrap();
    let carry = |more: &[&str]| idshift.run(scene::docker_args("migrate", &top, more));
    let told = "Container web is marked --userns=host";
    let dry_run = carry(&["--dry-run", "--set-userns-host"]).exits(3);
    assert!(dry_run.stderr.contains(told), "{dry_run}");
    let undone = carry(&["--set-userns-host"]).exits(1);
    assert!(!undone.stderr.contains(told), "{undone}");
    carry(&["--set-userns-host", "--keep-going"])
        .exits(3)
        .says(told);
}
