//! Accounts as the measured commands are to find them, whatever those of this machine are.

use std::fs;
use std::io;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// Files of `/etc`: no login account, and the ranges that dockerd's `default` has.
const FILES: [(&str, &str); 4] = [
    (
        "passwd",
        "root:x:0:0::/root:/bin/sh\ndockremap:x:995:994::/home/dockremap:/bin/false\n",
    ),
    ("group", "root:x:0:\ndockremap:x:994:\n"),
    ("subuid", "dockremap:100000:65536\n"),
    ("subgid", "dockremap:100000:65536\n"),
];

/// Takes this program into a mount namespace of its own, where `/etc` has just these accounts. What is mounted in it
/// goes when the program ends.
///
/// # Errors
/// Of unshare(2) and mount(2); one of the files is not there.
pub fn isolate(dir: &Path) -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let none: Option<&Path> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    fs::create_dir_all(dir)?;
    for (name, text) in FILES {
        let file = dir.join(name);
        fs::write(&file, text)?;
        let there = Path::new("/etc").join(name);
        mount(Some(&file), &there, none, MsFlags::MS_BIND, none).map_err(|error| {
            io::Error::new(
                io::Error::from(error).kind(),
                format!("{}: bind mount: {error}", there.display()),
            )
        })?;
    }
    Ok(())
}
