//! What a migration does, in a few lines, for whoever has to agree to it.

use super::migration_command::MigrationCommand;
use crate::cli::announce::rollback_latest;
use crate::cli::output::text::{bytes, inodes, one_line, path};
use crate::docker::conversion::summary::When;
use crate::docker::data_root::DockerRoot;
use crate::docker::guidance as help;
use crate::docker::migrate::Planned;
use crate::docker::migration_plan::Migration;
use crate::docker::remap::Remap;
use crate::idmap::Direction;

/// What an idmapped mount shows with other owners than expected.
pub fn describe_exchanged(migration: &Migration, remap: &Remap) -> impl Iterator<Item = String> {
    let (top, point) = (
        &migration.data_root,
        migration.data_root.join(remap.dir_name()),
    );
    let all = migration.exchanged.iter();
    all.map(move |data| data.describe(top, &point))
}

/// The lines, without a question.
pub fn effects(command: &MigrationCommand<'_>, planned: &Planned<'_>) -> Vec<String> {
    let (migration, remap) = (planned.migration, planned.remap);
    let into = command.direction == Direction::Into;
    let mut lines = headline(command, planned);
    if !into || migration.unmounted.is_none() {
        lines.push("  Directories are renamed, and the daemon's metadata is rewritten.".into());
    }
    let store = migration.store_summary.iter();
    let store = store.flat_map(|it| it.effects(When::Ahead, &bytes));
    lines.extend(store.map(|line| format!("  {}", one_line(&line))));
    let blocked = migration.will_not_start.iter();
    lines.extend(blocked.map(|(name, why)| {
        format!(
            "  Container {} {}: it will not start remapped; {}.",
            one_line(name),
            one_line(why),
            help::MARK_CONTAINERS
        )
    }));
    lines
        .extend(describe_exchanged(migration, remap).map(|told| format!("  {}.", one_line(&told))));
    if let Some(copy) = planned.copy {
        let copied = inodes(copy.amount.inodes);
        lines.push(format!(
            "  The data-root stays as it is: {copied} are copied."
        ));
    }
    lines.extend(
        planned
            .made
            .iter()
            .map(|what| format!("  Creates {}.", one_line(what))),
    );
    if command.write_daemon_json {
        lines.push(match into {
            true => match planned.store_feature {
                Some(feature) => format!(
                    "  Sets userns-remap in daemon.json, and removes features.{}.",
                    feature.name()
                ),
                None => "  Sets userns-remap in daemon.json.".into(),
            },
            false => "  Removes userns-remap from daemon.json.".into(),
        });
    }
    if command.bind_mounts {
        lines.push(match into {
            true => {
                "  Host directories that containers bind are shifted, too (--bind-mounts).".into()
            }
            false => {
                "  Host directories in the range are shifted back, too (--bind-mounts).".into()
            }
        });
    }
    let services = migration.services_note();
    lines.extend(services.map(|note| format!("  {}", one_line(&note))));
    let undo = rollback_latest(&command.args.execution.store.journal_dir);
    lines.push(format!("  {undo} undoes it until Docker is started."));
    lines
}

/// What goes where, with what is in it, and what becomes of the owners.
fn headline(command: &MigrationCommand<'_>, planned: &Planned<'_>) -> Vec<String> {
    let (migration, remap) = (planned.migration, planned.remap);
    let top = path(&migration.data_root);
    let remapped = path(&migration.data_root.join(remap.dir_name()));
    let into = command.direction == Direction::Into;
    let content = migration.unmounted.as_deref();
    let now = match into && content.is_none() {
        true => migration.data_root.clone(),
        false => migration.data_root.join(remap.dir_name()),
    };
    let holds = DockerRoot::at(&now).holds().map(|mut holds| {
        let conversion = migration.conversion.as_ref();
        conversion.iter().for_each(|it| it.add_to(&mut holds));
        holds
    });
    let holds = holds.map_or(String::new(), |holds| format!(": {holds}"));
    let map = &remap.map;
    match (into, command.idmapped, content.map(path)) {
        (true, _, Some(content)) => vec![
            format!("Will make {remapped} permanent{holds}"),
            format!(
                "  Owners on disk change to what the mount of {content} shows: {}. The mount and its unit are removed.",
                map.in_words(Direction::Into)
            ),
        ],
        (false, _, Some(_)) => vec![
            format!("Will migrate {remapped} back{holds}"),
            format!(
                "  It is unmounted, and the data moves to {top}. Files of containers keep their owners on disk; those that the \
                 daemon made become root's again."
            ),
        ],
        (true, true, None) => vec![
            format!("Will migrate {top} to userns-remap, by an idmapped mount{holds}"),
            format!(
                "  Files of containers keep their owners on disk. An idmapped mount on {remapped} shows them with other ids: {}.",
                map.in_words(Direction::Into)
            ),
        ],
        (true, false, None) => vec![
            format!("Will migrate {top} to userns-remap{holds}"),
            format!(
                "  Owners change: {}. The data moves to {remapped}.",
                map.in_words(Direction::Into)
            ),
        ],
        (false, _, None) => vec![
            format!("Will migrate {remapped} back{holds}"),
            format!(
                "  Owners change back: {}. The data moves to {top}.",
                map.in_words(Direction::OutOf)
            ),
        ],
    }
}
