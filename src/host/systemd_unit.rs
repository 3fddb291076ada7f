//! What a systemd unit of ours may name, and how (`systemd.unit(5)`, `systemd.service(5)`, `systemd-escape(1)`).

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::fs::escape::{escaped, shell_word};

/// Why a unit cannot run this program.
#[derive(Debug, Error)]
pub enum ProgramError {
    /// A program that root runs at boot must only be writable by root.
    #[error(
        "{program}: can be changed by {writable}, and root runs it at the next boot. Install idshift where \
        only root can write ({install}), and run that one",
        program = escaped(program), install = install(program)
    )]
    Writable {
        /// The program.
        program: PathBuf,
        /// By whom it can be changed.
        writable: String,
    },
    /// It may be gone at the next boot, and then anybody may put something in its place.
    #[error(
        "{program}: may not be there at the next boot, when root has to run it: {dir} is emptied. Install idshift \
        first ({install}), and run that one",
        program = escaped(program), install = install(program)
    )]
    Emptied {
        /// The program.
        program: PathBuf,
        /// A directory above.
        dir: &'static str,
    },
    /// It cannot be looked at.
    #[error("{path}: {source}", path = escaped(path))]
    Io {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Directories that are emptied at boot, or by `systemd-tmpfiles` some day.
const EMPTIED: [&str; 4] = ["/tmp", "/var/tmp", "/run", "/dev"];

/// This program, which root will run at each boot.
///
/// # Errors
/// Others than root can change it, or put another one in its place; it may be gone by then.
pub fn program_of_root() -> Result<PathBuf, ProgramError> {
    let program = std::env::current_exe().map_err(|source| ProgramError::Io {
        path: "/proc/self/exe".into(),
        source,
    })?;
    if let Some(dir) = EMPTIED.iter().find(|dir| program.starts_with(dir)) {
        return Err(ProgramError::Emptied { program, dir });
    }
    check_is_roots(&program)?;
    Ok(program)
}

/// That only root writes a program, and each directory above.
fn check_is_roots(program: &Path) -> Result<(), ProgramError> {
    for path in program.ancestors() {
        let writer = writer_of(path).map_err(|source| ProgramError::Io {
            path: path.to_path_buf(),
            source,
        })?;
        if let Some(writable) = writer {
            return Err(ProgramError::Writable {
                program: program.to_path_buf(),
                writable,
            });
        }
    }
    Ok(())
}

/// Who but root can write to a file, or make entries in a directory. The sticky bit does not count: it keeps others from
/// removing what is there, but not from making what is not there any more.
fn writer_of(path: &Path) -> io::Result<Option<String>> {
    let found = fs::metadata(path)?;
    Ok(match (found.uid(), found.mode() & 0o022) {
        (0, 0) => None,
        (0, _) => Some(format!(
            "others than root ({} has mode {:04o})",
            escaped(path),
            found.mode() & 0o7777
        )),
        (uid, _) => Some(format!("uid {uid}, to whom {} belongs", escaped(path))),
    })
}

/// The command that puts a program where a unit can run it.
fn install(program: &Path) -> String {
    let is_roots = |dir: &&&str| check_is_roots(Path::new(dir)).is_ok();
    // On some hosts a group may write to the first.
    let dir = ["/usr/local/bin", "/usr/bin"].iter().find(is_roots);
    format!(
        "`install -m 755 {} {}`",
        shell_word(program),
        dir.unwrap_or(&"/usr/bin")
    )
}

/// Why a unit cannot name a path. A unit is text, and in `RequiresMountsFor=` nothing stands for a quote.
pub fn not_nameable(path: &Path) -> Option<&'static str> {
    match path.to_str() {
        None => Some("it is not UTF-8"),
        Some(text) if text.contains(['"', '\'', '\\']) => Some("it has a quote or a backslash"),
        Some(text) if text.contains(char::is_control) => Some("it has a control character"),
        Some(_) => None,
    }
}

/// As `systemd-escape --path` does.
pub fn escape_path(path: &Path) -> String {
    let bytes = path.as_os_str().as_encoded_bytes();
    let names = bytes.split(|&byte| byte == b'/');
    let names: Vec<&[u8]> = names.filter(|name| !name.is_empty()).collect();
    let joined = names.join(&b'/');
    if joined.is_empty() {
        return "-".into();
    }
    let mut text = String::new();
    for (n, &byte) in joined.iter().enumerate() {
        match byte {
            b'/' => text.push('-'),
            b'.' if n == 0 => text.push_str("\\x2e"),
            b'.' | b'_' | b':' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => text.push(byte.into()),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text
}

/// A word of a command line.
pub fn quoted(word: &str) -> String {
    let text = specifiers(word).replace('$', "$$");
    match text.contains(|c: char| c.is_whitespace() || c == ';') {
        true => format!("\"{text}\""),
        false => text,
    }
}

/// A path in a list of paths.
pub fn quoted_path(path: &Path) -> String {
    let text = specifiers(&path.to_string_lossy());
    match text.contains(char::is_whitespace) {
        true => format!("\"{text}\""),
        false => text,
    }
}

/// Text in which no specifier is meant.
pub fn specifiers(text: &str) -> String {
    text.replace('%', "%%")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_others_write_to_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().join("bin");
        fs::create_dir(&bin).unwrap();
        let program = bin.join("idshift");
        fs::write(&program, "").unwrap();
        let set = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        set(&program, 0o755);
        for (path, mode) in [
            (&bin, 0o775),
            (&bin, 0o757),
            (&bin, 0o1777),
            (&program, 0o775),
        ] {
            set(path, mode);
            let told = check_is_roots(&program).unwrap_err().to_string();
            assert!(told.contains(path.to_str().unwrap()), "{told}");
            set(path, 0o755);
        }
        if fs::metadata(&bin).unwrap().uid() == 0 {
            assert_eq!(writer_of(&bin).unwrap(), None);
            assert_eq!(writer_of(&program).unwrap(), None);
            // It lies below the directory for everybody's temporary files.
            check_is_roots(&program).unwrap_err();
            std::os::unix::fs::chown(&bin, Some(1000), None).unwrap();
            let told = check_is_roots(&program).unwrap_err().to_string();
            assert!(told.contains("uid 1000"), "{told}");
        }
    }
}
