//! Every command of the pages, run in order on a host, and its output compared with the page.
//!
//! With `IDSHIFT_TEST_UPDATE_DOCS` set, the pages get the output that there is; lines with `…` are to be put back by hand.

use std::fs;

use super::home;
use super::page::{Part, parts};
use super::same::is_same;
use crate::support::engine_host::{EngineHost, Release};
use crate::support::fleet::Fleet;
use crate::support::{Run, long, need_root};

/// Runs a page, and gives what is not as it says. `run` runs a shell script.
fn run_page(run: &dyn Fn(&str) -> Run, name: &str) -> Vec<String> {
    let path = home().join(name);
    let text = fs::read_to_string(&path).unwrap();
    let all = parts(&text);
    let commands = |part: &&Part| matches!(part, Part::Command { .. });
    assert!(
        all.iter().any(|part| commands(&part)),
        "{name} has no command"
    );
    let mut lines: Vec<String> = text.lines().map(String::from).collect();
    let (mut wrong, mut moved) = (Vec::new(), 0);
    for part in all {
        match part {
            Part::Setup(script) => {
                let setup = run(&format!("set -euo pipefail\n{script}"));
                assert_eq!(setup.code, Some(0), "{name}: {setup}");
            }
            Part::Command {
                line,
                command,
                output,
            } => {
                let found = said(run, &command);
                if is_same(&output, &found) {
                    continue;
                }
                wrong.push(format!(
                    "{name}:{line}: $ {command}\n--- on the page\n{}\n--- now\n{}",
                    output.join("\n"),
                    found.join("\n")
                ));
                let first = (line + command.matches('\n').count()).wrapping_add_signed(moved);
                moved += found.len() as isize - output.len() as isize;
                lines.splice(first..first + output.len(), found);
            }
        }
    }
    if std::env::var_os("IDSHIFT_TEST_UPDATE_DOCS").is_some() {
        fs::write(&path, lines.join("\n") + "\n").unwrap();
    }
    wrong
}

/// What a command prints on both streams, as somebody who types it sees it.
fn said(run: &dyn Fn(&str) -> Run, command: &str) -> Vec<String> {
    let text = run(&format!("exec 2>&1; {command}")).text();
    text.lines()
        .map(|line| line.trim_end().to_string())
        .collect()
}

#[track_caller]
fn check(host: &EngineHost, pages: &[&str]) {
    let run = |script: &str| host.run(&["bash", "-c", &format!("cd /root; {script}")]);
    let wrong: Vec<String> = pages.iter().flat_map(|page| run_page(&run, page)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn pages_without_a_daemon_say_what_happens() {
    need_root();
    let host = EngineHost::new(Release::Bookworm);
    host.stop_docker();
    check(
        &host,
        &[
            "docs/shift.md",
            "docs/undo.md",
            "docs/compare.md",
            "docs/reports.md",
            "docs/maps.md",
            "docs/compose.md",
        ],
    );
}

#[test]
fn pages_about_docker_say_what_happens() {
    need_root();
    let host = EngineHost::new(Release::Bookworm);
    host.import_tiny("tiny:1");
    check(&host, &["docs/getting-started.md", "docs/volumes.md"]);
}

#[test]
fn the_page_about_ansible_says_what_happens() {
    if !long() {
        return;
    }
    need_root();
    let fleet = Fleet::new(2);
    let run = |script: &str| Run::of(&mut fleet.command(script));
    let wrong = run_page(&run, "docs/ansible.md");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
