//! What the audit tells of it.

use super::{INNER, content, mount, tiny_host, unmount};
use crate::support::docker::*;
use crate::support::mounted::Mounted;
use crate::support::mounts::listed;
use crate::support::{Idshift, Run, output};

#[test]
fn the_audit_tells_what_is_the_matter() {
    let (host, idshift) = tiny_host();
    let plain = audit(&host).exits(0).text();
    for told in [
        "The two ways: change the owners on disk, or mount",
        "quotas count",
        "docker migrate --idmapped",
    ] {
        assert!(plain.contains(told), "{told} {plain}");
    }
    let start = snapshot(&host.data_root);
    audit(&host);
    same(
        &start,
        &snapshot(&host.data_root),
        "an audit leaves nothing",
    );
    // What the run refuses, the audit does, by name.
    let data = host.data_root.join("volumes/vol/_data");
    let mounted = Mounted::new("tmpfs", "size=1m", &data);
    let refused = audit(&host).text();
    assert!(refused.contains(data.to_str().unwrap()), "{refused}");
    drop(mounted);

    migrate(&idshift, &host, &["--idmapped"]).exits(0);
    let healthy = audit(&host).exits(0).text();
    assert!(healthy.contains("remapped by a mount of"), "{healthy}");
    let mounts = listed(&host.data_root.join(INNER));
    assert_eq!(mounts[0]["made_by"], "idshift", "{mounts:?}");
    let tells = |told: &[&str]| {
        let run = audit(&host).exits(3);
        for told in told {
            assert!(run.text().contains(told), "{told:?} {run}");
        }
    };
    let layer = std::fs::read_dir(content(&host).join("overlay2")).unwrap();
    let layer = layer
        .flatten()
        .map(|it| it.path().join("diff"))
        .find(|it| it.is_dir())
        .unwrap();
    std::os::unix::fs::chown(&layer, Some(100_000), Some(100_000)).unwrap();
    tells(&[
        "written without the mount: overlay2/",
        "idshift docker revert gives them back",
    ]);
    std::os::unix::fs::chown(&layer, Some(0), Some(0)).unwrap();

    let doctor = || {
        let mut command = std::process::Command::new(Idshift::program());
        let root = host.data_root.to_str().unwrap();
        let nothing = "/nonexistent/daemon.json";
        Run::of(command.args(["doctor", "--data-root", root, "--daemon-json", nothing]))
    };
    let healthy = doctor();
    assert!(
        !healthy.text().contains("no daemon starts on it"),
        "{healthy}"
    );
    unmount(&host);
    let told = doctor().exits(3);
    assert!(told.text().contains("no daemon starts on it"), "{told}");
    tells(&[
        "is missing: no daemon starts on it",
        "idshift docker mount --data-root",
    ]);
    // They are where the mount would show them.
    let audited = audit(&host);
    assert!(
        !audited.text().contains("no images of a storage driver"),
        "{audited}"
    );
    // Somebody let a daemon write where the mount belongs, and mounted it then.
    let point = host.data_root.join(INNER);
    output("chattr", ["-i".as_ref(), point.as_os_str()]);
    tells(&["is not immutable"]);
    std::fs::write(point.join("file"), "").unwrap();
    mount(&host, &[]).exits(0);
    tells(&["holds files that a daemon wrote without the mount"]);
}
