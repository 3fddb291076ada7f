//! Asks `docker compose config`, where it is installed: it resolves files as `docker compose up` does, and needs no daemon.

mod child;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::caller::{REPLACED, doubt};
use super::compose::{HostPathDefaults, Input, Selection, resolve, shown};
use super::files::{absolute, project_dir};
use super::{BindsError, Service};
use child::{ComposeCommandError, Printed, output};

/// The services of Compose files, as `docker compose` resolves them; `None` where it is not installed.
///
/// # Errors
/// Its errors about the files; or a variable that is not known and is a part of a bind or a user.
pub fn ask_docker_compose(
    files: &[PathBuf],
    wanted: &Selection,
) -> Result<Option<Vec<Service>>, BindsError> {
    let files: Vec<PathBuf> = files
        .iter()
        .map(|file| absolute(file))
        .collect::<Result<_, _>>()?;
    let Some(version) = version() else {
        return Ok(None);
    };
    let project = Project {
        files: &files,
        wanted,
        defaults: HostPathDefaults::of_version(&version),
    };
    let file = files.first().map(|file| shown(file)).unwrap_or_default();
    let first = project.config(&[]);
    let first = first.map_err(|why| BindsError::new(&file, why.to_string()))?;
    let plain = project.services(&first.stdout);
    let mut doubtful: Vec<Doubtful> = unset_variables(&first.stderr)
        .into_iter()
        .map(Doubtful::not_set)
        .collect();
    doubtful.extend(REPLACED.iter().filter_map(|name| {
        let why = doubt(name)?;
        let name = name.to_string();
        Some(Doubtful { name, why })
    }));
    match project.what_matters(&plain, &doubtful) {
        Some(reason) => Err(BindsError::new(&file, reason)),
        None => plain.map(Some),
    }
}

/// A variable whose value is not known.
struct Doubtful {
    name: String,
    /// Why, and what helps.
    why: String,
}

impl Doubtful {
    fn not_set(name: String) -> Doubtful {
        let why = format!(
            "the variable {name} is not set. Set it in .env beside the file or in the environment (sudo drops it: `sudo {name}=… idshift …`)"
        );
        Doubtful { name, why }
    }

    /// A text that stands nowhere else.
    fn marked(&self) -> String {
        match &self.name[..] {
            // Only an absolute one is a home.
            "HOME" => "/idshift-not-known-HOME".into(),
            name => format!("idshift-not-known-{name}-"),
        }
    }

    /// Values to try, for what takes any text, a port, an address, a switch, a duration or a size.
    fn values(&self) -> impl Iterator<Item = String> {
        let others = ["40917", "127.31.40.17", "true", "41s", "41m"];
        std::iter::once(self.marked()).chain(others.map(String::from))
    }
}

/// The version of Docker Compose; `None` where it is not installed.
fn version() -> Option<String> {
    let asked = Command::new("docker")
        .args(["compose", "version", "--short"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&asked.stdout).into_owned();
    asked.status.success().then_some(text)
}

/// Files, and the services of them that are meant.
struct Project<'a> {
    files: &'a [PathBuf],
    wanted: &'a Selection,
    defaults: HostPathDefaults,
}

impl Project<'_> {
    /// Why the services are not known: one of these variables would change them. Docker Compose takes an empty text for what
    /// is not set, and what `sudo` says for what it replaces. Whether that matters is seen by giving other values.
    fn what_matters(
        &self,
        plain: &Result<Vec<Service>, BindsError>,
        doubtful: &[Doubtful],
    ) -> Option<String> {
        let first = doubtful.first()?;
        let all: Vec<_> = doubtful.iter().map(|it| (it, it.marked())).collect();
        let together = self.config(&all).map(|it| self.services(&it.stdout));
        if together.as_ref().is_ok_and(|with| with == plain) {
            return None;
        }
        for variable in doubtful {
            let mut values = variable.values();
            let found = values.find_map(|value| self.config(&[(variable, value)]).ok());
            let Some(printed) = found else {
                return Some(format!(
                    "{}. Docker Compose takes none of the values that were tried, so it is not known whether a bind or a user depends on it",
                    variable.why
                ));
            };
            let with = self.services(&printed.stdout);
            if with != *plain {
                return Some(about(plain, &with, &variable.why));
            }
        }
        let with = together.ok()?;
        Some(about(plain, &with, &first.why))
    }

    fn config(&self, variables: &[(&Doubtful, String)]) -> Result<Printed, ComposeCommandError> {
        let mut command = Command::new("docker");
        command.arg("compose");
        for file in self.files {
            command.arg("-f").arg(file);
        }
        for profile in &self.wanted.profiles {
            command.args(["--profile", profile]);
        }
        command.args(["config", "--format", "json", "--"]);
        command.args(&self.wanted.services);
        for (variable, value) in variables {
            command.env(&variable.name, value);
        }
        if std::env::var_os("DOCKER_CONFIG").is_none()
            && let Some(home) = std::env::var_os("HOME")
        {
            // Another HOME must not hide the plugin.
            command.env("DOCKER_CONFIG", Path::new(&home).join(".docker"));
        }
        let (printed, succeeded) = output(command)?;
        match succeeded {
            true => Ok(printed),
            false => {
                let said: Vec<&str> = printed
                    .stderr
                    .lines()
                    .filter(|it| !it.contains("level=warning"))
                    .collect();
                Err(ComposeCommandError::Failed(said.join("; ")))
            }
        }
    }

    /// Reads its JSON, which is YAML: paths are absolute, and a dollar sign is written `$$`.
    fn services(&self, json: &str) -> Result<Vec<Service>, BindsError> {
        let read = |_: &Path| Ok(json.to_string());
        let dir = project_dir(self.files);
        let input = Input {
            files: &self.files[..1],
            read: &read,
            lookup: &|_| None,
            home: None,
            dir: &dir,
            defaults: self.defaults,
        };
        let all = Selection {
            profiles: vec!["*".into()],
            services: self.wanted.services.clone(),
        };
        // Lines of what was printed help nobody.
        resolve(&input, &all).map_err(|error| BindsError {
            line: None,
            ..error
        })
    }
}

/// The reason, with the first service that another value changes.
fn about(
    plain: &Result<Vec<Service>, BindsError>,
    with: &Result<Vec<Service>, BindsError>,
    why: &str,
) -> String {
    let (Ok(plain), Ok(with)) = (plain, with) else {
        return why.to_string();
    };
    let mut pairs = plain.iter().zip(with);
    match pairs.find(|(one, other)| one != other) {
        Some((service, _)) => format!("service {:?}: {why}", service.name),
        None => why.to_string(),
    }
}

/// The variables of `The "NAME" variable is not set. Defaulting to a blank string.`
fn unset_variables(stderr: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (at, _) in stderr.match_indices(" variable is not set") {
        let before = stderr[..at].trim_end_matches(['"', '\\']);
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let start = before
            .rfind(|letter| !is_part(letter))
            .map_or(0, |at| at + 1);
        let name = before[start..].to_string();
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unset_variables_are_found_in_warnings() {
        let stderr = "time=\"x\" level=warning msg=\"The \\\"A_1\\\" variable is not set. Defaulting to a blank string.\"\n\
                      WARN[0000] The \"B\" variable is not set. Defaulting to a blank string.\n\
                      WARN[0000] The \"B\" variable is not set.\n";
        assert_eq!(unset_variables(stderr), ["A_1", "B"]);
    }
}
