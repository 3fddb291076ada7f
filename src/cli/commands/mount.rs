//! `idshift mount`

mod notes;

use console::style;
use serde_json::json;

pub use self::notes::named;
use self::notes::{notes, order_of_quadlet};
use crate::cli::args::MountArgs;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::json::{Invocation, path_value, would_refuse};
use crate::cli::output::text::{columns, one_line, path, shell_word};
use crate::cli::output::{say, say_sentences, tell_sentences};
use crate::idmap::{Direction, MountMap, Range};
use crate::journal::Store;
use crate::mounts::unit::{BootMount, Unit, is_systemd};
use crate::mounts::{GivenOwner, MountRequest, PlannedMount};
use crate::preflight::TransientBlocker;
use crate::volume::user::ContainerUser;

/// Runs it.
pub fn run(args: &MountArgs, invocation: &mut Invocation) -> Result<Exit, Failure> {
    let ids = |user: &ContainerUser| (user.uid, user.gid);
    let map = args.map.or_of_docker(Direction::Into)?;
    let map = map.resolve(!args.output.is_for_people())?;
    if let Some(owner) = &args.owner {
        owner.on_host(&map).map_err(Failure::refused)?;
    }
    let request = MountRequest {
        path: args.path.clone(),
        target: args.target.clone(),
        map,
        owner: args.owner.as_ref().map(|owner| GivenOwner {
            container: ids(owner),
            on_disk: args.disk_owner.as_ref().map(ids),
        }),
        read_only: args.read_only,
        allow_system_path: args.allow_system_path,
        allow_home: args.allow_home,
    };
    let mut mount = PlannedMount::prepare(&request).map_err(Failure::refused)?;
    let store = Store::at(&args.store.journal_dir);
    let unit = args.persist.then(|| mount.unit(&store)).transpose();
    let unit = unit.map_err(Failure::refused)?;
    if let Some(unit) = unit.as_ref().filter(|_| is_systemd()) {
        unit.check_writable().map_err(Failure::refused)?;
    }
    let was_there = mount.is_there();
    let at_boot = mount.at_boot().filter(|_| unit.is_none());
    let would_refuse = match args.dry_run {
        true => mount.would_refuse(&store).map_err(Failure::refused)?,
        false => None,
    };
    // Whoever says nothing needs no look at all processes.
    let notes = match args.output.quiet && !args.output.json {
        true => Vec::new(),
        false => {
            let order = unit.as_ref().zip(args.map.map_from.as_deref());
            let order = order.and_then(|(unit, file)| order_of_quadlet(unit, file));
            let mut notes = notes(&mount, at_boot.as_ref());
            notes.extend(order);
            notes
        }
    };
    if !args.dry_run {
        mount.mount(&store).map_err(Failure::refused)?;
        if let Some(unit) = unit.as_ref().filter(|_| is_systemd()) {
            install(unit, &mount, was_there)?;
        }
    }
    let said = Said {
        mount: &mount,
        was_there,
        unit: unit.as_ref(),
        at_boot,
        dry_run: args.dry_run,
        would_refuse,
    };
    if args.output.json {
        invocation.print("done", said.json(&notes));
    }
    if args.output.is_for_people() {
        said.print();
        for note in &notes {
            tell_sentences!("{note}");
        }
    }
    Ok(Exit::Done)
}

/// Installs the unit. If that fails, the mount is removed again, unless it was there before.
fn install(unit: &Unit, mount: &PlannedMount, was_there: bool) -> Result<(), Failure> {
    unit.install().map_err(|error| {
        let (exit, left) = match was_there {
            // One of before was not replaced.
            true if unit.path.is_file() => {
                (Exit::Refused, "the mount and its unit stay".to_string())
            }
            true => (
                Exit::Refused,
                "the mount stays until the next boot".to_string(),
            ),
            false => match mount.undo() {
                Ok(()) => (Exit::Refused, "the mount was removed again".into()),
                Err(error) => (
                    Exit::Stuck,
                    format!("and the mount could not be removed: {error}"),
                ),
            },
        };
        let message = format!("{error}; {left}");
        Failure { exit, message }
    })
}

/// What a unit comes before.
const ENGINES: &str = "Docker, Podman, LXC and Incus";

/// What was done, or would be done.
struct Said<'a> {
    mount: &'a PlannedMount,
    was_there: bool,
    unit: Option<&'a Unit>,
    /// Of an earlier `--persist`.
    at_boot: Option<BootMount>,
    dry_run: bool,
    would_refuse: Option<TransientBlocker>,
}

impl Said<'_> {
    fn print(&self) {
        let mount = self.mount;
        let (source, target) = (path(mount.source()), path(mount.target()));
        let place = match mount.is_in_place() {
            true => "over itself".into(),
            false => format!("on {target}"),
        };
        let read_only = if mount.read_only { ", read-only" } else { "" };
        let done = match (self.was_there, self.dry_run) {
            (true, _) => style("Mounted already:").green().bold(),
            (false, true) => style("Dry run: would mount").bold(),
            (false, false) => style("Mounted").green().bold(),
        };
        say_sentences!("{done} {source} {place}{read_only}. No owner on disk changes.\n");
        say!("{}", columns(&rows(&mount.map)).trim_end());
        let (uid, gid) = mount.on_disk;
        let seen = |id: Option<u32>| id.map_or("nobody".into(), |id| id.to_string());
        let (seen_uid, seen_gid) = mount.seen();
        say_sentences!(
            "\n  {target} belongs to {uid}:{gid} on disk, and is seen as {}:{}.",
            seen(seen_uid),
            seen(seen_gid)
        );
        self.print_unit();
        if let Some(why) = &self.would_refuse {
            say_sentences!("\nA real run would be refused now: {why}");
        }
        if !self.dry_run {
            say!("  Undo with: idshift umount {}", shell_word(mount.target()));
        }
    }

    fn print_unit(&self) {
        let Some(unit) = self.unit else {
            match &self.at_boot {
                None => {
                    say!(
                        "  The mount lasts until the next boot; --persist makes it at every boot."
                    );
                }
                Some(there) if there.is_same => {
                    let unit = path(&there.unit);
                    say_sentences!(
                        "  At each boot {unit} makes it, before {ENGINES} start containers."
                    );
                }
                Some(_) => say!("  The mount lasts until the next boot."),
            }
            return;
        };
        let would = if self.dry_run { "would make" } else { "makes" };
        if is_systemd() {
            say_sentences!(
                "  At each boot {} {would} it, before {ENGINES} start containers.",
                path(&unit.path)
            );
            if self.dry_run {
                say!("");
                for line in unit.text.lines() {
                    say!("    {}", one_line(line));
                }
            }
        } else {
            say!(
                "  This host was not started by systemd. Have this run at each boot, as root, before containers are started\n  \
                 (in the init script or service that starts dockerd, or in /etc/rc.local, if that runs before it):\n    {}",
                one_line(&unit.command)
            );
        }
    }

    fn json(&self, notes: &[String]) -> serde_json::Value {
        let mount = self.mount;
        let ids = |(uid, gid): (Option<u32>, Option<u32>)| json!({"uid": uid, "gid": gid});
        let (uid, gid) = mount.on_disk;
        let unit = self.unit.filter(|_| is_systemd());
        let there = self.at_boot.as_ref().filter(|there| there.is_same);
        let unit_path = unit.map(|unit| &*unit.path);
        json!({
            "source": path_value(mount.source()),
            "target": path_value(mount.target()),
            "map": mount.map,
            "read_only": mount.read_only,
            "was_there": self.was_there,
            "on_disk": ids((Some(uid), Some(gid))),
            "seen": ids(mount.seen()),
            "unit": unit_path.or(there.map(|there| &*there.unit)).map(path_value),
            "unit_text": unit.map(|unit| &unit.text),
            "boot_command": self.unit.map(|unit| &unit.command),
            "notes": notes,
            "would_refuse": would_refuse(&self.would_refuse),
        })
    }
}

/// Which ids are seen as which, a row each.
pub fn rows(map: &MountMap) -> Vec<Vec<String>> {
    let mut rows = vec![["", "on disk", "", "seen as"].map(String::from).to_vec()];
    let is_same = map.uids() == map.gids();
    let sides = match is_same {
        true => vec![("ids", map.uids())],
        false => vec![("uids", map.uids()), ("gids", map.gids())],
    };
    for (kind, ranges) in sides {
        for range in ranges.iter().filter(|range| !range.is_identity()) {
            let span = |first: u32| span(first, range);
            let (on_disk, seen) = (span(range.container()), span(range.host()));
            rows.push(vec![kind.into(), on_disk, "->".into(), seen]);
        }
        if ranges.iter().any(Range::is_identity) {
            let cells = [kind, "all others", "->", "themselves"];
            rows.push(cells.map(String::from).to_vec());
        }
    }
    rows
}

fn span(first: u32, range: &Range) -> String {
    match range.size() {
        1 => first.to_string(),
        size => format!("{first}-{}", first + (size - 1)),
    }
}
