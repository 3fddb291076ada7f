//! How long a conversion takes beside reading and hashing its blobs, and how much memory: the long form only.

use std::process::Command;
use std::time::{Duration, Instant};

use super::containerd_store::{DAEMON_JSON, SNAPSHOTTER};
use crate::support::engine_host::{EngineHost, Release};
use crate::support::{self, Run, long, need_root};

/// A program of this much time, on one processor.
fn seconds(command: &str) -> f64 {
    let start = Instant::now();
    let run = Run::of(Command::new("bash").args(["-euo", "pipefail", "-c", command]));
    assert_eq!(run.code, Some(0), "{run}");
    start.elapsed().as_secs_f64()
}

#[test]
fn a_conversion_takes_less_than_three_times_its_hashing() {
    if !long() {
        return;
    }
    need_root();
    let program = std::env::var("IDSHIFT_BENCH_PROGRAM");
    let program = program.unwrap_or_else(|_| support::Idshift::program().display().to_string());
    let mut host = EngineHost::off(Release::Trixie);
    host.write(DAEMON_JSON, SNAPSHOTTER);
    // dockerd runs its own containerd, in the data-root.
    let unit = host.path("/etc/systemd/system/containerd.service");
    std::os::unix::fs::symlink("/dev/null", unit).unwrap();
    let alone = "[Service]\nExecStart=\nExecStart=/usr/sbin/dockerd -H fd://\n";
    host.write("/etc/systemd/system/docker.service.d/alone.conf", alone);
    host.boot();
    host.sh("useradd -r dockremap; echo dockremap:100000:65536 | tee /etc/subuid > /etc/subgid");
    host.import_tiny("tiny:1");
    let tar = host.shared().join("big.tar");
    seconds(&format!("tar -C /usr -cf {} lib/jvm bin", tar.display()));
    host.docker(&["import", "/shared/big.tar", "big:1"]);
    host.docker(&["create", "--name", "one", "big:1", "true"]);
    host.stop_docker();
    let root = host.path("/var/lib/docker");
    let blobs = root.join("containerd/daemon/io.containerd.content.v1.content/blobs/sha256");
    let blobs = blobs.display();
    let hash = format!(
        "cd {blobs}; for b in *; do case $(head -c2 $b | od -An -tx1) in ' 1f 8b') gzip -t < $b;; esac; sha256sum $b > /dev/null; done"
    );
    let read = seconds(&format!(
        "cat {blobs}/* > /dev/null; taskset -c 0 bash -c {}",
        shell(&hash)
    ));
    std::fs::copy(program, host.shared().join("idshift")).unwrap();
    let migrate = [
        "taskset",
        "-c",
        "0",
        "/shared/idshift",
        "docker",
        "migrate",
        "--write-daemon-json",
    ];
    let start = Instant::now();
    let mut child = host.command(&migrate).spawn().unwrap();
    // Its own: dockerd, which it asks about daemon.json, takes more.
    let mut kib = 0;
    let status = loop {
        kib = kib.max(peak_memory());
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let took = start.elapsed().as_secs_f64();
    assert!(status.success());
    println!(
        "read and hashed: {read:.1} s; converted and shifted: {took:.1} s, {:.2} times that; {kib} KiB",
        took / read
    );
    assert!(kib > 0 && kib < 64 << 10, "{kib} KiB");
    assert!(took < 3.0 * read, "{took} beside {read}");
}

/// The most memory, in KiB, that a process of this host had whose program is `/shared/idshift`.
fn peak_memory() -> u64 {
    let mut most = 0;
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let is_it = std::fs::read_link(entry.path().join("exe"));
        if !is_it.is_ok_and(|exe| exe.ends_with("shared/idshift")) {
            continue;
        }
        let status = std::fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
        most = most.max(kib.unwrap_or(0));
    }
    most
}

fn shell(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
