//! What is in a layer of overlayfs: its attributes are moved, too.

use super::{Mapping, map_all_of_ownership};
use crate::idmap::{Direction, IdMap};
use crate::ownership::{OverlayNamespace, Ownership};

/// As [`map_all_of_ownership`], for what is in a layer of overlayfs whose mounts will read attributes in this namespace.
pub fn map_layer_ownership(
    before: &Ownership,
    namespace: OverlayNamespace,
    map: &IdMap,
    direction: Direction,
) -> Mapping {
    let after = match map_all_of_ownership(before, map, direction) {
        Mapping::Change(after) => after,
        Mapping::Already => before.clone(),
        unmapped => return unmapped,
    };
    let after = match before.overlay().moved_to(namespace) {
        Ok(names) => after.with_overlay(names),
        Err(why) => return Mapping::Unmapped(why.into()),
    };
    match after == *before {
        true => Mapping::Already,
        false => Mapping::Change(after),
    }
}
