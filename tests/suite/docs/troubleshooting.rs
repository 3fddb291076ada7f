//! The messages that docs/troubleshooting.md explains are those of the program.

use std::fs;
use std::path::Path;

use super::home;

/// Words that a value in a message may have.
const MOST_WORDS: usize = 4;

/// All words of the source, with format strings of several lines in one piece.
fn source(dir: &Path, words: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            source(&path, words);
        } else {
            let text = fs::read_to_string(&path).unwrap().replace("\\\n", "");
            words.extend(split(&text));
        }
    }
}

fn split(text: &str) -> Vec<String> {
    let words = text.split(|c: char| c.is_whitespace() || "\"`()".contains(c));
    let words = words.map(|word| word.trim_matches(|c: char| "'.,;:".contains(c)).to_string());
    words.filter(|word| !word.is_empty()).collect()
}

/// The messages in the first column of the tables that have messages of idshift.
fn explained() -> Vec<String> {
    let page = fs::read_to_string(home().join("docs/troubleshooting.md")).unwrap();
    let mut is_message = false;
    let mut messages = Vec::new();
    for line in page.lines() {
        if line.starts_with("| message") {
            is_message = true;
        } else if !line.starts_with('|') {
            is_message = false;
        } else if is_message {
            let column = line.split(" | ").next().unwrap();
            messages.extend(column.split('`').skip(1).step_by(2).map(String::from));
        }
    }
    messages
}

/// Whether the source goes on with the message. A value stands for some words; `literal` of them were the same.
fn goes_on(message: &[String], source: &[String], literal: usize) -> bool {
    let Some((word, rest)) = message.split_first() else {
        return true;
    };
    let Some((found, more)) = source.split_first() else {
        return false;
    };
    let is_value = |word: &str| word.chars().all(|c| c.is_ascii_uppercase());
    if found.contains('{') {
        let most = MOST_WORDS.min(message.len());
        return literal > 0 && (0..=most).any(|n| goes_on(&message[n..], more, literal));
    }
    (found == word || is_value(word)) && goes_on(rest, more, literal + 1)
}

fn is_in(source: &[String], message: &str) -> bool {
    let words = split(message);
    (0..source.len()).any(|at| goes_on(&words, &source[at..], 0))
}

#[test]
fn each_message_that_is_explained_is_in_the_source() {
    let mut words = Vec::new();
    source(&home().join("src"), &mut words);
    let messages = explained();
    assert!(messages.len() > 20, "{messages:?}");
    let gone: Vec<&String> = messages.iter().filter(|it| !is_in(&words, it)).collect();
    assert!(gone.is_empty(), "{gone:#?}");
}

#[test]
fn a_message_is_found_whatever_its_values_are() {
    let source = split("\"{path}: is in use by process {pid} ({name}). {help}\"");
    assert!(is_in(&source, "is in use by process N (NAME)"));
    assert!(is_in(&source, "is in use by process 4711"));
    assert!(!is_in(&source, "is in use by a process"));
    assert!(!is_in(&source, "was in use by process N"));
}
