//! What becomes of each thing in and around a data-root: carried, shifted where it lies, left or
//! refused, and what that points to it has to be rewritten.
//!
//! This is the one place that decides it. `audit` prints the decisions, [`migrate`](super::migrate)
//! carries them out in both directions. `docs/docker.md` has the table.
//!
//! - [`volumes`]: volumes whose content is elsewhere
//! - [`mounts`]: what is mounted below the docker root
//! - [`bind_mounts`](super::bind_mounts): what containers bind

mod disposition;
mod findings;
pub mod mounts;
mod shifted_before;
pub mod volumes;

use std::path::{Path, PathBuf};

use super::DockerError;
use super::bind_mounts::survey::BindMountSurvey;
use super::bind_mounts::{Advice, BindMount, prepare_claimed, to_prepare};
use super::container::Container;
use super::data_root::{ContainerFiles, DockerRoot, names};
use super::path_owner::{PathOwner, names_below, whose};
use super::path_rewriter::{PathRewriter, real};
use super::remap::Remap;
use super::swarm::SwarmServices;
use crate::engine::RunControl;
use crate::idmap::IdMap;
use crate::preflight::accounts::LoginAccounts;
use crate::preflight::homes::Claim;
pub use disposition::{Disposition, HostBinds};
use mounts::{MountPoint, mount_points};
use shifted_before::{forgotten, is_in_range, shiftable};
use volumes::{Edit, VolumeElsewhere, volumes_elsewhere};

/// What is in and around a docker root beside the daemon's own layout.
pub struct Inventory {
    /// Volumes whose content is elsewhere.
    pub volumes: Vec<VolumeElsewhere>,
    /// What is mounted below it.
    pub mounts: Vec<MountPoint>,
    /// What containers bind.
    pub bind_mounts: Vec<BindMount>,
    /// Directories with own data in the docker root whose owners are shifted, as names from there.
    pub own_trees: Vec<Vec<Vec<u8>>>,
    /// Directories and files of the host that are shifted in place, each tree once.
    pub in_place: Vec<PathBuf>,
    /// Those that are in the range and stay so, though the data-root goes out of it; by the paths
    /// that they have afterwards.
    left_shifted: Vec<PathBuf>,
    /// What is in a range that the daemon had before, with the map. It stays so.
    in_other_range: Vec<(PathBuf, IdMap)>,
    /// Names of what somebody keeps in the docker root and no container binds.
    moved_as_is: Vec<String>,
    shifts_host_binds: bool,
    /// Where the daemon is in a swarm: what is known of its services.
    pub services: Option<SwarmServices>,
}

impl Inventory {
    /// Surveys a docker root before a migration. Each container comes with a flag: it is not remapped.
    /// `accounts`: login accounts whose files are not shifted.
    ///
    /// # Errors
    /// Something cannot be read.
    pub fn for_migrate<'c>(
        root: &DockerRoot,
        rewriter: &PathRewriter,
        remap: Option<&Remap>,
        containers: impl IntoIterator<Item = (&'c Container, &'c ContainerFiles, bool)>,
        host_binds: HostBinds,
        accounts: Option<LoginAccounts>,
        control: RunControl<'_>,
    ) -> Result<Inventory, DockerError> {
        let mut volumes = volumes_elsewhere(rewriter)?;
        let mut look = BindMountSurvey::new(root, rewriter, remap, accounts, control);
        look.host_binds = host_binds != HostBinds::Left;
        let contents: Vec<_> = volumes
            .iter()
            .filter_map(VolumeElsewhere::content)
            .collect();
        for (container, files, is_host) in containers {
            look.at(container, files, is_host, &contents)?;
        }
        for volume in contents {
            look.at_unused(volume);
        }
        let services = SwarmServices::of(root, remap);
        for of_service in services.iter().flat_map(|it| &it.binds) {
            look.at_service(of_service);
        }
        let bind_mounts = look.all();
        for volume in &mut volumes {
            volume.decide(&bind_mounts, host_binds);
        }
        let moved = bind_mounts.iter().filter(|it| it.kind == Advice::Moved);
        let own_trees: Vec<_> = moved
            .map(|it| names_below(rewriter.from(), &real(&it.source)))
            .collect();
        let mut moved_as_is = names(rewriter.from())?;
        moved_as_is.retain(|name| {
            let is_bound = own_trees.iter().any(|tree| tree[0] == name.as_bytes());
            !is_bound && whose(rewriter, &rewriter.from().join(name)) == Some(PathOwner::Own)
        });
        Ok(Inventory {
            mounts: mount_points_of(rewriter, &volumes)?,
            own_trees,
            moved_as_is,
            in_place: match host_binds {
                HostBinds::Shifted => to_prepare(&bind_mounts),
                HostBinds::LookedAt | HostBinds::Left => Vec::new(),
            },
            left_shifted: Vec::new(),
            in_other_range: Vec::new(),
            shifts_host_binds: host_binds == HostBinds::Shifted,
            services,
            volumes,
            bind_mounts,
        })
    }

    /// The inventory of a root that is about to go out of the range. `sources`: what containers bind, and
    /// what was shifted with the data-root before. What of it is not in the range stays as it is, so
    /// that nobody has to be asked who can use it.
    ///
    /// # Errors
    /// As of [`Inventory::for_migrate`].
    pub fn for_revert(
        rewriter: &PathRewriter,
        remap: &Remap,
        sources: Vec<PathBuf>,
        with_binds: bool,
        control: RunControl<'_>,
    ) -> Result<Inventory, DockerError> {
        let mut volumes = volumes_elsewhere(rewriter)?;
        let of_volumes = volumes.iter().filter_map(|volume| volume.dir.clone());
        let services = SwarmServices::of(&DockerRoot::at(rewriter.from()), Some(remap));
        let of_services = services.iter().flat_map(|it| &it.binds);
        let of_services = of_services.map(|it| &it.bind.source);
        let all: Vec<PathBuf> = sources
            .iter()
            .chain(of_services)
            .map(|it| real(it))
            .chain(of_volumes)
            .collect();
        let (own, others): (Vec<_>, Vec<_>) = all
            .into_iter()
            .partition(|path| whose(rewriter, path) == Some(PathOwner::Own));
        let mut shifted = shiftable(others, rewriter);
        shifted.retain(|path| is_in_range(path, &remap.map, control));
        for volume in &mut volumes {
            volume.decide_back(&own, &shifted, remap, with_binds);
        }
        let (in_place, mut left_shifted) = match with_binds {
            true => (shifted, Vec::new()),
            false => (Vec::new(), shifted),
        };
        left_shifted.extend(forgotten((rewriter, remap), &own, control)?);
        Ok(Inventory {
            mounts: mount_points_of(rewriter, &volumes)?,
            volumes,
            bind_mounts: Vec::new(),
            own_trees: own
                .iter()
                .map(|it| names_below(rewriter.from(), it))
                .collect(),
            in_place,
            left_shifted,
            in_other_range: Vec::new(),
            moved_as_is: Vec::new(),
            shifts_host_binds: with_binds,
            services,
        })
    }

    /// Surveys only the mounts below a docker root.
    ///
    /// # Errors
    /// As of [`Inventory::for_migrate`].
    pub fn of_mounts(rewriter: &PathRewriter) -> Result<Inventory, DockerError> {
        let volumes = volumes_elsewhere(rewriter)?;
        Ok(Inventory {
            mounts: mount_points_of(rewriter, &volumes)?,
            volumes: Vec::new(),
            bind_mounts: Vec::new(),
            own_trees: Vec::new(),
            in_place: Vec::new(),
            left_shifted: Vec::new(),
            in_other_range: Vec::new(),
            moved_as_is: Vec::new(),
            shifts_host_binds: false,
            services: None,
        })
    }

    /// Volumes whose content is elsewhere and mounts, of a docker root that is carried to another place with all in it.
    ///
    /// # Errors
    /// As of [`Inventory::for_migrate`].
    pub fn of_moved(moved: &PathRewriter) -> Result<Inventory, DockerError> {
        Ok(Inventory {
            volumes: volumes_elsewhere(moved)?,
            ..Inventory::of_mounts(moved)?
        })
    }

    /// Adds what earlier migrations shifted, with their maps, and is still in another range than that of today.
    pub fn add_of_other_ranges(
        &mut self,
        before: &[(PathBuf, IdMap)],
        remap: &Remap,
        rewriter: &PathRewriter,
        control: RunControl<'_>,
    ) {
        for (path, map) in before.iter().filter(|(_, map)| *map != remap.map) {
            let is_there = |path: &PathBuf| {
                !is_in_range(path, &remap.map, control) && is_in_range(path, map, control)
            };
            for path in shiftable(vec![real(path)], rewriter)
                .into_iter()
                .filter(is_there)
            {
                let is_new = self.in_other_range.iter().all(|(other, _)| *other != path);
                self.in_other_range
                    .extend(is_new.then(|| (path, map.clone())));
            }
        }
    }

    /// What is in the data-root is seen through an idmapped mount, and is not in the range on disk.
    pub fn is_plain_on_disk(&mut self, top: &Path) {
        self.left_shifted.retain(|path| !path.starts_with(top));
    }

    /// What would be shifted in place, if no login account used it; each with the command that shifts it anyway.
    pub fn claimed(&self, remap: &Remap) -> impl Iterator<Item = (&Path, &Claim, String)> {
        let of_host = self.bind_mounts.iter().filter(|_| self.shifts_host_binds);
        of_host.filter_map(move |mount| {
            let command = prepare_claimed(Some(remap), &mount.source);
            Some((mount.source.as_path(), mount.claim.as_ref()?, command))
        })
    }

    /// The edits for volumes.
    pub fn edits(&self) -> impl Iterator<Item = &Edit> {
        self.volumes.iter().flat_map(|volume| &volume.edits)
    }
}

fn mount_points_of(
    rewriter: &PathRewriter,
    volumes: &[VolumeElsewhere],
) -> Result<Vec<MountPoint>, DockerError> {
    let devices = volumes.iter().filter(|volume| volume.is_mounted);
    let devices: Vec<&str> = devices.map(|volume| volume.volume.as_str()).collect();
    mount_points(rewriter, &devices)
}
