//! The binds of Compose files and of `docker run` command lines, with the user of each service.
//!
//! - [`check`]: `idshift check --compose`
//! - `host_namespaces`: services that a remapped daemon does not start
//! - `not_remapped`: the refusal of services whose ids are not those of the map
//! - [`podman`]: the map of a Podman command line
//! - [`prepare`]: `idshift prepare --compose`

pub mod check;
mod host_namespaces;
mod not_remapped;
pub mod podman;
pub mod prepare;

use std::path::PathBuf;

use crate::cli::args::BindsArgs;
use crate::cli::container_user::{bound_by_volume, in_numbers, of_service};
use crate::cli::exit::Failure;
use crate::cli::output::tell_sentences;
use crate::cli::output::text::shell_word;
use crate::idmap::IdMap;
use crate::volume::binds::compose::Selection;
use crate::volume::binds::external::ask_docker_compose;
use crate::volume::binds::files::{override_beside, read_project};
use crate::volume::binds::{Service, is_podman, read_run_command};
use crate::volume::user::ContainerUser;
use not_remapped::NotRemapped;

/// A service that has binds, and whom it runs as; `None` where it has none.
pub struct KnownService {
    /// The service.
    pub service: Service,
    /// Its user.
    pub user: Option<ContainerUser>,
}

/// The services that are meant, each with its user.
///
/// # Errors
/// Something cannot be resolved; all services that are not remapped are named together, and all users that are not known.
pub fn services(
    args: &BindsArgs,
    data_root: PathBuf,
    map: &IdMap,
) -> Result<Vec<KnownService>, Failure> {
    let mut known = Vec::new();
    let mut unknown = Vec::new();
    let mut not_remapped = NotRemapped::default();
    let services = read(args)?;
    let is_rootless = is_rootless(map);
    // Rootless Docker starts what a remapped daemon does not.
    let obstacles = match is_rootless {
        true => Vec::new(),
        false => host_namespaces::obstacles(&services),
    };
    let mut obstacles = obstacles.into_iter();
    for mut service in services {
        let obstacle = obstacles.next().flatten();
        // Podman's volumes are elsewhere.
        if !service.is_podman {
            service.resolve_volumes(|name| bound_by_volume(data_root.clone(), name, map))?;
        }
        if service.binds.is_empty() {
            known.push(KnownService {
                service,
                user: None,
            });
            continue;
        }
        // By default, the containers of a user's Podman have the user namespace that it has itself (podman-run(1), --userns).
        if service.uses_host_ids && !(service.is_podman && is_rootless) {
            not_remapped.add_host_ids(&service);
            continue;
        }
        if let Some(why) = obstacle {
            not_remapped.add_obstacle(&service, &why, args);
            continue;
        }
        not_remapped.others.push(service.name.clone());
        match user_of(data_root.clone(), &service, map) {
            Ok(user) => known.push(KnownService {
                service,
                user: Some(user),
            }),
            Err(failure) => unknown.push(format!("service {}: {}", service.name, failure.message)),
        }
    }
    not_remapped.check(args)?;
    if unknown.is_empty() {
        return Ok(known);
    }
    let help = match &args.run_command {
        Some(text) if is_podman(text) => {
            "images of Podman are not read: give the user in numbers: -u UID:GID"
        }
        Some(_) => "`docker pull IMAGE` gets an image; or give the user in numbers: -u UID:GID",
        None => {
            "`docker compose pull` and `docker compose build` get images; or give the user in numbers in the file: `user: UID:GID`"
        }
    };
    unknown.push(help.into());
    Err(Failure::refused(unknown.join("\n")))
}

/// Whether a map is that of a rootless engine: the container's root alone is the user.
fn is_rootless(map: &IdMap) -> bool {
    let first = map.uids.ranges().first();
    first.is_some_and(|first| first.container() == 0 && first.size() == 1)
}

/// Whom a service runs as. Docker's images say nothing about Podman's.
fn user_of(data_root: PathBuf, service: &Service, map: &IdMap) -> Result<ContainerUser, Failure> {
    if !service.is_podman {
        return of_service(data_root, service, map);
    }
    in_numbers(service).ok_or_else(|| {
        let image = service.image.as_deref().unwrap_or_default();
        Failure::refused(format!("the user of the image {image} is not known"))
    })
}

fn read(args: &BindsArgs) -> Result<Vec<Service>, Failure> {
    if let Some(text) = &args.run_command {
        let dir = std::env::current_dir().map_err(Failure::refused)?;
        let service = read_run_command(text, &dir).map_err(Failure::refused)?;
        return Ok(vec![service]);
    }
    let wanted = Selection {
        profiles: args.profiles.clone(),
        services: args.services.clone(),
    };
    if let Some(path) = override_beside(&args.compose) {
        tell_sentences!(
            "{0} is there too, and `docker compose up` puts it over the file. Where that is what you run, add: --compose {0}",
            shell_word(&path)
        );
    }
    let asked = ask_docker_compose(&args.compose, &wanted).map_err(Failure::refused)?;
    match asked {
        Some(services) => Ok(services),
        None => read_project(&args.compose, &wanted).map_err(Failure::refused),
    }
}

/// ` --compose FILE --service NAME`, as the command line had it.
fn words(args: &BindsArgs) -> String {
    let mut words = String::new();
    for file in &args.compose {
        words += &format!(" --compose {}", shell_word(file));
    }
    for (flag, names) in [("profile", &args.profiles), ("service", &args.services)] {
        for name in names {
            words += &format!(" --{flag} {}", shell_word(name.as_ref()));
        }
    }
    if let Some(command) = &args.run_command {
        words += &format!(" --run {}", shell_word(command.as_ref()));
    }
    words
}
