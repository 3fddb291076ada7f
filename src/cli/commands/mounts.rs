//! `idshift mounts`

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::mount::named;
use crate::cli::args::MountsArgs;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::json::{Invocation, path_value};
use crate::cli::output::text::{columns, path};
use crate::cli::output::{say, say_sentences};
use crate::docker::idmapped::{IdmappedRoot, unit};
use crate::mounts::list;
use crate::mounts::list::{MountEntry, MountState};
use crate::preflight::in_use::Use;

/// Runs it.
pub fn run(args: &MountsArgs, invocation: &mut Invocation) -> Result<Exit, Failure> {
    let mut entries = list().map_err(Failure::refused)?;
    for entry in &mut entries {
        if let Some(unit) = docker_mount(&entry.target) {
            entry.is_ours = true;
            entry.unit = unit;
        }
    }
    if args.json {
        let mounts: Vec<Value> = entries.iter().map(object).collect();
        invocation.print("done", json!({"mounts": mounts}));
    } else {
        print(&entries);
    }
    Ok(Exit::Done)
}

/// Whether it is the mount of `docker migrate --idmapped`, and the unit that makes it.
fn docker_mount(target: &Path) -> Option<Option<PathBuf>> {
    let (top, range) = (target.parent()?, target.file_name()?.to_str()?);
    let root = IdmappedRoot::find(top, range).ok()??;
    let is_made = unit::problem(&root.top, &root.range).is_none();
    Some(is_made.then(|| Path::new(unit::UNITS).join(unit::UNIT)))
}

fn print(entries: &[MountEntry]) {
    if entries.is_empty() {
        say!("No idmapped mounts. `idshift mount PATH` makes one.");
        return;
    }
    let header = ["target", "on disk", "state", "made by", "boot", "used by"];
    let mut rows = vec![header.map(String::from).to_vec()];
    for entry in entries {
        let source = match &entry.source {
            Some(source) if *source == entry.target => "the same path".into(),
            Some(source) => path(source),
            None => "-".into(),
        };
        let state = match (entry.state, entry.read_only) {
            (MountState::Mounted, false) => "mounted",
            (MountState::Mounted, true) => "mounted, read-only",
            (MountState::Covered, _) => "covered by another mount",
            (MountState::Missing, _) => "missing",
        };
        rows.push(vec![
            path(&entry.target),
            source,
            state.into(),
            if entry.is_ours { "idshift" } else { "others" }.into(),
            if entry.unit.is_some() { "yes" } else { "-" }.into(),
            match entry.users.is_empty() {
                true => "-".into(),
                false => named(&entry.users),
            },
        ]);
    }
    say!("{}", columns(&rows).trim_end());
    let missing = entries
        .iter()
        .find(|entry| entry.state == MountState::Missing);
    if let Some(missing) = missing {
        let word = crate::fs::escape::shell_word(&missing.target);
        let unit = missing.unit.as_deref().and_then(|unit| unit.file_name());
        match unit {
            Some(unit) => say_sentences!(
                "\nA mount is missing: `systemctl restart {}` makes it. If it is not needed any more, `idshift umount {word}` removes its \
                unit and its record.",
                crate::fs::escape::shell_word(std::path::Path::new(unit))
            ),
            None => say_sentences!(
                "\nA mount is missing: another program unmounted it. `idshift umount {word}` removes its record."
            ),
        }
    }
}

fn object(entry: &MountEntry) -> Value {
    json!({
        "target": path_value(&entry.target),
        "source": entry.source.as_deref().map(path_value),
        "map": entry.map,
        "read_only": entry.read_only,
        "made_by": if entry.is_ours { "idshift" } else { "other" },
        "state": entry.state,
        "unit": entry.unit.as_deref().map(path_value),
        "used_by": entry.users.iter().map(user).collect::<Vec<Value>>(),
    })
}

fn user(one: &Use) -> Value {
    json!({
        "pid": one.pid,
        "command": one.command,
        "container": one.container,
        "how": one.how.to_string(),
        "path": path_value(&one.path),
    })
}
