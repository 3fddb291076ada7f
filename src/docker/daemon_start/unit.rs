//! The command line in `docker.service`, with its drop-ins and environment files (`systemd.unit(5)`,
//! `systemd.service(5)`, `systemd.exec(5)`), or else in `/etc/default/docker`.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use super::{Source, Word};

/// Where units are looked for, the first first.
const UNIT_DIRS: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// What scripts of other init systems read.
const DEFAULTS: &str = "/etc/default/docker";

/// The command line that the host's service manager starts dockerd with.
pub fn docker_service() -> Option<Vec<Word>> {
    let files = files();
    if files.is_empty() {
        return of_defaults();
    }
    let texts: Vec<(PathBuf, String)> = files
        .into_iter()
        .filter_map(|file| Some((file.clone(), fs::read_to_string(file).ok()?)))
        .collect();
    Some(command_line(&texts, &|path| fs::read_to_string(path).ok()))
}

fn of_defaults() -> Option<Vec<Word>> {
    let text = fs::read_to_string(DEFAULTS).ok()?;
    let variables = assignments(&text);
    let source = Source::File(DEFAULTS.into());
    let line = format!("dockerd {}", variables.get("DOCKER_OPTS")?);
    Some(words(&line, &source).collect())
}

/// The unit's own file and its drop-ins, in the order in which they count.
fn files() -> Vec<PathBuf> {
    let dirs = || UNIT_DIRS.iter().map(Path::new);
    let unit = dirs()
        .map(|dir| dir.join("docker.service"))
        .find(|it| it.exists());
    let Some(unit) = unit else {
        return Vec::new();
    };
    // A name counts once, in the first directory that has it.
    let mut drop_ins: BTreeMap<std::ffi::OsString, PathBuf> = BTreeMap::new();
    for dir in dirs().flat_map(|dir| [dir.join("docker.service.d"), dir.join("service.d")]) {
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
    let mut command: Option<(String, Source)> = None;
    let mut variables: HashMap<String, (String, Source)> = HashMap::new();
    let mut environment_files = Vec::new();
    for (path, text) in files {
        let source = Source::File(path.clone());
        for (key, value) in service_lines(text) {
            match (key.as_str(), value.as_str()) {
                ("ExecStart", "") => command = None,
                ("ExecStart", value) => {
                    command.get_or_insert_with(|| (value.to_string(), source.clone()));
                }
                ("Environment", "") => variables.clear(),
                ("Environment", value) => {
                    for word in words(value, &source) {
                        if let Some((name, value)) = word.text.split_once('=') {
                            variables.insert(name.into(), (value.into(), source.clone()));
                        }
                    }
                }
                ("EnvironmentFile", "") => environment_files.clear(),
                ("EnvironmentFile", value) => {
                    environment_files.push(PathBuf::from(value.trim_start_matches('-')));
                }
                _ => {}
            }
        }
    }
    // They override what Environment= says.
    for path in environment_files {
        for (name, value) in assignments(&read(&path).unwrap_or_default()) {
            variables.insert(name, (value, Source::File(path.clone())));
        }
    }
    let Some((line, source)) = command else {
        return Vec::new();
    };
    let line = line.trim_start_matches(['@', '-', ':', '+', '!']);
    words(line, &source)
        .flat_map(|word| expanded(word, &variables))
        .collect()
}

/// `$NAME` alone becomes the words of its value, `${NAME}` its value as it is.
fn expanded(word: Word, variables: &HashMap<String, (String, Source)>) -> Vec<Word> {
    let is_braced = word.text.starts_with("${");
    if let Some(name) = word.text.strip_prefix('$').filter(|_| !is_braced) {
        return match variables.get(name) {
            Some((value, source)) => words(value, source).collect(),
            None => Vec::new(),
        };
    }
    let (mut text, mut source) = (word.text, word.source);
    for (name, (value, from)) in variables {
        let name = format!("${{{name}}}");
        if text.contains(&name) {
            text = text.replace(&name, value);
            source = from.clone();
        }
    }
    vec![Word { text, source }]
}

/// Keys and values of `[Service]`; a line that ends with a backslash goes on in the next.
fn service_lines(text: &str) -> Vec<(String, String)> {
    let mut lines: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in text.lines() {
        let line = line.trim();
        // Comments may stand between the parts of a line.
        if line.starts_with(['#', ';']) {
            continue;
        }
        let (part, more) = match line.strip_suffix('\\') {
            Some(part) => (part, true),
            None => (line, false),
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

/// `NAME=VALUE` lines of an environment file; quotes around a value are no part of it.
fn assignments(text: &str) -> HashMap<String, String> {
    let joined = text.replace("\\\n", " ");
    let lines = joined.lines().map(str::trim);
    let lines = lines.filter(|line| !line.starts_with(['#', ';']));
    lines
        .filter_map(|line| {
            let (name, value) = line.split_once('=')?;
            let name = name.trim().trim_start_matches("export ").trim();
            let value = value.trim();
            let quoted = ['"', '\''].into_iter().find_map(|quote| {
                let rest = value.strip_prefix(quote)?;
                rest.strip_suffix(quote)
            });
            Some((name.to_string(), quoted.unwrap_or(value).to_string()))
        })
        .collect()
}

/// Words of a line; quotes keep blanks in one.
fn words<'a>(line: &str, source: &'a Source) -> impl Iterator<Item = Word> + use<'a> {
    let (mut all, mut word, mut is_word) = (Vec::new(), String::new(), false);
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', _) => word.extend(chars.next()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drop_ins_and_environment_files_make_the_command_line() {
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
        assert_eq!(words[3].source, Source::File("/etc/default/docker".into()));
        assert_eq!(words[1].source, Source::File("/lib/docker.service".into()));
        let drop_in = "[Service]\nEnvironment=ROOT=/x \"OTHER=a b\"\nExecStart=\n\
                       ExecStart=-/usr/bin/dockerd --data-root ${ROOT} '--label=a b'\n";
        let (line, words) = of(&[("/lib/docker.service", unit), ("/etc/o.conf", drop_in)]);
        assert_eq!(line, "/usr/bin/dockerd --data-root /x --label=a b");
        assert_eq!(words.len(), 4);
    }
}
