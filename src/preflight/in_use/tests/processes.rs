//! What processes have open, work in, or run.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;

use super::{Holder, is_root, scene, uses};
use crate::preflight::in_use::{TreeInUse, UseKind, users_of};

#[test]
fn an_idle_tree_has_no_user() {
    let (_dir, dir) = scene();
    assert_eq!(uses(&dir.join("tree")), []);
}

#[test]
fn no_tree_has_no_user() {
    assert_eq!(users_of(&[]).unwrap(), []);
}

#[test]
fn an_open_file_is_a_use() {
    let (_dir, dir) = scene();
    let file = dir.join("tree/sub/file");
    let holder = Holder::run(&format!("exec 7<{}", file.display()));
    assert_eq!(holder.uses(&dir.join("tree")), [(UseKind::OpenFile, file)]);
    let all = uses(&dir.join("tree"));
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!((all[0].command.as_str(), &all[0].container), ("sh", &None));
}

#[test]
fn an_open_directory_is_a_use() {
    let (_dir, dir) = scene();
    let sub = dir.join("tree/sub");
    let holder = Holder::run(&format!("exec 7<{}", sub.display()));
    assert_eq!(holder.uses(&dir.join("tree")), [(UseKind::OpenFile, sub)]);
}

#[test]
fn a_working_directory_is_a_use() {
    let (_dir, dir) = scene();
    for place in ["tree", "tree/sub"] {
        let place = dir.join(place);
        let holder = Holder::run(&format!("cd {}", place.display()));
        assert_eq!(
            holder.uses(&dir.join("tree")),
            [(UseKind::WorkingDirectory, place)]
        );
    }
}

#[test]
fn a_running_program_is_a_use_and_mapped() {
    let (_dir, dir) = scene();
    // Copied by the shell: were this process to write it, a child of another test could still have
    // it open for writing, and it would not start (`ETXTBSY`).
    let holder = Holder::run(&format!(
        "cp /bin/sh {0}/sh\nexec {0}/sh -c 'echo ready; read wait'",
        dir.join("tree").display()
    ));
    let kinds = holder.kinds(&dir.join("tree"));
    assert!(kinds.contains(&UseKind::Executable), "{kinds:?}");
    assert!(
        !is_root() || kinds.contains(&UseKind::MappedFile),
        "{kinds:?}"
    );
}

#[test]
fn a_single_file_can_be_the_tree() {
    let (_dir, dir) = scene();
    let file = dir.join("tree/sub/file");
    let holder = Holder::run(&format!("exec 7<{}", file.display()));
    assert_eq!(holder.kinds(&file), [UseKind::OpenFile]);
    assert_eq!(holder.kinds(&dir.join("other/sub/file")), []);
}

#[test]
fn names_may_be_odd() {
    let (_dir, dir) = scene();
    let odd = dir.join("tree/a b\\040\n(deleted)");
    fs::write(&odd, "").unwrap();
    let holder = Holder::run(&format!("exec 7<'{}'", odd.display()));
    assert_eq!(holder.uses(&dir.join("tree")), [(UseKind::OpenFile, odd)]);
}

#[test]
fn the_same_name_elsewhere_is_no_use() {
    let (_dir, dir) = scene();
    let other = dir.join("other/sub");
    let holder = Holder::run(&format!("cd {0}\nexec 7<{0}/file", other.display()));
    assert_eq!(holder.kinds(&dir.join("tree")), []);
}

#[test]
fn a_deleted_file_is_no_use() {
    let (_dir, dir) = scene();
    let file = dir.join("tree/sub/file");
    let holder = Holder::run(&format!("exec 7<{0}\nrm {0}", file.display()));
    assert_eq!(holder.kinds(&dir.join("tree")), []);
}

#[test]
fn a_renamed_file_is_still_a_use() {
    let (_dir, dir) = scene();
    let (file, moved) = (dir.join("other/sub/file"), dir.join("tree/moved"));
    let script = format!(
        "exec 7<{}\nmv {} {}",
        file.display(),
        file.display(),
        moved.display()
    );
    let holder = Holder::run(&script);
    assert_eq!(holder.uses(&dir.join("tree")), [(UseKind::OpenFile, moved)]);
}

#[test]
fn this_process_is_no_user() {
    let (_dir, dir) = scene();
    let _open = File::open(dir.join("tree/sub/file")).unwrap();
    // Another test may be starting a child, which has the file open until it runs its program.
    let uses = uses(&dir.join("tree"));
    assert!(
        uses.iter().all(|one| one.pid != std::process::id()),
        "{uses:?}"
    );
}

#[test]
fn a_tree_that_was_replaced_is_an_error() {
    let (_dir, dir) = scene();
    let other = fs::metadata(dir.join("other")).unwrap();
    let tree = TreeInUse {
        path: dir.join("tree"),
        dev: other.dev(),
        ino: other.ino(),
    };
    let error = users_of(&[tree]).unwrap_err().to_string();
    assert!(
        error.contains("tree: cannot find out who uses it"),
        "{error}"
    );
}
