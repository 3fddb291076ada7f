//! What is said of host directories that containers bind, when their store became a user's.

use std::path::Path;

use crate::cli::output::text::{path, shell_word};
use crate::preflight::check_system_path;
use crate::store_move::user::RootlessUser;

/// What containers bind keeps its owners. What belongs to the system is never shifted.
pub fn bind_note(container: &str, source: &Path, user: &RootlessUser) -> String {
    let stays = format!(
        "Bind mount {} of {container} keeps its owners, and root in the container is {} there now.",
        path(source),
        user.name
    );
    let real = source.canonicalize();
    if !real.is_ok_and(|real| check_system_path(&real).is_ok()) {
        return stays;
    }
    let map: Vec<String> = (user.map.to_string().split(' '))
        .map(|range| format!("--map {range}"))
        .collect();
    format!(
        "{stays} Where it holds ids of containers, `idshift shift --assume-unshifted {} {}` shifts them.",
        map.join(" "),
        shell_word(source)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::idmap::IdMap;

    #[test]
    fn what_shift_refuses_is_not_proposed() {
        let user = RootlessUser {
            name: "ann".into(),
            root: (1000, 1000),
            home: "/home/ann".into(),
            map: IdMap::identity(),
        };
        let dir = tempfile::tempdir_in("/var/tmp").unwrap();
        let proposes = |source: &Path| bind_note("web", source, &user).contains("`idshift shift");
        assert!(proposes(dir.path()));
        assert!(!proposes(Path::new("/etc")));
        std::os::unix::fs::symlink("/etc", dir.path().join("link")).unwrap();
        assert!(!proposes(&dir.path().join("link")));
        assert!(!proposes(&dir.path().join("none")));
    }
}
