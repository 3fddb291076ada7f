//! All that names ids or that chown destroys, and what a layer of overlayfs has besides.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::{Acl, Capability, Mode, OverlayXattrs};

/// All of an inode that names ids or that `chown(2)` destroys, and overlayfs's xattrs where those are moved.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
pub struct Ownership {
    /// Owner, a host id.
    pub uid: u32,
    /// Group, a host id.
    pub gid: u32,
    /// Permission and set-id bits.
    pub mode: Mode,
    /// ACLs and capability. Nearly every inode has none, and then this is `None`.
    pub xattrs: Option<Box<OwnershipXattrs>>,
}

/// The part of an ownership that is kept in extended attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct OwnershipXattrs {
    /// `system.posix_acl_access`
    pub acl: Option<Acl>,
    /// `system.posix_acl_default`, of a directory.
    pub default_acl: Option<Acl>,
    /// `security.capability`
    pub capability: Option<Capability>,
    /// Those of overlayfs. Only read where a change moves them, else none.
    pub overlay: OverlayXattrs,
}

/// Of an inode that has none.
static NO_OVERLAY: LazyLock<OverlayXattrs> = LazyLock::new(OverlayXattrs::default);

impl Ownership {
    /// Without xattrs where there are none, so that equal ownerships compare equal.
    pub fn new(uid: u32, gid: u32, mode: Mode, xattrs: OwnershipXattrs) -> Ownership {
        let xattrs = (xattrs != OwnershipXattrs::default()).then(|| Box::new(xattrs));
        Ownership {
            uid,
            gid,
            mode,
            xattrs,
        }
    }

    /// The access ACL.
    pub fn acl(&self) -> Option<&Acl> {
        self.xattrs.as_ref()?.acl.as_ref()
    }

    /// The default ACL.
    pub fn default_acl(&self) -> Option<&Acl> {
        self.xattrs.as_ref()?.default_acl.as_ref()
    }

    /// The file capability.
    pub fn capability(&self) -> Option<&Capability> {
        self.xattrs.as_ref()?.capability.as_ref()
    }

    /// The xattrs of overlayfs.
    pub fn overlay(&self) -> &OverlayXattrs {
        let xattrs = self.xattrs.as_ref();
        xattrs.map_or(&NO_OVERLAY, |xattrs| &xattrs.overlay)
    }

    /// This ownership with these xattrs of overlayfs.
    pub fn with_overlay(self, overlay: OverlayXattrs) -> Ownership {
        let xattrs = self.xattrs.map(|xattrs| *xattrs).unwrap_or_default();
        let xattrs = OwnershipXattrs { overlay, ..xattrs };
        Ownership::new(self.uid, self.gid, self.mode, xattrs)
    }
}

/// How an ownership looks in JSON.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    uid: u32,
    gid: u32,
    mode: Mode,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    acl: Option<Acl>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    default_acl: Option<Acl>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    capability: Option<Capability>,
    #[serde(default, skip_serializing_if = "OverlayXattrs::is_empty")]
    overlay: OverlayXattrs,
}

impl From<Ownership> for Fields {
    fn from(ownership: Ownership) -> Fields {
        let xattrs = ownership.xattrs.map(|xattrs| *xattrs).unwrap_or_default();
        Fields {
            uid: ownership.uid,
            gid: ownership.gid,
            mode: ownership.mode,
            acl: xattrs.acl,
            default_acl: xattrs.default_acl,
            capability: xattrs.capability,
            overlay: xattrs.overlay,
        }
    }
}

impl TryFrom<Fields> for Ownership {
    type Error = &'static str;

    fn try_from(fields: Fields) -> Result<Ownership, &'static str> {
        if fields.uid == u32::MAX || fields.gid == u32::MAX {
            return Err("4294967295 is reserved and is not an id");
        }
        let xattrs = OwnershipXattrs {
            acl: fields.acl,
            default_acl: fields.default_acl,
            capability: fields.capability,
            overlay: fields.overlay,
        };
        Ok(Ownership::new(fields.uid, fields.gid, fields.mode, xattrs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_as_documented_and_reads_back() {
        let plain = r#"{"uid":0,"gid":7,"mode":"0755"}"#;
        let full = r#"{"uid":1,"gid":2,"mode":"4755","acl":"u::rwx,u:5:r--,g::r-x,m::rwx,o::r-x","default_acl":"u::rwx,g::r-x,o::---","capability":{"version":3,"effective":true,"permitted":"0x2000","inheritable":"0x0","rootid":100000}}"#;
        let layer =
            r#"{"uid":0,"gid":7,"mode":"0755","overlay":{"trusted.overlay.opaque":"eQ=="}}"#;
        for json in [plain, full, layer] {
            let ownership: Ownership = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&ownership).unwrap(), json);
        }
        let read: Ownership = serde_json::from_str(plain).unwrap();
        assert_eq!(read.xattrs, None);
    }

    #[test]
    fn json_that_says_more_or_less_is_refused() {
        for bad in [
            r#"{"uid":0,"gid":7}"#,
            r#"{"uid":0,"gid":7,"mode":"755"}"#,
            r#"{"uid":0,"gid":7,"mode":"0755","label":"x"}"#,
            r#"{"uid":4294967295,"gid":7,"mode":"0755"}"#,
            r#"{"uid":0,"gid":7,"mode":"0755","acl":"u::rwx"}"#,
        ] {
            assert!(serde_json::from_str::<Ownership>(bad).is_err(), "{bad}");
        }
    }
}
