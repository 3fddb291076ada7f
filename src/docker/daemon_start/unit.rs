//! The command line in `docker.service`, or another service, with its drop-ins and environment files (`systemd.unit(5)`,
//! `systemd.service(5)`, `systemd.exec(5)`).

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use super::unit_syntax::{environment_file, service_lines, with_specifiers, words};
use super::{OptionSource, Word};

/// Where units are looked for, the first first.
const UNIT_DIRS: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// The command line that the host's service manager starts dockerd with; `None` where there is no such unit.
pub fn docker_service() -> Option<Vec<Word>> {
    service("docker")
}

/// The command line of a service with this name.
pub fn service(name: &str) -> Option<Vec<Word>> {
    let texts: Vec<(PathBuf, String)> = files(name)
        .into_iter()
        .filter_map(|file| Some((file.clone(), fs::read_to_string(file).ok()?)))
        .collect();
    let words = command_line(&texts, &|path| fs::read_to_string(path).ok());
    (!words.is_empty()).then_some(words)
}

/// Whether there is such a unit.
pub fn is_there() -> bool {
    !files("docker").is_empty()
}

/// The unit's own file and its drop-ins, in the order in which they count.
fn files(name: &str) -> Vec<PathBuf> {
    let dirs = || UNIT_DIRS.iter().map(Path::new);
    let service = format!("{name}.service");
    // One that is masked, by `/dev/null` or an empty file, is as it will be when it no longer is.
    let unit = dirs()
        .map(|dir| dir.join(&service))
        .find(|it| fs::metadata(it).is_ok_and(|found| found.is_file() && found.len() > 0));
    let Some(unit) = unit else {
        return Vec::new();
    };
    // A name counts once, in the first directory that has it.
    let mut drop_ins: BTreeMap<std::ffi::OsString, PathBuf> = BTreeMap::new();
    // What is for this unit comes before what is for all services, in whatever directory.
    let names = [format!("{service}.d"), "service.d".into()];
    let places = names
        .iter()
        .flat_map(|name| dirs().map(move |dir| dir.join(name)));
    for dir in places {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|end| end == "conf") {
                drop_ins.entry(entry.file_name()).or_insert(path);
            }
        }
    }
    [unit].into_iter().chain(drop_ins.into_values()).collect()
}

/// The command line that these files make.
fn command_line(files: &[(PathBuf, String)], read: &dyn Fn(&Path) -> Option<String>) -> Vec<Word> {
    let mut command: Option<(String, OptionSource)> = None;
    let mut variables: HashMap<String, (String, OptionSource)> = HashMap::new();
    let mut environment_files = Vec::new();
    for (path, text) in files {
        let source = OptionSource::File(path.clone());
        for (key, value) in service_lines(text) {
            match (key.as_str(), value.as_str()) {
                ("ExecStart", "") => command = None,
                ("ExecStart", value) => {
                    command.get_or_insert_with(|| (value.to_string(), source.clone()));
                }
                ("Environment", "") => variables.clear(),
                ("Environment", value) => {
                    for word in words(value, &source).map(specified) {
                        if let Some((name, value)) = word.text.split_once('=') {
                            variables.insert(name.into(), (value.into(), source.clone()));
                        }
                    }
                }
                ("EnvironmentFile", "") => environment_files.clear(),
                ("EnvironmentFile", value) => {
                    let path = value.strip_prefix('-').unwrap_or(value);
                    environment_files.push(PathBuf::from(with_specifiers(path)));
                }
                _ => {}
            }
        }
    }
    // They override what Environment= says.
    for path in environment_files {
        for (name, value) in environment_file(&read(&path).unwrap_or_default()) {
            variables.insert(name, (value, OptionSource::File(path.clone())));
        }
    }
    let Some((line, source)) = command else {
        return Vec::new();
    };
    let program = line.trim_start_matches(['@', '-', ':', '+', '!', '|']);
    let prefixes = &line[..line.len() - program.len()];
    let words = words(program, &source).map(specified);
    match prefixes.contains(':') {
        true => words.collect(),
        false => words.flat_map(|word| expanded(word, &variables)).collect(),
    }
}

fn specified(word: Word) -> Word {
    Word {
        text: with_specifiers(&word.text),
        ..word
    }
}

/// `$NAME` alone becomes the words of its value, `${NAME}` its value as it is.
fn expanded(word: Word, variables: &HashMap<String, (String, OptionSource)>) -> Vec<Word> {
    let name = word.text.strip_prefix('$');
    if let Some(name) = name.filter(|name| !name.starts_with(['{', '$'])) {
        return match variables.get(name) {
            Some((value, source)) => words(value, source).collect(),
            None => Vec::new(),
        };
    }
    let (mut text, mut source) = (String::new(), word.source);
    let mut rest = &word.text[..];
    while let Some((before, after)) = rest.split_once('$') {
        text.push_str(before);
        let braced = after.strip_prefix('{').and_then(|it| it.split_once('}'));
        rest = match (after.strip_prefix('$'), braced) {
            (Some(after), _) => {
                text.push('$');
                after
            }
            // One that is not set is nothing.
            (None, Some((name, after))) => {
                if let Some((value, from)) = variables.get(name) {
                    text.push_str(value);
                    source = from.clone();
                }
                after
            }
            (None, None) => {
                text.push('$');
                after
            }
        };
    }
    text.push_str(rest);
    vec![Word { text, source }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drop_ins_and_env_files_make_the_command_line() {
        let unit = "[Unit]\nExecStart=no\n[Service]\nEnvironmentFile=-/etc/default/docker\n\
                    ExecStart=/usr/sbin/dockerd -H fd:// \\\n  $DOCKER_OPTS\n";
        let defaults = "# a comment\nDOCKER_OPTS=\"--userns-remap=default -g /srv/d\"\n";
        let read = |_: &Path| Some(defaults.to_string());
        let of = |files: &[(&str, &str)]| {
            let files: Vec<_> = files
                .iter()
                .map(|(path, text)| (PathBuf::from(path), text.to_string()))
                .collect();
            let words = command_line(&files, &read);
            let texts: Vec<String> = words.iter().map(|word| word.text.clone()).collect();
            (texts.join(" "), words)
        };
        let (line, words) = of(&[("/lib/docker.service", unit)]);
        assert_eq!(
            line,
            "/usr/sbin/dockerd -H fd:// --userns-remap=default -g /srv/d"
        );
        assert_eq!(
            words[3].source,
            OptionSource::File("/etc/default/docker".into())
        );
        assert_eq!(
            words[1].source,
            OptionSource::File("/lib/docker.service".into())
        );
        let drop_in = "[Service]\nEnvironment=ROOT=/x \"OTHER=a b\"\nExecStart=\n\
                       ExecStart=-/usr/bin/dockerd --data-root ${ROOT} '--label=a b'\n";
        let (line, words) = of(&[("/lib/docker.service", unit), ("/etc/o.conf", drop_in)]);
        assert_eq!(line, "/usr/bin/dockerd --data-root /x --label=a b");
        assert_eq!(words.len(), 4);
    }

    /// Lines of a service, those of `/etc/env`, and the options that dockerd gets.
    const RULES: &[(&str, &str, &str)] = &[
        // Specifiers, in words, variables and names of files.
        (
            "ExecStart=d -g %S/%p --label=5%%",
            "",
            "-g|/var/lib/docker|--label=5%",
        ),
        (
            "Environment=A=%S/x\nExecStart=d -g ${A}",
            "",
            "-g|/var/lib/x",
        ),
        (
            "EnvironmentFile=-%E/env\nExecStart=d $A",
            "A=-g /x",
            "-g|/x",
        ),
        // Variables.
        (
            "ExecStart=d --label=$$A ${NONE} $NONE -g /x",
            "",
            "--label=$A||-g|/x",
        ),
        ("Environment=A=/x\nExecStart=d ${A}/${A}", "", "/x//x"),
        (
            "Environment=A=/x\nExecStart=:d -g ${A} $A",
            "",
            "-g|${A}|$A",
        ),
        ("Environment=\"A=-g '/a b'\"\nExecStart=d $A", "", "-g|/a b"),
        (
            "Environment=A=/x\nEnvironment=\nExecStart=d -g $A",
            "",
            "-g",
        ),
        // Of a file, what is no name is no variable, and a shell's signs are themselves.
        (
            "EnvironmentFile=/etc/env\nExecStart=d $A",
            "export A=--x",
            "",
        ),
        (
            "EnvironmentFile=/etc/env\nExecStart=d $A",
            "A=-g /x # y",
            "-g|/x|#|y",
        ),
        (
            "EnvironmentFile=/etc/env\nExecStart=d $A",
            "A=-g \\\n  /x",
            "-g|/x",
        ),
        (
            "EnvironmentFile=/etc/env\nExecStart=d $A",
            "A=\"-g \\\"/a b\\\"\"",
            "-g|/a b",
        ),
        (
            "EnvironmentFile=/etc/env\nEnvironmentFile=\nExecStart=d $A",
            "A=-D",
            "",
        ),
        // Lines that go on, with a comment between, and one that does not.
        ("ExecStart=d \\\n# -D\n; -D\n  -g \\\n /x", "", "-g|/x"),
        ("ExecStart=d --label=a\\\\\nExecStart=e", "", "--label=a\\"),
        // Quotes and escapes.
        (
            "ExecStart=d '-g' \"/a b\" --label=a\\sb\\x41",
            "",
            "-g|/a b|--label=a bA",
        ),
        ("ExecStart=d \"--label=a 'b'\"", "", "--label=a 'b'"),
        // The first counts, until there is an empty one.
        (
            "ExecStart=d -g /x\nExecStart=\nExecStart=|e -g /y",
            "",
            "-g|/y",
        ),
    ];

    #[test]
    fn each_rule_of_units_counts() {
        let of = |service: &str, environment: &str| {
            let files = [(PathBuf::from("/u"), format!("[Service]\n{service}"))];
            let words = command_line(&files, &|path| {
                (path == Path::new("/etc/env")).then(|| environment.to_string())
            });
            let texts: Vec<String> = words.into_iter().map(|word| word.text).collect();
            texts[1..].join("|")
        };
        for (service, environment, line) in RULES {
            assert_eq!(of(service, environment), *line, "{service} {environment}");
        }
    }
}
