//! Whether the daemon's configuration file can be written: it would start with it, on this data-root.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::command_line::OptionValue;
use super::next_steps::reload;
use super::{DaemonJson, DaemonStart};
use crate::docker::{DockerError, daemon_json, data_root as data_roots, guidance};
use crate::fs::escape::escaped;
use crate::host::runtime;
use crate::idmap::Direction;

impl DaemonStart {
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
            (
                "storage-driver",
                &self.options.storage_driver,
                &settings.storage_driver,
            ),
            (
                "containerd-namespace",
                &self.options.containerd_namespace,
                &settings.containerd_namespace,
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
            "sets {name}, and so does {} (--{name}): dockerd does not start with both. Remove one of them",
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
                     There, {to}{}, and {}",
                    said.source,
                    said.value,
                    reload(&said.source),
                    guidance::AGAIN_NO_DAEMON_JSON
                );
                return Err(DockerError::in_the_way(&self.config, why));
            }
        }
        // That it can be rewritten.
        daemon_json::text_with(&self.config, remap)?;
        self.validate(&daemon_json::text_with(&self.config, None)?)?;
        Ok(true)
    }

    /// That the daemon which reads the file is on this data-root.
    pub(super) fn check_data_root(&self, data_root: &Path) -> Result<(), DockerError> {
        if self.is_other {
            return Ok(());
        }
        let its = data_roots::find(None, &self.settings()?);
        let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        if real(&its) == real(data_root) {
            return Ok(());
        }
        let said = self.options.data_root.as_ref();
        let said = said.map_or(escaped(&self.config).to_string(), |it| {
            it.source.to_string()
        });
        let why = format!(
            "is not written: the daemon that reads it uses the data-root {} (from {said}), not {}. {}",
            escaped(&its),
            escaped(data_root),
            guidance::OTHER_DAEMON_JSON
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
}
