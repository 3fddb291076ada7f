//! What must not change, hang or be steered while somebody hostile is at work.

use super::PYTHON;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{Idshift, Run, Snapshot, script, sh};

/// Makes files that are somebody else's, of each kind that root could be made to harm, in a directory.
pub fn make_canary(canary: &Path) {
    fs::create_dir_all(canary.join("directory")).unwrap();
    for (n, mode) in [0o600, 0o644, 0o4755, 0o2755, 0o640]
        .into_iter()
        .enumerate()
    {
        let file = canary.join(format!("file{n}"));
        fs::write(&file, "somebody else's").unwrap();
        chown(&file, Some(n as u32 % 2 * 1000), Some(0)).unwrap();
        fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
    }
    let path = |name: &str| canary.join(name).into_os_string();
    sh(
        "setfacl",
        [OsString::from("-m"), "u:33:rw".into(), path("file4")],
    );
    sh("setcap", [OsString::from("cap_net_raw+ep"), path("file1")]);
}

/// What must stay of what is outside: everything but how many names a file has.
pub fn outside(canary: &Path) -> Snapshot {
    Snapshot::of(canary).edited(|lines| {
        for line in lines.values_mut() {
            line.as_object_mut().unwrap().remove("nlink");
        }
    })
}

/// Most memory that a run may take, KiB. A debug build of it takes some 30 MiB.
const MOST_KIB: u64 = 160 << 10;
/// Longest that a run may take, seconds.
const LONGEST: &str = "120";

/// Runs the program; it ends, by itself, with one of its own exit codes, within bounds.
#[track_caller]
pub fn run(idshift: &Idshift, args: &[&str]) -> Run {
    run_command(idshift, &idshift.command(args), args)
}

/// The same of a command that has these arguments among others.
#[track_caller]
pub fn run_command(idshift: &Idshift, command: &Command, args: &[&str]) -> Run {
    let facts = idshift.journals().join("facts.json");
    let run = Run::of(
        Command::new(PYTHON)
            .arg(script("measure.py"))
            .arg(&facts)
            .arg(LONGEST)
            .arg(command.get_program())
            .args(command.get_args()),
    );
    let facts: Value = serde_json::from_slice(&fs::read(facts).unwrap()).unwrap();
    assert_eq!(facts["hung"], false, "{run}");
    assert!(facts["kib"].as_u64().unwrap() < MOST_KIB, "{facts}: {run}");
    assert!(matches!(run.code, Some(0 | 1 | 3 | 4 | 5)), "{run}");
    assert!(!run.stderr.contains("panicked"), "{run}");
    is_harmless(&run.stderr, &run);
    if args.contains(&"--json") {
        run.json();
    } else if !args.contains(&"-") {
        is_harmless(&run.text(), &run);
    }
    run
}

/// Nothing steers the terminal, and each line is the program's own.
#[track_caller]
pub fn is_harmless(text: &str, run: &Run) {
    let harmful = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}');
    assert!(!text.contains(harmful), "{text:?}\n{run}");
    assert!(
        !text.lines().any(|line| line.starts_with("idshift: done")),
        "{run}"
    );
}
