//! How dockerd is started on this host: its command line and the configuration file that it reads.
//!
//! - `unit`: `docker.service` with its drop-ins and environment files
//! - `unit_syntax`: their lines, words and variables
//! - `init_script`: what scripts of other init systems read
//! - `command_line`: the options of dockerd that matter here

mod command_line;
mod init_script;
mod unit;
mod unit_syntax;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::DockerError;
use super::daemon_json::{self, DaemonJson};
use crate::fs::escape::{escaped, shell_word};
use crate::host::runtime;
use crate::idmap::Direction;
use command_line::{OptionValue, Options};

/// Where the snap keeps its configuration and its data.
const SNAP_CONFIG: &str = "/var/snap/docker/current/config/daemon.json";
const SNAP_DATA: &str = "/var/snap/docker/common/var-lib-docker";

/// One word of a command line, and what says it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Word {
    text: String,
    source: Source,
}

/// What says an option.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    /// A unit, a drop-in, an environment file.
    File(PathBuf),
    /// A process that runs.
    Process(u32),
    /// The snap's own start script.
    Snap,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::File(path) => write!(f, "{}", escaped(path)),
            Source::Process(pid) => write!(f, "the command line of process {pid} (dockerd)"),
            Source::Snap => write!(f, "the docker snap"),
        }
    }
}

/// How dockerd is started.
#[derive(Clone, Debug, Default)]
pub struct DaemonStart {
    options: Options,
    /// The configuration file.
    pub config: PathBuf,
    /// The file was named by the operator, and is none that the dockerd of this host reads.
    is_other: bool,
}

impl DaemonStart {
    /// On this host; `daemon_json` is the configuration file that the operator names.
    pub fn of_host(daemon_json: Option<&Path>) -> DaemonStart {
        let words = running()
            .or_else(unit::docker_service)
            .or_else(snap)
            .or_else(init_script::command_line);
        let words = words.unwrap_or_default();
        let options = Options::of(&words);
        let said = options.config_file.as_ref();
        let config = said.map_or(daemon_json::DEFAULT_PATH.into(), |it| {
            PathBuf::from(&it.value)
        });
        let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        match daemon_json {
            Some(path) if real(path) != real(&config) => DaemonStart {
                config: path.to_path_buf(),
                is_other: true,
                ..DaemonStart::default()
            },
            _ => DaemonStart {
                options,
                config,
                is_other: false,
            },
        }
    }

    /// What the daemon goes by: its command line, and the configuration file for what that does not say.
    ///
    /// # Errors
    /// The file cannot be read as dockerd would.
    pub fn settings(&self) -> Result<DaemonJson, DockerError> {
        let mut settings = DaemonJson::read(&self.config)?;
        let value = |said: &Option<OptionValue>| said.as_ref().map(|it| it.value.clone());
        settings.data_root = value(&self.options.data_root).or(settings.data_root);
        settings.userns_remap = value(&self.options.userns_remap).or(settings.userns_remap);
        Ok(settings)
    }

    /// Refuses options that are given twice: dockerd does not start then.
    ///
    /// # Errors
    /// Names the option and both places.
    pub fn check(&self) -> Result<(), DockerError> {
        let settings = DaemonJson::read(&self.config)?;
        let both = [
            ("data-root", &self.options.data_root, &settings.data_root),
            (
                "userns-remap",
                &self.options.userns_remap,
                &settings.userns_remap,
            ),
        ];
        for (name, said, also) in both {
            if let (Some(said), true) = (said, also.is_some()) {
                return Err(self.twice(name, said));
            }
        }
        Ok(())
    }

    fn twice(&self, name: &str, said: &OptionValue) -> DockerError {
        let why = format!(
            "sets {name}, and so does {} (--{name}): dockerd does not start with both. Take one of them out",
            said.source
        );
        DockerError::in_the_way(&self.config, why)
    }

    /// Whether `userns-remap` has to be written into the configuration file.
    ///
    /// # Errors
    /// The daemon would not start with it, or on another data-root, or as it should not.
    pub fn check_write(
        &self,
        direction: Direction,
        remap_to: &str,
        data_root: &Path,
    ) -> Result<bool, DockerError> {
        self.check()?;
        self.check_data_root(data_root)?;
        let remap = (direction == Direction::Into).then_some(remap_to);
        match (&self.options.userns_remap, remap) {
            (None, _) => {}
            (Some(said), Some(remap)) if said.value == remap => return Ok(false),
            (Some(said), _) => {
                let to = match remap {
                    Some(remap) => format!("change it to {remap}"),
                    None => "take it out".to_string(),
                };
                let why = format!(
                    "is not written: {} has --userns-remap={}, and an option in both places stops dockerd. \
                     There, {to}{}, and run this again without --write-daemon-json",
                    said.source,
                    said.value,
                    reload(&said.source)
                );
                return Err(DockerError::in_the_way(&self.config, why));
            }
        }
        // That it can be rewritten.
        daemon_json::text_with(&self.config, remap)?;
        self.validate(&daemon_json::text_with(&self.config, None)?)?;
        Ok(true)
    }

    /// Whether this host's docker.service starts a daemon on this data-root.
    pub fn is_service_on(&self, data_root: &Path) -> bool {
        !self.is_other && unit::is_there() && self.check_data_root(data_root).is_ok()
    }

    /// That the daemon which reads the file is on this data-root.
    fn check_data_root(&self, data_root: &Path) -> Result<(), DockerError> {
        if self.is_other {
            return Ok(());
        }
        let its = super::data_root::find(None, &self.settings()?);
        let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        if real(&its) == real(data_root) {
            return Ok(());
        }
        let said = self.options.data_root.as_ref();
        let said = said.map_or(escaped(&self.config).to_string(), |it| {
            it.source.to_string()
        });
        let why = format!(
            "is not written: the daemon that reads it starts on {} as {said} has it, not on {}. Run this again without \
             --write-daemon-json, and set userns-remap where that daemon gets its options",
            escaped(&its),
            escaped(data_root)
        );
        Err(DockerError::in_the_way(&self.config, why))
    }

    /// Asks dockerd itself, from 23 on. The text is without `userns-remap`: for `default`, a dockerd that only
    /// validates makes the user too (seen with 26.1.5).
    fn validate(&self, text: &str) -> Result<(), DockerError> {
        let knows = runtime::dockerd().is_some_and(|docker| docker.major() >= Some(23));
        if !knows {
            return Ok(());
        }
        let io = |error| DockerError::io(&self.config)(error);
        let mut file = std::env::temp_dir().join(format!("idshift-daemon-{}", std::process::id()));
        file.set_extension("json");
        let mut options = fs::OpenOptions::new();
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut handle = options
            .write(true)
            .create_new(true)
            .open(&file)
            .map_err(io)?;
        let written = handle.write_all(text.as_bytes());
        let mut dockerd = Command::new("dockerd");
        dockerd.arg("--validate").arg("--config-file").arg(&file);
        let others = self.options.both();
        for (name, said) in others.filter(|(name, _)| *name != "userns-remap") {
            dockerd.arg(format!("--{name}={}", said.value));
        }
        let output = dockerd.stdin(Stdio::null()).output();
        let _ = fs::remove_file(&file);
        written.map_err(io)?;
        let output = output.map_err(io)?;
        match output.status.success() {
            true => Ok(()),
            false => {
                let said = String::from_utf8_lossy(&output.stderr);
                let said = said.trim().replace(&*file.to_string_lossy(), "it");
                let why = format!(
                    "is not written: dockerd --validate says: {said}. Correct the file first"
                );
                Err(DockerError::in_the_way(&self.config, why))
            }
        }
    }

    /// What is left to do before the daemon is started on what there is now.
    pub fn next(
        &self,
        direction: Direction,
        written: bool,
        remap_to: &str,
        data_root: &Path,
    ) -> String {
        let file = escaped(&self.config);
        let root = escaped(data_root);
        let said = self.options.userns_remap.as_ref();
        if written && self.is_other {
            let more = match DaemonJson::read(&self.config) {
                Ok(settings) if settings.data_root.is_some() => String::new(),
                _ => format!(" and --data-root {}", shell_word(data_root)),
            };
            return format!(
                "Now start the daemon with --config-file {}{more}.",
                shell_word(&self.config)
            );
        }
        match (direction, said) {
            (Direction::Into, None) if written => {
                format!("Now start the daemon: {file} has userns-remap.")
            }
            (Direction::OutOf, None) if written => {
                format!("Now start the daemon: {file} has no userns-remap any more.")
            }
            (Direction::Into, Some(said)) if said.value == remap_to => format!(
                "Now start the daemon on {root}: {} has --userns-remap={remap_to}, and {file} stays as it is.",
                said.source
            ),
            (Direction::Into, Some(said)) => format!(
                "Change --userns-remap={} to {remap_to} in {}{}. Then start the daemon on {root}.",
                said.value,
                said.source,
                reload(&said.source)
            ),
            (Direction::OutOf, Some(said)) => format!(
                "Take --userns-remap={} out of {}{}. Then start the daemon on {root}.",
                said.value,
                said.source,
                reload(&said.source)
            ),
            (Direction::Into, None) => format!(
                "Now start the daemon on {root} with --userns-remap={remap_to}, or with \"userns-remap\": \"{remap_to}\" in {file}."
            ),
            (Direction::OutOf, None) => format!(
                "Now start the daemon on {root} without --userns-remap, and without \"userns-remap\" in {file}."
            ),
        }
    }

    /// Where the command line comes from and what of it matters, for people; `None` where it says nothing.
    pub fn words(&self) -> Option<String> {
        let all = self.options.all();
        let all: Vec<String> = all
            .map(|(name, said)| format!("--{name}={} ({})", said.value, said.source))
            .collect();
        (!all.is_empty()).then(|| all.join(", "))
    }
}

fn reload(source: &Source) -> &'static str {
    match source {
        Source::File(path) if path.to_string_lossy().contains("/systemd/") => {
            ", then systemctl daemon-reload"
        }
        _ => "",
    }
}

/// The command line of the one dockerd that runs and sees the files that this program sees.
fn running() -> Option<Vec<Word>> {
    let mounts = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
    let own = mounts("self")?;
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(pid) = name.parse::<u32>() else {
            continue;
        };
        let comm = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
        if comm == b"dockerd\n" && mounts(&name).as_ref() == Some(&own) {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words = line.split(|byte| *byte == 0).map(|word| Word {
                text: String::from_utf8_lossy(word).into_owned(),
                source: Source::Process(pid),
            });
            found.push(words.collect::<Vec<Word>>());
        }
    }
    // Which of several is meant, nobody knows.
    match found.len() {
        1 => found.pop(),
        _ => None,
    }
}

/// As the snap starts it (`bin/dockerd-wrapper` of docker-snap).
fn snap() -> Option<Vec<Word>> {
    Path::new(SNAP_DATA).is_dir().then(|| {
        let word = |text: String| Word {
            text,
            source: Source::Snap,
        };
        vec![
            word("dockerd".into()),
            word(format!("--config-file={SNAP_CONFIG}")),
            word(format!("--data-root={SNAP_DATA}")),
        ]
    })
}
