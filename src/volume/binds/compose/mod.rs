//! Compose files as `docker compose` resolves them, as far as binds and users go. Pure: files and variables come from
//! whoever asks. What is not resolved here is an error that names it; nothing is guessed.
//!
//! - [`yaml`]: YAML of bounded size
//! - [`interpolate`]: `${VAR:-default}`; [`dotenv`]: `.env`
//! - [`reader`]: values of one file
//! - [`service`]: what one file says of a service; [`extends`]: on top of another
//! - [`volumes`]: volumes, secrets and configs; [`declared_volume`]: one volume of the whole file

mod declared_volume;
pub mod dotenv;
mod extends;
pub mod interpolate;
mod reader;
mod service;
mod volumes;
pub mod yaml;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use super::{BindsError, HostNamespaces, Service};
use crate::fs::escape::escaped;
use extends::{ServiceFile, read_extended};
use interpolate::Lookup;
use reader::ComposeReader;
use service::RawService;
use volumes::Declared;
use yaml::Node;

/// What a project is made of.
pub struct Input<'a> {
    /// The files: absolute paths, later ones over earlier ones.
    pub files: &'a [PathBuf],
    /// Reads one, or one that another names.
    pub read: &'a dyn Fn(&Path) -> Result<String, BindsError>,
    /// Variables.
    pub lookup: &'a Lookup<'a>,
    /// What `~` stands for.
    pub home: Option<&'a Path>,
    /// Relative paths start here: the directory of the first file.
    pub dir: &'a Path,
    /// What a bind in the long syntax does where it does not say.
    pub defaults: HostPathDefaults,
}

/// Whether Docker makes a missing source of the long syntax that has no `create_host_path`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostPathDefaults {
    /// With `bind:`.
    pub with_bind: bool,
    /// Without `bind:`.
    pub without_bind: bool,
}

impl HostPathDefaults {
    /// As the specification has it, and Docker Compose since 5.0.
    pub const SPECIFICATION: HostPathDefaults = HostPathDefaults {
        with_bind: true,
        without_bind: true,
    };

    /// As what `docker compose config` prints means it, by the text of `docker compose version --short`. From 5.0 on
    /// (compose-go 2.10) it leaves out what is true; before, what is false. From 2.36 on a bind without `bind:` goes the way
    /// of the short syntax (docker/compose `bindRequiresMountAPI`).
    pub fn of_version(text: &str) -> HostPathDefaults {
        let mut numbers = text.trim().trim_start_matches('v').split(['.', '-', '+']);
        let mut number = || numbers.next().and_then(|it| it.parse::<u32>().ok());
        let version = (number().unwrap_or(0), number().unwrap_or(0));
        HostPathDefaults {
            with_bind: version >= (5, 0),
            without_bind: version >= (2, 36),
        }
    }
}

/// Which of the services are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Active profiles.
    pub profiles: Vec<String>,
    /// These services alone; none: all that are active.
    pub services: Vec<String>,
}

/// The services, in the order of the files.
///
/// # Errors
/// What cannot be resolved.
pub fn resolve(input: &Input<'_>, wanted: &Selection) -> Result<Vec<Service>, BindsError> {
    let mut project = RawProject::default();
    for path in input.files {
        let text = (input.read)(path)?;
        let file = shown(path);
        for top in yaml::documents(&text, &file)? {
            project.add(path, &top, input)?;
        }
    }
    let first = input.files.first().map(|path| shown(path));
    project.selected(&first.unwrap_or_default(), input, wanted)
}

/// A file, for messages.
pub(super) fn shown(path: &Path) -> String {
    escaped(path).to_string()
}

#[derive(Default)]
struct RawProject {
    name: Option<String>,
    services: IndexMap<String, RawService>,
    declared: Declared,
}

impl RawProject {
    /// One document over what is known.
    fn add(&mut self, path: &Path, top: &Node, input: &Input<'_>) -> Result<(), BindsError> {
        let file = shown(path);
        let reader = ComposeReader {
            file: &file,
            dir: input.dir,
            home: input.home,
            lookup: input.lookup,
            defaults: input.defaults,
        };
        if let Some(include) = top.get("include") {
            let reason = "include: is resolved by `docker compose` only. Install it, or name the files: --compose FILE --compose FILE";
            return Err(reader.bad(include, reason));
        }
        if top.entries().next().is_none() && top.data != yaml::Data::Null {
            return Err(reader.bad(top, "is not a Compose file"));
        }
        self.name = reader.text_of(top, "name")?.or(self.name.take());
        let place = ServiceFile {
            path,
            dir: input.dir,
            top,
        };
        for (name, _) in reader.map(top, "services")? {
            let service = read_extended(name, place, input)?;
            let known = self.services.entry(name.clone()).or_default();
            *known = std::mem::take(known).overridden(service);
        }
        self.declared.merge(Declared::read(top, &reader)?);
        Ok(())
    }

    fn selected(
        self,
        file: &str,
        input: &Input<'_>,
        wanted: &Selection,
    ) -> Result<Vec<Service>, BindsError> {
        for name in &wanted.services {
            if !self.services.contains_key(name) {
                let known: Vec<&str> = self.services.keys().map(String::as_str).collect();
                let known = known.join(", ");
                let reason = format!("has no service {name:?}; there are: {known:?}");
                return Err(BindsError::new(file, reason));
            }
        }
        let project = self.name.clone().map_or_else(
            || normalized(&input.dir.file_name().unwrap_or_default().to_string_lossy()),
            |name| normalized(&name),
        );
        let is_meant = |name: &String, service: &RawService| match &wanted.services[..] {
            [] => {
                let active = |profile: &String| wanted.profiles.contains(profile);
                let all = wanted.profiles.iter().any(|profile| profile == "*");
                service.profiles.is_empty() || all || service.profiles.iter().any(active)
            }
            named => named.contains(name),
        };
        let declared = &self.declared;
        self.services
            .into_iter()
            .filter(|(name, service)| is_meant(name, service))
            .map(|(name, service)| {
                finished(&name, service, declared, &project, file).map_err(|error| BindsError {
                    reason: format!("service {name:?}: {}", error.reason),
                    ..error
                })
            })
            .collect()
    }
}

/// A service, with what its mounts are.
fn finished(
    name: &str,
    raw: RawService,
    declared: &Declared,
    project: &str,
    file: &str,
) -> Result<Service, BindsError> {
    let mut service = Service {
        name: name.to_string(),
        // What `docker compose build` names it.
        image: raw.image.or_else(|| Some(format!("{project}-{name}"))),
        user: raw.user.filter(|user| !user.is_empty()),
        group_add: raw.group_add,
        uses_host_ids: raw.userns.as_deref() == Some("host"),
        namespaces: HostNamespaces {
            privileged: raw.privileged.unwrap_or_default(),
            network: raw.network.map(of_service).unwrap_or_default(),
            pid: raw.pid.map(of_service).unwrap_or_default(),
            ipc: raw.ipc.map(of_service).unwrap_or_default(),
            renamed_device: raw.renamed_device,
        },
        ..Service::default()
    };
    if let Some(mode) = raw.userns.filter(|mode| !mode.is_empty() && mode != "host") {
        let reason = format!("userns_mode {mode:?} is not known");
        return Err(BindsError::new(file, reason));
    }
    for mount in raw.mounts {
        match declared.resolve(mount, (file, project))? {
            Ok(bind) => service.binds.push(bind),
            Err(other) => service.other_mounts.push(other),
        }
    }
    Ok(service)
}

/// `service:web` is the container of that service, which goes by the name of the service here. What is shared neither with
/// the host nor with a container decides nothing, whatever its name is.
fn of_service(mode: String) -> String {
    match mode.strip_prefix("service:") {
        Some(name) => format!("container:{name}"),
        None if mode == "host" || mode.starts_with("container:") => mode,
        None => String::new(),
    }
}

/// As Compose makes a project's name (compose-go `NormalizeProjectName`).
fn normalized(name: &str) -> String {
    let name = name.to_lowercase();
    let kept = name.chars().filter(|letter| {
        letter.is_ascii_lowercase() || letter.is_ascii_digit() || matches!(letter, '_' | '-')
    });
    let name: String = kept.collect();
    name.trim_start_matches(['_', '-']).to_string()
}
