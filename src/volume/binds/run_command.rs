//! A `docker run` command line as it is pasted: which host paths the container gets, and as whom it runs.

mod mount_flag;

use std::path::Path;

use super::host_namespaces::renamed_device;
use super::run_flags::{long_name, takes_value};
use super::volume_syntax::{clean, is_path, split};
use super::{Bind, BindsError, DOCKER_SOCKET, NamedVolume, OtherMount, Service};
use mount_flag::take_mount;

/// Longer command lines are none.
const MOST: usize = 128 << 10;

/// Reads a command line; relative paths start from `dir`.
///
/// # Errors
/// It is none of `docker run`, or something of it cannot be resolved.
pub fn read_run_command(text: &str, dir: &Path) -> Result<Service, BindsError> {
    if text.len() > MOST {
        return Err(bad("it is too long"));
    }
    let words = shell_words::split(text).map_err(|_| bad("its quotes do not end"))?;
    if let Some(operator) = shell_operator(text.trim()) {
        return Err(bad(format!(
            "{operator:?} is outside of quotes. Give one command alone, without pipes and redirections"
        )));
    }
    let mut words = words.into_iter();
    let is_podman = leading_words(&mut words)? != Program::Docker;
    let mut reading = Reading {
        dir,
        service: Service {
            name: "run".into(),
            is_podman,
            ..Service::default()
        },
    };
    while let Some(word) = words.next() {
        match word.strip_prefix('-') {
            Some("-") => {
                reading.service.image = words.next();
                break;
            }
            Some("") | None => {
                reading.service.image = Some(word);
                break;
            }
            Some(flag) => reading.flag(flag, &mut words)?,
        }
    }
    match &reading.service.image {
        None => Err(bad("it names no image")),
        Some(image) => {
            written_out("the image", image)?;
            Ok(reading.service)
        }
    }
}

fn bad(reason: impl Into<String>) -> BindsError {
    BindsError::new("--run", reason)
}

/// The first character outside of quotes that ends a command, or gives it other input or output (`sh(1)`).
fn shell_operator(text: &str) -> Option<char> {
    let mut quote = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (None | Some('"'), '\\') => _ = letters.next(),
            (None, '\'' | '"') => quote = Some(letter),
            (Some(open), _) if open == letter => quote = None,
            (None, ';' | '&' | '|' | '<' | '>' | '(' | ')' | '\n') => return Some(letter),
            _ => {}
        }
    }
    None
}

/// What a command line starts. Podman gives containers other ids than Docker's daemon, and root's other ones than a user's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// Docker, whoever calls it.
    Docker,
    /// The Podman of whoever runs the command.
    Podman,
    /// Root's Podman: `sudo podman`.
    SudoPodman,
}

/// The program of a command line; `None` where it is none of those.
pub fn program(text: &str) -> Option<Program> {
    let words = shell_words::split(text).ok()?;
    leading_words(&mut words.into_iter()).ok()
}

/// Whether a command line is one of Podman.
pub fn is_podman(text: &str) -> bool {
    program(text).is_some_and(|program| program != Program::Docker)
}

/// The program of `docker run`, `sudo docker container create`, `podman run`.
fn leading_words(words: &mut impl Iterator<Item = String>) -> Result<Program, BindsError> {
    let mut next = || words.next().unwrap_or_default();
    let mut word = next();
    let is_sudo = word == "sudo";
    if is_sudo {
        word = next();
    }
    let program = Path::new(&word).file_name().unwrap_or_default();
    let known = match program.to_str() {
        Some("docker") => Some(Program::Docker),
        Some("podman") if is_sudo => Some(Program::SudoPodman),
        Some("podman") => Some(Program::Podman),
        _ => None,
    };
    let mut word = next();
    if word == "container" {
        word = next();
    }
    match known.filter(|_| word == "run" || word == "create") {
        Some(program) => Ok(program),
        None => Err(bad(
            "it does not begin with `docker run` or `docker create`. Paste the whole command in quotes",
        )),
    }
}

/// Refuses text that a shell would replace.
fn written_out(what: &str, text: &str) -> Result<(), BindsError> {
    match text.contains(['$', '`']) || text.starts_with('~') {
        true => Err(bad(format!(
            "{what} {text:?} has something that a shell replaces. Write the value itself, or put --run in \
            double quotes"
        ))),
        false => Ok(()),
    }
}

/// Flags of `podman run` that give the container ids, or a root directory, of its own.
const OTHER_IDS: &[&str] = &[
    "gidmap",
    "pod",
    "pod-id-file",
    "rootfs",
    "subgidname",
    "subuidname",
    "uidmap",
];

struct Reading<'a> {
    dir: &'a Path,
    service: Service,
}

impl Reading<'_> {
    /// One word of flags, without its first dash.
    fn flag(
        &mut self,
        flag: &str,
        words: &mut impl Iterator<Item = String>,
    ) -> Result<(), BindsError> {
        let Some(long) = flag.strip_prefix('-') else {
            return self.letters(flag, words);
        };
        if let Some((name, value)) = long.split_once('=') {
            return self.take(name, value);
        }
        let missing = || bad(format!("--{long} has no value"));
        match takes_value(long) {
            Some(true) => self.take(long, &words.next().ok_or_else(missing)?),
            Some(false) => self.take(long, "true"),
            None => Err(bad(format!(
                "--{long} is not known; where it takes a value, write --{long}=VALUE, else leave it out"
            ))),
        }
    }

    /// `-it`, `-v/a:/b`, `-u 33`, `-itv /a:/b`, `-u=33`
    fn letters(
        &mut self,
        flag: &str,
        words: &mut impl Iterator<Item = String>,
    ) -> Result<(), BindsError> {
        let mut rest = flag.chars();
        while let Some(letter) = rest.next() {
            let name =
                long_name(letter).ok_or_else(|| bad(format!("the flag -{letter} is not known")))?;
            let after = rest.as_str();
            if takes_value(name) == Some(true) {
                let value = match after.strip_prefix('=').unwrap_or(after) {
                    "" => words.next(),
                    value => Some(value.to_string()),
                };
                let value = value.ok_or_else(|| bad(format!("-{letter} has no value")))?;
                return self.take(name, &value);
            }
            if after.starts_with('=') {
                return Ok(());
            }
        }
        Ok(())
    }

    /// A flag with its value: those that matter.
    fn take(&mut self, name: &str, value: &str) -> Result<(), BindsError> {
        let matters = [
            "volume",
            "mount",
            "user",
            "group-add",
            "userns",
            "tmpfs",
            "volumes-from",
            "use-api-socket",
            "privileged",
            "network",
            "net",
            "pid",
            "ipc",
            "device",
        ];
        if OTHER_IDS.contains(&name) {
            return Err(self.other_ids(&format!("--{name}")));
        }
        if !matters.contains(&name) {
            return Ok(());
        }
        written_out(&format!("--{name}"), value)?;
        let service = &mut self.service;
        match name {
            "user" => service.user = (!value.is_empty()).then(|| value.to_string()),
            "group-add" => service.group_add.push(value.to_string()),
            "userns" if value == "host" => service.uses_host_ids = true,
            "userns" if value.is_empty() => {}
            "userns" => {
                return Err(self.other_ids(&format!("--userns={value:?}")));
            }
            "tmpfs" => service.other_mounts.push(OtherMount {
                what: "tmpfs".into(),
                target: value.split(':').next().unwrap_or_default().to_string(),
                volume: None,
            }),
            "volumes-from" => {
                return Err(bad(format!(
                    "--volumes-from {value:?}: the volumes of another container are not followed. Leave it out, and check them with \
                     --container"
                )));
            }
            "privileged" => service.namespaces.privileged = matches!(value, "true" | "1"),
            "network" | "net" => {
                let value = value.strip_prefix("name=").unwrap_or(value);
                service.namespaces.network = value.split(',').next().unwrap_or_default().into();
            }
            "pid" => service.namespaces.pid = value.into(),
            "ipc" => service.namespaces.ipc = value.into(),
            "device" => {
                let renamed = renamed_device(value);
                service.namespaces.renamed_device =
                    service.namespaces.renamed_device.take().or(renamed);
            }
            "use-api-socket" if value == "false" => {}
            "use-api-socket" => service.binds.push(api_socket()),
            "volume" => self.volume(value)?,
            _ => take_mount(&mut self.service, value, self.dir)?,
        }
        Ok(())
    }

    /// The refusal of a flag that gives the container ids of its own.
    fn other_ids(&self, flag: &str) -> BindsError {
        bad(match self.service.is_podman {
            true => format!(
                "{flag}: its ids are not those that Podman gives by default. Leave the flag out, and name the map of the container: \
                 --map or --map-from"
            ),
            false => format!(
                "{flag}: its ids are not those of the daemon's map. Only a container that the daemon remaps can be tried"
            ),
        })
    }

    fn volume(&mut self, value: &str) -> Result<(), BindsError> {
        let volume = split(value).map_err(|reason| bad(format!("--volume: {reason}")))?;
        if volume.is_idmapped {
            return Err(idmapped(value));
        }
        let target = volume.target.to_string();
        match volume.source {
            Some(path) if is_path(path) => self.service.binds.push(Bind {
                source: clean(self.dir, path),
                target,
                read_only: volume.read_only,
                // Podman does not start a container then (podman-run(1), --volume).
                creates_source: !self.service.is_podman,
                ..Bind::default()
            }),
            source => self.service.other_mounts.push(OtherMount {
                what: match source {
                    Some(name) => format!("volume {name}"),
                    None => "anonymous volume".into(),
                },
                target,
                volume: source.map(|name| NamedVolume {
                    name: name.to_string(),
                    read_only: volume.read_only,
                    subpath: None,
                }),
            }),
        }
        Ok(())
    }
}

fn idmapped(value: &str) -> BindsError {
    bad(format!(
        "{value:?}: `idmap` gives this mount a map of its own, which is not known here. Check the directory by its path, with --map"
    ))
}

fn api_socket() -> Bind {
    Bind {
        source: DOCKER_SOCKET.into(),
        target: DOCKER_SOCKET.into(),
        ..Bind::default()
    }
}

#[cfg(test)]
mod tests;
