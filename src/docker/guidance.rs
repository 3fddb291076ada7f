//! What an operator can do: the commands and options of idshift that messages of this layer name.
//!
//! Only this file (and `idmapped/`, for the commands of a mount) spells an option, so that one that is renamed is changed
//! here and in `cli::args`. Options of `docker` and `dockerd` are no concern of it.

use std::path::Path;

use super::paths::DEFAULT_PATH;
use super::remap::Remap;
use crate::fs::escape::shell_word;
use crate::host::subid_source;
use crate::idmap::subid::DEFAULT_USER;
use crate::idmap::{IdMap, Range, RangeMap};
use crate::preflight::homes;

/// For a data-root that is not the right one.
pub const DATA_ROOT: &str = "Name another with --data-root; `docker info -f '{{.DockerRootDir}}'` prints the data-root of a running \
    daemon";

/// Where nothing is in the data-root.
pub const RIGHT_DATA_ROOT: &str = "Is it the right --data-root?";

/// Where the default data-root is not there.
pub const OTHER_DATA_ROOT: &str = "--data-root names another";

/// The option that names this data-root.
pub fn this_data_root(path: &Path) -> String {
    format!("--data-root {}", shell_word(path))
}

/// Where `daemon.json` cannot be written.
pub const NO_DAEMON_JSON: &str = "leave out --write-daemon-json";

/// Where `daemon.json` cannot be written, once something else is changed.
pub const AGAIN_NO_DAEMON_JSON: &str = "run this again without --write-daemon-json";

/// Where `daemon.json` is that of a daemon on another data-root.
pub const OTHER_DAEMON_JSON: &str = "Run this again without --write-daemon-json, and set userns-remap where that daemon \
                                     gets its options";

/// Where `daemon.json` switches the containerd image store on.
pub const ADD_WRITE_DAEMON_JSON: &str = "Add --write-daemon-json, which removes it in the same run";

/// Where `daemon.json` switches the containerd image store on, before a migration.
pub const MIGRATE_WRITES_DAEMON_JSON: &str =
    "idshift docker migrate --write-daemon-json removes it in the same run";

/// Where the user or its ranges are missing, in an audit.
pub const MIGRATE_CREATES_USER: &str = "migrate with --create-user";

/// Where the user or its ranges are missing, and dockerd is asked for `default`.
pub const CREATE_USER_AS_DOCKERD: &str =
    "`idshift docker migrate --create-user` creates it, as dockerd does";

/// Where the user or its ranges are missing, and a command of the system is named first.
pub const CREATE_USER_TOO: &str = "`idshift docker migrate --create-user` does so too";

/// Where a root is remapped already.
pub const REVERT_GOES_BACK: &str = "`idshift docker revert` goes back";

/// Where a migration by a mount is asked for and is not possible.
pub const NOT_IDMAPPED: &str = "migrate without --idmapped";

/// Where a root of changed owners is to be remapped by a mount.
pub const REVERT_THEN_IDMAPPED: &str =
    "first `idshift docker revert`, then `idshift docker migrate --idmapped`";

/// Where an owner is asked for that no root of changed owners leaves unknown.
pub const NOT_UNDATED: &str = "is not remapped by a mount: run this again without --undated";

/// What tells, and decides, whose an inode is that times do not tell of.
pub const DECIDE_UNDATED: &str = "idshift docker revert --dry-run -v lists each such file. Give it the right owner with \
                                  chown, or add --undated keep or give-back. If it lists none, nothing needs to be done";

/// Where a root that is remapped by a mount is to get another range.
pub const REBASE_IDMAPPED: &str = "first `idshift docker revert` with the old range, then `idshift docker \
migrate --idmapped` with the new one";

/// Where an id does not tell which side of the map it is on.
pub const NO_BIND_MOUNTS: &str = "Migrate without --bind-mounts, and shift those that are not shifted yet: \
idshift prepare --assume-unshifted";

/// What shifts a volume elsewhere, beside a command of its own; in a dry run.
pub const SO_DOES_BIND_MOUNTS: &str = "--bind-mounts shifts its content, too";

/// What shifts a volume elsewhere, beside a command of its own; in an audit.
pub const MIGRATE_BIND_MOUNTS: &str =
    "`idshift docker migrate --bind-mounts` shifts its content, too";

/// What shifts the bind mounts back.
pub const REVERT_BIND_MOUNTS: &str =
    "idshift docker revert --bind-mounts shifts them back too; afterwards:";

/// What takes from journals which host directories are shifted.
pub const REVERT_WITH_BIND_MOUNTS: &str = "`idshift docker revert --bind-mounts`";

/// Where a copy cannot be made.
pub const NO_COPY: &str = "Migrate without --copy";

/// Where there is no room for a copy.
pub const NO_SPACE_FOR_COPY: &str =
    "Without --copy nothing is copied, and `idshift rollback` undoes it";

/// Where containers cannot run remapped.
pub const MARK_CONTAINERS: &str =
    "migrate with --set-userns-host, or recreate it with --userns=host";

/// Where containers cannot run remapped, after a migration: the run of this journal, as a command line names it.
pub fn mark_later(journal: &str) -> String {
    format!(
        "To have such containers marked, before the daemon is started: `idshift rollback {journal}`, and migrate again \
         with --set-userns-host. Or recreate them with --userns=host."
    )
}

/// Where inodes are immutable.
pub const CLEAR_FLAGS: &str =
    "migrate with --immutable=clear: the flag is cleared while an inode is shifted, and set again";

/// Where inodes cannot be shifted.
pub const EXPLAIN_PROBLEMS: &str = "idshift docker migrate --dry-run -v gives the reason for each; a larger \
range in /etc/subuid and /etc/subgid covers more ids";

/// Where the range of a root is not the one that was named.
pub const NAME_THE_RANGE: &str = "name its range with --from";

/// The range of `docker rebase` that a root was looked for in.
pub const RANGE_OF_FROM: &str = "the range of --from";

/// The command that carries a root out of this range into that of the daemon, which remaps to `user`.
pub fn rebase(from: &str, data_root: &Path, user: &str) -> String {
    let options = daemon_options(data_root, user);
    format!("idshift docker rebase --from {from}{options}")
}

/// Where no id has another place in the new range.
pub fn nothing_to_move(from: &IdMap, to: &IdMap) -> String {
    format!(
        "All ids of {from} are the same in {to}: there is nothing to move. With the new range in /etc/subuid and \
        /etc/subgid, start Docker"
    )
}

/// What carries a root out of a range and into another one that has the same first ids, in two runs.
pub fn revert_and_migrate(from: &IdMap, to: &IdMap, data_root: &Path, user: &str) -> String {
    let options = daemon_options(data_root, user);
    format!(
        "Both ranges begin with the same id, so the directory keeps its name. Two runs move it: 1. put {from} into \
        /etc/subuid and /etc/subgid, run `idshift docker revert{options}`. 2. put {to} there, run `idshift docker \
        migrate{options}`"
    )
}

/// The options that name a data-root and the user of the range, where they are not the default ones.
fn daemon_options(data_root: &Path, user: &str) -> String {
    let data_root = match data_root == Path::new(DEFAULT_PATH) {
        true => String::new(),
        false => format!(" {}", this_data_root(data_root)),
    };
    match user == DEFAULT_USER || user.is_empty() {
        true => data_root,
        false => format!("{data_root} --userns-remap {user}"),
    }
}

/// Lists what all services of a swarm bind.
pub const LIST_SERVICE_BINDS: &str = "While Docker runs, this command on a manager lists the binds of all services: `docker \
    service ls -q | xargs -r docker service inspect --format '{{.Spec.Name}}{{with .Spec.TaskTemplate.ContainerSpec}}\
    {{range .Mounts}}{{if eq .Type \"bind\"}} {{.Source}}{{end}}{{end}}{{end}}'`";

/// What [`prepare`] is to do beside shifting into the range.
pub enum PrepareOption<'a> {
    /// Nothing.
    None,
    /// Shift it though it is an account's of this host.
    AllowHome,
    /// Shift it back; with the option that [`crate::preflight::homes::flag`] gives.
    Reverse(&'a str),
}

/// The options that name this map, each word with a space in front.
pub fn ranges_as_options(map: &IdMap) -> String {
    let ranges = map.to_string();
    let ranges = ranges.split(' ');
    ranges.map(|range| format!(" --map {range}")).collect()
}

/// The options for the map that a daemon makes of this user's lines: by the user, where `--subid` reads it alike. Docker
/// takes lines of `/etc/subuid` as they stand, and looks into no `nsswitch.conf`.
pub fn map_options(user: &str, map: &IdMap) -> String {
    let ascends = |map: &RangeMap| map.ranges().is_sorted_by_key(Range::host);
    let is_read_alike = ascends(&map.uids) && ascends(&map.gids) && subid_source::are_in_files();
    match is_read_alike && !user.is_empty() {
        true => format!(" --subid {user}"),
        false => ranges_as_options(map),
    }
}

/// The command that shifts a directory out of the range of a map.
pub fn prepare_back(map: &IdMap, path: &Path) -> String {
    let home = homes::flag(path);
    format!(
        "idshift prepare --reverse{}{home} {}",
        ranges_as_options(map),
        shell_word(path)
    )
}

/// The command that shifts a directory; `remap`: the range, where it is known. It is always named: without a name, the
/// command would take that of the daemon of this host, whose settings may say another one, or come to do so.
pub fn prepare(remap: Option<&Remap>, option: &PrepareOption<'_>, path: &Path) -> String {
    let map = remap.map_or(String::new(), |remap| map_options(&remap.user, &remap.map));
    let option = match option {
        PrepareOption::None => String::new(),
        PrepareOption::AllowHome => " --allow-home".to_string(),
        PrepareOption::Reverse(home) => format!(" --reverse{home}"),
    };
    format!("idshift prepare{map}{option} {}", shell_word(path))
}

/// The lines of a user that make this map, and where they belong.
pub fn lines_back(user: &str, map: &IdMap) -> String {
    let lines = |ranges: &RangeMap| {
        let lines = ranges.ranges().iter();
        let lines = lines.map(|range| format!("`{user}:{}:{}`", range.host(), range.size()));
        lines.collect::<Vec<_>>().join(" and ")
    };
    let (uids, gids) = (lines(&map.uids), lines(&map.gids));
    match uids == gids {
        true => {
            format!("{uids} back into /etc/subuid and /etc/subgid, in place of its lines there")
        }
        false => format!(
            "{uids} back into /etc/subuid and {gids} into /etc/subgid, in place of its lines there"
        ),
    }
}

/// A sentence about the empty root that a run leaves. `name`: in the data-root.
pub fn kept_root(name: &str) -> String {
    format!(
        "The empty root of before is kept as {name}: only with it can `idshift rollback` undo this run, and the one \
        before it. Remove it when neither is to be undone."
    )
}
