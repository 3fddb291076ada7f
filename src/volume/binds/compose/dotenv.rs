//! `.env` files, as Compose reads them. A value that is written in a way which is not understood here is only an error
//! when it is used.

use std::collections::BTreeMap;

use super::interpolate::{Lookup, Variable, VariableError, interpolate};

/// Variables; of those that cannot be read, why.
pub type Variables = BTreeMap<String, Variable>;

/// Reads a text. What `outer` has wins over it, also for references in values.
pub fn parse(text: &str, file: &str, outer: &Lookup<'_>) -> Variables {
    let mut known = Variables::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.lines().enumerate();
    while let Some((n, line)) = lines.next() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
        let Some(at) = line.find(['=', ':']) else {
            // The name alone: what the environment has.
            continue;
        };
        let name = line[..at].trim().to_string();
        let written = line[at + 1..].trim();
        let value = match written.chars().next() {
            Some(quote @ ('"' | '\'')) => quoted(written, quote, &mut lines),
            _ => Some((unquoted(written), true)),
        };
        let (line, file) = (n + 1, file.to_string());
        let value = match value {
            None => Err(VariableError::Line { line, file }),
            Some((value, false)) => Ok(value),
            Some((value, true)) => {
                let lookup = |name: &str| outer(name).or_else(|| known.get(name).cloned());
                interpolate(&value, &lookup).map_err(|error| VariableError::Reference {
                    line,
                    file,
                    source: Box::new(error),
                })
            }
        };
        known.insert(name, value);
    }
    known
}

/// Up to a comment.
fn unquoted(written: &str) -> String {
    let comment = written
        .char_indices()
        .find(|&(at, letter)| letter == '#' && written[..at].ends_with([' ', '\t']));
    let end = comment.map_or(written.len(), |(at, _)| at);
    let end = if written.starts_with('#') { 0 } else { end };
    written[..end].trim_end().to_string()
}

/// What stands between the quotes, over lines, and whether variables in it count. `None` where it has a backslash, or no end.
fn quoted<'a>(
    written: &'a str,
    quote: char,
    lines: &mut impl Iterator<Item = (usize, &'a str)>,
) -> Option<(String, bool)> {
    let mut value = String::new();
    let mut part = &written[1..];
    loop {
        if let Some(end) = part.find(quote) {
            value.push_str(&part[..end]);
            let is_plain = !value.contains('\\');
            return is_plain.then_some((value, quote == '"'));
        }
        value.push_str(part);
        value.push('\n');
        part = lines.next()?.1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_as_they_are_written() {
        let outer = |name: &str| (name == "OUTER").then(|| Ok("o".to_string()));
        let text = "# c\nA=1\nexport B = two words # c\nC='$A'\nD=\"${A}/x\"\nE=$OUTER-$A\nF=\n\nG=a#b\nH=\"l1\nl2\"\nI: yaml\n\
                    J=\"a\\n\"\nK=$NONE\nALONE\nL='no end";
        let read = parse(text, ".env", &outer);
        for (name, value) in [
            ("A", "1"),
            ("B", "two words"),
            ("C", "$A"),
            ("D", "1/x"),
            ("E", "o-1"),
            ("F", ""),
            ("G", "a#b"),
            ("H", "l1\nl2"),
            ("I", "yaml"),
        ] {
            assert_eq!(read[name], Ok(value.to_string()), "{name}");
        }
        for name in ["J", "K", "L"] {
            assert!(read[name].is_err(), "{name}: {:?}", read[name]);
        }
        assert!(!read.contains_key("ALONE"));
    }
}
