//! `docker migrate` and `docker revert`, as the command line has them.

use crate::cli::args::{MigrateArgs, MigrationArgs, RevertArgs, UndatedArg};
use crate::docker::idmapped::UndatedOwners;
use crate::idmap::Direction;

/// A migration or a revert, as the command line has it.
pub struct MigrationCommand<'a> {
    pub(super) direction: Direction,
    pub(super) args: &'a MigrationArgs,
    pub(super) idmapped: bool,
    pub(super) copy: bool,
    pub(super) write_daemon_json: bool,
    pub(super) set_userns_host: bool,
    pub(super) bind_mounts: bool,
    pub(super) allow_home: bool,
    pub(super) undated: Option<UndatedOwners>,
}

impl<'a> From<&'a MigrateArgs> for MigrationCommand<'a> {
    fn from(args: &'a MigrateArgs) -> MigrationCommand<'a> {
        MigrationCommand {
            direction: Direction::Into,
            args: &args.both,
            idmapped: args.idmapped,
            copy: args.copy,
            write_daemon_json: args.write_daemon_json,
            set_userns_host: args.set_userns_host,
            bind_mounts: args.bind_mounts,
            allow_home: args.allow_home,
            undated: None,
        }
    }
}

impl<'a> From<&'a RevertArgs> for MigrationCommand<'a> {
    fn from(args: &'a RevertArgs) -> MigrationCommand<'a> {
        MigrationCommand {
            direction: Direction::OutOf,
            idmapped: false,
            args: &args.both,
            copy: false,
            write_daemon_json: args.write_daemon_json,
            set_userns_host: false,
            bind_mounts: args.bind_mounts,
            // Accounts get back what is theirs.
            allow_home: true,
            undated: args.undated.map(|undated| match undated {
                UndatedArg::Keep => UndatedOwners::Keep,
                UndatedArg::GiveBack => UndatedOwners::GiveBack,
            }),
        }
    }
}
