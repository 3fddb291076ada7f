//! `idshift umount`

use console::style;
use serde_json::json;

use crate::cli::args::UmountArgs;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::json::{Invocation, path_value};
use crate::cli::output::text::{path, shell_word};
use crate::cli::output::{say, say_sentences, tell_sentences};
use crate::mounts::record::MountRecord;
use crate::mounts::{UnmountRequest, Unmounted};

/// Runs it.
pub fn run(args: &UmountArgs, invocation: &mut Invocation) -> Result<Exit, Failure> {
    let request = UnmountRequest {
        target: args.target.clone(),
        allow_in_use: args.allow_in_use,
        keep_unit: args.keep_unit,
        dry_run: args.dry_run,
    };
    let done = request.run().map_err(Failure::refused)?;
    if args.output.json {
        let record = done.record.as_ref();
        invocation.print(
            "done",
            json!({
                "target": path_value(&done.target),
                "source": record.map(|record| path_value(record.source.as_path())),
                "map": record.map(|record| &record.map),
                "was_mounted": done.was_mounted,
                "unit": done.unit.as_deref().map(path_value),
                "left": done.left.as_ref().map(ToString::to_string),
            }),
        );
    } else if args.output.is_for_people() {
        print(&done, args.dry_run);
    }
    match &done.left {
        None => Ok(Exit::Done),
        Some(why) => {
            if !args.output.json {
                let mount = match done.was_mounted {
                    true => "Unmounted, but its",
                    false => "Its",
                };
                tell_sentences!(
                    "{why}. {mount} unit or record could not be removed. Correct this, then run `idshift umount {}` again.",
                    shell_word(&done.target)
                );
            }
            Ok(Exit::SomeLeft)
        }
    }
}

fn print(done: &Unmounted, dry_run: bool) {
    let target = path(&done.target);
    let word = match (done.was_mounted, dry_run) {
        (true, true) => style("Dry run: would unmount").bold(),
        (true, false) => style("Unmounted").green().bold(),
        (false, _) => style("Was not mounted:").yellow().bold(),
    };
    say!("{word} {target}.");
    if let Some(unit) = &done.unit {
        let would = if dry_run { "would be" } else { "was" };
        say!("{} {would} removed.", path(unit));
    }
    let in_place = |record: &&MountRecord| record.source == record.target;
    if let Some(record) = done.record.as_ref().filter(in_place) {
        let show = match dry_run {
            true => "Its files will show their owners on disk again.",
            false => "Its files show their owners on disk again.",
        };
        say_sentences!("{show} {}", files_of_host(record));
    }
}

/// How files are found that the host created through the mount.
fn files_of_host(record: &MountRecord) -> String {
    let place = shell_word(record.target.as_path());
    if record.container_map.sides_overlap().is_none() {
        return format!(
            "Files that the host created through the mount belong to ids on the other side of the map: \
             `idshift shift --reverse --dry-run{} {place}` finds them.",
            map_words(record)
        );
    }
    // The way back of such a map is not the map that the mount had.
    let of_root = match record.map.on_disk(0, 0) {
        (Some(uid), Some(gid)) if (uid, gid) != (0, 0) => format!(
            " What root of the host created through the mount belongs to {uid}:{gid}: \
             `find {place} -xdev \\( -uid {uid} -o -gid {gid} \\) -ls` lists it, `chown -h 0:0` gives it back."
        ),
        _ => String::new(),
    };
    format!(
        "Some ids are on both sides of the map, so `idshift shift --reverse` cannot find what the host created.{of_root} \
         The mount showed (on disk:visible:count) {}.",
        record.map
    )
}

/// The container's map, for a command.
fn map_words(record: &MountRecord) -> String {
    let map = record.container_map.to_string();
    map.split(' ').map(|map| format!(" --map {map}")).collect()
}
