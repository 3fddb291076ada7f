//! The Ansible collection on a fleet: audit, dry run, migration, verification and the way back, by real playbooks.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::engine_host::EngineHost;
use crate::support::fleet::{Fleet, owners, recap};
use crate::support::{long, need_root, output, script};

const PLAIN: &str = "/var/lib/docker";
const REMAPPED: &str = "/var/lib/docker/100000.100000";
const ALL_AT_ONCE: &str = "-e userns_remap_serial=100%";

/// When a container was started, by its daemon.
fn started(host: &EngineHost, name: &str) -> String {
    host.docker(&["inspect", "-f", "{{.State.StartedAt}}", name])
}

/// What a map of 100000 makes of the owners of what containers own.
fn shifted(before: &str) -> String {
    let id = |id: &str| id.parse::<u32>().unwrap() + 100_000;
    let shift = |line: &str| {
        let words: Vec<&str> = line.rsplitn(4, ' ').collect();
        let (uid, gid) = words[2].split_once(':').unwrap();
        let owner = format!("{}:{}", id(uid), id(gid));
        [words[3], &owner, words[1], words[0]].join(" ")
    };
    let lines = before.lines().filter(|line| of_containers(line));
    lines.map(shift).collect::<Vec<_>>().join("\n")
}

/// Lines about what containers own.
fn of_containers(line: &str) -> bool {
    line.contains("/_data") || line.contains("/diff")
}

fn only_containers(text: &str) -> String {
    let lines = text.lines().filter(|line| of_containers(line));
    lines.collect::<Vec<_>>().join("\n")
}

fn check_audit(fleet: &Fleet) {
    let audit = fleet.play("audit", "");
    assert_eq!(audit.code, Some(0), "{audit}");
    let table = fs::read_to_string(fleet.path("idshift/fleet.txt")).unwrap();
    let page = fs::read_to_string(fleet.path("idshift/fleet.html")).unwrap();
    for host in ["h1", "h2", "h3"] {
        assert_eq!(recap(&audit, host), (0, 0), "{audit}");
        let row = table
            .lines()
            .find(|line| line.starts_with(&format!("{host} ")));
        let row: Vec<&str> = row.expect("a row").split_whitespace().collect();
        assert_eq!(row[1..6], ["plain", "warning", "1", "2", "2"], "{table}");
        let needs = format!("{host}: bind mount of web: /srv/shop on /shop");
        assert!(table.contains(&needs), "{table}");
        assert!(
            page.contains(&format!("idshift report of {host}")),
            "{host} has no report"
        );
    }
    let mode = fs::metadata(fleet.path("idshift"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
}

fn check_dry_run(fleet: &Fleet, before: &[String]) {
    let dry = fleet.play("migrate", &format!("--check --diff {ALL_AT_ONCE}"));
    assert_eq!(dry.code, Some(0), "{dry}");
    let text = dry.text();
    for line in [
        "-owner 33:33            2 inodes",
        "+owner 100033:100033    2 inodes, was 33:33",
        "renames and rewrites of files",
        "bind mount of web: /srv/shop on /shop, owner 0:0 0755 -> idshift prepare --subid dockremap /srv/shop",
    ] {
        assert_eq!(text.matches(line).count(), 3, "{line}\n{dry}");
    }
    for (number, host) in fleet.hosts.iter().enumerate() {
        assert_eq!(owners(host, PLAIN), before[number]);
        assert_eq!(host.sh("ls /var/lib/idshift 2>/dev/null || true"), "");
        assert_eq!(host.sh("ls /tmp | grep idshift || true"), "");
        let plan = fleet.path(&format!("idshift/h{}/plan.jsonl.zst", number + 1));
        let plan = crate::support::output("zstdcat", [&plan]);
        let plan = String::from_utf8(plan.stdout).unwrap();
        assert!(plan.contains(r#""after":{"uid":100033,"gid":100033"#));
    }
}

#[test]
fn a_fleet_is_migrated_and_reverted_by_playbooks() {
    if !long() {
        return;
    }
    need_root();
    let fleet = Fleet::new(3);
    let before: Vec<String> = fleet.hosts.iter().map(|it| owners(it, PLAIN)).collect();
    check_audit(&fleet);
    check_dry_run(&fleet, &before);

    let migrate = fleet.play("migrate", ALL_AT_ONCE);
    assert_eq!(migrate.code, Some(0), "{migrate}");
    for (number, host) in fleet.hosts.iter().enumerate() {
        let name = format!("h{}", number + 1);
        assert_eq!(recap(&migrate, &name), (1, 0), "{migrate}");
        let now = only_containers(&owners(host, REMAPPED));
        assert_eq!(now, shifted(&before[number]), "{name}");
        let map = host.docker(&["exec", "web", "cat", "/proc/self/uid_map"]);
        assert!(map.contains("100000"), "{map}");
        let uploads = host.docker(&["exec", "web", "stat", "-c", "%u:%g", "/data/uploads/photo"]);
        assert_eq!(uploads, "33:33");
        // The journal came to the controller whole, and only for its owner.
        let journal = host.sh("ls /var/lib/idshift/*.zst");
        let file = journal.rsplit('/').next().unwrap();
        let fetched = fleet.path(&format!("idshift/{name}/{file}"));
        assert!(fs::read(&fetched).unwrap() == fs::read(host.path(&journal)).unwrap());
        let mode = fs::metadata(&fetched).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    // A second run changes nothing, and no daemon is stopped.
    let times: Vec<String> = fleet.hosts.iter().map(|it| started(it, "web")).collect();
    let again = fleet.play("migrate", ALL_AT_ONCE);
    let audit = fleet.play("audit", "");
    let verify = fleet.play("verify", "");
    for (number, host) in fleet.hosts.iter().enumerate() {
        let name = format!("h{}", number + 1);
        for run in [&again, &audit, &verify] {
            assert_eq!(recap(run, &name), (0, 0), "{run}");
        }
        assert_eq!(started(host, "web"), times[number]);
    }
    let table = fs::read_to_string(fleet.path("idshift/fleet.txt")).unwrap();
    assert_eq!(table.matches(" remapped ").count(), 3, "{table}");

    // One wrong owner is found.
    let wrong = format!("{REMAPPED}/volumes/data/_data/uploads/photo");
    fleet.hosts[1].sh(&format!("chown 7 {wrong}"));
    let verify = fleet.play("verify", "");
    assert_eq!(recap(&verify, "h1"), (0, 0), "{verify}");
    assert_eq!(recap(&verify, "h2"), (0, 1), "{verify}");
    assert!(verify.text().contains(&format!(
        "{wrong}: is 7:100033 0644, and should be 100033:100033 0644"
    )));
    fleet.hosts[1].sh(&format!("chown 100033 {wrong}"));

    let revert = fleet.play("revert", ALL_AT_ONCE);
    assert_eq!(revert.code, Some(0), "{revert}");
    for (host, before) in fleet.hosts.iter().zip(&before) {
        assert_eq!(&owners(host, PLAIN), before);
        let running = host.docker(&["ps", "--format", "{{.Names}}"]);
        assert_eq!(running.lines().count(), 2, "{running}");
    }
    let again = fleet.play("revert", ALL_AT_ONCE);
    assert_eq!(recap(&again, "h1"), (0, 0), "{again}");
}

/// The collection's modules without a host: what a script that runs them says.
fn modules(program: &str, more: &[&str]) -> String {
    let place = tempfile::tempdir().unwrap();
    let namespace = place.path().join("ansible_collections/idshift");
    fs::create_dir_all(&namespace).unwrap();
    let collection = Path::new(env!("CARGO_MANIFEST_DIR")).join("ansible");
    std::os::unix::fs::symlink(collection, namespace.join("idshift")).unwrap();
    let program = script(program);
    let args = [
        &[program.to_str().unwrap(), place.path().to_str().unwrap()],
        more,
    ]
    .concat();
    String::from_utf8(output("python3", args).stdout).unwrap()
}

/// What the collection does when the daemon or a container does not stop, with live-restore, and with containers that end
/// again and again.
#[test]
fn what_ran_runs_again_where_docker_cannot_be_stopped() {
    assert_eq!(modules("ansible_stop.py", &[]), "all is as it was\n");
}

/// How tasks go on when idshift says this or that.
#[test]
fn tasks_go_on_as_idshift_answers() {
    let said = modules("ansible_tasks.py", &[env!("CARGO_BIN_EXE_idshift")]);
    assert_eq!(said, "all as it should be\n");
}
