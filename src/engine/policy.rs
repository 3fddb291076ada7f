//! What an inode is to become, decided by where it is.

use crate::fs::{DirPath, Stat};
use crate::idmap::{Direction, IdMap};
use crate::ownership::overlay::OverlayNamespace;
use crate::ownership::{
    self, FileType, Mapping, Mode, Ownership, OwnershipXattrs, Sharing, Undated,
};

/// What is done about one inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Its ids go through the map.
    Map,
    /// Its ids go through the map, and none of them counts as already shifted.
    MapAll,
    /// As `MapAll`, and overlayfs's attributes become those of this namespace.
    MapLayer(OverlayNamespace),
    /// It counts as shifted if its ids are on the target side of the map, even if they are on the
    /// other side too.
    Expect,
    /// It is given to one owner; ids in its ACLs and capability go through the map. One that is on both sides of it cannot be
    /// mapped.
    Give {
        /// Owner, a host id.
        uid: u32,
        /// Group, a host id.
        gid: u32,
    },
    /// As [`Rule::Give`], and none of those ids counts as already shifted.
    GiveAll {
        /// Owner, a host id.
        uid: u32,
        /// Group, a host id.
        gid: u32,
    },
    /// A directory gets this owner and at least these permission bits; the rest of it stays.
    /// Anything else stays as it is.
    Set {
        /// Owner, a host id.
        uid: u32,
        /// Group, a host id.
        gid: u32,
        /// Permission bits it must have.
        at_least: Mode,
    },
    /// It keeps its owner, and gets ACL entries for the users who share it.
    Share(Sharing),
    /// Host ids become the container ids that they stand for; other ids stay.
    GiveBack,
    /// As [`Rule::GiveBack`] or [`Rule::Keep`], and which of the two is not known: it must have no host id.
    Undated(Undated),
    /// Host ids become container ids, and container ids host ids.
    Exchange,
    /// As [`Rule::Exchange`], and what its host ids stand for is not known: it must have none.
    ExchangeUndated(Undated),
    /// As [`Rule::Exchange`], and other ids stay.
    ExchangeInRange,
    /// It becomes root's, and nobody else may open it.
    Close,
    /// It stays as it is; a directory is entered.
    Keep,
    /// It stays as it is, with all below it, and is not counted.
    Skip,
}

impl Rule {
    /// What the ownership of an inode of this type becomes under this rule.
    pub fn outcome(
        self,
        before: &Ownership,
        file_type: FileType,
        map: &IdMap,
        direction: Direction,
    ) -> Mapping {
        let after = match self {
            Rule::Map => return ownership::map_ownership(before, map, direction),
            Rule::MapAll => return ownership::map_all_of_ownership(before, map, direction),
            Rule::MapLayer(namespace) => {
                return ownership::map_layer_ownership(before, namespace, map, direction);
            }
            Rule::Expect => return ownership::expect_ownership(before, map, direction),
            Rule::Give { uid, gid } => {
                return match ownership::named_on_both_sides(before, map) {
                    None => ownership::give_ownership(before, (uid, gid), map, direction),
                    Some(unmapped) => Mapping::Unmapped(unmapped),
                };
            }
            Rule::GiveAll { uid, gid } => {
                return ownership::give_ownership(before, (uid, gid), map, direction);
            }
            Rule::Set { uid, gid, at_least } => Ownership {
                uid,
                gid,
                mode: before.mode.with(at_least),
                xattrs: before.xattrs.clone(),
            },
            Rule::Share(sharing) => {
                return ownership::share_ownership(before, file_type, sharing, map);
            }
            Rule::Close => {
                let mode = Mode::from_st_mode(0);
                Ownership::new(0, 0, mode, OwnershipXattrs::default())
            }
            Rule::GiveBack => return ownership::give_back_ownership(before, map),
            Rule::Undated(why) => return ownership::undated_ownership(before, map, why),
            Rule::Exchange => return ownership::exchange_ownership(before, map),
            Rule::ExchangeUndated(why) => return ownership::exchange_undated(before, map, why),
            Rule::ExchangeInRange => return ownership::exchange_in_range(before, map),
            Rule::Keep | Rule::Skip => return Mapping::Already,
        };
        match after == *before {
            true => Mapping::Already,
            false => Mapping::Change(after),
        }
    }
}

/// Chooses the rule for each inode.
pub trait Policy: Sync {
    /// The rule for the top of the tree with this number.
    fn root(&self, number: usize) -> Rule;

    /// The rule for everything in a directory, below it too; `None` where names make a difference.
    fn all_in(&self, dir: &DirPath) -> Option<Rule>;

    /// The rule for a name, in a directory for which [`Policy::all_in`] has no answer.
    fn name_in(&self, dir: &DirPath, name: &[u8]) -> Rule;

    /// Whether the ids in the tree with this number are known to be those of containers: none of its files
    /// is an account's of this host, whatever its id.
    fn is_of_containers(&self, _number: usize) -> bool {
        false
    }

    /// Whether the map decides owners: an owner on both of its sides does not tell whether it is shifted.
    fn maps_owners(&self) -> bool {
        true
    }

    /// The rule for one inode, where more than its place makes a difference; `rule` is that of its place.
    fn inode_rule(&self, _dir: &DirPath, _name: &[u8], _stat: &Stat, rule: Rule) -> Rule {
        rule
    }
}

/// One rule for every inode of every tree.
pub struct Uniform(pub Rule);

impl Policy for Uniform {
    fn root(&self, _number: usize) -> Rule {
        self.0
    }

    fn all_in(&self, _dir: &DirPath) -> Option<Rule> {
        Some(self.0)
    }

    fn name_in(&self, _dir: &DirPath, _name: &[u8]) -> Rule {
        self.0
    }
}

/// One rule for each tree, by its number.
pub struct ByTree(pub Vec<Rule>);

impl ByTree {
    fn rule(&self, number: usize) -> Rule {
        // Behind the trees are roots in which only steps are taken.
        self.0.get(number).copied().unwrap_or(Rule::Keep)
    }
}

impl Policy for ByTree {
    fn maps_owners(&self) -> bool {
        let decides = |rule: &Rule| {
            !matches!(
                rule,
                Rule::Give { .. } | Rule::GiveAll { .. } | Rule::Share(_)
            )
        };
        self.0.iter().any(decides)
    }

    fn root(&self, number: usize) -> Rule {
        self.rule(number)
    }

    fn all_in(&self, dir: &DirPath) -> Option<Rule> {
        Some(self.rule(dir.root))
    }

    fn name_in(&self, dir: &DirPath, _name: &[u8]) -> Rule {
        self.rule(dir.root)
    }
}
