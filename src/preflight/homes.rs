//! Whether a tree is what somebody who logs in to this host works with: shifted, it would be theirs no
//! longer.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::accounts::{Account, LoginAccounts};
use crate::fs::Root;
use crate::fs::escape::escaped;
use crate::fs::root::ancestor_ids_of;
use crate::guidance::ALLOW_HOME;

/// How a tree concerns a login account.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Claim {
    /// It is the home.
    #[error("is the home of {0}, who could no longer use what is in it, nor log in with a key")]
    Home(Account),
    /// It is in the home.
    #[error("lies in {home}, the home of {0}, who could no longer use it", home = escaped(&.0.home))]
    InHome(Account),
    /// The home is in it.
    #[error(
        "holds {home}, the home of {0}{more}, who could no longer use what is in it",
        home = escaped(&.0.home), more = and_more(*.1)
    )]
    HoldsHome(Account, usize),
    /// Files of the account are in it.
    #[error("holds files of {0}, who logs in to this host and could no longer use them")]
    HoldsFiles(Account),
    /// It belongs to the account, wherever it is.
    #[error("belongs to {0}, who logs in to this host and could no longer use it")]
    Owner(Account),
}

fn and_more(more: usize) -> String {
    match more {
        0 => String::new(),
        1 => " (and another home)".into(),
        n => format!(" (and {n} more homes)"),
    }
}

impl Claim {
    /// The account.
    pub fn account(&self) -> &Account {
        let (Claim::Home(account)
        | Claim::InHome(account)
        | Claim::HoldsHome(account, _)
        | Claim::HoldsFiles(account)
        | Claim::Owner(account)) = self;
        account
    }
}

/// What this tree has to do with a login account, if anything.
///
/// Of the entries of a directory nothing is said: their owners are looked at when they are met.
pub fn claim(root: &Root, accounts: &LoginAccounts) -> Option<Claim> {
    let mut parents = Parents::default();
    let mut held: Vec<Account> = Vec::new();
    let mut around = None;
    let unlisted = unlisted(root, accounts);
    for account in accounts.listed().iter().chain(&unlisted) {
        match parents.relation(root, account) {
            Some(Relation::Same) => return Some(Claim::Home(account.clone())),
            Some(Relation::Below) => around = around.or(Some(account.clone())),
            Some(Relation::Above) => held.push(account.clone()),
            None => {}
        }
    }
    let owner = || accounts.owner(root.pin.stat().ok()?.uid).map(Claim::Owner);
    match (around, held.first()) {
        (Some(account), _) => Some(Claim::InHome(account)),
        (None, Some(first)) => Some(Claim::HoldsHome(first.clone(), held.len() - 1)),
        (None, None) => owner(),
    }
}

/// The flag that a command for this path takes, with a space before it; else nothing.
pub fn flag(path: &Path) -> String {
    let root = Root::open(path).ok();
    let claim = root.and_then(|root| claim(&root, &LoginAccounts::of_host()));
    claim.map_or(String::new(), |_| format!(" {ALLOW_HOME}"))
}

/// What keeps the modes of a tree from being changed: of a home, and of what is hidden in it, programs that log the
/// account in or keep its keys demand that others have no access.
pub fn private_claim(root: &Root, accounts: &LoginAccounts) -> Option<Claim> {
    match claim(root, accounts)? {
        claim @ (Claim::Home(_) | Claim::HoldsHome(..)) => Some(claim),
        Claim::InHome(account) => {
            let home = account.home.canonicalize();
            let home = home.unwrap_or_else(|_| account.home.clone());
            is_hidden(root, &home).then_some(Claim::InHome(account))
        }
        _ => None,
    }
}

/// Whether a login account works with a tree that somebody else may use too.
pub fn can_be_shared(root: &Root) -> bool {
    let accounts = LoginAccounts::of_host();
    claim(root, &accounts).is_some() && private_claim(root, &accounts).is_none()
}

/// Accounts that are in no list of users: the owners of the directories above, and of entries in it.
fn unlisted(root: &Root, accounts: &LoginAccounts) -> Vec<Account> {
    if !accounts.may_have_more() {
        return Vec::new();
    }
    let above = root.path.ancestors().map(Path::to_path_buf);
    let inside = std::fs::read_dir(&root.path)
        .into_iter()
        .flatten()
        .flatten();
    let paths = above.chain(inside.map(|entry| entry.path()).take(1000));
    let mut found: Vec<Account> = Vec::new();
    for path in paths {
        let uid = path.symlink_metadata().ok().map(|found| found.uid());
        if let Some(account) = uid.and_then(|uid| accounts.owner(uid))
            && !accounts.listed().contains(&account)
            && !found.contains(&account)
        {
            found.push(account);
        }
    }
    found
}

/// How a tree lies to a home.
enum Relation {
    Same,
    Below,
    Above,
}

/// Directories that homes are in: many homes are in one.
#[derive(Default)]
struct Parents(HashMap<PathBuf, Option<Parent>>);

/// Its real path, and device and inode of it and of what is above it.
type Parent = (PathBuf, Vec<(u64, u64)>);

impl Parents {
    /// By path, and by inode where it is mounted in two places. A home is not opened: it may be mounted
    /// by that alone.
    fn relation(&mut self, root: &Root, account: &Account) -> Option<Relation> {
        let home = account.home.as_path();
        let (parent, name) = (home.parent()?, home.file_name()?);
        let known = self.0.entry(parent.to_path_buf()).or_insert_with(|| {
            let real = parent.canonicalize().ok()?;
            let ancestor_ids = ancestor_ids_of(&real).ok()?;
            Some((real, ancestor_ids))
        });
        let (parent, ancestor_ids) = known.as_ref()?;
        let mut home = parent.join(name);
        let mut found = home.symlink_metadata().ok()?;
        if found.is_symlink() {
            home = home.canonicalize().ok()?;
            found = home.metadata().ok()?;
        }
        let own = root.ancestor_ids[0];
        let of_home = (found.dev(), found.ino());
        if root.path == home || own == of_home {
            return Some(Relation::Same);
        }
        if root.path.starts_with(&home) || root.ancestor_ids.contains(&of_home) {
            return is_private(root, &home, account).then_some(Relation::Below);
        }
        // What holds root's home is the system's.
        let holds = home.starts_with(&root.path) || ancestor_ids.contains(&own);
        (holds && account.uid != 0).then_some(Relation::Above)
    }
}

/// Whether the account loses something by what is below its home. Root can use every file, whoever it
/// belongs to; but what it logs in with has to belong to it (`StrictModes` in `sshd_config(5)`).
fn is_private(root: &Root, home: &Path, account: &Account) -> bool {
    account.uid != 0 || is_hidden(root, home)
}

/// Whether a tree in a home lies in something of it whose name begins with a dot, or is seen at another place.
fn is_hidden(root: &Root, home: &Path) -> bool {
    let below = root.path.strip_prefix(home).ok();
    let first = below.and_then(|below| below.components().next());
    first.is_none_or(|name| name.as_os_str().as_encoded_bytes().starts_with(b"."))
}
