use super::*;

#[test]
fn what_containers_wrote_is_not_said_to_be_nobodys() {
    let top = tempfile::tempdir().unwrap();
    let diff = top.path().join("idshift-convert-1.1/overlay2/a/diff");
    std::fs::create_dir_all(&diff).unwrap();
    let told = || {
        let refused = Staging::check_is_free(top.path(), "1.1");
        refused.unwrap_err().to_string()
    };
    assert!(told().contains("`rm -rf "), "{}", told());
    std::fs::write(diff.join("data"), "precious").unwrap();
    assert!(!told().contains("rm -rf"), "{}", told());
    assert!(told().contains("`mv "), "{}", told());
    std::fs::remove_dir_all(top.path().join("idshift-convert-1.1")).unwrap();
    Staging::check_is_free(top.path(), "1.1").unwrap();
}

#[test]
fn the_time_of_what_another_made_stays() {
    let top = tempfile::tempdir().unwrap();
    let staging = Staging {
        dir: top.path().join("idshift-convert-1.1"),
        top: Arc::new(std::fs::File::open(top.path()).unwrap().into()),
        top_mtime_ns: 5_000_000_000,
        name: "idshift-convert-1.1".into(),
        made: Vec::new(),
        images: BTreeMap::new(),
        changed: Vec::new(),
    };
    let now = || file_ops::mtime_ns(&staging.top).unwrap();
    let own = now();
    std::thread::sleep(std::time::Duration::from_millis(20));
    std::fs::create_dir(top.path().join("tmp")).unwrap();
    let others = now();
    staging.set_time_back(own).unwrap();
    assert_eq!(now(), others);
    staging.set_time_back(others).unwrap();
    assert_eq!(now(), 5_000_000_000);
}

#[test]
fn what_nobody_made_here_stays() {
    let top = tempfile::tempdir().unwrap();
    let dir = top.path().join("idshift-convert-1.1");
    std::fs::create_dir_all(dir.join("overlay2/a")).unwrap();
    std::fs::create_dir_all(dir.join("image")).unwrap();
    std::fs::write(dir.join("overlay2/a/link"), "L").unwrap();
    std::fs::write(dir.join("image/repositories.json"), "{}").unwrap();
    let mut staging = Staging {
        dir: dir.clone(),
        top: Arc::new(std::fs::File::open(top.path()).unwrap().into()),
        top_mtime_ns: 5_000_000_000,
        name: "idshift-convert-1.1".into(),
        made: Vec::new(),
        images: BTreeMap::new(),
        changed: Vec::new(),
    };
    staging.list().unwrap();
    assert_eq!(staging.made.len(), 6);
    // The files of a layer are in it by now, and a file is another's.
    std::fs::create_dir(dir.join("overlay2/a/diff")).unwrap();
    std::fs::write(dir.join("overlay2/a/diff/data"), "precious").unwrap();
    std::fs::write(dir.join("image/other"), "{}").unwrap();
    std::fs::rename(dir.join("image/other"), dir.join("image/repositories.json")).unwrap();
    staging.remove();
    let text = std::fs::read_to_string(dir.join("overlay2/a/diff/data")).unwrap();
    assert_eq!(text, "precious");
    assert!(dir.join("image/repositories.json").exists());
    assert!(!dir.join("overlay2/a/link").exists());
    std::fs::remove_dir_all(dir.join("overlay2/a/diff")).unwrap();
    std::fs::remove_file(dir.join("image/repositories.json")).unwrap();
    staging.remove();
    assert!(!dir.exists());
    let time = std::fs::metadata(top.path()).unwrap().modified().unwrap();
    let since = time.duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(since.as_secs(), 5);
}
