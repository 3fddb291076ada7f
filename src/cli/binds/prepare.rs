//! `idshift prepare --compose` and `--run`: each host path for its service's user, in one run.

use std::path::PathBuf;

use super::KnownService;
use crate::cli::args::PrepareArgs;
use crate::cli::exit::Failure;
use crate::cli::output::tell;
use crate::cli::output::text::{columns, one_line, path};
use crate::idmap::IdMap;
use crate::volume::binds::sources::{Allowed, Use, one_owner_each};
use crate::volume::prepare::VolumeOwners;
use crate::volume::user::ContainerUser;

/// What is prepared, and for whom.
pub struct PreparedBinds {
    /// The host paths.
    pub paths: Vec<PathBuf>,
    /// The owner of each.
    pub owners: VolumeOwners,
    /// Of each, whether containers only read it.
    pub read_only: Vec<bool>,
    /// All binds of all services.
    pub uses: Vec<Use>,
}

/// Works out which host path goes to whom.
///
/// # Errors
/// Something is not known, or two services need different owners.
pub fn resolve(
    args: &PrepareArgs,
    data_root: PathBuf,
    map: &IdMap,
) -> Result<PreparedBinds, Failure> {
    let services = super::services(&args.binds, data_root, map)?;
    let mut uses: Vec<Use> = services.into_iter().flat_map(uses_of).collect();
    if uses.is_empty() {
        return Err(Failure::refused(
            "no service binds a host path: there is nothing to prepare",
        ));
    }
    let allowed = Allowed {
        system_path: args.run.allow_system_path,
        cross_mounts: args.run.scope.cross_mounts,
        create: args.create,
        share: args.share,
    };
    let sources = one_owner_each(&mut uses, allowed).map_err(Failure::refused)?;
    let read_only = sources.iter().map(|source| source.read_only).collect();
    let (paths, owners) = sources
        .into_iter()
        .map(|source| (source.path, source.user))
        .unzip();
    Ok(PreparedBinds {
        paths,
        owners: VolumeOwners::EachPath(owners),
        read_only,
        uses,
    })
}

fn uses_of(known: KnownService) -> Vec<Use> {
    let KnownService { service, user } = known;
    let user = user.unwrap_or(ContainerUser::ROOT);
    let one = |bind| Use {
        service: service.name.clone(),
        bind,
        user: user.clone(),
        left: None,
    };
    service.binds.into_iter().map(one).collect()
}

/// The table, before the run begins.
pub fn tell_uses(uses: &[Use], share: bool) {
    let whose = if share { "SHARED WITH" } else { "OWNER" };
    let mut rows = vec![
        ["SERVICE", "HOST PATH", "CONTAINER PATH", whose]
            .map(String::from)
            .to_vec(),
    ];
    for used in uses {
        rows.push(vec![
            one_line(&used.service),
            path(&used.bind.source),
            one_line(&used.bind.target),
            match &used.left {
                None if share => used.user.to_string(),
                None => format!("for {}", used.user),
                Some(why) => format!("left as it is: {}", one_line(why)),
            },
        ]);
    }
    tell!("{}", columns(&rows).trim_end());
}
