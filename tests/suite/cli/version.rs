//! What `--version` says is what the program is and does.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Idshift, Kind, Run, TestFs, output};

fn version(args: &[&str]) -> Run {
    Run::of(Command::new(Idshift::program()).args(args)).exits(0)
}

fn list<'a>(version: &'a Value, pointer: &str) -> Vec<&'a str> {
    let list = version.pointer(pointer).unwrap().as_array().unwrap();
    list.iter().map(|name| name.as_str().unwrap()).collect()
}

#[test]
fn people_and_programs_are_told_the_same() {
    let text = version(&["--version"]).text();
    let run = version(&["--version", "--json"]);
    let json = run.json();
    assert_eq!(json["command"], "version", "{run}");
    assert_eq!(version(&["-V"]).text().lines().count(), 1);
    let uname = output("uname", ["-m"]);
    let machine = String::from_utf8_lossy(&uname.stdout).into_owned();
    assert_eq!(json["target"]["arch"], machine.trim(), "{run}");
    let mut said = vec![
        format!("idshift {}", env!("CARGO_PKG_VERSION")),
        format!("Linux {}", json["kernel"]["least"].as_str().unwrap()),
        format!(
            "journals and manifests {},",
            json["formats"]["journal"]["latest"]
        ),
    ];
    let drivers = json["storage_drivers"].as_object().unwrap();
    for engine in drivers.keys() {
        said.push(list(&json, &format!("/storage_drivers/{engine}")).join(", "));
    }
    for library in json["libraries"].as_object().unwrap().values() {
        said.push(library.as_str().unwrap().into());
    }
    for said in said {
        assert!(text.contains(&said), "{said}: {text}");
    }
    // A word of another command is not taken for it.
    let other = Run::of(Command::new(Idshift::program()).args(["doctor", "--version", "--json"]));
    assert_eq!(other.code, Some(2), "{other}");
}

/// The latest format is read, and no later one.
#[test]
fn the_formats_are_those_that_are_read() {
    let fs = TestFs::new(Kind::Tmpfs);
    let idshift = Idshift::new();
    let tree = fs.path().join("tree");
    fs::create_dir(&tree).unwrap();
    let plan = fs.path().join("plan.jsonl");
    idshift.shift_with(&tree, &["--dry-run", "--manifest", plan.to_str().unwrap()]);
    let whole = fs::read_to_string(&plan).unwrap();
    let formats = &version(&["--version", "--json"]).json()["formats"]["manifest"];
    let latest = formats["latest"].as_u64().unwrap();
    let (_, written) = whole.split_once("\"format\":").unwrap();
    let written = &written[..1];
    let reads = |format: u64| {
        let text = whole.replacen(
            &format!("\"format\":{written}"),
            &format!("\"format\":{format}"),
            1,
        );
        fs::write(&plan, text).unwrap();
        let page = ["report", plan.to_str().unwrap(), "-o", "-"];
        idshift.run(page).code == Some(0)
    };
    assert!(reads(formats["oldest"].as_u64().unwrap()));
    assert!(reads(latest));
    assert!(!reads(latest + 1));
}

/// Those that docs/docker.md says were tried.
#[test]
fn the_storage_drivers_are_those_that_were_tried() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tried = fs::read_to_string(home.join("docs/docker.md")).unwrap();
    let json = version(&["--version", "--json"]).json();
    for (store, pointer) in [
        ("graph driver", "/storage_drivers/docker"),
        ("containerd", "/storage_drivers/containerd"),
    ] {
        let rows: Vec<Vec<&str>> = tried
            .lines()
            .map(|line| line.split('|').map(str::trim).collect::<Vec<_>>())
            .filter(|cells| cells.get(2) == Some(&store))
            .filter(|cells| cells[4].starts_with("yes") || cells[4].starts_with("converted"))
            .collect();
        let mut names: Vec<&str> = rows.iter().flat_map(|cells| cells[3].split(", ")).collect();
        names.sort_unstable();
        names.dedup();
        let mut told = list(&json, pointer);
        told.sort_unstable();
        assert_eq!(told, names, "{store}");
    }
}
