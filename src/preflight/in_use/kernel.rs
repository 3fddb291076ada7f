//! Files that the kernel itself has open: swap files and what is behind loop devices. No process shows them.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::mount_users::ViewedMount;
use super::{Release, UseKind};
use crate::fs::mountinfo::unescape;

/// One such file, by the name it has now.
pub(super) struct KernelFile {
    pub path: PathBuf,
    pub how: UseKind,
    pub user: String,
    pub release: Release,
}

/// All there are. A file that was removed since has a name that leads nowhere.
pub(super) fn files(mounts: &[ViewedMount]) -> Vec<KernelFile> {
    let mut files = swap_files(&fs::read("/proc/swaps").unwrap_or_default());
    files.extend(loop_files(mounts));
    files
}

/// `proc_swaps(5)`: the name, then its type.
fn swap_files(table: &[u8]) -> Vec<KernelFile> {
    let lines = table.split(|&byte| byte == b'\n').skip(1);
    let files = lines.filter_map(|line| {
        let mut words = line
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty());
        let (name, kind) = (words.next()?, words.next()?);
        let path = PathBuf::from(OsString::from_vec(unescape(name)));
        (kind == b"file").then(|| KernelFile {
            release: Release::SwapOff(path.clone()),
            user: "the kernel".into(),
            how: UseKind::SwapFile,
            path,
        })
    });
    files.collect()
}

fn loop_files(mounts: &[ViewedMount]) -> Vec<KernelFile> {
    let devices = fs::read_dir("/sys/block").into_iter().flatten();
    let files = devices.filter_map(|device| {
        let device = device.ok()?.path();
        let mut name = fs::read(device.join("loop/backing_file")).ok()?;
        name.truncate(name.len() - usize::from(name.ends_with(b"\n")));
        let number = fs::read_to_string(device.join("dev")).ok()?;
        let node = Path::new("/dev").join(device.file_name()?);
        let mounted = mounts.iter().find(|mount| mount.is_of(number.trim()));
        Some(KernelFile {
            path: PathBuf::from(OsString::from_vec(name)),
            how: UseKind::BackingFile,
            user: node.display().to_string(),
            release: match mounted {
                Some(mount) => Release::Unmount(mount.point().to_path_buf()),
                None => Release::DetachLoop(node),
            },
        })
    });
    files.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swap_files_of_any_name_are_read_no_partitions() {
        let table =
            b"Filename\t\tType\n/srv/a\\040b\tfile\t\t4\t0\t-2\n/dev/sda2\tpartition\t4\t0\t-3\n";
        let files = swap_files(table);
        let [one] = &files[..] else {
            panic!("{}", files.len())
        };
        assert_eq!(one.path, Path::new("/srv/a b"));
    }
}
