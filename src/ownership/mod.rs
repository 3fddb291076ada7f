//! Pure: what chown destroys, and how it reads on the other side of a map.
//!
//! - [`mode`]: permission and set-id bits
//! - [`file_type`]: kinds of inode
//! - [`acl`], `acl_text`: POSIX ACLs as the kernel stores them and as people write them
//! - [`capability`]: file capabilities
//! - [`attributes`]: all of it together
//! - [`change`]: of one inode, before and after
//! - [`mapping`]: one ownership through an [`IdMap`](crate::idmap::IdMap)
//! - [`access`]: what somebody may do with an inode
//! - [`overlay`]: what overlayfs keeps of an inode
//! - [`flags`]: what keeps an inode from being changed
//! - `give_back`: what a forced rollback gives an inode that was changed since
//! - [`grant`]: ACL entries for more users
//! - [`share`]: those of a tree that both sides use
//! - [`apply_state`]: how far a change of it got

pub mod access;
pub mod acl;
mod acl_text;
pub mod apply_state;
pub mod attributes;
pub mod capability;
pub mod change;
pub mod file_type;
pub mod flags;
mod give_back;
pub mod grant;
pub mod mapping;
pub mod mode;
pub mod overlay;
pub mod share;

pub use acl::{Acl, AclError};
pub use apply_state::ApplyState;
pub use attributes::{Ownership, OwnershipXattrs};
pub use capability::{Capability, CapabilityError};
pub use change::Change;
pub use file_type::FileType;
pub use flags::Flags;
pub use grant::grant_search;
pub use mapping::{
    Mapping, Undated, Unmapped, exchange_in_range, exchange_ownership, exchange_undated,
    expect_ownership, give_back_ownership, give_ownership, map_all_of_ownership,
    map_layer_ownership, map_ownership, named_on_both_sides, undated_ownership,
};
pub use mode::Mode;
pub use overlay::{OverlayNamespace, OverlayXattrs};
pub use share::{Sharing, share_ownership};
