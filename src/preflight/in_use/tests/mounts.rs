//! Mounts of a tree, or of what is in it, here and in other namespaces.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{Holder, root_scene, uses};
use crate::preflight::in_use::UseKind;

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
