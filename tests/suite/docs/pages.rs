//! Every command of the pages, run in order on a host, and its output compared with the page.
//!
//! With `IDSHIFT_TEST_UPDATE_DOCS` set, the pages get the output that there is; lines with `…` are to be put back by hand.

use std::fs;
use std::process::Command;

use super::home;
use super::page::{Part, parts};
use super::same::is_same;
use crate::support::engine_host::{EngineHost, Release};
use crate::support::fleet::Fleet;
use crate::support::terminal::OnTerminal;
use crate::support::{Run, long, need_root};

/// Columns of the terminal that the pages show.
const COLUMNS: u16 = 100;

/// Makes a command of a shell script: on the host that a page is about.
type Shell<'a> = &'a dyn Fn(&str) -> Command;

/// Runs a page, and gives what is not as it says.
fn run_page(shell: Shell, name: &str) -> Vec<String> {
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
                let setup = format!("set -euo pipefail\n{script}");
                let setup = Run::of(&mut shell(&setup));
                assert_eq!(setup.code, Some(0), "{name}: {setup}");
            }
            Part::Command {
                line,
                command,
                output,
            } => {
                let found = said(shell, &command);
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
fn said(shell: Shell, command: &str) -> Vec<String> {
    let text = match command.starts_with("idshift ") && !command.contains(['|', '>']) {
        // Whoever reads the page says yes. A terminal that is dumb gets no progress and no colours.
        true => OnTerminal::run(&shell(command), COLUMNS, "y\n").drawn,
        false => Run::of(&mut shell(&format!("exec 2>&1; {command}"))).text(),
    };
    text.lines()
        .map(|line| line.trim_end().to_string())
        .collect()
}

#[track_caller]
fn check(host: &EngineHost, pages: &[&str]) {
    let shell = |script: &str| host.command(&["bash", "-c", &format!("cd /root; {script}")]);
    let wrong: Vec<String> = pages
        .iter()
        .flat_map(|page| run_page(&shell, page))
        .collect();
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
            "README.md",
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
fn pages_about_a_remapped_docker_say_what_happens() {
    need_root();
    let host = EngineHost::new(Release::Bookworm);
    host.import_tiny("tiny:1");
    check(&host, &["docs/docker-migrate.md", "docs/idmapped.md"]);
}

#[test]
fn pages_about_lxc_say_what_happens() {
    need_root();
    let host = EngineHost::new(Release::Bookworm);
    host.stop_docker();
    check(&host, &["docs/lxc.md", "docs/changed-range.md"]);
}

#[test]
fn the_page_about_ansible_says_what_happens() {
    if !long() {
        return;
    }
    need_root();
    let fleet = Fleet::new(2);
    let wrong = run_page(&|script: &str| fleet.command(script), "docs/ansible.md");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
