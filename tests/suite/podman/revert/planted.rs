//! What a user planted in the store does not become root's.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::REVERT;
use super::stage::{Stage, TOOL};
use crate::support::docker::same;
use crate::support::podman_host::STORE;

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

/// What a user may have written in the database: what it is, statements, and what the refusal says.
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
