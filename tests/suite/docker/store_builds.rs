//! Images as BuildKit really makes them in the containerd image store, with what it says of them (attestations), and images
//! that a daemon really pulled by nothing but a digest.

use std::io::BufRead;
use std::process::{Child, Command, Stdio};

use super::containerd_store::saved_layers_are_whole;
use super::store_images::{MIGRATE, STOP, archive, disk, same_disk, store_host};
use crate::support::engine_host::EngineHost;
use crate::support::{self, need_root, script};

/// A registry that answers in a host's network as localhost:5000.
struct Registry(Child);

impl Registry {
    fn start(host: &EngineHost) -> Registry {
        let layout = host.shared().join("layout");
        std::fs::create_dir(&layout).unwrap();
        let tar = host.shared().join("images.tar");
        support::output(
            "tar",
            [
                "-C".as_ref(),
                layout.as_os_str(),
                "-xf".as_ref(),
                tar.as_os_str(),
            ],
        );
        let network = host.mounted_path("/proc/1/ns/net");
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "nsenter"])
            .arg(format!("--net={}", network.display()))
            .arg("python3")
            .arg(script("registry.py"))
            .arg("5000")
            .arg(layout)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        std::io::BufReader::new(stdout)
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "ready\n");
        Registry(child)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A statement with all that BuildKit knows, one with little (its default), none; for two platforms; layers of zstd and plain
/// ones, the former not unpacked; one without a name.
const BUILDS: &str = r#"
    mkdir -p /root/kit; cd /root/kit; cp /usr/bin/busybox .
    build() { docker buildx build -q "$@" .; }
    printf 'FROM tiny:1\nRUN busybox mkdir /made && echo 1 >/made/f && busybox chown -R 7:8 /made && busybox chmod 4755 /made/f\nRUN busybox rm /made/f && echo 2 >/made/g\nCOPY --chown=9:9 busybox /bb\nUSER 7:8\nENV A=b\nCMD ["sleep", "100"]\n' >Dockerfile
    build -t some:1
    build --provenance=mode=max -t all:1
    build --provenance=false -t none:1
    build --output type=image,name=docker.io/library/zstd:1,compression=zstd,force-compression=true,oci-mediatypes=true,unpack=false
    build --output type=image,name=docker.io/library/plain:1,compression=uncompressed,force-compression=true
    printf 'FROM scratch\nCOPY busybox /bin/busybox\nENTRYPOINT ["/bin/busybox"]\nCMD ["true"]\n' >Dockerfile
    build --platform linux/amd64,linux/arm64 -t multi:1
    printf 'FROM tiny:1\nRUN echo nameless >/nameless\n' >Dockerfile
    build >/root/nameless"#;

/// The attestations that are there, found in the store's own documents: not all that begins like one is one.
const ATTESTATIONS: &str = r#"
    cd /var/lib/containerd/io.containerd.content.v1.content/blobs/sha256
    for blob in *; do
        [ "$(head -c 1 $blob)" != '{' ] || jq -r '.manifests // [] | .[] |
            select(.annotations["vnd.docker.reference.type"] == "attestation-manifest").digest' $blob 2>/dev/null || true
    done | sort -u | while read digest; do [ ! -e ${digest#sha256:} ] || echo $digest; done | wc -l"#;

const IMAGES: [&str; 7] = [
    "some:1", "all:1", "none:1", "zstd:1", "plain:1", "multi:1", "tiny:1",
];

/// What users see of an image: its configuration, its history, all its files.
fn seen(host: &EngineHost, image: &str) -> String {
    let find = "/bin/busybox find /bin /made /bb /odd -type f -exec /bin/busybox md5sum {} + 2>/dev/null | /bin/busybox sort; \
                /bin/busybox find /bin /made /bb /odd ! -type d -exec /bin/busybox stat -c '%n %F %a %u:%g %s' {} + 2>/dev/null \
                | /bin/busybox sort";
    host.sh(&format!(
        "docker inspect -f '{{{{json .Config.Env}}}} {{{{json .Config.Cmd}}}} {{{{json .Config.Entrypoint}}}} {{{{.Config.User}}}} \
         {{{{.Os}}}} {{{{.Architecture}}}} {{{{json .RootFS.Layers}}}}' {image}
         docker history --no-trunc --format '{{{{.CreatedBy}}}}' {image}
         docker run --name look --network none --user 0 --entrypoint /bin/busybox {image} sh -c \"{find}\" >/dev/null || true
         docker logs look; docker rm look >/dev/null"
    ))
}

#[test]
fn builds_of_buildkit_and_images_pulled_by_digest_are_carried() {
    need_root();
    let host = store_host();
    archive(&host);
    host.import_tiny("tiny:1");
    host.sh(BUILDS);
    let nameless = host.sh("cat /root/nameless");
    let registry = Registry::start(&host);
    let index = host.sh("jq -r '.manifests[0].digest' /shared/layout/index.json");
    let plain = host.sh("jq -r '.manifests[2].digest' /shared/layout/index.json");
    let zoo = format!("localhost:5000/zoo@{index}");
    let odd = format!("localhost:5000/odd@{plain}");
    host.docker(&["pull", "-q", &zoo]);
    host.docker(&["pull", "-q", &odd]);
    host.docker(&["pull", "-q", "localhost:5000/odd:1"]);
    drop(registry);
    let pulled = [zoo.as_str(), odd.as_str(), "localhost:5000/odd:1"];
    for (name, image) in [
        ("of-zoo", pulled[0]),
        ("of-kit", "all:1"),
        ("of-nameless", &nameless),
        ("of-zstd", "zstd:1"),
    ] {
        host.docker(&["run", "--user", "0", "--name", name, image, "touch", "/w"]);
    }
    // A container of an image that is untagged since.
    host.docker(&["rmi", "-f", "zstd:1"]);
    host.sh("docker tag none:1 zstd:1");
    let all = || {
        let images = IMAGES.iter().chain(&pulled);
        let images = images.map(|image| format!("{image}\n{}", seen(&host, image)));
        images.collect::<Vec<_>>().join("\n")
    };
    let containers = "for c in of-zoo of-kit of-nameless of-zstd; do docker diff $c | sort; docker inspect -f '{{.Config.Image}}' $c; done";
    let (before, used) = (all(), host.sh(containers));
    let attestations: u64 = host.sh(ATTESTATIONS).parse().unwrap();
    assert!(attestations >= 6, "{attestations}");
    host.sh(STOP);
    let as_was = disk(&host);
    let dry = host.idshift(&[MIGRATE, &["--dry-run", "--json"]].concat());
    let told = &dry.exits(0).json()["containerd_store"];
    assert_eq!(told["left_attestations"], attestations, "{told}");
    assert_eq!(told["left_platforms"], 1, "{told}");
    same_disk(&host, &as_was, "after a dry run");
    host.idshift(MIGRATE).exits(0);
    host.idshift(&["rollback", "latest"]).exits(0);
    same_disk(&host, &as_was, "rolled back");

    host.idshift(MIGRATE).exits(0);
    host.start_docker();
    assert_eq!(all(), before);
    assert_eq!(host.sh(containers), used);
    for image in IMAGES.iter().chain(&pulled[..2]) {
        saved_layers_are_whole(&host, image);
    }
    let digests =
        |image: &str| host.docker(&["inspect", "-f", "{{.RepoTags}} {{.RepoDigests}}", image]);
    assert_eq!(digests(&zoo), format!("[] [{zoo}]"));
    assert_eq!(digests(&odd), format!("[localhost:5000/odd:1] [{odd}]"));
    host.sh("for c in of-zoo of-kit of-nameless of-zstd; do docker start -a $c; docker commit $c new-$c:1; done");
    saved_layers_are_whole(&host, "new-of-zstd:1");
    // What is built on them with a remapped daemon.
    let on = |image: &str| {
        host.sh(&format!(
            "mkdir -p /root/on; cd /root/on; printf 'FROM {image}\\nCOPY Dockerfile /on\\n' >Dockerfile
             docker buildx build -q -t on:1 ."
        ));
        saved_layers_are_whole(&host, "on:1");
        host.docker(&["run", "--rm", "on:1", "cat", "/on"]);
    };
    on("all:1");
    on(&zoo);
}
