//! Which ids of the range a container had before its data-root was remapped by a mount is told by times. Where a clock was
//! wrong meanwhile, nothing is guessed.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{HOLDER, INNER, content, idmapped_host, in_range};
use crate::support::daemon::Host;
use crate::support::docker::*;

/// Writes another time of the migration into the record of a root, as if clocks had been that far away from each other.
fn migrated_later(host: &Host, by_ms: i64) {
    let file = host.data_root.join(HOLDER).join("map");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let since = now.as_millis() as i64 + by_ms;
    let text = fs::read_to_string(&file).unwrap();
    let lines = text.lines().map(|line| match line.starts_with("since ") {
        true => format!("since {since}\n"),
        false => format!("{line}\n"),
    });
    let lines: String = lines.collect();
    assert_ne!(lines, text);
    fs::write(file, lines).unwrap();
}

#[test]
fn a_clock_that_was_set_back_does_not_make_files_of_root_old() {
    let (host, idshift) = idmapped_host();
    host.start(REMAPPED).stop();
    // Root of the host makes a file in a volume, as a container with --userns=host does.
    let file = "volumes/vol/_data/of-root";
    fs::write(host.data_root.join(INNER).join(file), "").unwrap();
    let on_disk = content(&host).join(file);
    assert_eq!(
        in_range(&content(&host).join("volumes/vol/_data")),
        std::slice::from_ref(&on_disk)
    );
    std::thread::sleep(std::time::Duration::from_secs(3));
    // Now it is before the migration; or all that the daemon had or made is, and now is not.
    for by_ms in [3_600_000, -200] {
        migrated_later(&host, by_ms);
        let start = snapshot(&host.data_root);
        for more in [&["--dry-run"][..], &[]] {
            let run = revert(&idshift, &host, more);
            assert!(matches!(run.code, Some(1 | 3)), "{run}");
            let said = format!("{run}");
            assert!(
                said.contains("clock of this host was set back") && said.contains("of-root"),
                "{by_ms} {said}"
            );
        }
        same(&start, &snapshot(&host.data_root), "refused");
    }
    // Once it is told whose it is, nothing is in doubt.
    std::os::unix::fs::chown(&on_disk, Some(0), Some(0)).unwrap();
    revert(&idshift, &host, &[]).exits(0);
    assert_eq!(in_range(&host.data_root), Vec::<std::path::PathBuf>::new());
}
