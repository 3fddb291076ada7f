//! Command lines of `podman run` and `podman create`, also in scripts and systemd units; or options alone.

use super::entry;
use super::options::{Fault, MapOption, SEVERAL, check_other, is_uids, names_maps};

/// A part of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A word, without its quotes.
    Word { line: usize, text: String },
    /// The end of a command.
    End,
}

impl Token {
    pub fn word(line: usize, text: String) -> Token {
        Token::Word { line, text }
    }
}

/// Options of one letter that take no value.
const LETTERS: &str = "ditqP";

/// Options of `podman run` and `podman create` that take no value.
const WITHOUT_VALUE: [&str; 21] = [
    "detach",
    "disable-content-trust",
    "env-host",
    "help",
    "http-proxy",
    "init",
    "interactive",
    "no-healthcheck",
    "no-hostname",
    "no-hosts",
    "oom-kill-disable",
    "passwd",
    "privileged",
    "publish-all",
    "quiet",
    "read-only",
    "read-only-tmpfs",
    "replace",
    "rm",
    "rmi",
    "tty",
];

/// The options of a text. If it has commands, those of the one container that they start.
pub(super) fn options(text: &str) -> Result<Vec<MapOption>, Fault> {
    let tokens = tokens(text);
    let commands: Vec<Vec<(usize, &str)>> = tokens
        .split(|token| *token == Token::End)
        .map(|words| words.iter().filter_map(Token::as_word).collect())
        .collect();
    if !commands.iter().any(|words| start(words).is_some()) {
        return bare_options(&tokens);
    }
    let mut found: Option<Vec<MapOption>> = None;
    for words in &commands {
        let Some(start) = start(words) else {
            for &(line, word) in words {
                check_no_map(word, line, "is not in a command that runs a container")?;
            }
            continue;
        };
        let options = of_command(words, start)?;
        let line = words[start].0;
        match &found {
            Some(before) if !is_same(before, &options) => return Err((line, SEVERAL.into())),
            _ => found = Some(options),
        }
    }
    Ok(found.unwrap_or_default())
}

/// Where `run` or `create` stands in a command, of a container or a pod.
fn start(words: &[(usize, &str)]) -> Option<usize> {
    let is_of_others = |n: usize| n > 0 && OTHERS.contains(&words[n - 1].1);
    (0..words.len()).find(|&n| matches!(words[n].1, "run" | "create") && !is_of_others(n))
}

/// What `podman` creates that is no container.
const OTHERS: [&str; 5] = ["network", "volume", "secret", "manifest", "farm"];

/// Whether two containers have the same map.
fn is_same(one: &[MapOption], other: &[MapOption]) -> bool {
    let said = |options: &[MapOption]| -> Vec<(bool, String)> {
        let pairs = options.iter();
        pairs.map(|it| (it.is_uids, it.value.clone())).collect()
    };
    said(one) == said(other)
}

fn check_no_map(word: &str, line: usize, why: &str) -> Result<(), Fault> {
    let is_option = ["--uidmap", "--gidmap", "--userns"]
        .iter()
        .any(|name| word.contains(name));
    match is_option {
        true => Err((line, format!("{word:?} {why}"))),
        false => Ok(()),
    }
}

/// Those between `run` or `create` and the image. What follows the image belongs to the container's command.
fn of_command(words: &[(usize, &str)], start: usize) -> Result<Vec<MapOption>, Fault> {
    for &(line, word) in &words[..start] {
        check_no_map(word, line, "stands before `run` or `create`")?;
    }
    let (options, rest) = leading_options(&words[start + 1..])?;
    let image = rest.iter().find(|(_, word)| *word != "--");
    if let Some((line, word)) = image.filter(|(_, word)| entry(word).is_ok()) {
        return Err((*line, no_option(word)));
    }
    for &(line, word) in rest {
        let why = "stands behind the image, where it is an argument of the container's command. Options come before the image";
        check_no_map(word, line, why)?;
    }
    Ok(options)
}

/// Options alone, as `PodmanArgs=` has them, or a file that somebody wrote for this.
pub(super) fn bare_options(tokens: &[Token]) -> Result<Vec<MapOption>, Fault> {
    let words: Vec<(usize, &str)> = tokens.iter().filter_map(Token::as_word).collect();
    let (mut all, mut rest) = (Vec::new(), &words[..]);
    loop {
        let (options, after) = leading_options(rest)?;
        all.extend(options);
        let Some(((line, word), after)) = after.split_first() else {
            return Ok(all);
        };
        if entry(word).is_ok() {
            return Err((*line, no_option(word)));
        }
        rest = after;
    }
}

fn no_option(word: &str) -> String {
    format!(
        "{word:?} looks like a range, and no option takes it. Write --uidmap or --gidmap before each range"
    )
}

/// A word and the number of its line.
type Word<'w> = (usize, &'w str);

/// The options about maps up to the first word that is neither an option nor the value of one, and what is from there on.
fn leading_options<'w>(words: &'w [Word<'w>]) -> Result<(Vec<MapOption>, &'w [Word<'w>]), Fault> {
    let (mut options, mut at) = (Vec::new(), 0);
    while let Some(&(line, word)) = words.get(at) {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        let map = is_uids(name);
        if word == "--" || !word.starts_with('-') && map.is_none() {
            check_other(name, line)?;
            if word.contains(char::is_whitespace) && names_maps(word) {
                let reason = "an option about maps is inside quotes, and not read there. Write the command without them";
                return Err((line, reason.into()));
            }
            break;
        }
        at += 1;
        let takes_next = value.is_none() && takes_value(name);
        let value = match takes_next {
            true => words.get(at).map_or("", |(_, value)| value),
            false => value.unwrap_or_default(),
        };
        at += usize::from(takes_next);
        match map {
            Some(is_uids) => options.push(MapOption {
                line,
                is_uids,
                value: value.to_string(),
            }),
            None => check_other(name, line)?,
        }
    }
    Ok((options, words.get(at..).unwrap_or_default()))
}

/// Whether the next word is the value of an option that has no `=`.
fn takes_value(name: &str) -> bool {
    match name.strip_prefix('-').filter(|rest| !rest.starts_with('-')) {
        None => !WITHOUT_VALUE.contains(&name.trim_start_matches('-')),
        // `-it`, `-p`, `-dp`; a value may be in the same word.
        Some(letters) => {
            let first = letters.find(|letter| !LETTERS.contains(letter));
            first.is_some_and(|first| first + 1 == letters.len())
        }
    }
}

impl Token {
    fn as_word(&self) -> Option<(usize, &str)> {
        match self {
            Token::Word { line, text } => Some((*line, text)),
            Token::End => None,
        }
    }
}

/// The words and ends of commands of a shell script, without comments. A file of options alone has no commands.
fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let (mut line, mut word): (usize, Option<(usize, String)>) = (1, None);
    let (mut quote, mut starts_line) = (None, true);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let begun = starts_line;
        starts_line = c == '\n' || begun && c.is_whitespace();
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('\\', None | Some('"')) => match chars.next() {
                // The line goes on.
                Some('\n') if quote.is_none() => {
                    tokens.extend(word.take().map(|(n, text)| Token::word(n, text)));
                    line += 1;
                }
                Some(next) => {
                    line += usize::from(next == '\n');
                    word.get_or_insert_with(|| (line, String::new()))
                        .1
                        .push(next);
                }
                None => {}
            },
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_with(|| (line, String::new()));
            }
            // systemd has comments with `;`.
            ('#' | ';', None) if word.is_none() && (c == '#' || begun) => {
                while chars.next_if(|c| *c != '\n').is_some() {}
            }
            (c, None) if c.is_whitespace() || ";&|()`".contains(c) => {
                tokens.extend(word.take().map(|(n, text)| Token::word(n, text)));
                if c == '\n' || !c.is_whitespace() {
                    tokens.push(Token::End);
                }
            }
            (c, _) => word.get_or_insert_with(|| (line, String::new())).1.push(c),
        }
        line += usize::from(c == '\n');
    }
    tokens.extend(word.map(|(n, text)| Token::word(n, text)));
    tokens
}
