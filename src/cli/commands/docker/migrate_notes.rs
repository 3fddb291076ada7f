//! What a person is told of a migration or a revert: of a run that ended, or of a dry run.

use super::effects::describe_exchanged;
use super::shared_range;
use crate::cli::output::tense::Tense;
use crate::cli::output::text::{bytes, inodes, path};
use crate::docker::bind_mounts::{Advice, BindMount};
use crate::docker::conversion::summary::{ConversionSummary, changed_files};
use crate::docker::guidance as help;
use crate::docker::idmapped::{describe_copied, place, unit};
use crate::docker::inventory::Inventory;
use crate::docker::migrate::Migrated;
use crate::docker::migration_plan::SetAsideNames;
use crate::docker::remap::Remap;
use crate::journal::id::argument;
use crate::store_move::copy::PlannedCopy;

/// Notes about a run.
pub(super) fn notes(migrated: &Migrated, tense: Tense) -> Vec<String> {
    let is_done = migrated.report.is_done();
    // What a dry run found is what a run would do.
    let is_so = is_done || tense == Tense::WouldBe;
    let mut notes = match is_so {
        true => notes_of_plan(migrated, tense),
        // Nothing of the plan is true then.
        false => Vec::new(),
    };
    let migration = &migrated.migration;
    notes.extend(migration.is_copied.then(|| {
        let [holder, content] = place(&migrated.remap.dir_name());
        let content = migration.data_root.join(holder).join(content);
        format!("{}.", describe_copied(&content))
    }));
    let created = tense.created();
    let missing = migrated.made.iter();
    notes.extend(missing.map(|what| format!("{created} {what}.")));
    let shared = migrated.shared_ranges.iter().filter(|_| is_so);
    notes.extend(shared.map(|line| shared_range(line, "the range")));
    notes.extend(migrated.untested_renames.iter().map(|it| it.to_string()));
    notes.extend(migrated.at_boot.clone().filter(|_| is_so));
    notes.extend(migrated.reload.then(|| unit::NOT_RELOADED.to_string()));
    notes.extend(migrated.next.clone());
    notes.extend(migrated.copy_left.clone());
    notes
}

/// What was done, or would be.
fn notes_of_plan(migrated: &Migrated, tense: Tense) -> Vec<String> {
    let (migration, remap) = (&migrated.migration, &migrated.remap);
    let inventory = &migration.inventory;
    let store = migration.store_summary.as_ref();
    let mut notes = Vec::new();
    notes.extend(mount_note(migrated, tense));
    notes.extend(describe_exchanged(migration, remap).map(|told| format!("{told}.")));
    notes.extend(set_aside_notes(&migration.set_aside, tense));
    notes.extend(store.into_iter().flat_map(|it| conversion_notes(it, tense)));
    notes.extend(volume_notes(inventory, tense));
    notes.extend(bind_notes(inventory, tense));
    notes.extend(claimed_notes(inventory, remap, tense));
    notes.extend(left_shifted_notes(inventory, remap, tense));
    notes.extend(migration.services_note());
    notes.extend(other_range_notes(inventory, tense));
    notes.extend(marked_notes(&migration.marked, tense));
    notes.extend(blocked_notes(migrated, tense));
    notes.extend(store.and_then(|it| changed_files(&it.changed_files)));
    notes.extend(migrated.copy.as_ref().map(|it| copy_note(it, tense)));
    notes
}

/// How a mount shows what keeps its owners.
fn mount_note(migrated: &Migrated, tense: Tense) -> Option<String> {
    let (point, content) = migrated.shown.as_ref()?;
    Some(format!(
        "Files of containers {} their owners on disk. An idmapped mount of {} on {} {} them with the range's ids.",
        tense.either("keep", "would keep"),
        path(content),
        path(point),
        tense.either("shows", "would show"),
    ))
}

/// What was in the way, and is kept.
fn set_aside_notes(set_aside: &SetAsideNames, tense: Tense) -> Vec<String> {
    let (is, was) = (tense.is(), tense.was_before());
    let are = tense.either("are", "would be");
    let unused_root = set_aside.unused_root.as_ref();
    let unused_root = unused_root
        .map(|aside| format!("An unused root {was} in the way. It {is} kept as {aside}."));
    let drivers = set_aside.drivers.as_ref().map(|aside| {
        format!(
            "The remapped daemon's storage driver holds nothing; its empty directories {are} kept as {aside}, so that \
             the daemon finds its containerd image store. Remove them when nothing is missing."
        )
    });
    let left_root = set_aside.left_root.as_deref().map(help::kept_root);
    [unused_root, drivers, left_root]
        .into_iter()
        .flatten()
        .collect()
}

/// What happens to the containerd image store.
fn conversion_notes(conversion: &ConversionSummary, tense: Tense) -> Vec<String> {
    let is = tense.is();
    let mut notes = conversion.sentences(tense.into(), bytes);
    notes.extend((tense == Tense::WouldBe).then(|| conversion.not_counted()));
    notes.extend(conversion.leftover.as_ref().map(|dir| {
        format!(
            "{} {is} removed: a conversion had made it that was cut short before it changed anything.",
            path(dir)
        )
    }));
    notes
}

/// Volumes whose content is elsewhere.
fn volume_notes(inventory: &Inventory, tense: Tense) -> impl Iterator<Item = String> {
    let volumes = inventory.volumes.iter();
    volumes.map(
        move |volume| match volume.shifted_with_bind_mounts && tense == Tense::WouldBe {
            true => format!("Volume {volume}. {}.", help::SO_DOES_BIND_MOUNTS),
            false => format!("Volume {volume}."),
        },
    )
}

/// Binds that move with the data-root, that a mount does not reach, and that are shifted where they are.
fn bind_notes(inventory: &Inventory, tense: Tense) -> Vec<String> {
    let of_kind = |kind: Advice| {
        let binds = inventory.bind_mounts.iter();
        binds.filter(move |mount| mount.kind == kind)
    };
    let moved = |mount: &BindMount| {
        format!(
            "Bind mount {} of {} moves with the data-root and is shifted.",
            path(&mount.source),
            mount.container
        )
    };
    let kept = |mount: &BindMount| {
        format!(
            "Bind mount {} of {} stays as it is: {}.",
            path(&mount.source),
            mount.container,
            mount.advice
        )
    };
    let is = tense.is();
    let in_place = inventory.in_place.iter();
    of_kind(Advice::Moved)
        .map(moved)
        .chain(of_kind(Advice::Idmapped).map(kept))
        .chain(in_place.map(|bind| format!("Bind mount {} {is} shifted in place.", path(bind))))
        .collect()
}

/// Binds that stay as they are, because they are an account's.
fn claimed_notes(
    inventory: &Inventory,
    remap: &Remap,
    tense: Tense,
) -> impl Iterator<Item = String> {
    let stays = tense.stays();
    inventory.claimed(remap).map(move |(bind, claim, command)| {
        let help = match tense {
            Tense::WouldBe => "--allow-home shifts it too.".to_string(),
            // This migration cannot be run a second time.
            Tense::Done => format!("To shift it anyway: `{command}`"),
        };
        let bind = path(bind);
        format!("Bind mount {bind} {stays} as it is: it {claim}. {help}")
    })
}

/// What stays in the range when the daemon goes out of it.
fn left_shifted_notes(
    inventory: &Inventory,
    remap: &Remap,
    tense: Tense,
) -> impl Iterator<Item = String> {
    let stays = tense.stays();
    inventory.left_shifted(remap).map(move |(dir, command)| {
        let too = match tense {
            Tense::WouldBe => format!(" {}.", help::SO_DOES_BIND_MOUNTS),
            Tense::Done => String::new(),
        };
        format!(
            "{} {stays} shifted, and containers are not remapped any more: {command} shifts it back.{too}",
            path(dir)
        )
    })
}

/// What stays in a range of an earlier daemon.
fn other_range_notes(inventory: &Inventory, tense: Tense) -> impl Iterator<Item = String> {
    let stays = tense.stays();
    inventory.in_other_range().map(move |(dir, command)| {
        format!(
            "{} {stays} in a range that the daemon had before: {command} shifts it back.",
            path(dir)
        )
    })
}

/// Containers that keep the host's ids.
fn marked_notes(names: &[String], tense: Tense) -> impl Iterator<Item = String> {
    let is = tense.is();
    let names = names.iter();
    names.map(move |name| format!("Container {name} {is} marked --userns=host."))
}

/// Which containers do not start remapped, and what helps.
fn blocked_notes(migrated: &Migrated, tense: Tense) -> Vec<String> {
    let blocked = &migrated.migration.will_not_start;
    let names = blocked.iter();
    let mut notes: Vec<String> = names
        .map(|(name, why)| format!("Container {name} {why}: it does not start remapped."))
        .collect();
    if !blocked.is_empty() {
        let journal = migrated.report.journal.as_deref();
        notes.extend(match tense {
            Tense::WouldBe => Some("--set-userns-host marks such containers.".to_string()),
            Tense::Done => journal.map(|journal| help::mark_later(&argument(journal))),
        });
    }
    notes
}

/// What a copy takes.
fn copy_note(copy: &PlannedCopy, tense: Tense) -> String {
    format!(
        "The plain root {} as it is: {} {} copied{}.",
        tense.stays(),
        inodes(copy.amount.inodes),
        tense.were(),
        match copy.shares_content {
            true => ", which share their content with it".to_string(),
            false => format!(" ({})", bytes(copy.amount.bytes)),
        }
    )
}
