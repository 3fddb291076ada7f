//! Services that do not run with the ids of the map: refused together, with the options that name the others.

use crate::cli::args::BindsArgs;
use crate::cli::exit::Failure;
use crate::cli::output::text::shell_word;
use crate::volume::binds::Service;

/// Services that are not remapped, and the others.
#[derive(Default)]
pub(super) struct NotRemapped {
    /// Of each, why not.
    reasons: Vec<String>,
    /// The names of those that are.
    pub others: Vec<String>,
}

impl NotRemapped {
    /// A service with the host's user namespace.
    pub fn add_host_ids(&mut self, service: &Service) {
        let who = match service.is_podman {
            true => "Podman",
            false => "the daemon",
        };
        self.reasons.push(format!(
            "service {}: it has the host's user namespace, so {who} does not remap it: its ids are the host's own",
            service.name
        ));
    }

    /// A service that a remapped daemon does not start.
    pub fn add_obstacle(&mut self, service: &Service, why: &str, args: &BindsArgs) {
        let flag = match args.run_command {
            Some(_) => "--userns=host",
            None => "userns_mode: host",
        };
        self.reasons.push(format!(
            "service {}: it {why}, so a remapped daemon does not start it. With `{flag}` it would, and its ids would be the host's own",
            service.name
        ));
    }

    /// Refuses where there are any.
    pub fn check(mut self, args: &BindsArgs) -> Result<(), Failure> {
        if self.reasons.is_empty() {
            return Ok(());
        }
        if args.run_command.is_none() && !self.others.is_empty() {
            let others = self.others.iter();
            let others = others.map(|name| format!(" --service {}", shell_word(name.as_ref())));
            self.reasons.push(format!(
                "Name the others alone:{}",
                others.collect::<String>()
            ));
        }
        Err(Failure::refused(self.reasons.join("\n")))
    }
}
