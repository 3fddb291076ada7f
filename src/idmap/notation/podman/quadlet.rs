//! Quadlet units (`podman-systemd.unit(5)`): `UIDMap=` and `GIDMap=`, each of one or more ranges, and `PodmanArgs=`.

use super::command::{Token, bare_options};
use super::options::{Fault, MapOption, SEVERAL, check_other, is_uids};

/// Keys whose values are options of podman.
const OPTIONS: [&str; 2] = ["PodmanArgs", "GlobalArgs"];

/// Sections that a container, or a pod, has once.
const SECTIONS: [&str; 2] = ["[Container]", "[Pod]"];

/// Whether a text is a unit of Quadlet.
pub(super) fn is_one(text: &str) -> bool {
    let is_line = |line: &str| {
        SECTIONS.contains(&line)
            || key_and_value(line)
                .is_some_and(|(key, _)| is_uids(key).is_some() || OPTIONS.contains(&key))
    };
    text.lines().any(|line| is_line(line.trim()))
}

/// The options of a unit.
pub(super) fn options(text: &str) -> Result<Vec<MapOption>, Fault> {
    let (mut options, mut sections) = (Vec::new(), 0);
    for (n, line) in logical_lines(text) {
        let line = line.trim();
        if SECTIONS.contains(&line) {
            sections += 1;
            if sections > 1 {
                return Err((n, SEVERAL.into()));
            }
        }
        let Some((key, value)) = key_and_value(line) else {
            let mut words = line.split_whitespace();
            words
                .try_for_each(|word| check_other(word.split('=').next().unwrap_or_default(), n))?;
            continue;
        };
        let words = value
            .split_whitespace()
            .map(|word| word.replace(['"', '\''], ""));
        if let Some(is_uids) = is_uids(key) {
            // Each word is a range, as if it had a line of its own.
            let before = options.len();
            options.extend(words.map(|value| MapOption {
                line: n,
                is_uids,
                value,
            }));
            if options.len() == before {
                return Err((n, format!("{key} has no range")));
            }
        } else if OPTIONS.contains(&key) {
            let words: Vec<Token> = words.map(|text| Token::word(n, text)).collect();
            options.extend(bare_options(&words)?);
        } else {
            check_other(key, n)?;
        }
    }
    Ok(options)
}

fn key_and_value(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once('=')?;
    let key = key.trim_end();
    let is_key = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_key.then_some((key, value))
}

/// Lines without comments; a backslash at the end of a line continues it, over comments too (`systemd.syntax(7)`).
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut continues = false;
    for (n, line) in text.lines().enumerate() {
        if line.trim_start().starts_with(['#', ';']) {
            continue;
        }
        let (part, more) = match line.trim_end().strip_suffix('\\') {
            Some(part) => (part, true),
            None => (line, false),
        };
        match lines.last_mut().filter(|_| continues) {
            Some((_, whole)) => {
                whole.push(' ');
                whole.push_str(part);
            }
            None => lines.push((n + 1, part.to_string())),
        }
        continues = more;
    }
    lines
}
