//! `idshift docker migrate --rootless`, `idshift docker revert --rootless`

use std::path::{Path, PathBuf};

use super::refused;
use super::rootless_notes::{driver_note, notes, question};
use crate::cli::args::{Immutable, MigrateArgs, MigrationArgs, RevertArgs};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::json::Invocation;
use crate::cli::store_move::{CutShort, MoveArgs, MoveCommand};
use crate::docker::data_root::DockerRoot;
use crate::docker::migrate::DaemonTarget;
use crate::docker::rootless::plan::{ENGINE, RootlessMove, RootlessRequest};
use crate::docker::rootless::user_config::UserConfig;
use crate::idmap::Direction;
use crate::store_move::copied_move::unfinished_copy;
use crate::store_move::request::MoveOptions;
use crate::store_move::user::RootlessUser;

/// From the plain data-root to the user's.
pub fn migrate(
    user: &str,
    args: &MigrateArgs,
    invocation: &mut Invocation,
) -> Result<Exit, Failure> {
    let options = RootlessOptions {
        user,
        rootless_root: args.rootless.to.as_deref(),
        direction: Direction::Into,
        copy: args.copy,
    };
    run(&options, &args.both, invocation)
}

/// From the user's data-root to the plain one.
pub fn revert(user: &str, args: &RevertArgs, invocation: &mut Invocation) -> Result<Exit, Failure> {
    if args.both.obstacles.guarded.immutable == Immutable::Clear {
        let why = "--immutable=clear is not for what a user may have made immutable: `chattr -i` it as root, if it is right";
        return Err(Failure::usage(why));
    }
    let options = RootlessOptions {
        user,
        rootless_root: args.rootless.from.as_deref(),
        direction: Direction::OutOf,
        copy: false,
    };
    run(&options, &args.both, invocation)
}

/// What is asked, beside what both ways have in common.
struct RootlessOptions<'a> {
    user: &'a str,
    rootless_root: Option<&'a Path>,
    direction: Direction,
    copy: bool,
}

fn run(
    options: &RootlessOptions<'_>,
    args: &MigrationArgs,
    invocation: &mut Invocation,
) -> Result<Exit, Failure> {
    let limits = args.execution.limits.apply().map_err(Failure::refused)?;
    let (request, config) = request(options, args)?;
    let (now, user) = (now(&request), &request.user.name);
    let cut_short = CutShort {
        now,
        of_copy: &|store| unfinished_copy(store, &request.rootless_root, ENGINE, user),
    };
    let args = MoveArgs::from(args);
    let mut plan = cut_short.prepared(&args, invocation, || match request.direction {
        Direction::Into => RootlessMove::prepare(&request),
        Direction::OutOf => RootlessMove::prepare_revert(&request),
    })?;
    let drivers = DockerRoot::at(now).drivers().map_err(refused)?;
    let blockers = std::mem::take(&mut plan.moved.blockers);
    let move_of = MoveCommand {
        plan: &plan.moved.plan,
        blockers,
        copy: &|| plan.copy(&request),
        question: &|copy| question(&plan, &request, copy, &args.undo()),
        execute: &|copy, store, control| plan.execute(&request, copy, store, control),
        notes: &|report| notes(&plan, (&request, &config), report, args.tense()),
        last_note: driver_note(&request, &config, &drivers),
    };
    move_of.carry_out((&args, &cut_short), &limits, invocation)
}

/// The request, and what the user's daemon is told.
fn request(
    options: &RootlessOptions<'_>,
    args: &MigrationArgs,
) -> Result<(RootlessRequest, UserConfig), Failure> {
    let daemon = &args.daemon;
    let target = DaemonTarget::of_host(
        daemon.daemon_json.as_deref(),
        daemon.data_root.as_deref(),
        None,
    );
    let user = RootlessUser::resolve(options.user).map_err(|error| refused(error.into()))?;
    let config = UserConfig::read(&user).map_err(refused)?;
    let looks_in = config.data_root(&user);
    let request = RootlessRequest {
        data_root: target.map_err(refused)?.data_root,
        rootless_root: options.rootless_root.map_or(looks_in, Path::to_path_buf),
        direction: options.direction,
        user,
        options: MoveOptions {
            copy: options.copy,
            jobs: args.execution.limits.threads(),
            clear_flags: args.obstacles.guarded.immutable == Immutable::Clear,
            allow_outside_links: args.obstacles.guarded.allow_outside_links,
        },
    };
    Ok((request, config))
}

/// Where the data is now.
fn now(request: &RootlessRequest) -> &PathBuf {
    match request.direction {
        Direction::Into => &request.data_root,
        Direction::OutOf => &request.rootless_root,
    }
}
