//! Kinds of inode.

use serde::{Deserialize, Serialize};

/// What `S_IFMT` tells (`inode(7)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileType {
    /// Regular file.
    File,
    /// Directory.
    Directory,
    /// Symbolic link.
    Symlink,
    /// Named pipe.
    Fifo,
    /// Bound Unix socket.
    Socket,
    /// Character device; with number 0:0 an overlay whiteout.
    CharDevice,
    /// Block device.
    BlockDevice,
}

impl FileType {
    /// From `st_mode`. There are seven kinds; what is none of the other six is a regular file.
    pub const fn from_st_mode(st_mode: u32) -> FileType {
        match st_mode & 0o170_000 {
            0o040_000 => FileType::Directory,
            0o120_000 => FileType::Symlink,
            0o010_000 => FileType::Fifo,
            0o140_000 => FileType::Socket,
            0o020_000 => FileType::CharDevice,
            0o060_000 => FileType::BlockDevice,
            _ => FileType::File,
        }
    }

    /// For people.
    pub const fn words(self) -> &'static str {
        match self {
            FileType::File => "file",
            FileType::Directory => "directory",
            FileType::Symlink => "symlink",
            FileType::Fifo => "named pipe",
            FileType::Socket => "socket",
            FileType::CharDevice => "character device",
            FileType::BlockDevice => "block device",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records keep these names: they do not change.
    #[test]
    fn every_kind_has_its_bits_and_its_name() {
        for (bits, name) in [
            (libc::S_IFREG, "file"),
            (libc::S_IFDIR, "directory"),
            (libc::S_IFLNK, "symlink"),
            (libc::S_IFIFO, "fifo"),
            (libc::S_IFSOCK, "socket"),
            (libc::S_IFCHR, "char-device"),
            (libc::S_IFBLK, "block-device"),
        ] {
            let file_type = FileType::from_st_mode(bits | 0o7777);
            assert_eq!(serde_json::to_value(file_type).unwrap(), name);
        }
    }
}
