//! The options that init scripts other than systemd's units start dockerd with, from the file that they read.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use super::{OptionSource, Word};

/// What the scripts read: Debian's in `/etc/init.d`, and those of OpenRC. Both take `DOCKER_OPTS` from it.
const SETTINGS: [&str; 2] = ["/etc/default/docker", "/etc/conf.d/docker"];

/// The command line, where one of the files gives options.
pub fn command_line() -> Option<Vec<Word>> {
    let of_file = |file: &&str| {
        let text = fs::read_to_string(file).ok()?;
        let options = options(&text)?;
        Some(with_source(&options, Path::new(file)))
    };
    SETTINGS.iter().find_map(of_file)
}

fn with_source(options: &str, file: &Path) -> Vec<Word> {
    // As the shell splits `$DOCKER_OPTS`: quotes in it are themselves.
    let texts = ["dockerd"].into_iter().chain(options.split_whitespace());
    texts
        .map(|text| Word {
            text: text.to_string(),
            source: OptionSource::File(file.to_path_buf()),
        })
        .collect()
}

/// The value of `DOCKER_OPTS` behind assignments as a shell takes them.
fn options(text: &str) -> Option<String> {
    let joined = text.replace("\\\n", "");
    let mut variables = HashMap::new();
    for line in joined.lines() {
        let line = line.trim();
        let line = line.strip_prefix("export ").map_or(line, str::trim_start);
        let Some((name, value)) = line.split_once('=') else {
            continue;
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !name.is_empty() && name.chars().all(is_name) {
            let value = value_of(value, &variables);
            variables.insert(name.to_string(), value);
        }
    }
    variables.remove("DOCKER_OPTS")
}

/// A word of the shell's: up to the first blank that no quotes are around, with variables that were set before.
fn value_of(text: &str, variables: &HashMap<String, String>) -> String {
    let (mut value, mut quote) = (String::new(), None);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, quote) {
            (c, Some(q)) if c == q => quote = None,
            (c, Some('\'')) => value.push(c),
            ('\\', _) => value.extend(chars.next()),
            ('$', _) => {
                let is_braced = chars.next_if_eq(&'{').is_some();
                let mut name = String::new();
                while let Some(c) = chars.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    name.push(c);
                }
                if is_braced {
                    // `:-` and the like are not read.
                    chars.by_ref().find(|c| *c == '}');
                }
                value.push_str(variables.get(&name).map_or("", String::as_str));
            }
            ('"' | '\'', None) => quote = Some(c),
            (c, None) if c.is_whitespace() || c == ';' => break,
            (c, _) => value.push(c),
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::options;

    #[test]
    fn assignments_are_read_as_a_shell_reads_them() {
        for (text, said) in [
            ("#DOCKER_OPTS=\"--no\"\n", None),
            ("DOCKER_OPTS=\"-g /x\" # why\n", Some("-g /x")),
            ("export DOCKER_OPTS='-g /x'\n", Some("-g /x")),
            ("DOCKER_OPTS=-D # -g /no\n", Some("-D")),
            ("A=/x\nDOCKER_OPTS=\"-g $A/y\"\n", Some("-g /x/y")),
            (
                "DOCKER_OPTS=\"-D\"\nDOCKER_OPTS=\"$DOCKER_OPTS -g ${NO}/x\"\n",
                Some("-D -g /x"),
            ),
            ("DOCKER_OPTS=\"-D \\\n -g /x\"\n", Some("-D  -g /x")),
            ("DOCKER_OPTS='$A'\"b\"\n", Some("$Ab")),
        ] {
            assert_eq!(options(text).as_deref(), said, "{text}");
        }
    }
}
