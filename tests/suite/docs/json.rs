//! The tables of `docs/json.md` name just the members that the commands print.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::home;
use crate::support::{Idshift, Kind, MAP, TestFs, data_root, need_root, tree};

/// A member, and whether every object has it.
type Members = BTreeMap<String, bool>;

/// The tables by the commands in the headings above them.
fn documented() -> BTreeMap<String, Members> {
    let text = fs::read_to_string(home().join("docs/json.md")).unwrap();
    let mut tables: BTreeMap<String, Members> = BTreeMap::new();
    let mut commands = Vec::new();
    let mut is_members = false;
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            commands = heading.split(", ").map(String::from).collect();
        } else if line.starts_with("| member ") {
            is_members = true;
        } else if !line.starts_with('|') {
            is_members = false;
        } else if let Some(rest) = line.strip_prefix("| `").filter(|_| is_members) {
            let (name, rest) = rest.split_once('`').unwrap();
            let is_always = !rest.trim_start().starts_with('?');
            for command in &commands {
                let table = tables.entry(command.clone()).or_default();
                table.insert(name.into(), is_always);
            }
        }
    }
    tables
}

/// Top-level members, and those of the objects of a list that has a table of its own.
fn printed(object: &Value, table: &Members) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (name, value) in object.as_object().unwrap() {
        found.insert(name.clone());
        let prefix = format!("{name}[].");
        if !table.keys().any(|known| known.starts_with(&prefix)) {
            continue;
        }
        let all = value.as_array().unwrap();
        assert!(!all.is_empty(), "{name} is empty: {object}");
        found.extend(all.iter().flat_map(|one| {
            let members = one.as_object().unwrap().keys();
            members
                .map(|member| format!("{prefix}{member}"))
                .collect::<Vec<_>>()
        }));
    }
    found
}

fn check(tables: &BTreeMap<String, Members>, heading: &str, object: &Value) {
    let mut table = tables["Every object"].clone();
    table.extend(tables[heading].clone());
    if heading == "journal check" || heading == "journal show" {
        let of_one = tables["journal list"].keys();
        let of_one = of_one.filter_map(|name| name.strip_prefix("journals[]."));
        table.extend(of_one.map(|name| (name.to_string(), true)));
    }
    let found = printed(object, &table);
    let known: BTreeSet<String> = table.keys().cloned().collect();
    let missing = known.difference(&found).filter(|name| table[*name]);
    let missing: Vec<&String> = missing.collect();
    let new: Vec<&String> = found.difference(&known).collect();
    assert!(
        missing.is_empty() && new.is_empty(),
        "{heading}: lacks {missing:?}, has besides {new:?}\n{object}"
    );
}

#[test]
fn every_member_is_documented_and_there() {
    need_root();
    let fs = TestFs::new(Kind::Ext4);
    let idshift = Idshift::new();
    let tables = documented();
    let top = tree::many(&fs.path().join("tree"), 20);
    let plain = fs.path().join("plain");
    fs::create_dir(&plain).unwrap();
    let docker = fs.path().join("docker");
    data_root::filled(&docker);
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let plan = text(&fs.path().join("plan.jsonl"));
    let (top, plain, docker) = (text(&top), text(&plain), text(&docker));
    for (heading, args) in with_journals(&top, &plain, &docker, &plan) {
        let takes_no_journals = args[0] == "check";
        let args: Vec<&str> = args.iter().map(String::as_str).chain(["--json"]).collect();
        let run = match takes_no_journals {
            true => {
                crate::support::Run::of(std::process::Command::new(Idshift::program()).args(&args))
            }
            false => idshift.run(&args),
        };
        check(&tables, heading, &run.json());
    }
    for (heading, args) in [
        ("mounts", vec!["mounts"]),
        ("umount", vec!["umount", &top]),
        ("manifest diff", vec!["manifest", "diff", &plan, &plan]),
        ("map", vec!["map", "--map", MAP, "--id", "33"]),
        ("doctor", vec!["doctor"]),
        ("--version", vec!["--version"]),
    ] {
        let args = [&args[..], &["--json"]].concat();
        let run =
            crate::support::Run::of(std::process::Command::new(Idshift::program()).args(&args));
        check(&tables, heading, &run.json());
    }
}

/// Headings of docs/json.md, and commands that print what stands there, one after the other.
fn with_journals(
    top: &str,
    plain: &str,
    docker: &str,
    plan: &str,
) -> Vec<(&'static str, Vec<String>)> {
    let reports = "shift";
    let command = format!("docker run -v {plain}:/plain -u 0:0 image");
    let commands: [(&str, &[&str]); 17] = [
        (reports, &["shift", "--dry-run", "--map", MAP, top]),
        (
            reports,
            &["shift", "--dry-run", "--map", MAP, "--manifest", plan, top],
        ),
        (reports, &["shift", "--map", MAP, top]),
        (reports, &["verify", "latest"]),
        ("journal list", &["journal", "list"]),
        ("journal check", &["journal", "check", "latest"]),
        ("journal show", &["journal", "show", "latest"]),
        (reports, &["rollback", "latest"]),
        (reports, &["prepare", "--map", MAP, plain]),
        ("docker audit", &["docker", "audit", "--data-root", docker]),
        (reports, &["docker", "migrate", "--data-root", docker]),
        (
            reports,
            &[
                "docker",
                "rebase",
                "--data-root",
                docker,
                "--from",
                MAP,
                "--to",
                "b:0:300000:65536",
                "--dry-run",
            ],
        ),
        (reports, &["docker", "revert", "--data-root", docker]),
        ("journal prune", &["journal", "prune"]),
        ("mount", &["mount", "--map", MAP, top]),
        ("check", &["check", "--as", "0:0", "--map", MAP, plain]),
        (
            "check --compose",
            &["check", "--run", &command, "--map", MAP],
        ),
    ];
    let owned = |args: &[&str]| args.iter().map(|arg| arg.to_string()).collect();
    commands
        .map(|(heading, args)| (heading, owned(args)))
        .to_vec()
}
