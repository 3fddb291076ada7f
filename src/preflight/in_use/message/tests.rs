use super::*;
use crate::preflight::in_use::Release;

#[test]
fn the_data_root_is_read_off_a_command_line() {
    for (line, expected) in [
        ("dockerd --data-root /srv/d -H fd://", Some("/srv/d")),
        ("dockerd --data-root=/srv/d", Some("/srv/d")),
        ("dockerd -g /srv/d", Some("/srv/d")),
        ("dockerd -H fd://", None),
    ] {
        let words: Vec<String> = line.split(' ').map(String::from).collect();
        assert_eq!(data_root_of(&words), expected.map(PathBuf::from), "{line}");
    }
}

#[test]
fn a_container_is_called_by_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let id = "0123456789abcdef";
    let at = dir.path().join("100000.100000/containers").join(id);
    std::fs::create_dir_all(&at).unwrap();
    std::fs::write(at.join("config.v2.json"), r#"{"Name":"/web"}"#).unwrap();
    assert_eq!(
        container_name(dir.path(), "0123456789ab").as_deref(),
        Some("web")
    );
}

fn one(pid: u32, command: &str, container: Option<&str>, release: Option<Release>) -> Use {
    Use {
        pid,
        command: command.into(),
        how: crate::preflight::in_use::UseKind::MountPoint,
        path: "/d/merged".into(),
        container: container.map(String::from),
        release,
    }
}

#[test]
fn a_process_is_told_once() {
    let mut uses: Vec<Use> = (0..3).map(|_| one(77, "sh", None, None)).collect();
    let mount = Release::Unmount("/d/merged".into());
    uses.push(one(1, "systemd", None, Some(mount)));
    uses.extend((100..112).map(|pid| one(pid, "sh", None, None)));
    let told = users(Path::new("/d"), &uses);
    let lines: Vec<&str> = told.lines().collect();
    assert!(
        lines[0].contains("process 77 (sh): ") && lines[0].ends_with("/d/merged, and 2 more"),
        "{told}"
    );
    assert_eq!(lines[1], "  and by what is mounted at /d/merged");
    assert_eq!(lines.last(), Some(&"  and by 4 more"), "{told}");
    assert_eq!(lines.len(), NAMED + 1, "{told}");
}

#[test]
fn what_is_told_is_what_ends_the_use() {
    let tree = Path::new("/nonexistent/d");
    let mount = || {
        one(
            1,
            "systemd",
            None,
            Some(Release::Unmount("/d/merged".into())),
        )
    };
    let stale = remedy_of_service(tree, &[mount()]);
    assert!(stale.ends_with("`umount /d/merged`"), "{stale}");
    let alive = remedy_of_service(tree, &[mount(), one(77, "sh", Some("0123456789ab"), None)]);
    assert!(
        alive.contains("live-restore") && alive.contains("docker stop 0123456789ab"),
        "{alive}"
    );
    let daemon = remedy_of_service(tree, &[mount(), one(u32::MAX, "dockerd", None, None)]);
    assert!(daemon.contains(&format!("`kill {}`", u32::MAX)), "{daemon}");
    assert!(!daemon.contains("umount"), "{daemon}");
}
