//! What a user's Podman has becomes that of root's Podman, unless somebody could reach the host with it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::support::docker::same;
use crate::support::engine_host::Release;
use crate::support::killed::{Killed, killed_at_any_place};
use crate::support::podman_host::{PodmanHost, STORE, USER, USER_STORE, UserIds, state};
use crate::support::switched_off::SwitchedOff;
use crate::support::{Idshift, Run, need_root};

use super::kills::without_what_is_new;
use super::scenario::releases;

pub(super) const REVERT: [&str; 5] = ["podman", "revert", "--from-user", USER, "--yes"];

fn revert(host: &PodmanHost, more: &[&str]) -> Run {
    host.idshift(&[&REVERT[..], more].concat())
}

/// Both the dry run and the run are refused, and nothing changes.
#[track_caller]
fn refused(host: &PodmanHost, said: &str) {
    let there = host.state();
    revert(host, &["--dry-run"]).exits(4).says(said);
    revert(host, &[]).exits(4).says(said);
    same(&there, &host.state(), said);
}

/// Only the run is: time cures it.
#[track_caller]
fn refused_now(host: &PodmanHost, said: &str) {
    let there = host.state();
    let dry = revert(host, &["--dry-run"]).exits(0);
    assert!((dry.text() + &dry.stderr).contains(said), "{said}: {dry}");
    revert(host, &[]).exits(4).says(said);
    same(&there, &host.state(), said);
}

/// `PATH TYPE OWNER MODE` of what is in root's store.
fn layout(host: &PodmanHost) -> BTreeSet<String> {
    let found = host.root(&format!("find {STORE} -printf '%P %y %U:%G %m %l\n'"));
    found
        .lines()
        .map(|line| line.trim_end().to_string())
        .collect()
}

fn path_of(line: &str) -> &str {
    line.split(' ').next().unwrap()
}

/// What a user's Podman makes: an image of a container and one that is built, volumes, a secret.
const MAKE: &str = "podman volume create -o o=uid=5,gid=6 owned
    podman volume create -o type=tmpfs -o device=tmpfs -o o=size=1m memory
    podman run --network none --name later -v own:/o tiny:1 sh -c 'rm /bin/ls; echo f > /f; chown 7:7 /f; echo o > /o/o; chown 8:8 /o/o; busybox chmod 4755 /o/o'
    podman run --rm --network none --user 7:8 -v data:/d tiny:1 true
    podman commit -q later made:1
    printf 'FROM tiny:1\\nRUN rm -r /bin/ls && echo b > /built && chown 9:9 /built\\n' | podman build -q --network none -t built:1 -
    echo -n other | podman secret create other -
    podman pod create --name pod";

/// What root's Podman says of it, and what is there.
const USE: [(&str, &str); 7] = [
    (
        "podman volume ls -q | sort | xargs",
        "data memory new own owned vol",
    ),
    (
        "podman secret ls --format '{{.Name}}' | sort | xargs",
        "other word",
    ),
    ("podman ps -aq --external", ""),
    (
        "podman run --rm --network none -v own:/o made:1 sh -c 'cat /f /o/o; stat -c %u:%a /f /o/o; test ! -e /bin/ls'",
        "f\no\n7:644\n8:4755",
    ),
    (
        "podman run --rm --network none --secret other --secret word -v owned:/w -v memory:/m built:1 \
         sh -c 'cat /run/secrets/other /run/secrets/word /built; stat -c %u /built; stat -c %u:%g /w; touch /m/x'",
        "otherwordb\n9\n5:6",
    ),
    (
        "podman run --rm --network none --user 7:8 -v data:/d tiny:1 sh -c 'touch /d/x; stat -c %u:%g /d /d/x'",
        "7:8\n7:8",
    ),
    (
        "podman run --name new -v new:/n -v vol:/v --network none tiny:1 sh -c 'cat /v/y; stat -c %u /v/y; echo n > /n/n'; podman start -a new",
        "y\n1000\ny\n1000",
    ),
];

#[test]
fn what_the_users_podman_made_comes_back() {
    need_root();
    for release in releases() {
        comes_back(&PodmanHost::new(release));
    }
}

fn comes_back(host: &PodmanHost) {
    host.populate_tiny();
    let plain = layout(host);
    host.idshift(&["podman", "migrate", "--to-user", USER, "--yes"])
        .exits(0);
    host.user(MAKE);
    refused(host, "has the pod pod.");
    host.user("podman pod rm pod");
    refused(host, "`podman rm two`");
    host.user("podman rm -a");
    host.root("podman volume create roots");
    refused(host, "holds 0 images, 0 containers, 1 volume");
    // The files of the boot are for this store, too.
    host.root("install -d -m 700 /srv/other");
    let other = revert(host, &["--storage", "/srv/other", "--dry-run"]).exits(0);
    let told = other.text() + &other.stderr;
    assert!(
        told.contains("1 volume") && !told.contains("rm -f /run/libpod/alive"),
        "{other}"
    );
    host.root("podman volume rm roots");
    refused_now(host, "still runs process");
    host.log_out();
    refused_now(host, "root's Podman has been used since the last boot");
    host.root("rm -f /run/libpod/alive /dev/shm/libpod_lock");

    let there = host.state();
    revert(host, &["--dry-run"])
        .exits(0)
        .says("contents of images, containers and volumes are not checked");
    same(&there, &host.state(), "after a dry run");
    revert(host, &[]).exits(0).says("Now root works with it");
    host.idshift(&["verify", "latest"]).exits(0);
    host.idshift(&["rollback", "latest"]).exits(0);
    same(&there, &host.state(), "after a rollback");
    revert(host, &[]).exits(0);

    let store = fs::metadata(host.host.path(STORE)).unwrap();
    assert_eq!((store.uid(), store.mode() & 0o7777), (0, 0o700));
    let back = layout(host);
    let paths: BTreeSet<&str> = back.iter().map(|line| path_of(line)).collect();
    let is_taken = |line: &&String| {
        let of = [
            "overlay/",
            "overlay-images/",
            "overlay-layers/",
            "secrets",
            "volumes",
            "db.sql",
        ];
        of.iter().any(|name| line.starts_with(name)) && paths.contains(path_of(line))
    };
    let wrong: Vec<&String> = plain.difference(&back).filter(is_taken).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let ids = [format!(" {}:", host.ids.uid), format!(":{} ", host.ids.gid)];
    let is_users = |line: &&String| ids.iter().any(|id| line.contains(id));
    assert_eq!(back.iter().find(is_users), None);

    host.root("podman volume create new");
    for (command, expected) in USE {
        assert_eq!(host.root(command), expected, "{command}");
    }
    assert_eq!(host.root("podman system check"), "");
    let there = host.state();
    for more in [&[][..], &["--force"]] {
        host.idshift(&[&["rollback", "latest"], more].concat())
            .exits(4)
            .says("`idshift podman migrate --to-user USER` gives that user all there is now");
        same(&there, &host.state(), "a rollback that is refused");
    }
}

/// The store of a user's Podman, in a host that is off.
pub(super) struct Stage {
    pub host: SwitchedOff,
    ids: UserIds,
    pub idshift: Idshift,
}

/// A program of root's in a volume.
const TOOL: &str = "volumes/vol/_data/tool";

impl Stage {
    /// `prepare`: a script of root's, in root's store, which is given to the user then.
    pub fn new(prepare: &str) -> Stage {
        need_root();
        let host = PodmanHost::new(Release::Trixie);
        host.populate_tiny();
        host.root(&format!(
            "{prepare}; cd {STORE}; cp /bin/true {TOOL}; chmod 4755 {TOOL}"
        ));
        host.idshift(&["podman", "migrate", "--to-user", USER, "--yes"])
            .exits(0);
        let (ids, host) = (host.ids, SwitchedOff::new(host.host));
        let idshift = host.idshift();
        Stage { host, ids, idshift }
    }

    pub fn state(&self) -> Vec<String> {
        state(|place| self.host.path(place))
    }

    /// A shell script of the user's in the user's store.
    pub fn plant_as_user(&self, text: &str) {
        self.plant((self.ids.uid, self.ids.gid), text);
    }

    /// A shell script in the user's store.
    fn plant(&self, (uid, gid): (u32, u32), text: &str) {
        let enter = format!("setpriv --reuid {uid} --regid {gid} --clear-groups bash -ec");
        let quoted = text.replace('\'', "'\\''");
        let run = self
            .host
            .sh(&format!("cd {USER_STORE}; {enter} '{quoted}'"));
        assert_eq!(run.code, Some(0), "{run}");
    }

    /// Statements on the user's database.
    fn plant_rows(&self, sql: &str) {
        let file = self.host.path(USER_STORE).join("db.sql");
        let database = rusqlite::Connection::open(file).unwrap();
        // Whoever writes a file of their own keeps to no rule of its tables.
        let sql = format!("PRAGMA foreign_keys = OFF; {sql}");
        database.execute_batch(&sql).unwrap();
    }
}

/// What a user may have written: what it is, a script, and what the refusal says.
const PLANTED: [(&str, &str, &str); 30] = [
    (
        "a short name that leads elsewhere",
        "ln -s /etc overlay/l/ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "led out of the store",
    ),
    (
        "a lower layer that leads elsewhere",
        "for f in overlay/*/link; do printf l/../../../../../etc > ${f%link}lower; done",
        "lower: is not what Podman makes",
    ),
    (
        "a file of the host in an image that is saved",
        "for f in overlay-layers/*.tar-split.gz; do printf '{\"type\":1,\"name\":\"../../../../../etc/shadow\",\"size\":9}' | gzip > $f; done",
        "is no file of the layer",
    ),
    (
        "an option of the mount in the name of a layer",
        "for f in overlay/*/link; do printf A,upperdir=etc > $f; done",
        "link: is not what Podman makes",
    ),
    (
        "a layer that is a symlink",
        "for d in overlay/*/diff; do chmod 755 $d; mv $d /home/ann/d; ln -s /etc $d; done",
        "diff: is not what Podman makes",
    ),
    (
        "a second layer in a layer",
        "for f in overlay/*/link; do ln -s /etc ${f%link}diff1; done",
        "diff1: is not what Podman makes",
    ),
    (
        "a layer that everybody enters",
        "for f in overlay/*/link; do chmod 755 ${f%/link}; done",
        "has mode 0755, and Podman makes it with 0700",
    ),
    (
        "an id that is a path",
        "sed -i 's/\"id\":\"[^\"]*\"/\"id\":\"..\\/..\\/etc\"/' overlay-layers/layers.json",
        "is no id",
    ),
    (
        "an image whose layer is a path",
        "sed -i 's/\"layer\":\"[^\"]*\"/\"layer\":\"..\\/etc\"/' overlay-images/images.json",
        "has \"layer\" of",
    ),
    (
        "a label that only Podman would find",
        "sed -i 's/\"created\"/\"MountLabel\":\"x\",\"created\"/' overlay-layers/layers.json",
        "has \"mountlabel\" of",
    ),
    (
        "a list that Podman cannot read",
        "sed -i 's/\"diff-size\":/\"diff-size\":1.5,\"toc-digest\":/' overlay-layers/layers.json",
        "has \"diff-size\" of",
    ),
    (
        "an id that other readers take for another",
        "sed -i 's/\"created\"/\"Id\":\"..\",\"created\"/' overlay-layers/layers.json",
        "twice",
    ),
    (
        "a list that a container could write to",
        "ln overlay-layers/layers.json volumes/vol/_data/list",
        "layers.json: is not what Podman makes",
    ),
    (
        "a name of a layer that a container could write to",
        "for f in overlay/*/link; do ln $f volumes/vol/_data/link; done",
        "link: is not what Podman makes",
    ),
    (
        "a word about layers that a container could write to",
        "printf false > overlay/.has-mount-program; ln overlay/.has-mount-program volumes/vol/_data/flag",
        ".has-mount-program: is not what Podman makes",
    ),
    (
        "a lower layer that leads elsewhere for Podman 5.8",
        "for f in overlay/*/link; do printf ../../../../../etc > ${f%link}lower-layers; done",
        "lower-layers: is not what Podman makes",
    ),
    (
        "what a Podman that was killed left",
        "mkdir -p -m 700 overlay/tempdirs; ln -s /etc overlay/tempdirs/temp-dir-1",
        "temp-dir-1: is left of a pull",
    ),
    (
        "a directory for removals that everybody enters",
        "mkdir -p overlay/tempdirs; chmod 755 overlay/tempdirs",
        "tempdirs: has mode 0755",
    ),
    (
        "a directory for pulls that is elsewhere",
        "ln -s /etc overlay/staging",
        "staging: is not what Podman makes",
    ),
    (
        "a redirect out of the layer",
        "for d in overlay/*/diff; do chmod 755 $d; setfattr -n user.overlay.redirect -v /../../etc $d; done",
        "user.overlay.redirect",
    ),
    (
        "a hard link outside of a program that would be root's",
        "ln volumes/vol/_data/tool /home/ann/tool",
        "hard link",
    ),
    (
        "a hard link to what the user keeps",
        "mkdir -p artifacts; ln volumes/vol/_data/tool artifacts/tool",
        "hard link",
    ),
    (
        "a volume that is a symlink to the host",
        "mkdir volumes/host; ln -s /etc volumes/host/_data",
        "is not what Podman makes for a volume",
    ),
    (
        "programs that everybody reaches",
        "chmod 711 volumes",
        "volumes: has mode 0711",
    ),
    (
        "a secret that root's Podman would run",
        "sed -i 's/\"driver\": *\"file\"/\"driver\":\"shell\"/' secrets/secrets.json",
        "the secret word is not in a file of the store",
    ),
    (
        "a secret in a directory of the host",
        "sed -i 's/\"path\": *\"[^\"]*\"/\"path\":\"\\/etc\"/' secrets/secrets.json",
        "the secret word is not in a file of the store",
    ),
    (
        "secrets that are a symlink",
        "mv secrets/filedriver /home/ann/f; ln -s /etc secrets/filedriver",
        "filedriver: is not what Podman makes",
    ),
    (
        "a list that is a symlink",
        "mv overlay-images/images.json /home/ann/i; ln -s /home/ann/i overlay-images/images.json",
        "images.json",
    ),
    (
        "a list that fills the memory",
        "truncate -s 17M overlay-layers/layers.json",
        "is longer than",
    ),
    (
        "layers of another program",
        "printf true > overlay/.has-mount-program",
        "fuse-overlayfs",
    ),
];

/// The same in the database: statements.
const ROWS: [(&str, &str, &str); 8] = [
    (
        "a volume that is a directory of the host",
        "UPDATE VolumeConfig SET JSON = replace(CAST(JSON AS TEXT), '\"volumeDriver\"', \
         '\"volumeOptions\":{\"o\":\"bind\",\"device\":\"/etc\",\"type\":\"none\"},\"volumeDriver\"')",
        "volumeoptions",
    ),
    (
        "a volume whose content is elsewhere",
        "UPDATE VolumeConfig SET JSON = replace(CAST(JSON AS TEXT), '\"mountPoint\":\"/home/ann/', '\"mountPoint\":\"/home/bob/')",
        "mountpoint",
    ),
    (
        "a volume whose content only Podman would find elsewhere",
        "UPDATE VolumeConfig SET JSON = replace(CAST(JSON AS TEXT), '\"lockID\"', '\"MountPoint\":\"/etc\",\"lockID\"')",
        "twice",
    ),
    (
        "a lock that no Podman has",
        "UPDATE VolumeConfig SET JSON = replace(CAST(JSON AS TEXT), '\"lockID\":', '\"lockID\":99999')",
        "lockid",
    ),
    (
        "a volume of another program",
        "UPDATE VolumeConfig SET JSON = replace(CAST(JSON AS TEXT), '\"local\"', '\"evil\"')",
        "volumedriver",
    ),
    (
        "a volume that is mounted elsewhere",
        "UPDATE VolumeState SET JSON = '{\"mountCount\":0,\"mountPoint\":\"/etc\"}'",
        "mountpoint",
    ),
    (
        "a container",
        "INSERT INTO ContainerState VALUES ('a', 1, 0, '{}'); INSERT INTO ContainerConfig VALUES ('a', 'evil', NULL, '{\"privileged\":true}')",
        "`podman rm evil`",
    ),
    (
        "a statement that would be run",
        "CREATE TRIGGER t AFTER INSERT ON VolumeConfig BEGIN DELETE FROM VolumeState; END",
        "the trigger \"t\"",
    ),
];

/// What a mistake of root's may have left.
const OF_ROOT: (&str, &str, &str) = (
    "a file of the host's root",
    "cp /bin/true volumes/vol/_data/roots; chmod 4755 volumes/vol/_data/roots",
    "roots: uid 0 is outside the map",
);

#[test]
fn what_a_user_planted_does_not_become_roots() {
    let stage = Stage::new("podman rm -a");
    let copy = |from: &str, to: &str| {
        let run = stage.host.sh(&format!("rm -rf {to}; cp -a {from} {to}"));
        assert_eq!(run.code, Some(0), "{run}");
    };
    copy("/home/ann", "/var/kept");
    let user = (stage.ids.uid, stage.ids.gid);
    let scripts = PLANTED.iter().map(|row| (row, Some(user)));
    let rows = ROWS.iter().map(|row| (row, None));
    let all = scripts.chain([(&OF_ROOT, Some((0, 0)))]).chain(rows);
    for ((what, text, said), who) in all {
        copy("/var/kept", "/home/ann");
        match who {
            Some(who) => stage.plant(who, text),
            None => stage.plant_rows(text),
        }
        let there = stage.state();
        let dry = stage.idshift.run([&REVERT[..], &["--dry-run"]].concat());
        let run = stage.idshift.run(REVERT);
        assert!([Some(1), Some(4)].contains(&run.code), "{what}: {run}");
        // What a run finds when it lists all inodes, it undoes; a dry run lists it.
        let shown = match run.code {
            Some(1) => Some(3),
            code => code,
        };
        assert_eq!(dry.code, shown, "{what}: {dry}\n{run}");
        for run in [dry, run] {
            assert!((run.text() + &run.stderr).contains(said), "{what}: {run}");
        }
        same(&there, &stage.state(), what);
        if who != Some((0, 0)) {
            let find = format!("find {STORE} /home -type f -perm /6000 -uid 0");
            assert_eq!(stage.host.sh(&find).text(), "", "{what}");
        }
    }
    copy("/var/kept", "/home/ann");
    // As Podman 5.8 leaves them.
    stage.plant_as_user("mkdir -p -m 700 overlay/tempdirs overlay/staging");
    stage.plant_as_user(
        "for f in overlay/*/link; do d=${f%/link}; printf %s ${d#overlay/} > $d/lower-layers; done",
    );
    stage.idshift.run(REVERT).exits(0);
    let tool = fs::metadata(stage.host.path(STORE).join(TOOL)).unwrap();
    assert_eq!((tool.uid(), tool.mode() & 0o7777), (0, 0o4755));
}

#[test]
fn the_way_back_survives_a_kill_anywhere() {
    let stage = Stage::new("podman rm two");
    let state = || stage.state();
    let made = || state().iter().map(|it| without_what_is_new(it)).collect();
    killed_at_any_place(
        &Killed {
            part: "Podman",
            what: "podman revert",
            idshift: &|| stage.host.idshift(),
            command: &|idshift: &Idshift| idshift.command(REVERT),
            state: &state,
            made: &made,
            reboot: &|| {},
        },
        "`podman revert` of a real store is finished or undone to the byte",
    );
}
