//! Who gets the store is hostile, and root's Podman goes on meanwhile: nothing else than the store changes, and nothing is lost.

use std::fs;
use std::os::unix::fs::{MetadataExt, lchown, symlink};

use crate::support::docker::same;
use crate::support::engine_host::Release;
use crate::support::podman_host::{PodmanHost, USER, USER_STORE, UserIds, state};
use crate::support::switched_off::SwitchedOff;
use crate::support::trace::{self, Event, Then};
use crate::support::{Idshift, Run, need_root};

/// A small store of root's, in a host that is off.
struct Stage {
    host: SwitchedOff,
    ids: UserIds,
    idshift: Idshift,
}

/// A program of root's in a volume.
const TOOL: &str = "volumes/vol/_data/tool";

const MIGRATE: [&str; 5] = ["podman", "migrate", "--to-user", USER, "--yes"];

impl Stage {
    fn new() -> Stage {
        need_root();
        let host = PodmanHost::new(Release::Trixie);
        host.populate_tiny();
        host.root(&format!(
            "cd /var/lib/containers/storage; cp /bin/true {TOOL}; chmod 4755 {TOOL}"
        ));
        let (ids, host) = (host.ids, SwitchedOff::new(host.host));
        let idshift = host.idshift();
        Stage { host, ids, idshift }
    }

    fn state(&self) -> Vec<String> {
        state(|place| self.host.path(place))
    }

    fn migrate(&self) -> Run {
        self.idshift.run(MIGRATE)
    }

    /// As the user, in the user's store.
    fn as_user(&self, text: &str) {
        let UserIds { uid, gid, .. } = self.ids;
        let enter = format!("setpriv --reuid {uid} --regid {gid} --clear-groups bash -ec");
        let run = self.host.sh(&format!("cd {USER_STORE}; {enter} '{text}'"));
        assert_eq!(run.code, Some(0), "{run}");
    }

    /// Refused, also as a dry run, and nothing changes.
    #[track_caller]
    fn refuses(&self, said: &str) {
        let there = self.state();
        self.idshift
            .run([&MIGRATE[..], &["--dry-run"]].concat())
            .exits(4)
            .says(said);
        self.migrate().exits(4).says(said);
        same(&there, &self.state(), said);
    }
}

#[test]
fn a_user_does_not_say_where_root_writes() {
    let stage = Stage::new();
    let home = stage.host.path("/home/ann");
    let of_user =
        |path: &std::path::Path| lchown(path, Some(stage.ids.uid), Some(stage.ids.gid)).unwrap();

    let link = home.join(".local");
    for leads_to in ["/etc", "/var/lib/containers", "/nowhere"] {
        symlink(leads_to, &link).unwrap();
        of_user(&link);
        stage.refuses("/home/ann/.local");
        fs::remove_file(&link).unwrap();
    }

    let conf = home.join(".config/containers/storage.conf");
    fs::create_dir_all(conf.parent().unwrap()).unwrap();
    for dir in [".config", ".config/containers"] {
        of_user(&home.join(dir));
    }
    let text = "[storage]\ndriver = \"overlay\"\ngraphroot = ";
    fs::write(&conf, format!("{text}\"/etc/ann\"\n")).unwrap();
    stage.refuses("outside of /home/ann");
    fs::write(&conf, format!("{text}\"/home/ann/../../etc/ann\"\n")).unwrap();
    stage.refuses("outside of /home/ann");
    let path = "[storage]\nrootless_storage_path = \"/etc/ann\"\n";
    fs::write(&conf, path).unwrap();
    stage.refuses("sets rootless_storage_path to /etc/ann, outside of /home/ann");
    fs::write(&conf, "[storage]\ndriver = \"vfs\"\n").unwrap();
    stage.refuses("storage driver vfs");
    fs::remove_file(&conf).unwrap();
    nix::unistd::mkfifo(&conf, nix::sys::stat::Mode::from_bits_truncate(0o644)).unwrap();
    stage.refuses("storage.conf");
    fs::remove_file(&conf).unwrap();
    symlink("/etc/shadow", &conf).unwrap();
    stage.refuses("storage.conf");
    fs::remove_file(&conf).unwrap();
    let file = fs::File::create(&conf).unwrap();
    file.set_len(1 << 27).unwrap();
    stage.refuses("storage.conf");
    fs::remove_file(&conf).unwrap();

    stage.migrate().exits(0);
    let tool = fs::metadata(stage.host.path(USER_STORE).join(TOOL)).unwrap();
    assert_eq!((tool.uid(), tool.mode() & 0o7777), (stage.ids.uid, 0o4755));
}

/// What a user may do to the store: a script, and what the refusal of a rollback names.
const CHANGES: [(&str, &str); 4] = [
    (
        "cp /bin/bash tool; cat tool > volumes/vol/_data/tool",
        "tool",
    ),
    ("cp -p db.sql x; cp x db.sql; rm x", "storage"),
    ("echo 1 >> secrets/secrets.json", "secrets.json"),
    ("ln -s /etc/shadow overlay/l/X", "overlay/l"),
];

#[test]
fn what_the_user_changed_does_not_become_roots() {
    let stage = Stage::new();
    let kept = stage.host.path("/var/kept");
    let copy = |from: &str, to: &str| {
        let run = stage.host.sh(&format!("rm -rf {to}; cp -a {from} {to}"));
        assert_eq!(run.code, Some(0), "{run}");
    };
    copy("/var/lib/containers", "/var/kept");
    assert!(kept.is_dir());
    for (script, said) in CHANGES {
        copy("/var/kept", "/var/lib/containers");
        stage.host.sh("rm -rf /home/ann/.local");
        stage.migrate().exits(0);
        stage.as_user(script);
        let there = stage.state();
        stage
            .idshift
            .run(["rollback", "latest"])
            .exits(4)
            .says(said);
        let forced = stage.idshift.run(["rollback", "latest", "--force"]);
        forced.exits(4).says("--force does not help");
        same(&there, &stage.state(), script);
        let find = "find /var/lib/containers /home -type f -perm /6000 -uid 0";
        assert_eq!(stage.host.sh(find).text(), "", "{script}");
    }
}

/// A volume that root's Podman makes between the reading of its database and the move is not lost: when the journal is begun,
/// and when the first of the store is renamed.
#[test]
fn what_root_makes_meanwhile_is_not_lost() {
    let stage = Stage::new();
    for (nth, code, name) in [(1, 4, "late"), (2, 1, "later")] {
        let mut renames = 0;
        let run = trace::run(&stage.idshift.command(MIGRATE), |event| {
            if matches!(event, Event::Before(call) if call.name == "renameat2") {
                renames += 1;
                if renames == nth {
                    let made = stage.host.sh(&format!("podman volume create {name}"));
                    assert_eq!(made.code, Some(0), "{made}");
                }
            }
            Then::GoOn
        });
        assert_eq!(run.code, Some(code), "{run}");
    }
    let run = stage
        .host
        .sh("podman volume ls -q; podman ps -a --format '{{.Names}}'");
    let mut names: Vec<String> = run.text().lines().map(String::from).collect();
    names.sort();
    assert_eq!(names, ["late", "later", "one", "two", "vol"], "{run}");
}
