//! The syntax of units and of the files that `EnvironmentFile=` names (`systemd.syntax(7)`, `systemd.unit(5)`,
//! `systemd.service(5)`, `systemd.exec(5)`).

use std::collections::HashMap;

use super::{OptionSource, Word};

/// Keys and values of `[Service]`; a line that ends with a backslash goes on in the next.
pub fn service_lines(text: &str) -> Vec<(String, String)> {
    let mut lines: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in text.lines() {
        let line = line.trim();
        // Comments may stand between the parts of a line.
        if line.starts_with(['#', ';']) {
            continue;
        }
        // Two backslashes are one, and no continuation.
        let backslashes = line.len() - line.trim_end_matches('\\').len();
        let (part, more) = match backslashes % 2 {
            1 => (&line[..line.len() - 1], true),
            _ => (line, false),
        };
        match (goes_on, lines.last_mut()) {
            (true, Some(last)) => {
                last.push(' ');
                last.push_str(part);
            }
            _ => lines.push(part.to_string()),
        }
        goes_on = more;
    }
    let mut in_service = false;
    let mut found = Vec::new();
    for line in lines {
        if line.starts_with('[') {
            in_service = line == "[Service]";
        } else if let (true, Some((key, value))) = (in_service, line.split_once('=')) {
            found.push((key.trim().to_string(), value.trim().to_string()));
        }
    }
    found
}

/// `NAME=VALUE` lines of a file that `EnvironmentFile=` names; quotes around a value are no part of it. It is not a
/// shell's: `export` makes a name that is none, and `$` is itself.
pub fn environment_file(text: &str) -> HashMap<String, String> {
    let joined = text.replace("\\\n", " ");
    let lines = joined.lines().map(str::trim);
    let lines = lines.filter(|line| !line.starts_with(['#', ';']));
    lines
        .filter_map(|line| {
            let (name, value) = line.split_once('=')?;
            let name = name.trim();
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let value = value.trim();
            let quoted = ['"', '\''].into_iter().find_map(|quote| {
                let rest = value.strip_prefix(quote)?;
                let inner = rest.strip_suffix(quote)?;
                Some(match quote {
                    '"' => inner.replace("\\\"", "\"").replace("\\\\", "\\"),
                    _ => inner.to_string(),
                })
            });
            let value = quoted.unwrap_or_else(|| value.to_string());
            name.chars().all(is_name).then(|| (name.to_string(), value))
        })
        .collect()
}

/// Words of a line; quotes keep blanks in one.
pub fn words<'a>(line: &str, source: &'a OptionSource) -> impl Iterator<Item = Word> + use<'a> {
    let (mut all, mut word, mut is_word) = (Vec::new(), String::new(), false);
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', _) => word.extend(unescaped(&mut chars)),
            (c, Some(q)) if c == q => quote = None,
            ('"' | '\'', None) => (quote, is_word) = (Some(c), true),
            (c, None) if c.is_whitespace() => {
                if is_word || !word.is_empty() {
                    all.push(std::mem::take(&mut word));
                }
                is_word = false;
            }
            (c, _) => word.push(c),
        }
    }
    if is_word || !word.is_empty() {
        all.push(word);
    }
    let source = source.clone();
    all.into_iter().map(move |text| Word {
        text,
        source: source.clone(),
    })
}

/// What a backslash and what follows it stand for (`systemd.service(5)`, "C-style escapes").
fn unescaped(chars: &mut std::str::Chars<'_>) -> Option<char> {
    let c = chars.next()?;
    Some(match c {
        's' => ' ',
        't' => '\t',
        'n' => '\n',
        'r' => '\r',
        'x' => {
            let code = chars.as_str().get(..2);
            let code = code.and_then(|hex| u8::from_str_radix(hex, 16).ok());
            match code {
                Some(code) => {
                    chars.nth(1);
                    code.into()
                }
                None => c,
            }
        }
        c => c,
    })
}

/// `%` and a letter stand for something (`systemd.unit(5)`, "Specifiers"); here those that paths are made with.
pub fn with_specifiers(text: &str) -> String {
    let mut found = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let letter = match c {
            '%' => chars.next(),
            c => {
                found.push(c);
                continue;
            }
        };
        match letter {
            Some('%') => found.push('%'),
            Some('n') => found.push_str("docker.service"),
            Some('N' | 'p' | 'P' | 'j' | 'J') => found.push_str("docker"),
            Some('i' | 'I') => {}
            Some('t') => found.push_str("/run"),
            Some('S') => found.push_str("/var/lib"),
            Some('C') => found.push_str("/var/cache"),
            Some('L') => found.push_str("/var/log"),
            Some('E') => found.push_str("/etc"),
            Some('T') => found.push_str("/tmp"),
            Some('V') => found.push_str("/var/tmp"),
            Some('h') => found.push_str("/root"),
            Some('u' | 'g') => found.push_str("root"),
            Some('U' | 'G') => found.push('0'),
            Some('H') => found.push_str(&host_name()),
            Some('l') => found.push_str(host_name().split('.').next().unwrap_or_default()),
            other => {
                found.push('%');
                found.extend(other);
            }
        }
    }
    found
}

fn host_name() -> String {
    nix::unistd::gethostname().map_or_else(
        |_| String::new(),
        |name| name.to_string_lossy().into_owned(),
    )
}
