use super::*;

#[test]
fn what_nobody_made_here_stays() {
    let top = tempfile::tempdir().unwrap();
    let dir = top.path().join("idshift-convert-1.1");
    file_ops::set_mtime(std::fs::File::open(top.path()).unwrap(), 5_000_000_000).unwrap();
    let mut time = TopTime::of(top.path()).unwrap();
    std::fs::create_dir_all(dir.join("overlay2/a")).unwrap();
    std::fs::create_dir_all(dir.join("image")).unwrap();
    std::fs::write(dir.join("overlay2/a/link"), "L").unwrap();
    std::fs::write(dir.join("image/repositories.json"), "{}").unwrap();
    time.note().unwrap();
    let mut staging = Staging {
        dir: dir.clone(),
        time,
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
