//! Names as people may see them.
//!
//! A name may be any bytes, and whoever can make a file chooses them: sequences that steer a
//! terminal, a newline and a line that looks like the program's own, characters that turn the
//! reading order around. All text for people shows a path through [`escaped`].

use std::fmt::{self, Display, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A path on one line, for messages.
pub fn escaped(path: &Path) -> EscapedPath<'_> {
    EscapedPath(path)
}

/// See [`escaped`].
#[derive(Clone, Copy, Debug)]
pub struct EscapedPath<'a>(&'a Path);

impl Display for EscapedPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&one_line(&self.0.to_string_lossy()))
    }
}

/// Untrusted text on one line, with harmful characters escaped.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match is_harmless(c) {
            true => line.push(c),
            false => line.extend(c.escape_default()),
        }
    }
    line
}

/// Whether a terminal just shows it: no control character, none that changes the direction of the
/// text (Unicode Bidirectional Algorithm, 2), no separator of lines.
pub fn is_harmless(c: char) -> bool {
    let reorders = matches!(
        c,
        '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    !c.is_control() && !reorders
}

/// A path as a word of the shell, to be copied from a message into a command line. Harmful
/// characters are written as `$'…'` (bash, zsh, ksh, POSIX.1-2024).
pub fn shell_word(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:,@%=".contains(c);
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.is_empty() && text.chars().all(plain) => text.to_string(),
        Ok(text) if text.chars().all(is_harmless) => format!("'{}'", text.replace('\'', r"'\''")),
        _ => {
            let mut word = String::from("$'");
            for &byte in bytes {
                match byte {
                    b'\'' | b'\\' => word.extend(['\\', char::from(byte)]),
                    b' '..=b'~' => word.push(char::from(byte)),
                    // Three octal digits: a digit that follows is not taken in.
                    _ => {
                        let _ = write!(word, "\\{byte:03o}");
                    }
                }
            }
            word + "'"
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::process::Command;

    use super::*;

    const NASTY: &[&[u8]] = &[
        b"/srv/data",
        b"",
        b"/a b/it's",
        b"\x1b]0;title\x07\x1b[2J",
        b"a\nidshift: done\r",
        b"\\n \\",
        b"\xff\xfe1",
        "\u{9b}31m \u{202e} \u{2028} ü".as_bytes(),
        b"'\x01'7",
    ];

    #[test]
    fn a_name_stays_on_its_line_and_steers_nothing() {
        for name in NASTY {
            let path = Path::new(OsStr::from_bytes(name));
            for text in [escaped(path).to_string(), shell_word(path)] {
                assert!(text.chars().all(is_harmless), "{text:?}");
            }
        }
        let path = Path::new("a\x1b[2J\nb\u{9b}31m\u{202e}c");
        let text = escaped(path).to_string();
        assert_eq!(text, "a\\u{1b}[2J\\nb\\u{9b}31m\\u{202e}c");
    }

    #[test]
    fn a_path_survives_a_shell() {
        for name in NASTY {
            let word = shell_word(Path::new(OsStr::from_bytes(name)));
            let script = format!("printf %s {word}");
            let echoed = Command::new("bash").args(["-c", &script]).output().unwrap();
            assert_eq!(echoed.stdout, *name, "{word}");
        }
        assert_eq!(shell_word(Path::new("/srv/data")), "/srv/data");
        assert_eq!(shell_word(Path::new("/a b/it's")), r"'/a b/it'\''s'");
    }
}
