//! What Docker puts into a container before it starts it, in containers of a converted store: as Docker itself puts it into
//! one with a storage driver. Else the runtime makes it in the container, and `docker diff` shows it.

use super::containerd_store::{DAEMON_JSON, SNAPSHOTTER};
use super::store_images::{MIGRATE, STOP, disk, same_disk};
use crate::support::engine_host::{EngineHost, Release};
use crate::support::{long, need_root};

/// Images that have the mount points of a container (`full`), that have other things in their place (`odd`), that have none
/// (`tiny`); on each, one by the classic builder and one by `docker commit`, which are on other containers' init layers
/// in the store; and one by BuildKit, which has what BuildKit made in its own layers.
const IMAGES: &str = "
    make() { mkdir -p /root/$1/bin; cp /usr/bin/busybox /root/$1/bin; for n in sh sleep true rm mkdir ln chmod; do ln -s busybox /root/$1/bin/$n; done; }
    made() { tar -C /root/$1 -c . | docker import - $1:1; }
    make tiny; made tiny
    make full; mkdir -p /root/full/{dev/shm,dev/pts,proc,sys,etc}; chmod 700 /root/full/dev/shm; chmod 555 /root/full/sys; chown 3:4 /root/full/proc; made full
    make odd; mkdir -p /root/odd/{dev,etc,tmp}; ln -s /tmp /root/odd/dev/shm; echo file > /root/odd/proc; echo x > /root/odd/etc/mtab; chmod 700 /root/odd/dev; made odd
    for base in tiny full odd; do
        mkdir -p /root/build-$base; printf \"FROM $base:1\\nRUN true > /one\\nRUN true > /two\\nCMD sleep 10000\\n\" > /root/build-$base/Dockerfile
        DOCKER_BUILDKIT=0 docker build -q -t classic-$base:1 /root/build-$base
        # BuildKit does not run anything in an image with a file `proc`.
        [ $base != odd ] || sed -i 's/^RUN.*/COPY Dockerfile \\/one/' /root/build-$base/Dockerfile
        DOCKER_BUILDKIT=1 docker build -q -t kit-$base:1 /root/build-$base
        docker run --name of-$base $base:1 true
        docker commit of-$base committed-$base:1
        docker rm of-$base
    done
    printf 'FROM tiny:1\nRUN true > /lost\n' > /root/build-tiny/Dockerfile
    DOCKER_BUILDKIT=0 docker build -q -t lost:1 /root/build-tiny";

/// `$names`: the images that are there afterwards.
const NAMES: &str = "names=$(for base in tiny full odd; do for kind in '' classic- committed- kit-; do echo $kind$base; done; done)";

/// The init layer of each container of `$prefix`, path by path, with type, mode, owner and what is in it.
const INIT_LAYERS: &str = "
    top=/var/lib/docker/100000.100000
    for name in $names; do
        id=$(docker inspect -f '{{.Id}}' $prefix.$name); echo \"== $name\"
        cd $top/overlay2/$(cat $top/image/overlay2/layerdb/mounts/$id/init-id)/diff
        find . -type d -printf '%P %y %m %U:%G\\n' | sort; find . ! -type d -printf '%P %y %m %U:%G %s %l\\n' | sort
    done";

fn with_names(host: &EngineHost, text: &str) -> String {
    host.sh(&format!("{NAMES}\n{text}"))
}

fn init_layers(host: &EngineHost, prefix: &str, more: &str) -> String {
    with_names(
        host,
        &format!("names=\"$names {more}\" prefix={prefix}\n{INIT_LAYERS}"),
    )
}

/// What each container changed, whether it runs or not.
fn diffs(host: &EngineHost) -> String {
    host.sh("for c in $(docker ps -a --format '{{.Names}}' | sort); do echo \"== $c\"; docker diff $c | sort; done")
}

fn start(host: &EngineHost) {
    with_names(host, "docker start $(printf 'run.%s ' $names lost)");
}

fn completed_on(release: Release, more: &[&str]) {
    let mut host = EngineHost::off(release);
    host.write(DAEMON_JSON, SNAPSHOTTER);
    host.boot();
    host.sh("useradd -r dockremap; echo dockremap:100000:65536 | tee /etc/subuid > /etc/subgid");
    host.sh(IMAGES);
    with_names(
        &host,
        "create() { docker create --stop-timeout 1 --network none --name $1 $2 sleep 10000; }
         for name in $names; do create run.$name $name:1; create never.$name $name:1; done; create run.lost lost:1",
    );
    start(&host);
    let running = diffs(&host);
    host.sh("docker stop $(docker ps -q)");
    let stopped = diffs(&host);
    // Of this one, only the snapshots are left.
    host.sh("ctr -n moby images rm --sync docker.io/library/lost:1");
    host.sh(STOP);
    let as_was = disk(&host);
    let migrate = [MIGRATE, more].concat();
    host.idshift(&[&migrate[..], &["--dry-run"]].concat())
        .exits(0);
    same_disk(&host, &as_was, "after a dry run");
    if !more.contains(&"--copy") {
        host.idshift(&migrate).exits(0);
        host.idshift(&["rollback", "latest"]).exits(0);
        same_disk(&host, &as_was, "rolled back");
    }
    host.idshift(&migrate).exits(0);
    host.start_docker();
    assert_eq!(diffs(&host), stopped, "{release:?} {more:?}");
    with_names(
        &host,
        "for name in $names; do docker create --name own.$name $name:1 true; done",
    );
    let own = init_layers(&host, "own", "");
    // Docker makes this symlink as the host's root, whom a container sees as nobody.
    let own = own.replace("mtab l 777 0:0", "mtab l 777 100000:100000");
    for text in ["dev/shm d 755", "proc d 755", ".dockerenv f 755"] {
        assert!(own.contains(text), "{own}");
    }
    assert_eq!(init_layers(&host, "run", ""), own, "{release:?} {more:?}");
    assert_eq!(init_layers(&host, "never", ""), own, "{release:?} {more:?}");
    let lost = init_layers(&host, "run", "lost");
    let of = |name: &str, all: &str| {
        let from = all.split(&format!("== {name}\n")).nth(1).unwrap();
        from.split("== ").next().unwrap().trim().to_string()
    };
    assert_eq!(of("lost", &lost), of("classic-tiny", &own));
    with_names(&host, "docker rm $(printf 'own.%s ' $names)");
    start(&host);
    assert_eq!(diffs(&host), running, "{release:?} {more:?}");
    host.sh("docker stop $(docker ps -q)");
}

#[test]
fn init_layers_of_a_converted_store_are_as_docker_makes_them() {
    need_root();
    completed_on(Release::Trixie, &[]);
    if long() {
        for more in ["--copy", "--idmapped"] {
            completed_on(Release::Trixie, &[more]);
        }
        completed_on(Release::Forky, &[]);
    }
}
