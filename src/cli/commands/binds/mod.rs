//! The binds of Compose files and of `docker run` command lines, with the user of each service.
//!
//! - [`check`]: `idshift check --compose`
//! - [`prepare`]: `idshift prepare --compose`

pub mod check;
pub mod prepare;

use std::path::PathBuf;

use crate::cli::args::BindsArgs;
use crate::cli::commands::docker_user::{bound_by_volume, of_service};
use crate::cli::exit::Failure;
use crate::cli::output::tell_sentences;
use crate::cli::output::text::shell_word;
use crate::idmap::IdMap;
use crate::volume::binds::compose::Selection;
use crate::volume::binds::external::ask_docker_compose;
use crate::volume::binds::files::{override_beside, read_project};
use crate::volume::binds::{Service, read_run_command};
use crate::volume::user::ContainerUser;

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
/// Something cannot be resolved; all users that are not known are named together.
pub fn services(
    args: &BindsArgs,
    data_root: PathBuf,
    map: &IdMap,
) -> Result<Vec<KnownService>, Failure> {
    let mut known = Vec::new();
    let mut unknown = Vec::new();
    for mut service in read(args)? {
        service.resolve_volumes(|name| bound_by_volume(data_root.clone(), name, map))?;
        if service.binds.is_empty() {
            known.push(KnownService {
                service,
                user: None,
            });
            continue;
        }
        if service.uses_host_ids {
            let flag = match args.run_command {
                Some(_) => String::new(),
                None => ". Name the other services with --service".into(),
            };
            return Err(Failure::refused(format!(
                "service {}: it has the host's user namespace, so the daemon does not remap it: its ids are the host's own{flag}",
                service.name
            )));
        }
        match of_service(data_root.clone(), &service, map) {
            Ok(user) => known.push(KnownService {
                service,
                user: Some(user),
            }),
            Err(failure) => unknown.push(format!("service {}: {}", service.name, failure.message)),
        }
    }
    if unknown.is_empty() {
        return Ok(known);
    }
    let help = match args.run_command {
        Some(_) => "`docker pull IMAGE` gets an image; or give the user in numbers: -u UID:GID",
        None => {
            "`docker compose pull` and `docker compose build` get images; or give the user in numbers in the file: `user: UID:GID`"
        }
    };
    unknown.push(help.into());
    Err(Failure::refused(unknown.join("\n")))
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
