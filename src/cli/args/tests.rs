use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use clap::CommandFactory;
use walkdir::WalkDir;

use super::Cli;

/// Where flags may be named: `cli` itself, the guidance for all layers, and the layers that are a whole command each.
const MAY_NAME_FLAGS: [&str; 10] = [
    "cli",
    "guidance.rs",
    "docker",
    "host",
    "mounts",
    "podman",
    "store_move",
    "volume/guidance.rs",
    "volume/guidance",
    // Those of `docker run`, too.
    "volume/binds",
];

/// Flags of other programs that idshift has too: `dockerd --data-root`.
const OF_OTHERS: [(&str, &str); 4] = [
    ("preflight/in_use/message.rs", "--data-root"),
    // Of `findmnt` and `nsenter`.
    ("engine/crossed_mounts.rs", "--target"),
    ("engine/refusal.rs", "--target"),
    ("fs/idmapped_mount/error.rs", "--target"),
];

/// `--name` of every command.
fn flags(command: &clap::Command, all: &mut BTreeSet<String>) {
    let long = command.get_arguments().filter_map(|arg| arg.get_long());
    all.extend(long.map(|name| format!("--{name}")));
    for sub in command.get_subcommands() {
        flags(sub, all);
    }
}

/// The flags that a text names, each as a whole word.
fn flags_in(text: &str) -> impl Iterator<Item = &str> {
    let is_of_word = |c: char| c.is_ascii_lowercase() || c == '-';
    let words = text.split(move |c: char| !is_of_word(c));
    words.filter(|word| word.starts_with("--") && word.len() > 2)
}

/// What stands between quotes, outside of comments and tests.
fn strings(source: &str) -> String {
    let code = source.split("#[cfg(test)]\nmod tests {").next();
    let code = code.unwrap_or_default().lines();
    let code = code.filter(|line| !line.trim_start().starts_with("//"));
    let code: String = code.map(|line| format!("{line}\n")).collect();
    let code = code.replace("\\\"", " ").replace("'\"'", " ");
    let strings = code.split('"').skip(1).step_by(2);
    strings.collect::<Vec<_>>().join("\n")
}

#[test]
fn layers_below_the_command_line_name_no_flag() {
    let mut known = BTreeSet::new();
    flags(&Cli::command(), &mut known);
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut named = Vec::new();
    let mut looked_at = 0;
    for entry in WalkDir::new(&src) {
        let entry = entry.unwrap();
        let path = entry.path().strip_prefix(&src).unwrap();
        let is_test = entry.file_name() == "tests.rs" || path.iter().any(|part| part == "tests");
        let may = MAY_NAME_FLAGS.iter().any(|place| path.starts_with(place));
        if path.extension().is_none_or(|end| end != "rs") || is_test || may {
            continue;
        }
        looked_at += 1;
        let text = strings(&fs::read_to_string(entry.path()).unwrap());
        let ours = flags_in(&text).filter(|flag| known.contains(*flag));
        let ours = ours.filter(|flag| {
            !OF_OTHERS
                .iter()
                .any(|of| path == Path::new(of.0) && *flag == of.1)
        });
        named.extend(ours.map(|flag| format!("{}: {flag}", path.display())));
    }
    assert!(looked_at > 100, "{looked_at} files");
    assert_eq!(named, [""; 0], "guidance.rs is the place for these");
}

#[test]
fn guidance_names_flags_that_exist() {
    let mut known = BTreeSet::new();
    flags(&Cli::command(), &mut known);
    let of_others = ["--add-sub"];
    let text = strings(include_str!("../../guidance.rs"));
    let named: Vec<&str> = flags_in(&text).collect();
    assert!(named.len() > 20, "{named:?}");
    for flag in named {
        assert!(
            known.contains(flag) || of_others.contains(&flag),
            "{flag} is no flag of idshift"
        );
    }
}
