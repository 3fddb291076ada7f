//! Effects on one inode or one directory. The only layer that changes a file.
//!
//! - [`pinned_file`]: the handle through which an inode is read and changed
//! - [`pinned_files`]: many of them, let go of together
//! - [`stat`]: what `statx(2)` says of a pinned inode
//! - [`attributes`]: its ACLs and its file capability
//! - [`mod@apply`]: giving it another [`Ownership`](crate::ownership::Ownership)
//! - [`open_path`]: opening directories one after the other that lie near each other
//! - [`dir`]: an open directory, its names, its path from the root
//! - [`escape`]: names as people may see them
//! - [`dir_cache`]: the directories above the one that is worked in, kept open
//! - [`dir_guard`]: proving that the names of a directory stayed what they were
//! - [`inode_time`]: the times of inodes, and the clock that they come from
//! - [`containing_mount`]: the mount of an open file, and whether what is seen through a mount has other owners than on disk
//! - [`mod@copy_up`]: a directory of an overlay copied up before it is recorded
//! - [`idmapped_mount`]: making such a mount, and unmounting it
//! - [`lease`]: keeping a file from being written to
//! - [`live_mounts`]: the mount table, kept up to date
//! - [`mount_watch`]: whether mounts came or went
//! - [`mountinfo`]: which there are
//! - [`mount_view`]: which files are seen through them, and where
//! - [`mod@lookup`]: what the names of a directory mean, many at a time
//! - [`file_ops`]: directories made and removed, entries renamed, small files rewritten
//! - [`mod@remove_tree`]: a directory and all in it removed
//! - [`walk`]: every directory of a tree, shared among threads
//! - [`resolve`]: where a path leads, and by whose symlinks
//! - [`root`]: a tree as the operator names it
//! - [`scan`]: a look at what is below a directory, until enough was seen
//! - [`served_mount`]: why a filesystem that somebody else serves refuses root
//! - [`access_probe`]: what a process may do with a directory or file, tried
//! - [`times_guard`]: a directory's times put back after that
//! - [`source_path`]: where in its filesystem a file lies, whatever mount it is seen through
//! - [`space`]: free space on a filesystem
//! - [`subvolume`]: subvolumes of btrfs in a tree
//! - [`threads`]: several threads for one piece of work
//! - [`process`]: what a thread needs of the kernel before it may walk

pub mod access_probe;
pub mod apply;
pub mod attributes;
pub mod containing_mount;
pub mod copy_up;
pub mod dir;
pub mod dir_cache;
pub mod dir_guard;
pub mod escape;
pub mod file_ops;
pub mod flags;
pub mod idmapped_mount;
pub mod inode_time;
pub mod lease;
pub mod live_mounts;
pub mod lookup;
pub mod mount_view;
pub mod mount_watch;
pub mod mountinfo;
pub mod open_path;
pub mod pinned_file;
pub mod pinned_files;
pub mod process;
pub mod remove_tree;
pub mod resolve;
pub mod root;
pub mod scan;
pub mod served_mount;
pub mod source_path;
pub mod space;
pub mod stat;
pub mod subvolume;
pub mod threads;
pub mod times_guard;
pub mod walk;

pub use apply::apply;
pub use copy_up::copy_up;
pub use dir::{Dir, DirPath, Names};
pub use flags::apply_despite;
pub use lookup::{FirstCall, LookupEntry, LookupError, LookupOptions, lookup};
pub use pinned_file::PinnedFile;
pub use pinned_files::PinnedFiles;
pub use remove_tree::remove_tree;
pub use root::{Ancestor, Root};
pub use stat::{Identity, Stat};
