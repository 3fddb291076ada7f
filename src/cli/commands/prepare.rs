//! `idshift prepare`

use std::path::{Path, PathBuf};

use crate::cli::args::{PrepareArgs, direction};
use crate::cli::binds;
use crate::cli::container_user::{of_container, of_image};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::json::Invocation;
use crate::cli::output::progress::Terminal;
use crate::cli::output::summary::SummaryKind;
use crate::cli::output::tense::Tense;
use crate::cli::output::text::{count, path, shell_word};
use crate::cli::run_output::RunOutput;
use crate::docker::daemon_start::DaemonStart;
use crate::docker::data_root;
use crate::idmap::IdMap;
use crate::journal::Store;
use crate::journal::record::RunKind;
use crate::mounts::large::{LARGE, is_for_a_mount};
use crate::ownership::Sharing;
use crate::volume::prepare::{Preparation, PrepareRequest, VolumeOwners};
use crate::volume::user::ContainerUser;

/// Runs it.
pub fn run(args: &PrepareArgs, invocation: &mut Invocation) -> Result<Exit, Failure> {
    let limits = args.run.limits.apply().map_err(Failure::refused)?;
    let run = &args.run;
    let output = RunOutput::with_manifest(&run.output, run.manifest.as_deref())?;
    let direction = direction(args.reverse);
    let map_args = binds::podman::map_args(&args.binds, &run.map)?;
    let map_args = map_args.or_of_docker(direction)?;
    let map = map_args.resolve(run.output.quiet)?;
    let map_words = map_args.words(&map);
    let (paths, owners, read_only) = what_for_whom(args, invocation, &map)?;
    let shift = run.request(&paths, map, direction, RunKind::Prepare);
    let asked = PrepareRequest {
        owners,
        share: args.share.then_some(read_only),
        create: args.create,
        fix_parents: args.fix_parents,
        old_runtime: args.old_runtime,
        map_words,
        shift,
    };
    let prepared = Preparation::prepare(&asked).map_err(Failure::refused)?;
    if !args.reverse {
        output.tell(mounts_instead(&asked));
    }
    let monitor = Terminal::new(run.output.quiet);
    let control = limits.control(&monitor);
    let plan = &prepared.plan;
    let store = Store::at(&run.store.journal_dir);
    let (report, kind) = match run.dry_run {
        true => {
            let report = plan.dry_run(&store, output.open_manifest()?, control)?;
            (report, SummaryKind::DryRun)
        }
        false => (plan.execute(&store, control)?, SummaryKind::Shift),
    };
    monitor.clear();
    output.print(invocation, &report, kind);
    if report.is_done() {
        output.tell(describe(&prepared, Tense::of(run.dry_run)));
    }
    Ok(Exit::from(&report))
}

/// The paths, the user to whom each is given, and whether that one only reads.
fn what_for_whom(
    args: &PrepareArgs,
    invocation: &mut Invocation,
    map: &IdMap,
) -> Result<(Vec<PathBuf>, VolumeOwners, Vec<bool>), Failure> {
    if !args.binds.is_given() {
        let owner = owner(args, map)?;
        return Ok((
            args.paths.clone(),
            owner.map_or(VolumeOwners::Mapped, VolumeOwners::One),
            vec![args.read_only; args.paths.len()],
        ));
    }
    if args.run.obstacles.guarded.allow_outside_links {
        return Err(Failure::usage(
            "--allow-outside-links: does not work with several services, because a file with hard links in \
            the paths of two services can belong to only one. Prepare each path separately",
        ));
    }
    let found = binds::prepare::resolve(args, data_root(args)?, map)?;
    invocation.set_roots(&found.paths);
    invocation.set_binds(serde_json::to_value(&found.uses).map_err(Failure::refused)?);
    if !args.run.output.quiet {
        binds::prepare::tell_uses(&found.uses, args.share);
    }
    Ok((found.paths, found.owners, found.read_only))
}

/// Where Docker's data is.
fn data_root(args: &PrepareArgs) -> Result<PathBuf, Failure> {
    if let Some(top) = &args.data_root {
        return Ok(top.clone());
    }
    let daemon = DaemonStart::of_host(None).settings();
    Ok(data_root::find(None, &daemon.map_err(Failure::refused)?))
}

/// The user to whom everything is given.
fn owner(args: &PrepareArgs, map: &IdMap) -> Result<Option<ContainerUser>, Failure> {
    match (&args.image_user, &args.container) {
        (Some(image), _) => of_image(data_root(args)?, image, map).map(Some),
        (None, Some(name)) => of_container(data_root(args)?, name, map).map(Some),
        (None, None) => Ok(args.owner.clone()),
    }
}

/// Large directories could be mounted instead: told before the run begins.
fn mounts_instead(asked: &PrepareRequest) -> impl Iterator<Item = String> {
    let words = &asked.map_words;
    let map = &asked.shift.map;
    let paths = asked.shift.paths.iter().enumerate();
    let large = paths.filter(move |(_, path)| is_for_a_mount(path, map));
    let note = move |(n, dir): (usize, &PathBuf)| {
        let owner = asked.owners.of_path(n);
        let owner = owner.map_or(String::new(), |owner| format!(" --owner {owner}"));
        format!(
            "{} has {} entries or more. `idshift mount{words}{owner} {}` would make it ready at once and \
            change no owner on disk; /usr/share/doc/idshift/docs/idmapped.md compares the two.",
            path(dir),
            count(LARGE as u64),
            shell_word(dir)
        )
    };
    large.map(note)
}

/// Notes about a plan, for people.
fn describe(prepared: &Preparation, tense: Tense) -> Vec<String> {
    let mut notes = Vec::new();
    let (was, created) = (tense.was(), tense.created());
    for (dir, sharing) in &prepared.shared {
        notes.push(describe_sharing(dir, *sharing, tense));
    }
    for dir in &prepared.made {
        notes.push(format!("{created} {}.", path(dir)));
    }
    for (dir, uid) in &prepared.opened {
        notes.push(format!(
            "{} {was} given the ACL entry u:{uid}:--x.",
            path(dir)
        ));
    }
    for parent in &prepared.closed {
        let runtime = match &prepared.runtime {
            Some(runtime) => format!(" (here: {runtime})"),
            None => String::new(),
        };
        notes.push(format!(
            "{} ({}) cannot be searched by the container's root. Only runc before 1.1 needs that{runtime}. --fix-parents adds the \
             permission.",
            path(&parent.path),
            parent.owner
        ));
    }
    notes
}

/// Who can use a path that is shared.
fn describe_sharing(dir: &Path, sharing: Sharing, tense: Tense) -> String {
    let Sharing {
        container,
        host,
        read_only,
    } = sharing;
    let allow = tense.either("let", "would let");
    let dir = path(dir);
    match (read_only, host) {
        (true, _) => format!(
            "{dir}: owners stay. ACL entries {allow} host id {container} read it. It can still write what it owns."
        ),
        (false, 0) => {
            format!("{dir}: owners stay. ACL entries {allow} host id {container} use it.")
        }
        (false, _) => format!(
            "{dir}: owners stay. ACL entries {allow} host id {container} use it, and {host} what the container makes."
        ),
    }
}
