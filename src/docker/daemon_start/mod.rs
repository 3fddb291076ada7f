//! How dockerd is started on this host: its command line and the configuration file that it reads.
//!
//! - `unit`: `docker.service` with its drop-ins and environment files
//! - `unit_syntax`: their lines, words and variables
//! - `init_script`: what scripts of other init systems read
//! - `command_line`: the options of dockerd that matter here
//! - `sources`: the daemon that runs, and the snap
//! - [`image_options`]: what it is told of where images are
//! - `config_checks`: whether its configuration file can be written
//! - `next_steps`: what is left to do before it is started

mod command_line;
mod config_checks;
pub mod image_options;
mod init_script;
mod next_steps;
mod sources;
mod unit;
mod unit_syntax;

use std::fs;
use std::path::{Path, PathBuf};

use super::DockerError;
use super::daemon_json::{self, DaemonJson};
use crate::fs::escape::escaped;
use command_line::{OptionValue, Options};

/// One word of a command line, and what says it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Word {
    text: String,
    source: OptionSource,
}

/// What says an option.
#[derive(Clone, Debug, PartialEq, Eq)]
enum OptionSource {
    /// A unit, a drop-in, an environment file.
    File(PathBuf),
    /// A process that runs.
    Process(u32),
    /// The snap's own start script.
    Snap,
}

impl std::fmt::Display for OptionSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            OptionSource::File(path) => write!(f, "{}", escaped(path)),
            OptionSource::Process(pid) => write!(f, "the command line of process {pid} (dockerd)"),
            OptionSource::Snap => write!(f, "the docker snap"),
        }
    }
}

/// The command line of the host's containerd, as its unit has it; none where there is no such unit.
pub fn containerd_command_line() -> Vec<String> {
    let words = unit::service("containerd").unwrap_or_default();
    words.into_iter().map(|word| word.text).collect()
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
        let words = sources::running()
            .or_else(unit::docker_service)
            .or_else(sources::snap)
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
        settings.storage_driver = value(&self.options.storage_driver).or(settings.storage_driver);
        Ok(settings)
    }

    /// Whether this host's docker.service starts a daemon on this data-root.
    pub fn is_service_on(&self, data_root: &Path) -> bool {
        !self.is_other && unit::is_there() && self.check_data_root(data_root).is_ok()
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
