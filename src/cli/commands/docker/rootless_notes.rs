//! What a person is told of a move to the rootless Docker of a user, or back.

use std::path::Path;

use crate::cli::output::tense::Tense;
use crate::cli::output::text::{path, shell_word};
use crate::cli::store_move::bind_note::bind_note;
use crate::cli::store_move::copy_notes;
use crate::cli::store_move::trust_note::trust;
use crate::docker::rootless::plan::{RootlessMove, RootlessRequest};
use crate::docker::rootless::user_config::UserConfig;
use crate::engine::Report;
use crate::idmap::Direction;
use crate::store_move::copy::PlannedCopy;

/// What is taken over of a user's.
const ALL: &str = "images, containers and volumes";

/// What is about to be done.
pub(super) fn question(
    plan: &RootlessMove,
    request: &RootlessRequest,
    copy: Option<&PlannedCopy>,
    undo: &str,
) -> Vec<String> {
    let (user, uid) = (&request.user.name, request.user.root.0);
    let mut lines = vec![
        format!(
            "Will move {}{} to {}",
            of_copy(copy),
            path(&plan.moved.from),
            path(&plan.moved.to)
        ),
        match request.direction {
            Direction::Into => format!(
                "  It is for the rootless Docker of {user}: container root becomes uid {uid}."
            ),
            Direction::OutOf => format!(
                "  What belongs to uid {uid} becomes root's. {}",
                trust(ALL, &request.user.name)
            ),
        },
        format!(
            "  {} renames and rewrites of files.",
            plan.moved.plan.steps.list.len()
        ),
        format!("  {undo} undoes it until Docker is started."),
    ];
    lines.splice(1..1, copy.map(copy_notes::effect));
    lines
}

/// What goes to the new place, before the path of the old one.
fn of_copy(copy: Option<&PlannedCopy>) -> &'static str {
    copy.map_or("", |_| "a copy of ")
}

/// What a person should know of a run.
pub(super) fn notes(
    plan: &RootlessMove,
    (request, config): (&RootlessRequest, &UserConfig),
    report: &Report,
    tense: Tense,
) -> Vec<String> {
    if !report.is_done() {
        return Vec::new();
    }
    let mut notes = Vec::new();
    let (goes, stays, is) = (tense.goes(), tense.stays(), tense.is());
    let what = match request.options.copy {
        true => format!("A copy of {}", path(&plan.moved.from)),
        false => path(&plan.moved.from),
    };
    notes.push(format!("{what} {goes} to {}.", path(&plan.moved.to)));
    if let Some(aside) = &plan.moved.set_aside {
        notes.push(format!(
            "What an unused daemon had made there {is} kept in it as {aside}."
        ));
    }
    notes.extend(left_note(plan, request, stays));
    notes.extend(back_notes(plan, request));
    for volume in &plan.inventory.volumes {
        notes.push(format!("Volume {volume}."));
    }
    for (container, source) in &plan.moved.binds {
        notes.push(bind_note(container, source, &request.user));
    }
    for (container, it) in &plan.moved.incompatible {
        let there = match it.is_fatal {
            true => "It does not start in a rootless daemon:",
            false => "In a rootless daemon,",
        };
        notes.push(format!(
            "Container {container} {}. {there} {}.",
            it.what, it.help
        ));
    }
    notes.extend(unread_note(request, config));
    if tense == Tense::Done {
        notes.push(next(plan, (request, config)));
    }
    notes
}

/// What is in the data-root and does not go along.
fn left_note(plan: &RootlessMove, request: &RootlessRequest, stays: &str) -> Vec<String> {
    let of_name = |name: &String| {
        let path = path(&plan.moved.from.join(name));
        format!("{path} is not Docker's, and {stays} where it is.")
    };
    match request.direction {
        Direction::Into => plan.moved.left.iter().map(of_name).collect(),
        Direction::OutOf if plan.moved.left.is_empty() => Vec::new(),
        Direction::OutOf => {
            let (uid, gid) = request.user.root;
            let top = shell_word(&plan.moved.from);
            let names = plan.moved.left.join(", ");
            vec![format!(
                "{names}: {stays} in {}, where only root can enter. `chown {uid}:{gid} {top} && chmod 710 {top}` gives it back \
                 to {}.",
                path(&plan.moved.from),
                request.user.name
            )]
        }
    }
}

/// What a person should know of the way back.
fn back_notes(plan: &RootlessMove, request: &RootlessRequest) -> Vec<String> {
    let mut notes = Vec::new();
    if request.direction == Direction::OutOf {
        notes.push(trust(ALL, &request.user.name));
    }
    if !plan.restarted.is_empty() {
        notes.push(format!(
            "Containers that start with the daemon, as root's: {}.",
            plan.restarted.join(", ")
        ));
    }
    for network in &plan.networks {
        notes.push(format!(
            "The network {network} stays behind, and its containers do not start without it: `docker network create {}`.",
            // The user named it.
            shell_word(Path::new(network))
        ));
    }
    notes
}

/// The daemon's configuration of the user could not be read.
fn unread_note(request: &RootlessRequest, config: &UserConfig) -> Option<String> {
    let option = match request.direction {
        Direction::Into => "--to",
        Direction::OutOf => "--from",
    };
    config.unread.as_ref().map(|why| {
        format!(
            "{} was not read: {why}. If it sets a data-root, name that with {option}.",
            path(&config.path)
        )
    })
}

/// A storage driver of the user's daemon that does not show what is carried to it.
pub(super) fn driver_note(
    request: &RootlessRequest,
    config: &UserConfig,
    drivers: &[String],
) -> Option<String> {
    let set = (config.storage_driver.as_ref()).filter(|_| request.direction == Direction::Into)?;
    (!drivers.is_empty() && !drivers.contains(set)).then(|| {
        format!(
            "{} sets the storage driver {set}, which does not show the images and containers of {}. Take that line out before \
             the daemon starts.",
            path(&config.path),
            drivers.join(", ")
        )
    })
}

/// What is to be done next.
fn next(plan: &RootlessMove, (request, config): (&RootlessRequest, &UserConfig)) -> String {
    if request.direction == Direction::OutOf {
        return "Now start the plain daemon, without userns-remap: `systemctl start docker`."
            .into();
    }
    let user = &request.user.name;
    let looks_in = config.data_root(&request.user);
    let is_found =
        looks_in == plan.moved.to || looks_in.canonicalize().is_ok_and(|it| it == plan.moved.to);
    let first = match is_found {
        true => String::new(),
        false => format!(
            "The daemon of {user} looks in {}. First set \"data-root\": {} in {}. ",
            path(&looks_in),
            serde_json::Value::from(plan.moved.to.to_string_lossy()),
            path(&config.path)
        ),
    };
    let plain = match request.options.copy {
        true => "The plain daemon still has its own: do not let both run the same containers",
        false => "A plain daemon that is started here does not have this data any more",
    };
    format!(
        "{first}Now {user} starts the rootless daemon: `systemctl --user start docker` (`dockerd-rootless-setuptool.sh install`, run \
         as {user}, makes that unit). {plain}."
    )
}
