//! What is the matter with a unit that is there.

use std::fs;
use std::path::Path;

use super::path_of;
use super::text::{ARGUMENTS, files};
use crate::docker::data_root::read_text;

/// What keeps the mount from being made at boot, or docker.service from waiting for it; `None`: nothing.
pub fn problem(top: &Path, range: &str) -> Option<String> {
    for (path, content) in files(top, range).ok()? {
        let at = path_of(&path);
        let is_masked = fs::read_link(&at).is_ok_and(|to| to == Path::new("/dev/null"));
        let found = match read_text(&at) {
            _ if is_masked => "is masked",
            Ok(Some(there)) if same_lines(&there, &content) => continue,
            Ok(Some(_)) => "is not what it should be",
            Ok(None) => "is missing",
            Err(_) => "cannot be read",
        };
        return Some(format!("{} {found}", at.display()));
    }
    None
}

/// Whether two units say the same, whatever the place of this program.
fn same_lines(one: &str, other: &str) -> bool {
    let lines = |text: &str| -> Vec<String> {
        let lines = text.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.map(without_program).collect()
    };
    lines(one) == lines(other)
}

/// A line without the path of this program, if that is there.
fn without_program(line: &str) -> String {
    let command = line.strip_prefix("ExecStart=");
    match command.and_then(|command| command.split_once(ARGUMENTS)) {
        Some((program, root)) => {
            let program = program.trim_matches('"');
            let program = program.replace("%%", "%").replace("$$", "$");
            match Path::new(&program).is_file() {
                true => root.to_string(),
                false => line.to_string(),
            }
        }
        None => line.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_the_same_wherever_the_program_is() {
        let [_, (_, unit)] = files(Path::new("/srv/a b$c%d"), "1.1").unwrap();
        assert!(same_lines(&unit, &unit));
        let program = std::env::current_exe().unwrap();
        let program = program.to_str().unwrap();
        assert!(same_lines(&unit, &unit.replace(program, "/bin/sh")));
        assert!(!same_lines(&unit, &unit.replace(program, "/missing")));
        assert!(!same_lines(&unit, &unit.replace("oneshot", "simple")));
    }
}
