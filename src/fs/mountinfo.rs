//! `mountinfo` (`proc_pid_mountinfo(5)`), whatever bytes the names in it have.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use procfs::process::MountInfo;

/// One line of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Its number.
    pub id: i32,
    /// The number of the mount that it is on.
    pub parent: i32,
    /// The filesystem, by the device number of its superblock: `MAJOR:MINOR`. `st_dev` may be another: each subvolume of
    /// btrfs has its own.
    pub device: String,
    /// The filesystem's type, with a subtype as in `fuse.sshfs`.
    pub fs_type: String,
    /// The directory of the filesystem that it shows.
    pub root: PathBuf,
    /// Where, as seen from the root of the process that was asked.
    pub point: PathBuf,
    /// Nothing can be changed through it: the mount is read-only, or the filesystem.
    pub read_only: bool,
    /// The ids that are seen through it are not those on disk (`mount_setattr(2)`).
    pub idmapped: bool,
    /// The filesystem's options, one value of each name.
    pub settings: HashMap<String, Option<String>>,
    /// The options as they stand there: an overlay can have many `lowerdir+`.
    pub options: String,
}

/// The mounts that the calling thread sees. It may have its own mount namespace.
///
/// # Errors
/// It cannot be read, or is not as the kernel writes it.
pub fn of_this_thread() -> io::Result<Vec<Mount>> {
    read(Path::new("/proc/thread-self"))
}

/// The mounts that a thread sees, given its directory in `/proc`.
///
/// # Errors
/// As [`of_this_thread`].
pub fn read(thread: &Path) -> io::Result<Vec<Mount>> {
    let table = std::fs::read(thread.join("mountinfo"))?;
    table
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(from_line)
        .collect()
}

/// The first mount point at a directory or below it; none where nothing is mounted there, or nobody can tell.
pub fn first_within(dir: &Path) -> Option<PathBuf> {
    first_of(dir, |dir, point| point.starts_with(dir))
}

/// The first mount point below a directory, not the directory itself.
pub fn first_below(dir: &Path) -> Option<PathBuf> {
    first_of(dir, |dir, point| point != dir && point.starts_with(dir))
}

fn first_of(dir: &Path, is_meant: impl Fn(&Path, &Path) -> bool) -> Option<PathBuf> {
    let dir = std::fs::canonicalize(dir).ok()?;
    let mounts = of_this_thread().ok()?.into_iter();
    let mut points = mounts.map(|mount| mount.point);
    points.find(|point| is_meant(&dir, point))
}

/// The number that the mount of an open inode has in the table.
///
/// # Errors
/// `/proc` does not tell.
pub fn id_of(handle: impl AsFd) -> io::Result<i32> {
    // `statx` tells from Linux 5.8 on; this, from 3.15 on (`proc_pid_fdinfo(5)`).
    let fd = handle.as_fd().as_raw_fd();
    let text = std::fs::read_to_string(format!("/proc/thread-self/fdinfo/{fd}"))?;
    let id = text.lines().find_map(|line| line.strip_prefix("mnt_id:"));
    let id = id.ok_or(io::ErrorKind::Unsupported)?;
    id.trim().parse().map_err(io::Error::other)
}

pub(crate) fn from_line(line: &[u8]) -> io::Result<Mount> {
    let line = escape(line);
    let info = MountInfo::from_line(&line).map_err(io::Error::other)?;
    let options = line.rsplit(' ').next().unwrap_or_default();
    Ok(Mount {
        id: info.mnt_id,
        parent: info.pid,
        root: unescaped_path(info.root.as_bytes()),
        point: unescaped_path(info.mount_point.as_os_str().as_encoded_bytes()),
        options: options.to_string(),
        read_only: info.mount_options.contains_key("ro") || info.super_options.contains_key("ro"),
        idmapped: info.mount_options.contains_key("idmapped"),
        device: info.majmin,
        fs_type: info.fs_type,
        settings: info.super_options,
    })
}

/// Writes the bytes that are not ASCII as the kernel writes a blank: `\ooo`. The parser takes text,
/// and a name can be any bytes.
fn escape(line: &[u8]) -> String {
    let mut text = String::with_capacity(line.len());
    for &byte in line {
        match byte.is_ascii() {
            true => text.push(byte.into()),
            false => text.push_str(&format!("\\{byte:03o}")),
        }
    }
    text
}

/// Turns `\ooo` back into the byte it stands for.
pub fn unescape(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let digits = after
            .get(..3)
            .and_then(|digits| str::from_utf8(digits).ok());
        let octal = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        (rest, _) = match (first, octal) {
            (b'\\', Some(byte)) => (&after[3..], bytes.push(byte)),
            _ => (after, bytes.push(first)),
        };
    }
    bytes
}

fn unescaped_path(text: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec(unescape(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_whatever_bytes_its_names_have() {
        let line =
            b"36 35 98:0 /a\\040b\xff /mnt/\xc3\xa4\\134 rw master:1 - ext4 /dev/x rw,errors=x"
                .as_slice();
        let mount = from_line(line).unwrap();
        assert_eq!(
            (mount.id, mount.parent, mount.device.as_str()),
            (36, 35, "98:0")
        );
        assert_eq!(mount.fs_type, "ext4");
        assert_eq!(mount.root.as_os_str().as_encoded_bytes(), b"/a b\xff");
        assert_eq!(mount.point, Path::new("/mnt/\u{e4}\\"));
    }

    #[test]
    fn the_options_of_an_overlay_are_kept_as_they_are() {
        let line = b"9 1 0:40 / /m rw - overlay overlay rw,lowerdir+=/a,lowerdir+=/b";
        let mount = from_line(line).unwrap();
        assert_eq!(mount.options, "rw,lowerdir+=/a,lowerdir+=/b");
    }
}
