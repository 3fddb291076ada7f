//! The decision about an inode.

use std::path::Path;

use crate::engine::ProblemKind;
use crate::engine::context::WalkContext;
use crate::engine::policy::Rule;
use crate::fs::escape::shell_word;
use crate::fs::{DirPath, LookupEntry, Stat, attributes, flags};
use crate::guidance::{CommandOptions, Guidance};
use crate::journal::Transition;
use crate::ownership::{Change, Flags, Mapping, Ownership, OwnershipXattrs, Unmapped};
use crate::preflight::homes::Claim;

/// Why an inode with these flags is not changed.
fn describe_protection(flags: Flags, path: &Path, command: CommandOptions) -> String {
    let (what, letter) = match flags.immutable {
        true => ("immutable", 'i'),
        false => ("append-only", 'a'),
    };
    let word = shell_word(path);
    let help = Guidance::ClearFlag(letter, &word, command);
    format!("is {what}; {help}")
}

/// Why an inode has no owner on the other side, and what helps that is not the same for all.
fn describe_unmapped(unmapped: &Unmapped, command: CommandOptions) -> String {
    match unmapped {
        Unmapped::Undated { .. } => format!("{unmapped}. {}", Guidance::Undated(command)),
        Unmapped::BothSides { .. } => {
            format!("{unmapped}. {}", Guidance::AssumeUnshifted("its path"))
        }
        _ => unmapped.to_string(),
    }
}

/// The inode that a name was found to mean.
pub(in crate::engine) struct Candidate<'n> {
    pub(in crate::engine) name: &'n [u8],
    pub(in crate::engine) rule: Rule,
    pub(in crate::engine) entry: LookupEntry,
    /// It has names outside: how many are in the trees, and how many there are.
    pub(in crate::engine) elsewhere: Option<(u32, u32)>,
}

/// The decision about an inode.
pub(super) enum Verdict {
    /// It changes.
    Change(Transition),
    /// It is as it should be, or has been changed.
    Stays,
    /// It cannot be changed, or must not; why, for people.
    Left(ProblemKind, String),
    /// It would change, and has names outside: how many are in the trees, and how many there are.
    LinkedOutside((u32, u32)),
}

/// Reads an inode's ownership and decides what is to be done.
pub(super) fn decide(
    walk: &WalkContext<'_>,
    dir: &DirPath,
    candidate: &mut Candidate<'_>,
) -> Verdict {
    let (scope, entry) = (&walk.scope, &mut candidate.entry);
    let stat = entry.stat;
    let rule = scope
        .policy
        .inode_rule(dir, candidate.name, &stat, candidate.rule);
    let stays = match rule {
        Rule::Keep => true,
        Rule::Set { .. } => !stat.is_dir(),
        _ => false,
    };
    if stays || scope.done.contains(&(stat.dev, stat.identity)) {
        return Verdict::Stays;
    }
    let present = std::mem::replace(&mut entry.present, Ok(Default::default()));
    let has_overlay = matches!(&present, Ok(present) if present.overlay());
    let pin = entry.pin.as_ref();
    let read = attributes::read_entry(pin, &stat, present);
    let read = match (pin, rule) {
        (Some(pin), Rule::MapLayer(_)) if has_overlay => read.and_then(|before| {
            let names = attributes::read_overlay(pin, stat.file_type)?;
            Ok(before.with_overlay(names))
        }),
        _ => read,
    };
    let before = match read {
        Ok(before) => before,
        Err(error) => return Verdict::Left(ProblemKind::Failed, error.to_string()),
    };
    if walk.overflow.hide(before.uid, before.gid) {
        let reason = format!(
            "is shown as {}:{}, the overflow id: its real owner has no id in this user namespace \
            (/proc/self/uid_map). Run idshift on the host, outside of containers",
            before.uid, before.gid
        );
        return Verdict::Left(ProblemKind::Unmapped, reason);
    }
    let after = match rule.outcome(&before, stat.file_type, scope.map, scope.direction) {
        Mapping::Change(after) => after,
        Mapping::Already => return Verdict::Stays,
        Mapping::Unmapped(unmapped) => {
            let reason = describe_unmapped(&unmapped, scope.command);
            return Verdict::Left((&unmapped).into(), reason);
        }
    };
    if let Some(account) = walk.account_losing_access(dir.root, &before, &after) {
        let reason = format!("{}; {}", Claim::Owner(account), Guidance::AllowHomeOfInode);
        return Verdict::Left(ProblemKind::Failed, reason);
    }
    // A whiteout has no owner that means anything, and overlayfs keeps a name of it in its work directory.
    if let Some(names) = candidate.elsewhere.filter(|_| !stat.whiteout) {
        return Verdict::LinkedOutside(names);
    }
    let held = stat.flags();
    let clears = scope.options.clear_flags && flags::can_be_cleared(stat.file_type);
    if !held.is_empty() && !clears {
        let reason = describe_protection(held, &walk.path(dir, candidate.name), scope.command);
        return Verdict::Left(ProblemKind::Protected, reason);
    }
    Verdict::Change(Transition {
        file_type: stat.file_type,
        change: Change { before, after },
        held,
    })
}

/// Whether an inode without ACLs and capability is to be changed.
pub(super) fn changes_plain(walk: &WalkContext<'_>, rule: Rule, stat: &Stat) -> bool {
    let before = Ownership::new(stat.uid, stat.gid, stat.mode, OwnershipXattrs::default());
    let (map, direction) = (walk.scope.map, walk.scope.direction);
    let outcome = rule.outcome(&before, stat.file_type, map, direction);
    matches!(outcome, Mapping::Change(_))
}

/// Whether an inode would change, judged by `stat` alone: its attributes are not read.
pub(super) fn may_change(walk: &WalkContext<'_>, rule: Rule, entry: &LookupEntry) -> bool {
    let plain = matches!(entry.present, Ok(present) if !present.any());
    !plain || changes_plain(walk, rule, &entry.stat)
}
