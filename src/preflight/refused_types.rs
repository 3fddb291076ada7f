//! The types of filesystems that cannot keep the owners they are given.

/// What keeps a filesystem's owners from being changed.
#[derive(Clone, Copy)]
pub enum Obstacle {
    /// The kernel shows its own state as files.
    Kernel,
    /// The format on disk knows no owners.
    NoOwners,
    /// The format is written once.
    WrittenOnce,
    /// Another machine keeps the files and decides who may give them away.
    Server,
    /// Another host keeps the files, and NFS refuses the change.
    NfsServer,
    /// The host of this virtual machine keeps the files.
    Hypervisor,
    /// Nothing is mounted there yet.
    NotYetMounted,
    /// A change copies a file up: it gets another creation time, on some another inode number, and loses its other names
    /// (`overlayfs.rst`).
    CopiesUp,
    /// Ids have 16 bits on the disk. What is above is shown until the inode is read again.
    NarrowIds,
}

impl Obstacle {
    pub fn why(self) -> &'static str {
        match self {
            Obstacle::Kernel => "which shows the kernel's own state and keeps no files",
            Obstacle::NoOwners => {
                "which keeps no owners: what is shown comes from the mount options"
            }
            Obstacle::WrittenOnce => "which cannot be changed after it was made",
            Obstacle::Server | Obstacle::NfsServer | Obstacle::Hypervisor => {
                "where the other side keeps the files and decides who may give one away"
            }
            Obstacle::NotYetMounted => "a mount point where nothing is mounted yet",
            Obstacle::NarrowIds => "whose ids have 16 bits, so that it loses those above 65535",
            Obstacle::CopiesUp => {
                "where a file that changes its owner is copied, becomes another inode and loses its other names, \
                 so that this could not be undone"
            }
        }
    }

    pub fn help(self) -> &'static str {
        match self {
            Obstacle::Kernel => "Name a directory on a filesystem on disk",
            Obstacle::NoOwners => {
                "Mount it with the uid= and gid= that the container needs; or show it with other owners by `idshift mount`, \
                 where the filesystem allows that (vfat does); or copy the files to a filesystem that keeps owners"
            }
            Obstacle::WrittenOnce => {
                "Copy the files to a writable filesystem, or make a new image with the owners it needs"
            }
            Obstacle::Server => {
                "Run idshift on the machine that stores the files, on the shared directory"
            }
            Obstacle::NfsServer => {
                "Run idshift on the NFS server, on the exported directory; or export it with \
                 all_squash,anonuid=UID,anongid=GID (exports(5)), so that all clients, containers too, work as this user \
                 of the server"
            }
            Obstacle::Hypervisor => {
                "Run idshift on the host that shares the directory with this machine"
            }
            Obstacle::NotYetMounted => "Enter the directory (`ls` on it) so that it is mounted",
            Obstacle::NarrowIds => {
                "Mount it without nouid32 if it is ext4, or move the files to a filesystem whose ids have 32 bits"
            }
            Obstacle::CopiesUp => {
                "Shift the directories that it is made of while it is not mounted (`findmnt -t overlay` shows them), \
                 or move the files to a filesystem on disk"
            }
        }
    }
}

use Obstacle::{
    CopiesUp, Hypervisor, Kernel, NarrowIds, NfsServer, NoOwners, NotYetMounted, Server,
    WrittenOnce,
};

/// `f_type` of the filesystems that are refused: `statfs(2)`, `linux/magic.h` and, for those not in
/// either, the filesystem's own source.
pub(super) const REFUSED: &[(u32, &str, Obstacle)] = &[
    (0x0904_1934, "anon_inodefs", Kernel),
    (0x4249_4e4d, "binfmt_misc", Kernel),
    (0x6c6f_6f70, "binderfs", Kernel),
    (0xcafe_4a11, "bpf", Kernel),
    (0x0027_e0eb, "cgroup", Kernel),
    (0x6367_7270, "cgroup2", Kernel),
    (0x6265_6570, "configfs", Kernel),
    (0x6462_6720, "debugfs", Kernel),
    (0x0000_1cd1, "devpts", Kernel),
    (0xde5e_81e4, "efivarfs", Kernel),
    (0x6573_5543, "fusectl", Kernel),
    (0x1980_0202, "mqueue", Kernel),
    (0x6e66_7364, "nfsd", Kernel),
    (0x6e73_6673, "nsfs", Kernel),
    (0x0000_9fa1, "openpromfs", Kernel),
    (0x5049_5045, "pipefs", Kernel),
    (0x0000_9fa0, "proc", Kernel),
    (0x6165_676c, "pstore", Kernel),
    (0x0765_5821, "resctrl", Kernel),
    (0x6759_6969, "rpc_pipefs", Kernel),
    (0x7363_6673, "securityfs", Kernel),
    (0xf97c_ff8c, "selinuxfs", Kernel),
    (0x4341_5d53, "smackfs", Kernel),
    (0x534f_434b, "sockfs", Kernel),
    (0x6265_6572, "sysfs", Kernel),
    (0x7472_6163, "tracefs", Kernel),
    (0xabba_1974, "xenfs", Kernel),
    (0x2011_bab0, "exfat", NoOwners),
    (0xc299_3d87, "omfs", NoOwners),
    (0x0000_4d44, "vfat", NoOwners),
    (0x0000_4244, "hfs", NoOwners),
    (0xf995_e849, "hpfs", NoOwners),
    (0x5346_544e, "ntfs", NoOwners),
    (0x7366_746e, "ntfs3", NoOwners),
    (0x28cd_3d45, "cramfs", WrittenOnce),
    (0x453d_cd28, "cramfs", WrittenOnce),
    (0xe0f5_e1e2, "erofs", WrittenOnce),
    (0x0000_9660, "iso9660", WrittenOnce),
    (0x0000_7275, "romfs", WrittenOnce),
    (0x7371_7368, "squashfs", WrittenOnce),
    (0x0102_1997, "9p", Hypervisor),
    (0x5346_414f, "afs", Server),
    (0x6b41_4653, "afs", Server),
    (0xff53_4d42, "cifs", NoOwners),
    (0x7375_7245, "coda", Server),
    (0x0000_564c, "ncpfs", Server),
    (0x0000_6969, "nfs", NfsServer),
    (0x7c7c_6673, "prl_fs", Hypervisor),
    (0x0000_517b, "smbfs", NoOwners),
    (0xfe53_4d42, "smb3", NoOwners),
    (0x786f_4256, "vboxsf", NoOwners),
    (0xbacb_acbc, "vmhgfs", Hypervisor),
    (0x0000_adff, "affs", NarrowIds),
    (0x0000_72b6, "jffs2", NarrowIds),
    (0x0000_137f, "minix", NarrowIds),
    (0x0000_138f, "minix", NarrowIds),
    (0x0000_2468, "minix", NarrowIds),
    (0x0000_2478, "minix", NarrowIds),
    (0x0000_4d5a, "minix", NarrowIds),
    (0x0000_0187, "autofs", NotYetMounted),
    (0x6175_6673, "aufs", CopiesUp),
    (0x794c_7630, "overlay", CopiesUp),
];

/// What the type of a mount says, as its `f_type` would.
pub(super) fn obstacle_named(fs_type: &str) -> Option<Obstacle> {
    // `nfs4` and `cifs`' younger name have the `f_type` of the older ones.
    let name = match fs_type {
        "nfs4" => "nfs",
        other => other,
    };
    REFUSED
        .iter()
        .find(|entry| entry.1 == name)
        .map(|&(.., obstacle)| obstacle)
}

pub(super) fn obstacle_on(magic: u32) -> Option<(&'static str, Obstacle)> {
    REFUSED
        .iter()
        .find(|entry| entry.0 == magic)
        .map(|&(_, name, obstacle)| (name, obstacle))
}
