//! The installed container runtime and daemon, by what they say of themselves.

use std::process::{Command, Stdio};

use serde::Serialize;

use super::Finding;

/// A program and its version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Program {
    /// Its name.
    pub name: &'static str,
    /// As it says itself, `1.1.5+ds1`.
    pub version: String,
}

impl std::fmt::Display for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

/// First release of runc that opens the source of a bind mount before it enters the user namespace
/// (`libcontainer: open bind mount sources from the host userns`), so that closed directories above
/// do not matter to it.
const OPENS_SOURCE_FIRST: (u32, u32) = (1, 1);

impl Program {
    /// The first number of the version.
    pub fn major(&self) -> Option<u32> {
        self.version
            .split(|c: char| !c.is_ascii_digit())
            .next()?
            .parse()
            .ok()
    }

    /// Whether this is a runc that looks up the source of a bind mount as the container's root.
    pub fn looks_up_as_container(&self) -> bool {
        let numbers: Option<Vec<u32>> = self
            .version
            .split(|c: char| !c.is_ascii_digit())
            .take(2)
            .map(|part| part.parse().ok())
            .collect();
        match numbers.as_deref() {
            Some(&[major, minor]) => self.name == "runc" && (major, minor) < OPENS_SOURCE_FIRST,
            _ => false,
        }
    }
}

/// The runc that is on the path.
pub fn runc() -> Option<Program> {
    let text = first_line("runc", "--version")?;
    // "runc version 1.1.5+ds1"
    version("runc", text.split_whitespace().nth(2)?)
}

/// The dockerd that is on the path.
pub fn dockerd() -> Option<Program> {
    let text = first_line("dockerd", "--version")?;
    // "Docker version 20.10.24+dfsg1, build 5d6db84"
    version(
        "Docker",
        text.split_whitespace().nth(2)?.trim_end_matches(','),
    )
}

fn version(name: &'static str, version: &str) -> Option<Program> {
    Some(Program {
        name,
        version: version.to_string(),
    })
}

fn first_line(program: &str, argument: &str) -> Option<String> {
    let mut command = Command::new(program);
    let output = command.arg(argument).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().next().map(str::to_string)
}

/// What they are, and what that means.
pub fn findings() -> Vec<Finding> {
    let docker = match dockerd() {
        Some(docker) => Finding::ok("Docker", docker.version),
        None => Finding::warning("Docker", "dockerd is not in PATH"),
    };
    let runc = match runc() {
        Some(runc) if runc.looks_up_as_container() => {
            Finding::warning(
                "runtime",
                format!("{runc} looks up bind mounts as the container's root: closed directories above them stop it"),
            )
            .remedy("runc 1.1 or later, or idshift prepare --fix-parents")
        }
        Some(runc) => Finding::ok("runtime", runc.to_string()),
        None => Finding::warning("runtime", "runc is not in PATH"),
    };
    vec![docker, runc]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtimes_before_1_1_look_up_as_the_container() {
        for (version, old) in [
            ("1.0.0~rc93", true),
            ("1.0.3", true),
            ("1.1.5+ds1", false),
            ("1.1.0-rc.1", false),
            ("2.0.0", false),
            ("unknown", false),
        ] {
            let version = version.to_string();
            let runc = Program {
                name: "runc",
                version,
            };
            assert_eq!(runc.looks_up_as_container(), old, "{runc}");
        }
    }
}
