//! The plan that carries a data-root into a range of host ids, or out of it.
//!
//! [`Migration::prepare`] goes through these phases; nothing is changed in any of them:
//! - [`request`]: what is asked
//! - [`locations`]: where the docker root is, and where it goes
//! - [`survey`]: what is there, read once; [`checks`] refuse what cannot be carried
//! - [`trees`], [`owners`]: which inodes get which owners
//! - [`permanent`]: instead of all of that, where a root is remapped by a mount and its owners are to change on disk
//! - [`metadata`], then [`into`] or [`out_of`], then [`conclusion`]: the steps, in order
//!
//! [`conversion`] is what is made before the run where images are in containerd. [`mod@shifted_before`]: the bind mounts that
//! earlier runs shifted.

mod checks;
mod conclusion;
mod conversion;
mod into;
mod locations;
mod metadata;
mod out_of;
mod owners;
mod permanent;
mod request;
mod shifted_before;
mod survey;
mod trees;

use std::path::{Path, PathBuf};

use super::DockerError;
use super::conversion::plan::Conversion;
use super::conversion::summary::ConversionSummary;
use super::idmapped::IdmappedRoot;
use super::idmapped::exchanged_data::ExchangedData;
use super::inventory::Inventory;
use super::remap::Remap;
use super::steps::StepList;
use crate::engine::{Plan, Rule, RunControl};
use crate::idmap::Direction;
use locations::Locations;
pub(super) use metadata::{config_with_new_paths, hostconfig_with_new_paths};
pub use request::{MigrateRequest, PlanOptions};
pub use shifted_before::{needed_by_revert, shifted_before};
use survey::Survey;
use trees::Trees;

/// A plan, and its facts for people.
pub struct Migration {
    /// For the engine.
    pub plan: Plan,
    /// What happens to the containerd image store.
    pub conversion: Option<Conversion>,
    /// What an operator should know of that.
    pub store_summary: Option<ConversionSummary>,
    /// The data-root.
    pub data_root: PathBuf,
    range_dir: String,
    root_gid: u32,
    /// It is a root that was remapped by a mount, and then copied or restored file by file.
    pub is_copied: bool,
    /// It is remapped by a mount: what is on disk.
    pub unmounted: Option<PathBuf>,
    /// Into an idmapped root: what would be seen with other owners than its users expect, once it is looked for.
    pub exchanged: Vec<ExchangedData>,
    /// What happens to everything in and around the data-root.
    pub inventory: Inventory,
    /// What is in the way and is renamed and kept.
    pub set_aside: SetAsideNames,
    /// Names of containers that are marked for the host's user namespace.
    pub marked: Vec<String>,
    /// Names of containers that a remapped daemon will not start, and why.
    pub will_not_start: Vec<(String, String)>,
}

/// Names, in the data-root, of what is set aside.
#[derive(Default)]
pub struct SetAsideNames {
    /// An unused docker root in the place of the new one.
    pub unused_root: Option<String>,
    /// Empty directories of storage drivers, which would keep a plain daemon from the containerd image store.
    pub drivers: Option<String>,
    /// The empty root of before, which a rollback could not make again as it was.
    pub left_root: Option<String>,
}

impl Migration {
    /// Reads the data-root and makes the plan.
    ///
    /// # Errors
    /// What is in the way. Nothing was changed.
    pub fn prepare(
        request: &MigrateRequest,
        remap: &Remap,
        control: RunControl<'_>,
    ) -> Result<Migration, DockerError> {
        let locations = Locations::find(request, remap)?;
        checks::check_kind(request, &locations, remap)?;
        match (&locations.idmapped, request.options.direction) {
            (Some(root), Direction::Into) => permanent::prepare(request, remap, root),
            _ => Migration::plan_steps(Survey::of(request, locations, remap, control)?),
        }
    }

    fn plan_steps(survey: Survey<'_>) -> Result<Migration, DockerError> {
        let locations = &survey.locations;
        let trees = Trees::of(&survey);
        let mut steps = StepList::new(
            &locations.data_root,
            trees.paths.len(),
            survey.request.copy_name.as_deref(),
            &locations.range_dir,
        )?;
        match &locations.idmapped {
            Some(root) => steps.change_owners(Rule::GiveBack, root.map.clone()),
            None if locations.by_mount => {
                steps.change_owners(Rule::ExchangeInRange, survey.remap.map.clone());
            }
            None => {}
        }
        let unsuitable = metadata::rewrite_containers(&mut steps, &survey)?;
        metadata::edit_volumes(&mut steps, &survey)?;
        let mut set_aside = match survey.request.options.direction {
            Direction::Into => into::rename_entries(&mut steps, &survey, &trees)?,
            Direction::OutOf => out_of::rename_entries(&mut steps, &survey)?,
        };
        let layout = owners::layout(&survey, &trees);
        set_aside.left_root =
            conclusion::add_last_steps(&mut steps, &survey, layout.traversal_rule())?;
        let policy = owners::policy(&survey, &steps, layout)?;
        let root = survey.locations.idmapped.as_ref();
        let shift = survey.request.shift_request(&survey.remap, trees.paths);
        Ok(Migration {
            plan: Plan::new(shift, policy, steps.finish()),
            store_summary: conversion::summary(&survey)?,
            root_gid: survey.remap.root.1,
            is_copied: root.map_or(Ok(false), IdmappedRoot::is_copied)?,
            unmounted: root.map(IdmappedRoot::content),
            exchanged: Vec::new(),
            data_root: survey.locations.data_root,
            range_dir: survey.locations.range_dir,
            conversion: survey.conversion,
            inventory: survey.inventory,
            set_aside,
            marked: unsuitable.marked,
            will_not_start: unsuitable.will_not_start,
        })
    }

    /// A migration for which nothing is converted, renamed or marked that an operator should know of.
    pub(super) fn of_plan(
        plan: Plan,
        remap: &Remap,
        (data_root, root): (&Path, &IdmappedRoot),
        inventory: Inventory,
    ) -> Result<Migration, DockerError> {
        Ok(Migration {
            plan,
            is_copied: root.is_copied()?,
            unmounted: Some(root.content()),
            exchanged: Vec::new(),
            conversion: None,
            store_summary: None,
            data_root: data_root.to_path_buf(),
            range_dir: remap.dir_name(),
            root_gid: remap.root.1,
            inventory,
            set_aside: SetAsideNames::default(),
            marked: Vec::new(),
            will_not_start: Vec::new(),
        })
    }

    /// What of a swarm's services is not seen, for people.
    pub fn services_note(&self) -> Option<String> {
        let services = self.inventory.services.as_ref();
        services.map(|it| it.note(self.plan.request.direction))
    }
}
