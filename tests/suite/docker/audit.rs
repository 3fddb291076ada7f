//! `docker audit` on data-roots made by hand: what a daemon of a test would rarely have.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use super::handmade_root::{Root, bind, dir_of, levels};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A data-root of a plain daemon.
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
    let image =
        json!({"/i": {"Type": "image", "Name": "data:1", "ID": "4567-data:1", "RW": false}});
    root.container("img", json!({"MountPoints": image}), json!({}));
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
        "img mounts the image data:1",
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
            format!("idshift prepare --subid dockremap {}", on.own.display()),
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
