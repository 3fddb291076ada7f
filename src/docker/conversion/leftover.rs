//! What an earlier conversion left in the data-root: nothing that anybody needs where it was cut short before it changed
//! anything, and else perhaps the only copy of what containers wrote.
//!
//! The directory is marked as long as the first is so ([`unfinished_mark`]).

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use crate::docker::DockerError;
use crate::docker::data_root::{CONVERTED, names};
use crate::docker::layer_store::store::STAGED_IMAGES;
use crate::fs::dir::open_dir;
use crate::fs::escape::{escaped, shell_word};
use crate::fs::space::{self, Amount};
use crate::fs::{mountinfo, remove_tree};
use crate::journal::Journal;
use crate::journal::record::RunKind;
use crate::store_move::error::LeftOver;
use crate::store_move::top_time::TopTime;
use crate::store_move::unfinished_mark;

/// The name of what a conversion into a range makes.
pub fn staging_name(range: &str) -> String {
    format!("{CONVERTED}{range}")
}

/// Whether a directory was made by a conversion that changed nothing, and is needed by nobody. One that is empty was
/// killed before it was marked.
pub fn is_unfinished(dir: &Path) -> bool {
    // No symlink, and nothing that is not there: that has no names either.
    if open_dir(rustix::fs::CWD, dir).is_err() {
        return false;
    }
    let is_marked = unfinished_mark::is_marked(dir);
    let is_own = |names: Vec<String>| match is_marked {
        true => names.iter().all(|name| is_made_here(name)),
        false => names.is_empty(),
    };
    names(dir).is_ok_and(is_own)
}

/// Names that a conversion, or removing what it made, gives to something in the directory.
fn is_made_here(name: &str) -> bool {
    // `image` is what earlier versions made.
    matches!(
        name,
        STAGED_IMAGES | "image" | "overlay2" | super::fill::UNNAMED
    ) || remove_tree::is_hoisted_name(name)
}

/// What the next run removes before it makes its own.
pub fn unfinished(top: &Path, range: &str) -> Option<PathBuf> {
    let dir = top.join(staging_name(range));
    is_unfinished(&dir).then_some(dir)
}

/// Room that there will be once it is removed.
pub fn freed_space(top: &Path, range: &str) -> Amount {
    let dir = unfinished(top, range);
    dir.and_then(|dir| space::used(&[dir]).ok())
        .unwrap_or_default()
}

/// Whether nothing is in the place of what a conversion makes, or nothing that anybody needs.
///
/// # Errors
/// An earlier run left what somebody should look at, or something is mounted in it.
pub fn check_is_free(top: &Path, range: &str) -> Result<(), DockerError> {
    let dir = top.join(staging_name(range));
    if let Some(reason) = LeftOver::with_mount(&dir) {
        return Err(DockerError::in_the_way(&dir, reason));
    }
    match dir.symlink_metadata() {
        Err(_) => Ok(()),
        Ok(_) if is_unfinished(&dir) => Ok(()),
        Ok(_) if holds_files(&dir) => Err(DockerError::in_the_way(
            &dir,
            format!(
                "is left over from an earlier conversion, and has files in its overlay2. If that \
                conversion was rolled back with --force, these may be the only copy of what containers \
                wrote. Look at them. To keep them, move the directory out of the data-root: `mv {} \
                /root/`. Then run this again",
                shell_word(&dir)
            ),
        )),
        Ok(_) => Err(DockerError::in_the_way(
            &dir,
            format!(
                "is left over from a conversion that ended before it changed anything, and is not \
                needed. Remove it: `rm -rf {}`. Then run this again",
                shell_word(&dir)
            ),
        )),
    }
}

/// Removes what is unfinished. The caller has the lock: no run makes it now.
///
/// # Errors
/// Something is mounted in it.
pub fn remove_unfinished(top: &Path, range: &str) -> Result<(), DockerError> {
    let Some(dir) = unfinished(top, range) else {
        return Ok(());
    };
    check_is_free(top, range)?;
    let time = TopTime::of(top).map_err(DockerError::io(top))?;
    let name = staging_name(range);
    let removed = time.removing(|| remove_tree(time.top.as_fd(), name.as_bytes()));
    removed.map_err(DockerError::io(dir))
}

/// What a run has left that was killed before its journal knew what is to be done: only what had been made for it. In
/// words, with the command that removes it.
pub fn left(journal: &Journal) -> Option<String> {
    if journal.may_have_begun() || journal.header.command != RunKind::DockerMigrate {
        return None;
    }
    let top = journal.header.roots.first()?.path.as_path();
    let mut names = names(top).ok()?.into_iter();
    let dir = top.join(names.find(|name| name.starts_with(CONVERTED))?);
    let unmount = match mountinfo::first_within(&dir) {
        None => String::new(),
        Some(point) => format!(
            " Something is mounted in it: first `umount {}`.",
            shell_word(&point)
        ),
    };
    let too = match is_unfinished(&dir) {
        true => ", and so does the next migration",
        false => "",
    };
    Some(format!(
        "What the conversion had made by then is left as {}; nothing of the store was changed. `rm -rf {}` removes it{too}.{unmount}",
        escaped(&dir),
        shell_word(&dir)
    ))
}

/// Whether files of a layer or a container are in it, or nobody can tell.
fn holds_files(dir: &Path) -> bool {
    let layers = walkdir::WalkDir::new(dir.join("overlay2"))
        .min_depth(3)
        .max_depth(3);
    layers.into_iter().any(|entry| match entry {
        Ok(entry) => {
            let above = entry.path().parent().and_then(Path::file_name);
            above == Some("diff".as_ref())
        }
        Err(error) => error.io_error().map(io::Error::kind) != Some(io::ErrorKind::NotFound),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_containers_wrote_is_not_said_to_be_nobodys() {
        let top = tempfile::tempdir().unwrap();
        let dir = top.path().join("idshift-convert-1.1");
        let diff = dir.join("overlay2/a/diff");
        std::fs::create_dir_all(&diff).unwrap();
        let told = || {
            let refused = check_is_free(top.path(), "1.1");
            refused.unwrap_err().to_string()
        };
        assert!(told().contains("`rm -rf "), "{}", told());
        std::fs::write(diff.join("data"), "precious").unwrap();
        assert!(!told().contains("rm -rf"), "{}", told());
        assert!(told().contains("`mv "), "{}", told());
        remove_unfinished(top.path(), "1.1").unwrap();
        assert!(diff.join("data").exists());
        std::fs::remove_dir_all(&dir).unwrap();
        check_is_free(top.path(), "1.1").unwrap();
    }

    #[test]
    fn only_what_is_marked_and_made_here_is_removed() {
        let top = tempfile::tempdir_in("/var/tmp").unwrap();
        let dir = top.path().join("idshift-convert-1.1");
        std::fs::create_dir_all(dir.join("overlay2/a/diff/data")).unwrap();
        let handle = std::fs::File::open(&dir).unwrap();
        // Only root may.
        let Ok(()) = unfinished_mark::mark(&handle) else {
            return;
        };
        check_is_free(top.path(), "1.1").unwrap();
        std::fs::write(dir.join("mine"), "precious").unwrap();
        check_is_free(top.path(), "1.1").unwrap_err();
        remove_unfinished(top.path(), "1.1").unwrap();
        assert!(dir.join("mine").exists());
        std::fs::remove_file(dir.join("mine")).unwrap();

        unfinished_mark::unmark(&handle).unwrap();
        remove_unfinished(top.path(), "1.1").unwrap();
        assert!(dir.join("overlay2/a/diff/data").exists());
        unfinished_mark::mark(&handle).unwrap();
        remove_unfinished(top.path(), "1.1").unwrap();
        assert!(!dir.exists());
    }
}
