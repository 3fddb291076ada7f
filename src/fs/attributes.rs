//! The extended attributes that name ids or that chown destroys: both ACLs and the file capability. `overlay`: those of
//! overlayfs.

mod overlay;

use std::cell::Cell;
use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;

use rustix::io::Errno;
use thiserror::Error;

pub use self::overlay::{move_overlay, read_overlay, with_overlay_of};
use super::{PinnedFile, Stat};
use crate::ownership::{
    Acl, AclError, Capability, CapabilityError, OverlayNamespace, OverlayXattrs, Ownership,
    OwnershipXattrs,
};

const ACCESS_ACL: &CStr = c"system.posix_acl_access";
const DEFAULT_ACL: &CStr = c"system.posix_acl_default";
const CAPABILITY: &CStr = c"security.capability";

/// Why an inode's ownership could not be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The kernel refused.
    #[error("{call}: {errno}")]
    System {
        /// The system call.
        call: &'static str,
        /// Its error.
        errno: Errno,
    },
    /// An ACL that this program cannot restore byte for byte.
    #[error("{attribute}: {error}")]
    Acl {
        /// Name of the extended attribute.
        attribute: &'static str,
        /// What is wrong with it.
        error: AclError,
    },
    /// A capability that this program cannot restore byte for byte.
    #[error("security.capability: {0}")]
    Capability(CapabilityError),
    /// Attributes of overlayfs cannot be found among so many.
    #[error(
        "has more names of extended attributes than the kernel lists (64 KiB), and those of overlayfs may be among them. \
         Remove some of its attributes with `setfattr -x NAME`"
    )]
    TooManyNames,
}

/// The `Ownership` of a pinned inode whose `Stat` is already known.
pub fn read(pin: &PinnedFile, stat: &Stat) -> Result<Ownership, ReadError> {
    read_present(pin, stat, present(pin)?)
}

/// The `Ownership` of an inode that was [looked up](mod@super::lookup): one that is not pinned has none
/// of the three attributes.
pub fn read_entry(
    pin: Option<&PinnedFile>,
    stat: &Stat,
    present: Result<Present, ReadError>,
) -> Result<Ownership, ReadError> {
    match (pin, present?) {
        (Some(pin), present) => read_present(pin, stat, present),
        (None, _) => Ok(Ownership::new(
            stat.uid,
            stat.gid,
            stat.mode,
            OwnershipXattrs::default(),
        )),
    }
}

/// The `Ownership` of a pinned inode, when it is also known which attributes it has.
fn read_present(pin: &PinnedFile, stat: &Stat, present: Present) -> Result<Ownership, ReadError> {
    let xattrs = match present {
        Present::NONE => OwnershipXattrs::default(),
        present => read_xattrs(pin, present)?,
    };
    Ok(Ownership::new(stat.uid, stat.gid, stat.mode, xattrs))
}

/// Whether the filesystem keeps ACLs: some know none, some are mounted without.
pub fn keeps_acls(pin: &PinnedFile) -> bool {
    let mut none = [0u8; 0];
    let asked = pin.with_proc_path(|path| rustix::fs::getxattr(path, ACCESS_ACL, &mut none[..]));
    asked != Err(Errno::OPNOTSUPP)
}

/// Which of the three attributes an inode has, and whether it has any of overlayfs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Present {
    acl: bool,
    default_acl: bool,
    capability: bool,
    overlay: bool,
}

impl Present {
    const NONE: Present = Present {
        acl: false,
        default_acl: false,
        capability: false,
        overlay: false,
    };

    /// It has more names than the kernel lists: each has to be asked for.
    const UNKNOWN: Present = Present {
        acl: true,
        default_acl: true,
        capability: true,
        overlay: true,
    };

    /// Whether it has one of them, or may have.
    pub fn any(self) -> bool {
        self != Present::NONE
    }

    /// Whether it has any of overlayfs, or may have.
    pub fn overlay(self) -> bool {
        self.overlay
    }

    /// From the NUL-separated names that `listxattr(2)` gives.
    fn in_list(list: &[u8]) -> Present {
        let mut present = Present::NONE;
        for name in list.split_inclusive(|&byte| byte == 0) {
            present.acl |= name == ACCESS_ACL.to_bytes_with_nul();
            present.default_acl |= name == DEFAULT_ACL.to_bytes_with_nul();
            present.capability |= name == CAPABILITY.to_bytes_with_nul();
            present.overlay |= [OverlayNamespace::Trusted, OverlayNamespace::User]
                .iter()
                .any(|it| name.starts_with(it.prefix().as_bytes()));
        }
        present
    }
}

/// Lists a pinned inode's attributes. Nearly every inode has none of them.
pub fn present(pin: &PinnedFile) -> Result<Present, ReadError> {
    list(
        || pin.with_proc_path(|path| rustix::fs::listxattr_query(path)),
        |room| pin.with_proc_path(|path| rustix::fs::listxattr(path, room)),
    )
}

/// Lists the attributes of what `name` means in the working directory, following nothing: only for
/// [`lookup`](mod@super::lookup), which knows when that can be relied on.
pub(super) fn present_by_name(name: &CStr) -> Result<Present, ReadError> {
    list(
        || rustix::fs::llistxattr_query(name),
        |room| rustix::fs::llistxattr(name, room),
    )
}

/// XATTR_LIST_MAX: no list of names is longer (linux/limits.h).
const LONGEST_LIST: usize = 65536;

thread_local! {
    /// Whether the inode last met had no attribute at all, so that the next one may have none either.
    static LAST_HAD_NONE: Cell<bool> = const { Cell::new(true) };
}

/// `length` asks how long the list is, `call` for the list.
fn list(
    length: impl Fn() -> rustix::io::Result<usize>,
    call: impl Fn(&mut [u8]) -> rustix::io::Result<usize>,
) -> Result<Present, ReadError> {
    // Asking for the length alone is cheaper, and mostly it is 0.
    if LAST_HAD_NONE.get() && length() == Ok(0) {
        return Ok(Present::NONE);
    }
    let mut small = [0u8; 1024];
    match call(&mut small) {
        Ok(len) => {
            LAST_HAD_NONE.set(len == 0);
            Ok(Present::in_list(&small[..len]))
        }
        // The filesystem has no extended attributes.
        Err(Errno::OPNOTSUPP) => Ok(Present::NONE),
        Err(Errno::RANGE) => {
            let mut large = vec![0u8; LONGEST_LIST];
            match call(&mut large) {
                Ok(len) => Ok(Present::in_list(&large[..len])),
                // xfs and btrfs keep more names than the kernel lists.
                Err(Errno::TOOBIG) => Ok(Present::UNKNOWN),
                Err(errno) => Err(system("listxattr", errno)),
            }
        }
        Err(errno) => Err(system("listxattr", errno)),
    }
}

fn read_xattrs(pin: &PinnedFile, present: Present) -> Result<OwnershipXattrs, ReadError> {
    let acl = |wanted: bool, attribute: &CStr, name: &'static str| {
        if !wanted {
            return Ok(None);
        }
        let bytes = match value(pin, attribute) {
            // Nothing says that it is there: the filesystem keeps no ACLs.
            Err(errno) if errno == Errno::OPNOTSUPP && present == Present::UNKNOWN => None,
            bytes => bytes.map_err(|errno| system("getxattr", errno))?,
        };
        bytes
            .map(|bytes| Acl::decode(&bytes))
            .transpose()
            .map_err(|error| ReadError::Acl {
                attribute: name,
                error,
            })
    };
    let acl_access = acl(present.acl, ACCESS_ACL, "system.posix_acl_access")?;
    let default_acl = acl(present.default_acl, DEFAULT_ACL, "system.posix_acl_default")?;
    let capability = match present.capability {
        true => value(pin, CAPABILITY)
            .map_err(|errno| system("getxattr", errno))?
            .map(|bytes| Capability::decode(&bytes))
            .transpose()
            .map_err(ReadError::Capability)?,
        false => None,
    };
    Ok(OwnershipXattrs {
        acl: acl_access,
        default_acl,
        capability,
        overlay: OverlayXattrs::default(),
    })
}

/// The bytes of one attribute; `None` if it was removed since it was listed.
fn value(pin: &PinnedFile, attribute: &CStr) -> rustix::io::Result<Option<Vec<u8>>> {
    let name = os_str(attribute);
    pin.with_proc_path(|path| xattr::get_deref(os_str(path), name).map_err(|error| errno(&error)))
}

/// The crate's errors are the kernel's answers.
fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

fn os_str(text: &CStr) -> &OsStr {
    OsStr::from_bytes(text.to_bytes())
}

fn system(call: &'static str, errno: Errno) -> ReadError {
    ReadError::System { call, errno }
}

/// Sets, replaces or removes the access ACL. Setting one rewrites the mode's group bits from its
/// mask (`acl(5)`).
pub(super) fn write_acl(pin: &PinnedFile, acl: Option<&Acl>) -> rustix::io::Result<()> {
    write(pin, ACCESS_ACL, acl.map(Acl::encode))
}

/// Sets, replaces or removes a directory's default ACL.
pub(super) fn write_default_acl(pin: &PinnedFile, acl: Option<&Acl>) -> rustix::io::Result<()> {
    write(pin, DEFAULT_ACL, acl.map(Acl::encode))
}

/// Sets, replaces or removes the file capability.
pub(super) fn write_capability(
    pin: &PinnedFile,
    capability: Option<&Capability>,
) -> rustix::io::Result<()> {
    write(pin, CAPABILITY, capability.map(Capability::encode))
}

fn write(pin: &PinnedFile, attribute: &CStr, value: Option<Vec<u8>>) -> rustix::io::Result<()> {
    let name = os_str(attribute);
    pin.with_proc_path(|path| {
        let written = match &value {
            Some(bytes) => xattr::set_deref(os_str(path), name, bytes),
            None => xattr::remove_deref(os_str(path), name),
        };
        match written.map_err(|error| errno(&error)) {
            Err(Errno::NODATA) if value.is_none() => Ok(()),
            written => written,
        }
    })
}
