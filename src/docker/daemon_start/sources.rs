//! The command line of the daemon that runs, and of the snap.

use std::fs;
use std::path::Path;

use super::{OptionSource, Word};

/// Where the snap keeps its configuration and its data.
const SNAP_CONFIG: &str = "/var/snap/docker/current/config/daemon.json";
const SNAP_DATA: &str = "/var/snap/docker/common/var-lib-docker";

/// The command line of the one dockerd that runs and sees the files that this program sees.
pub(super) fn running() -> Option<Vec<Word>> {
    let mounts = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
    let own = mounts("self")?;
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(pid) = name.parse::<u32>() else {
            continue;
        };
        let comm = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
        if comm == b"dockerd\n" && mounts(&name).as_ref() == Some(&own) {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words = line.split(|byte| *byte == 0).map(|word| Word {
                text: String::from_utf8_lossy(word).into_owned(),
                source: OptionSource::Process(pid),
            });
            found.push(words.collect::<Vec<Word>>());
        }
    }
    // Which of several is meant, nobody knows.
    match found.len() {
        1 => found.pop(),
        _ => None,
    }
}

/// As the snap starts it (`bin/dockerd-wrapper` of docker-snap).
pub(super) fn snap() -> Option<Vec<Word>> {
    Path::new(SNAP_DATA).is_dir().then(|| {
        let word = |text: String| Word {
            text,
            source: OptionSource::Snap,
        };
        vec![
            word("dockerd".into()),
            word(format!("--config-file={SNAP_CONFIG}")),
            word(format!("--data-root={SNAP_DATA}")),
        ]
    })
}
