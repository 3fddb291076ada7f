//! What an operator does next, before the daemon is started.

use std::path::Path;

use super::{DaemonJson, DaemonStart, OptionSource};
use crate::docker::guidance::this_data_root;
use crate::fs::escape::{escaped, shell_word};
use crate::idmap::Direction;

impl DaemonStart {
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
                _ => format!(" and {}", this_data_root(data_root)),
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
                "Remove --userns-remap={} from {}{}. Then start the daemon on {root}.",
                said.value,
                said.source,
                reload(&said.source)
            ),
            (Direction::Into, None) if self.sets_userns_remap(Some(remap_to)) => {
                format!("Now start the daemon on {root}: {file} has userns-remap.")
            }
            (Direction::OutOf, None) if self.sets_userns_remap(None) => {
                format!("Now start the daemon on {root}: {file} has no userns-remap.")
            }
            (Direction::Into, None) => format!(
                "Now start the daemon on {root} with --userns-remap={remap_to}, or with \"userns-remap\": \"{remap_to}\" in {file}."
            ),
            (Direction::OutOf, None) => format!(
                "Now start the daemon on {root} without --userns-remap, and without \"userns-remap\" in {file}."
            ),
        }
    }

    /// Whether the daemon's own file has this `userns-remap` already.
    fn sets_userns_remap(&self, wanted: Option<&str>) -> bool {
        let settings = DaemonJson::read(&self.config);
        !self.is_other && settings.is_ok_and(|it| it.userns_remap.as_deref() == wanted)
    }
}

/// What systemd has to be told after that file was changed.
pub(super) fn reload(source: &OptionSource) -> &'static str {
    match source {
        OptionSource::File(path) if path.to_string_lossy().contains("/systemd/") => {
            ", then systemctl daemon-reload"
        }
        _ => "",
    }
}
