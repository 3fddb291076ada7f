//! Real processes holding real trees. Without root the mounts cannot be made, and those tests only
//! say that they were skipped.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use super::{TreeInUse, Use, UseKind, users_of};

/// A shell that does something, says `ready` and lives until it is dropped, also by a panic. What it
/// mounts in a namespace of its own goes with it.
struct Holder {
    child: Child,
    // Kept open so that the shell can go on writing.
    _output: BufReader<ChildStdout>,
}

impl Holder {
    fn start(command: &mut Command, script: &str) -> Holder {
        let mut child = command
            .args(["sh", "-ec", &format!("{script}\necho ready\nread wait")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let holder = Holder {
            child,
            _output: output,
        };
        assert_eq!(line, "ready\n", "{script}");
        holder
    }

    fn run(script: &str) -> Holder {
        Holder::start(&mut Command::new("env"), script)
    }

    /// In a mount namespace of its own.
    fn run_apart(script: &str) -> Holder {
        Holder::start(Command::new("unshare").arg("-m"), script)
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it uses the tree, and where.
    fn uses(&self, tree: &Path) -> Vec<(UseKind, PathBuf)> {
        uses(tree)
            .into_iter()
            .filter(|one| one.pid == self.pid())
            .map(|one| (one.how, one.path))
            .collect()
    }

    fn kinds(&self, tree: &Path) -> Vec<UseKind> {
        self.uses(tree).into_iter().map(|(how, _)| how).collect()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn uses(tree: &Path) -> Vec<Use> {
    let top = fs::symlink_metadata(tree).unwrap();
    users_of(&[TreeInUse {
        path: tree.to_owned(),
        dev: top.dev(),
        ino: top.ino(),
    }])
    .unwrap()
}

/// A directory with a tree, `tree/sub/file`, and the same beside it under `other`.
fn scene() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let real = dir.path().canonicalize().unwrap();
    for top in ["tree", "other"] {
        fs::create_dir_all(real.join(top).join("sub")).unwrap();
        fs::write(real.join(top).join("sub/file"), top).unwrap();
    }
    (dir, real)
}

/// The same, for who may mount.
fn root_scene() -> Option<(tempfile::TempDir, PathBuf)> {
    is_root().then(scene)
}

fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("skipped: mounting takes root");
    }
    is_root
}

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

#[test]
fn a_bind_mount_in_another_namespace_is_a_use() {
    let Some((_dir, dir)) = root_scene() else {
        return;
    };
    for source in ["tree", "tree/sub", "tree/sub/file"] {
        let source = dir.join(source);
        let target = dir.join("other").join(match source.is_dir() {
            true => "sub",
            false => "sub/file",
        });
        let script = format!("mount --bind {} {}", source.display(), target.display());
        let holder = Holder::run_apart(&script);
        assert_eq!(
            holder.uses(&dir.join("tree")),
            [(UseKind::MountPoint, target)]
        );
    }
}

#[test]
fn what_is_open_through_a_bind_mount_is_a_use() {
    let Some((_dir, dir)) = root_scene() else {
        return;
    };
    let (sub, other) = (dir.join("tree/sub"), dir.join("other"));
    let script = format!(
        "mount --bind {} {other}\ncd {other}\nexec 7<{other}/file",
        sub.display(),
        other = other.display()
    );
    let holder = Holder::run_apart(&script);
    let expected = [
        (UseKind::MountPoint, other.clone()),
        (UseKind::WorkingDirectory, other.clone()),
        (UseKind::OpenFile, other.join("file")),
    ];
    assert_eq!(holder.uses(&dir.join("tree")), expected);
}

#[test]
fn what_another_namespace_has_open_in_place_is_a_use() {
    let Some((_dir, dir)) = root_scene() else {
        return;
    };
    let file = dir.join("tree/sub/file");
    let holder = Holder::run_apart(&format!("exec 7<{}", file.display()));
    assert_eq!(holder.uses(&dir.join("tree")), [(UseKind::OpenFile, file)]);
}

#[test]
fn a_mount_of_the_whole_filesystem_is_no_use() {
    let Some((_dir, dir)) = root_scene() else {
        return;
    };
    let script = format!(
        "mount --bind {} {}",
        dir.display(),
        dir.join("other").display()
    );
    let holder = Holder::run_apart(&script);
    assert_eq!(holder.kinds(&dir.join("tree")), []);
}

#[test]
fn a_file_open_through_a_mount_of_the_whole_is_a_use() {
    let Some((_dir, dir)) = root_scene() else {
        return;
    };
    let other = dir.join("other");
    let script = format!(
        "mount --bind {} {other}\nexec 7<{other}/tree/sub/file 8<{other}/other/sub",
        dir.display(),
        other = other.display()
    );
    let holder = Holder::run_apart(&script);
    let expected = [(UseKind::OpenFile, other.join("tree/sub/file"))];
    assert_eq!(holder.uses(&dir.join("tree")), expected);
}

#[test]
fn a_changed_root_in_the_tree_is_a_use() {
    let Some((_dir, dir)) = root_scene() else {
        return;
    };
    // A root in which `sh` can run: the system's, by bind mounts in a namespace of its own.
    let root = dir.join("tree/sub");
    let script = format!(
        "cd {}\nfor d in usr bin lib lib64; do [ -e /$d ] || continue; mkdir -p $d; \
         mount --bind /$d $d; done\nexec chroot . sh -c 'echo ready; read wait'",
        root.display()
    );
    let holder = Holder::run_apart(&script);
    assert_eq!(
        holder.kinds(&dir.join("tree")),
        [UseKind::WorkingDirectory, UseKind::Root],
        "the programs it runs are not of the tree, though mounted below it"
    );
}

#[test]
fn an_overlay_with_a_layer_in_the_tree_is_a_use() {
    let Some((_dir, dir)) = root_scene() else {
        return;
    };
    for name in ["tree/up", "tree/work", "other/up", "other/work"] {
        fs::create_dir(dir.join(name)).unwrap();
    }
    for (lower, upper) in [("other", "tree"), ("tree", "other")] {
        let script = format!(
            "cd {dir}\nmount -t overlay overlay \
             -o lowerdir={dir}/{lower}/sub,upperdir={dir}/{upper}/up,workdir={dir}/{upper}/work \
             other/sub\nexec 7<{dir}/other/sub/file",
            dir = dir.display()
        );
        let holder = Holder::run_apart(&script);
        let merged = dir.join("other/sub");
        let expected = [
            (UseKind::MountPoint, merged.clone()),
            (UseKind::OpenFile, merged.join("file")),
        ];
        assert_eq!(holder.uses(&dir.join("tree")), expected, "{lower} {upper}");
    }
}

#[test]
fn an_overlay_with_relative_layers_is_a_use() {
    let Some((_dir, dir)) = root_scene() else {
        return;
    };
    for name in ["tree/up", "tree/work", "tree/merged"] {
        fs::create_dir(dir.join(name)).unwrap();
    }
    std::os::unix::fs::symlink("../tree/sub", dir.join("other/link")).unwrap();
    // The mounter of the system may make every path absolute; what the kernel shows then is still
    // to be found.
    let script = format!(
        "cd {}\nmount -i -t overlay overlay \
         -o lowerdir=other/link,upperdir=tree/up,workdir=tree/work tree/merged\ncd /",
        dir.display()
    );
    let holder = Holder::run_apart(&script);
    let expected = [(UseKind::MountPoint, dir.join("tree/merged"))];
    assert_eq!(holder.uses(&dir.join("tree")), expected);
}

#[test]
fn an_overlay_with_its_layers_elsewhere_is_no_use() {
    let Some((_dir, dir)) = root_scene() else {
        return;
    };
    let script = format!(
        "cd {dir}\nmkdir other/up other/work\nmount -t overlay overlay \
         -o lowerdir={dir}/other/sub,upperdir={dir}/other/up,workdir={dir}/other/work tree/sub",
        dir = dir.display()
    );
    let holder = Holder::run_apart(&script);
    assert_eq!(holder.kinds(&dir.join("tree")), []);
}

#[test]
fn a_filesystem_root_is_idle_until_mounted_elsewhere() {
    let Some((_dir, dir)) = root_scene() else {
        return;
    };
    // The test's own namespace takes the mount, so that the other one is a copy with the mount in
    // it; the thread keeps both from the rest of the machine.
    let dir = &dir;
    std::thread::scope(|scope| {
        let run = || {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
            mount("--make-rprivate", Path::new("/"), None);
            mount("tmpfs", Path::new("none"), Some(&dir.join("tree")));
            fs::create_dir(dir.join("tree/sub")).unwrap();

            let idle = Holder::run_apart("true");
            assert_eq!(idle.kinds(&dir.join("tree")), [], "a copy of the namespace");
            assert_eq!(uses(&dir.join("tree")), []);

            let (tree, other) = (dir.join("tree"), dir.join("other"));
            let script = format!("mount --bind {} {}", tree.display(), other.display());
            let bound = Holder::run_apart(&script);
            assert_eq!(bound.uses(&tree), [(UseKind::MountPoint, other)]);
        };
        scope.spawn(run).join().unwrap();
    });
}

#[test]
fn a_bind_mount_in_our_own_namespace_is_a_use() {
    let Some((_dir, dir)) = root_scene() else {
        return;
    };
    let dir = &dir;
    std::thread::scope(|scope| {
        let run = || {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
            mount("--make-rprivate", Path::new("/"), None);
            mount("--bind", &dir.join("tree/sub"), Some(&dir.join("other")));
            let all = uses(&dir.join("tree"));
            assert_eq!(all.len(), 1, "{all:?}");
            assert_eq!(
                (all[0].how, &all[0].path),
                (UseKind::MountPoint, &dir.join("other"))
            );
            // Nobody else is in the namespace.
            assert_eq!(all[0].pid, std::process::id());
        };
        scope.spawn(run).join().unwrap();
    });
}

#[test]
fn a_file_on_a_disk_mounted_below_the_tree_is_no_use() {
    let Some((_dir, dir)) = root_scene() else {
        return;
    };
    let sub = dir.join("tree/sub");
    let script = format!(
        "mount -t tmpfs none {sub}\necho x >{sub}/file\nexec 7<{sub}/file\ncd {sub}",
        sub = sub.display()
    );
    let holder = Holder::run_apart(&script);
    assert_eq!(holder.kinds(&dir.join("tree")), []);
}

#[test]
fn what_is_bound_below_the_tree_is_no_use() {
    let Some((_dir, dir)) = root_scene() else {
        return;
    };
    let sub = dir.join("tree/sub");
    let script = format!(
        "mount --bind {} {sub}\ncd {sub}/other\nexec 7<{sub}/other/sub/file",
        dir.display(),
        sub = sub.display()
    );
    let holder = Holder::run_apart(&script);
    assert_eq!(holder.kinds(&dir.join("tree")), []);
}

#[test]
fn a_file_hidden_by_a_mount_is_not_the_trees() {
    let Some((_dir, dir)) = root_scene() else {
        return;
    };
    let (source, target) = (dir.join("tree/sub"), dir.join("other/sub"));
    let script = format!(
        "exec 7<{1}/file\nmount --bind {0} {1}",
        source.display(),
        target.display()
    );
    let holder = Holder::run_apart(&script);
    assert_eq!(
        holder.uses(&dir.join("tree")),
        [(UseKind::MountPoint, target)]
    );
}

/// `mount(8)` in the calling thread's namespace: with a flag, or of a type.
fn mount(kind: &str, source: &Path, target: Option<&Path>) {
    let mut command = Command::new("mount");
    match kind.starts_with("--") {
        true => command.arg(kind),
        false => command.args(["-t", kind]),
    };
    let status = command.arg(source).args(target).status().unwrap();
    assert!(status.success(), "mount {kind} {}", source.display());
}
