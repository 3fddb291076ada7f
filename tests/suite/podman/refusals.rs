//! What is not moved, and what helps then: with real Podman, by `podman migrate` and its dry run alike.

use crate::support::docker::same;
use crate::support::engine_host::Release;
use crate::support::podman_host::{PodmanHost, USER};
use crate::support::{Run, need_root};

/// A host with a small store.
fn small_host() -> PodmanHost {
    need_root();
    let host = PodmanHost::new(Release::Trixie);
    host.populate_tiny();
    host
}

fn migrate(host: &PodmanHost, more: &[&str]) -> Run {
    host.idshift(&[&["podman", "migrate", "--yes"], more].concat())
}

/// Both the dry run and the run are refused, and nothing changes.
#[track_caller]
fn refused(host: &PodmanHost, more: &[&str], said: &str) {
    let there = host.state();
    migrate(host, &[more, &["--dry-run"]].concat())
        .exits(4)
        .says(said);
    migrate(host, more).exits(4).says(said);
    same(&there, &host.state(), said);
}

/// Only the run is: time cures it.
#[track_caller]
fn refused_now(host: &PodmanHost, said: &str) {
    let there = host.state();
    let dry = migrate(host, &["--to-user", USER, "--dry-run"]).exits(0);
    assert!((dry.text() + &dry.stderr).contains(said), "{said}: {dry}");
    migrate(host, &["--to-user", USER]).exits(4).says(said);
    same(&there, &host.state(), said);
}

/// What the refusal tells a user to run who has used Podman since the boot.
fn unused(host: &PodmanHost) -> String {
    let uid = host.ids.uid;
    format!(
        "podman system migrate && rm -f /run/user/{uid}/libpod/tmp/alive /dev/shm/libpod_rootless_lock_{uid}"
    )
}

#[test]
fn what_is_used_is_refused_now() {
    let host = small_host();
    host.root("podman start two");
    // What is mounted hides what would change: a dry run has nothing to show.
    refused(&host, &["--to-user", USER], "the container two runs");
    host.root("podman stop -t 0 two; podman mount one");
    refused(&host, &["--to-user", USER], "something is mounted there");
    host.root("podman umount --all");

    host.user(
        "mkdir -p .config/containers
         printf '[storage]\\ndriver = \"overlay\"\\nrootless_storage_path = \"${HOME}/big/$UID\"\\n' >.config/containers/storage.conf",
    );
    let looked_in = host.user("podman info -f '{{.Store.GraphRoot}}'");
    refused_now(&host, "has been used since the last boot");
    migrate(&host, &["--to-user", USER, "--dry-run"])
        .exits(0)
        .says(&format!("would go to {looked_in}:"));
    host.root("rm -r /home/ann/big /home/ann/.config");
    host.user(&unused(&host));
    // In another place, which the user's storage.conf names.
    let target = "/srv/ann/store";
    let to_srv = ["--to-user", USER, "--target", target];
    host.root("mkdir -m 700 /srv/ann");
    refused(
        &host,
        &to_srv,
        "ann, whose Podman would not reach /srv/ann/store. `chmod o+x /srv/ann`",
    );
    host.root("chmod o+x /srv/ann");
    let audit = ["podman", "audit", "--user", USER, "--target", target];
    let audit = host.idshift(&audit).exits(0);
    assert!(audit.text().contains("Podman of ann looks in"), "{audit}");
    migrate(&host, &to_srv)
        .exits(0)
        .says("The Podman of ann looks in /home/ann/.local/share/containers/storage. First set")
        .says("graphroot = \"/srv/ann/store\"");
    host.user(&format!(
        "mkdir -p .config/containers; printf '[storage]\\ndriver = \"overlay\"\\ngraphroot = \"{target}\"\\n' >.config/containers/storage.conf"
    ));
    let named = "podman ps -a --format '{{.Names}}' | sort";
    assert_eq!(host.user(named), "one\ntwo");
    host.user("podman start two; podman stop -t 0 two");
}

#[test]
fn what_cannot_move_is_refused_with_what_helps() {
    let host = small_host();
    refused(&host, &["--to-user", "nobody-is-called-so"], "no such user");
    refused(&host, &["--to-user", "www-data"], "usermod");
    let to_ann = |store: &'static str| ["--to-user", USER, "--storage", store];

    host.user("podman volume create --label of=ann own");
    host.user(&unused(&host));
    refused(&host, &["--to-user", USER], "holds");
    let users = "/home/ann/.local/share/containers/storage";
    refused(&host, &to_ann(users), "belongs to ann");
    host.root("rm -r /home/ann/.local");

    let conf = "/etc/containers/containers.conf.d/static.conf";
    host.root(&format!(
        "mkdir -p /etc/containers/containers.conf.d; printf '[engine]\\nstatic_dir = \"/srv/state\"\\n' > {conf}
         podman --root /srv/split volume create v"
    ));
    refused(&host, &["--to-user", USER], "static.conf: sets static_dir");
    host.idshift(&["podman", "audit"]).exits(3);
    host.root(&format!("rm {conf}"));
    refused(
        &host,
        &to_ann("/srv/split"),
        "/srv/split/volumes: is of a Podman whose database is not in the store",
    );

    host.root(
        "CI_DESIRED_DATABASE=boltdb podman --root /srv/bolt --db-backend boltdb volume create v",
    );
    refused(
        &host,
        &to_ann("/srv/bolt"),
        "podman system migrate --migrate-db",
    );
    host.root("cd /root/tiny; tar -c bin | podman --root /srv/vfs --storage-driver vfs import -q - tiny:1");
    refused(&host, &to_ann("/srv/vfs"), "storage driver vfs");
    host.root("mkdir /srv/none");
    refused(&host, &to_ann("/srv/none"), "is not a store of Podman's");
    host.root("mkdir -p /srv/docker/image /srv/docker/network/files; mkdir /srv/docker/volumes; touch /srv/docker/volumes/metadata.db");
    refused(
        &host,
        &to_ann("/srv/docker"),
        "idshift docker migrate --rootless",
    );

    host.root(
        "podman create --name mapped --uidmap 0:500000:1000 --gidmap 0:500000:1000 tiny:1 true",
    );
    refused(
        &host,
        &["--to-user", USER],
        "mapped has a user namespace of its own",
    );
    host.root("podman rm mapped");
    host.root("setfattr -n user.overlay.opaque -v y /var/lib/containers/storage/overlay/*/diff");
    let there = host.state();
    migrate(&host, &["--to-user", USER])
        .exits(1)
        .says("user.overlay.opaque");
    same(
        &there,
        &host.state(),
        "attributes that a rootless overlay obeys",
    );
}
