//! Looking at what containers bind, container by container.

mod advice_text;
mod user_access;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::docker::DockerError;
use crate::docker::bind_mounts::{Advice, BindMount};
use crate::docker::container::{Bind, Container};
use crate::docker::container_user;
use crate::docker::data_root::{ContainerFiles, DockerRoot};
use crate::docker::owner_stats::{OwnerStats, Wanted, owner_stats};
use crate::docker::path_owner::{PathOwner, whose};
use crate::docker::path_rewriter::{PathRewriter, real};
use crate::docker::remap::Remap;
use crate::docker::swarm::ServiceBind;
use crate::engine::RunControl;
use crate::fs::{PinnedFile, Root, Stat};
use crate::idmap::{Direction, Mapped};
use crate::ownership::FileType;
use crate::preflight;
use crate::preflight::accounts::LoginAccounts;
use crate::preflight::homes::{self, Claim};
use crate::preflight::mount_views::idmapped;
use crate::volume::user::{ContainerUser, seen_inside};
use user_access::{closed_parents, try_it};

/// A volume whose content is not in its own directory.
#[derive(Clone, Copy)]
pub struct VolumeContent<'a> {
    /// The volume.
    pub name: &'a str,
    /// The directory that holds its content.
    pub dir: &'a Path,
}

/// Surveys bind mounts, container by container.
pub struct BindMountSurvey<'a> {
    /// The docker root.
    pub root: &'a DockerRoot,
    /// Maps paths in the docker root to their new ones.
    pub rewriter: &'a PathRewriter,
    /// The range; `None` if it is not known.
    pub remap: Option<&'a Remap>,
    /// Login accounts whose files are not shifted; `None` if the operator allows it.
    pub accounts: Option<LoginAccounts>,
    /// Also at what lies outside of the docker root.
    pub host_binds: bool,
    control: RunControl<'a>,
    found: Vec<BindMount>,
}

impl<'a> BindMountSurvey<'a> {
    /// At the containers of this root.
    pub fn new(
        root: &'a DockerRoot,
        rewriter: &'a PathRewriter,
        remap: Option<&'a Remap>,
        accounts: Option<LoginAccounts>,
        control: RunControl<'a>,
    ) -> BindMountSurvey<'a> {
        BindMountSurvey {
            root,
            rewriter,
            remap,
            accounts,
            host_binds: true,
            control,
            found: Vec::new(),
        }
    }

    /// The bind mounts of one container, and those of its volumes that are as good as one; `is_host`:
    /// it is not remapped.
    ///
    /// # Errors
    /// Its metadata is not what dockerd writes.
    pub fn at(
        &mut self,
        container: &Container,
        files: &ContainerFiles,
        is_host: bool,
        volumes: &[VolumeContent<'_>],
    ) -> Result<(), DockerError> {
        let mut binds = files.bind_mounts(self.root)?;
        // Of those that are not remapped, it is only asked where they meet others.
        binds.retain(|bind| {
            self.host_binds || is_host || whose(self.rewriter, &real(&bind.source)).is_some()
        });
        for (name, bind) in files.local_volumes(self.root)? {
            let found = volumes.iter().find(|volume| volume.name == name);
            binds.extend(found.map(|volume| Bind {
                source: volume.dir.to_path_buf(),
                ..bind
            }));
        }
        if binds.is_empty() {
            return Ok(());
        }
        let user = container_user::user_of(self.root, files).ok();
        for bind in binds {
            let found = self.bind_mount(&container.name, bind, user.clone(), is_host);
            self.found.push(found);
        }
        Ok(())
    }

    /// A volume that no container uses.
    pub fn at_unused(&mut self, volume: VolumeContent<'_>) {
        if self.found.iter().all(|it| real(&it.source) != volume.dir) {
            let bind = Bind {
                source: volume.dir.to_path_buf(),
                destination: String::new(),
                writable: true,
            };
            let name = format!("(volume {})", volume.name);
            let found = self.bind_mount(&name, bind, None, false);
            self.found.push(found);
        }
    }

    /// What a service of a swarm binds, unless a container binds it too.
    pub fn at_service(&mut self, of_service: &ServiceBind) {
        let ServiceBind {
            service,
            bind,
            on_host_network,
        } = of_service;
        let place = real(&bind.source);
        let is_wanted = self.host_binds || whose(self.rewriter, &place).is_some();
        if is_wanted && self.found.iter().all(|it| real(&it.source) != place) {
            let name = format!("(service {service})");
            let mut found = self.bind_mount(&name, bind.clone(), None, *on_host_network);
            if *on_host_network && found.kind == Advice::NotRemapped {
                found.kind = Advice::DoesNotStart;
                found.advice = self.words(&found.kind, &bind.source);
            }
            self.found.push(found);
        }
    }

    /// All that were surveyed. Those that a container without remapping binds too are marked as
    /// shared.
    pub fn all(mut self) -> Vec<BindMount> {
        let unmapped = self
            .found
            .iter()
            .filter(|it| it.kind == Advice::NotRemapped);
        let unmapped: Vec<(PathBuf, String)> = unmapped
            .map(|it| (real(&it.source), it.container.clone()))
            .collect();
        let mut found = std::mem::take(&mut self.found);
        for mount in &mut found {
            let place = real(&mount.source);
            let meets = |other: &&(PathBuf, String)| {
                other.0.starts_with(&place) || place.starts_with(&other.0)
            };
            let other = unmapped.iter().find(meets);
            if let (Advice::Prepare | Advice::Moved, Some((_, container))) = (&mount.kind, other) {
                mount.kind = Advice::Shared(container.clone());
                mount.advice = self.words(&mount.kind, &mount.source);
            }
        }
        found
    }

    fn bind_mount(
        &self,
        container: &str,
        bind: Bind,
        user: Option<ContainerUser>,
        is_host: bool,
    ) -> BindMount {
        // None where the container is not remapped, or nobody knows how.
        let remap = self.remap.filter(|_| !is_host);
        // Through symlinks, as the runtime goes.
        let real = std::fs::canonicalize(&bind.source).ok();
        let pin = real.as_ref().and_then(|real| PinnedFile::path(real).ok());
        let stat = pin.as_ref().and_then(|pin| pin.stat().ok());
        let seen = real.as_deref().zip(stat);
        let fixed = self.fixed(seen, is_host);
        let is_ours = fixed.is_none();
        let tried = match (&pin, &user, remap) {
            (Some(pin), Some(user), Some(remap)) if is_ours => try_it(pin, user, remap),
            _ => None,
        };
        let host_ids = user.as_ref().zip(remap);
        let host_ids = host_ids.and_then(|(user, remap)| user.on_host(&remap.map).ok());
        let wanted = seen.filter(|_| is_ours && remap.is_some());
        let holds = wanted.and_then(|(real, _)| {
            let wanted = Wanted {
                user: host_ids,
                write: bind.writable,
                accounts: self.accounts.as_ref(),
            };
            owner_stats(real, wanted, self.control)
        });
        let closed_parents = match (seen, remap) {
            (Some((real, _)), Some(remap)) if is_ours => closed_parents(real, remap),
            _ => Vec::new(),
        };
        let kind = fixed.unwrap_or_else(|| {
            let can = tried.is_some_and(|can| can.reads && (can.writes || !bind.writable));
            let all = holds.as_ref().is_none_or(|holds| holds.closed == 0);
            self.advice_for((real.as_deref(), stat), remap, can && all)
        });
        let claim = match kind {
            // Of what is in the data-root, nobody but root makes use without Docker.
            Advice::Prepare => real
                .as_deref()
                .and_then(|real| self.claim(real, holds.as_ref())),
            _ => None,
        };
        let (kind, advice) = match &claim {
            Some(claim) => (Advice::Account, self.words_of_claim(claim, &bind.source)),
            None => (kind.clone(), self.words(&kind, &bind.source)),
        };
        BindMount {
            container: container.to_string(),
            owner: stat.map(|stat| format!("{}:{} {}", stat.uid, stat.gid, stat.mode)),
            owner_inside: stat.zip(remap).map(|(stat, remap)| {
                let uid = seen_inside(&remap.map.uids, stat.uid);
                let gid = seen_inside(&remap.map.gids, stat.gid);
                format!("{uid}:{gid}")
            }),
            holds,
            account: claim.as_ref().map(|claim| claim.account().clone()),
            claim,
            advice,
            kind,
            source: bind.source,
            destination: bind.destination,
            read_only: !bind.writable,
            user,
            readable: tried.map(|tried| tried.reads),
            writable: tried.map(|tried| tried.writes),
            closed_parents,
        }
    }

    /// The advice for what is a host's own. `is_usable`: the container's user can use all of it as it is.
    fn advice_for(
        &self,
        (real, stat): (Option<&Path>, Option<Stat>),
        remap: Option<&Remap>,
        is_usable: bool,
    ) -> Advice {
        let side = remap.zip(stat);
        let side = side.map(|(remap, stat)| remap.map.uids.map(stat.uid, Direction::Into));
        let is_own = |real| whose(self.rewriter, real) == Some(PathOwner::Own);
        match side {
            Some(Mapped::Already) => Advice::InRange,
            _ if is_usable => Advice::Usable,
            _ if real.is_some_and(|it| idmapped(it).is_some()) => Advice::Idmapped,
            _ if stat.is_some() && real.is_some_and(is_own) => Advice::Moved,
            _ => Advice::Prepare,
        }
    }

    /// How it concerns a login account.
    fn claim(&self, real: &Path, holds: Option<&OwnerStats>) -> Option<Claim> {
        let root = Root::open(real).ok()?;
        let inside = || holds?.account.clone().map(Claim::HoldsFiles);
        homes::claim(&root, self.accounts.as_ref()?).or_else(inside)
    }

    /// The advice that does not depend on the container's user.
    fn fixed(&self, seen: Option<(&Path, Stat)>, is_host: bool) -> Option<Advice> {
        let Some((real, stat)) = seen else {
            return Some(Advice::NotThere);
        };
        if is_host {
            return Some(Advice::NotRemapped);
        }
        match stat.file_type {
            FileType::Socket => Some(Advice::Socket),
            _ if real.extension() == Some(OsStr::new("sock")) => Some(Advice::Socket),
            FileType::CharDevice | FileType::BlockDevice => Some(Advice::Device),
            _ if matches!(
                whose(self.rewriter, real),
                Some(PathOwner::Daemon | PathOwner::Content)
            ) =>
            {
                Some(Advice::DataRoot)
            }
            _ if self.root.path.starts_with(real) => Some(Advice::System),
            _ if preflight::check_system_path(real).is_err() => Some(Advice::System),
            _ => None,
        }
    }
}
