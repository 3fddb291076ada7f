//! `idshift check`

use console::style;

use crate::cli::args::{CheckArgs, MapArgs};
use crate::cli::binds;
use crate::cli::container_user::{of_container, of_image};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::json::Invocation;
use crate::cli::output::text::{columns, count, one_line, path, shell_word};
use crate::cli::output::{say, say_sentences};
use crate::docker::daemon_json::DaemonJson;
use crate::docker::daemon_start::DaemonStart;
use crate::docker::data_root;
use crate::idmap::IdMap;
use crate::idmap::subid::DEFAULT_USER;
use crate::mounts::large::LARGE;
use crate::volume::check::{CheckRequest, Checked, check};
use crate::volume::user::ContainerUser;

/// Runs it.
pub fn run(args: &CheckArgs, invocation: &mut Invocation) -> Result<Exit, Failure> {
    if !nix::unistd::geteuid().is_root() {
        let what = args.path.as_deref().map_or("check".into(), path);
        return Err(Failure::refused(format!(
            "{what}: testing it as a container user needs root. Run it with sudo"
        )));
    }
    crate::preflight::host::check().map_err(Failure::refused)?;
    let daemon = match args.map.is_given() && args.r#as.is_some() {
        // Nothing is asked of the daemon.
        true => DaemonJson::default(),
        false => DaemonStart::of_host(args.daemon.daemon_json.as_deref())
            .settings()
            .map_err(Failure::refused)?,
    };
    let map_args = map_args(args, &daemon)?;
    let map = map_args.resolve(args.output.json || args.output.quiet)?;
    let map_words = map_args.words(&map);
    let Some(top) = &args.path else {
        let data_root = data_root::find(args.daemon.data_root.as_deref(), &daemon);
        // What `prepare` finds by itself needs no words.
        let is_given = args.daemon.data_root.is_some() || args.daemon.daemon_json.is_some();
        let data_root_words = match is_given {
            true => format!(" --data-root {}", shell_word(&data_root)),
            false => String::new(),
        };
        let data_root = (data_root, data_root_words);
        return binds::check::run(args, invocation, (map, map_words), data_root);
    };
    let mut user = user(args, &daemon, &map)?;
    user.groups.extend(&args.groups);
    let request = CheckRequest {
        path: top.clone(),
        user,
        map,
        read_only: args.read_only,
        recursive: args.recursive,
        old_runtime: args.old_runtime,
        map_words,
    };
    let checked = check(&request).map_err(Failure::refused)?;
    if args.output.json {
        let mut value = serde_json::to_value(&checked).map_err(Failure::refused)?;
        value["works"] = checked.works().into();
        invocation.print("done", value);
    } else if !args.output.quiet {
        print(&checked, args.read_only, args.output.verbose);
    }
    Ok(match checked.works() {
        true => Exit::Done,
        false => Exit::SomeLeft,
    })
}

/// The options for the map that the daemon would set.
fn map_args(args: &CheckArgs, daemon: &DaemonJson) -> Result<MapArgs, Failure> {
    let asked = args.daemon.userns_remap.as_deref();
    let map = binds::podman::map_args(&args.binds, &args.map)?;
    let mut map = map.or_of_daemon(&daemon.remap_to(asked))?;
    // The commands that are advised look at this host's own daemon.
    let is_other = asked.is_some() || args.daemon.daemon_json.is_some();
    if is_other && !map.is_given() {
        map.docker_user = Some(DEFAULT_USER.into());
    }
    Ok(map)
}

/// The user to test with.
fn user(args: &CheckArgs, daemon: &DaemonJson, map: &IdMap) -> Result<ContainerUser, Failure> {
    if let Some(user) = &args.r#as {
        return Ok(user.clone());
    }
    let top = data_root::find(args.daemon.data_root.as_deref(), daemon);
    match &args.container {
        Some(name) => of_container(top, name, map),
        None => of_image(top, args.image_user.as_deref().unwrap_or_default(), map),
    }
}

fn print(checked: &Checked, read_only: bool, verbose: bool) {
    verdict(checked, read_only);
    say!("");
    steps(checked);
    owners(checked);
    if let Some(mapped) = &checked.idmapped_mount {
        say_sentences!("\n  Note: {}.", one_line(mapped));
    }
    unusable(checked, verbose);
    closed_parents(checked);
    what_helps(checked);
}

/// Whether the user can do it.
fn verdict(checked: &Checked, read_only: bool) {
    let (top, user) = (path(&checked.path), &checked.user);
    let verb = if read_only { "read" } else { "use" };
    match checked.works() {
        true => say_sentences!(
            "{}: container user {user} can {verb} {top}.",
            style("Yes").green().bold()
        ),
        false => say_sentences!(
            "{}: container user {user} cannot {verb} {top}.",
            style("No").red().bold()
        ),
    }
    if checked.is_symlink {
        say_sentences!("The path you gave is a symlink to it; Docker follows symlinks too.");
    }
}

/// What was tried.
fn steps(checked: &Checked) {
    for step in &checked.steps {
        match &step.error {
            None => say!("  {:<7} {}", step.step.to_string(), style("works").green()),
            Some(error) => say!(
                "  {:<7} {} {error}",
                step.step.to_string(),
                style("fails:").red()
            ),
        }
    }
}

/// Who the user is on the host, and whose the path is, on both sides.
fn owners(checked: &Checked) {
    let (uid, gid) = checked.host_ids;
    let (user, owner) = (&checked.user, &checked.owner);
    say_sentences!(
        "\n  On the host, {user} is {uid}:{gid}, and {} belongs to {} (mode {}).",
        path(&checked.path),
        owner.outside(),
        owner.mode
    );
    let nobody = match (owner.uid_inside, owner.gid_inside) {
        (None, _) => ": nobody, because its owner is outside the map",
        (_, None) => ": its group is outside the map",
        (Some(_), Some(_)) => "",
    };
    say_sentences!("  The container sees that as {}{nobody}.", owner.inside());
}

/// Directories above that the container's root cannot search.
fn closed_parents(checked: &Checked) {
    for parent in &checked.closed_parents {
        let which = path(&parent.path);
        let owner = &parent.owner;
        match (&checked.runtime, checked.parents_matter) {
            (_, true) => say_sentences!(
                "\n  {which} ({owner}) cannot be searched by the container's root, and this runtime has to search it."
            ),
            (Some(runtime), false) => say_sentences!(
                "\n  Note: {which} ({owner}) cannot be searched by the container's root. Only runc before 1.1 needs that (here: {}).",
                one_line(&runtime.to_string())
            ),
            (None, false) => say_sentences!(
                "\n  Note: {which} ({owner}) cannot be searched by the container's root. Only runc before 1.1 needs that."
            ),
        }
    }
}

/// Commands that make it work.
fn what_helps(checked: &Checked) {
    if !checked.remedies.is_empty() {
        say!("\nWhat helps:");
    }
    for remedy in &checked.remedies {
        say!("  {}", one_line(remedy));
    }
    if let Some(command) = &checked.mount_instead {
        say_sentences!(
            "It has {} entries or more. This makes it ready at once, and changes no owner on disk (/usr/share/doc/idshift/docs/idmapped.md):",
            count(LARGE as u64)
        );
        say!("  {}", one_line(command));
    }
}

/// Entries that cannot be used: the first few, or all that are kept.
fn unusable(checked: &Checked, verbose: bool) {
    let shown = match (verbose, checked.recursive) {
        (true, _) => checked.unusable.len(),
        (false, true) => 50,
        (false, false) => 3,
    };
    if checked.unusable_total == 0 {
        if checked.recursive {
            say!(
                "  All entries below can be used: {}.",
                entries(checked.looked_at)
            );
        }
        return;
    }
    say!(
        "\n  Of {} {}, {} cannot be used by this user:",
        entries(checked.looked_at),
        if checked.recursive {
            "below"
        } else {
            "directly in it"
        },
        count(checked.unusable_total)
    );
    let rows: Vec<Vec<String>> = checked
        .unusable
        .iter()
        .take(shown)
        .map(|entry| {
            let (outside, mode) = match &entry.owner {
                Some(owner) => (owner.outside(), owner.mode.to_string()),
                None => ("gone".into(), String::new()),
            };
            let missing = format!("no {}", entry.lacks);
            vec![format!("  {missing}"), outside, mode, path(&entry.path)]
        })
        .collect();
    say!("{}", columns(&rows).trim_end());
    if !checked.recursive {
        say!("  --recursive finds all entries below.");
    } else if checked.unusable_total > shown as u64 {
        say!(
            "  and {} more; -v lists the first 1,000",
            count(checked.unusable_total - shown as u64)
        );
    }
}

/// `1 entry`, `2 entries`.
fn entries(n: u64) -> String {
    format!("{} {}", count(n), if n == 1 { "entry" } else { "entries" })
}
