//! Where paths and symlinks lead once the docker root has another place, and how they have to be
//! written to lead to the same inode.

use std::cell::RefCell;
use std::fs::{canonicalize, read_link};
use std::path::{Path, PathBuf};

use super::DockerError;
use crate::fs::resolve::names;

/// Maps paths for a docker root that is renamed.
pub struct PathRewriter {
    from: String,
    to: String,
    /// Names in `from` that stay.
    stay: Vec<String>,
    /// The last directory that was seen to have no symlinks on the way to it: where the way began, it, and whether it
    /// goes along. Thousands of paths one after the other have theirs in the same one.
    plain: RefCell<Option<(PathBuf, PathBuf, bool)>>,
}

/// As many symlinks as the kernel follows (`path_resolution(7)`).
const MOST_SYMLINKS: usize = 40;

impl PathRewriter {
    /// Of a docker root that is `from`, without symlinks, and becomes `to`.
    ///
    /// # Errors
    /// A path is not UTF-8, which no daemon's metadata can hold.
    pub fn new(from: &Path, to: &Path, stay: Vec<String>) -> Result<PathRewriter, DockerError> {
        let text = |path: &Path| {
            let why = "the path of a data-root must be UTF-8";
            let text = path.to_str().map(str::to_string);
            text.ok_or_else(|| DockerError::in_the_way(path, why))
        };
        Ok(PathRewriter {
            from: text(from)?,
            to: text(to)?,
            stay,
            plain: RefCell::new(None),
        })
    }

    /// Where the docker root is before.
    pub fn from(&self) -> &Path {
        Path::new(&self.from)
    }

    /// Where it is afterwards.
    pub fn to(&self) -> &Path {
        Path::new(&self.to)
    }

    /// The data-root: it is the one place or the other, whichever holds the other; where neither does, what is
    /// carried.
    pub fn data_root(&self) -> &Path {
        let (from, to) = (Path::new(&self.from), Path::new(&self.to));
        match from.starts_with(to) {
            true => to,
            false => from,
        }
    }

    /// The new path of something at this path without symlinks; `None` if it stays.
    pub fn new_path(&self, real: &Path) -> Option<PathBuf> {
        let below = real.strip_prefix(&self.from).ok()?;
        let stays = below
            .iter()
            .next()
            .is_some_and(|first| self.stay.iter().any(|name| first == name.as_str()));
        (!stays).then(|| match below.as_os_str().is_empty() {
            true => PathBuf::from(&self.to),
            false => Path::new(&self.to).join(below),
        })
    }

    /// The path that leads to the same inode afterwards; `None` if it need not change.
    ///
    /// Symlinks and `..` are resolved: `/srv/docker` may lead to the data-root, and a container may
    /// bind `/srv/docker/volumes`. If changing the start of the text is not enough, the new path
    /// has neither.
    pub fn path(&self, path: &str) -> Option<String> {
        if !path.starts_with('/') {
            return None;
        }
        if let Some(moved) = self.by_text(path) {
            let below = &path[self.from.len()..];
            if self.leads_the_same(self.from(), Path::new(below.trim_start_matches('/'))) {
                return Some(moved);
            }
        } else if self.leads_the_same(Path::new("/"), Path::new(path)) {
            return None;
        }
        let real = real(Path::new(path));
        let new = self.new_path(&real).unwrap_or(real);
        let new = new.to_str()?;
        (new != path).then(|| new.to_string())
    }

    /// The new target of the symlink at this path; `None` if it need not change, or leads nowhere.
    /// An absolute target stays absolute, a relative one relative.
    pub fn link(&self, at: &Path) -> Option<PathBuf> {
        let text = read_link(at).ok()?;
        let leads_to = canonicalize(at).ok()?;
        let parent = at.parent()?;
        if self.leads_the_same(parent, &text) {
            return None;
        }
        let leads_to = self.new_path(&leads_to).unwrap_or(leads_to);
        if text.is_absolute() {
            return Some(leads_to);
        }
        let parent = self.new_path(parent)?;
        let same = parent.iter().zip(&leads_to).take_while(|(a, b)| a == b);
        let same = same.count();
        let up = parent.iter().skip(same).map(|_| "..".as_ref());
        let new: PathBuf = up.chain(leads_to.iter().skip(same)).collect();
        // Both docker roots may be at the same depth.
        (new != text).then_some(new)
    }

    fn by_text(&self, path: &str) -> Option<String> {
        let rest = path.strip_prefix(&self.from)?;
        // `/var/lib/dockerX` is not below `/var/lib/docker`.
        if !rest.is_empty() && !rest.starts_with('/') || rest.split('/').any(|name| name == "..") {
            return None;
        }
        let mut names = rest.split('/').filter(|name| !name.is_empty());
        let stays = names
            .next()
            .is_some_and(|first| self.stay.iter().any(|name| name == first));
        (!stays).then(|| format!("{}{rest}", self.to))
    }

    /// Whether a path from this directory, which goes along if it is in the docker root, leads to
    /// the same inode afterwards as it does now.
    ///
    /// Follows the path as the kernel does. A path that begins inside must not leave by `..`,
    /// because the docker root is below other directories then. A path from outside must not lead
    /// in.
    fn leads_the_same(&self, start: &Path, path: &Path) -> bool {
        let start = match path.is_absolute() {
            true => Path::new("/"),
            false => start,
        };
        let mut here = start.to_path_buf();
        let mut ahead = names(path);
        let mut is_inside = !path.is_absolute() && self.new_path(start).is_some();
        let mut followed = 0;
        let is_plain = !ahead.iter().any(|name| name == "..");
        let known = self.plain.borrow();
        if let Some((from, dir, goes_along)) = known.as_ref().filter(|_| is_plain)
            && from == start
            && let Ok(below) = start.join(path).strip_prefix(dir)
            && below.components().next().is_some()
        {
            (here, ahead, is_inside) = (dir.clone(), names(below), *goes_along);
        }
        drop(known);
        while let Some(name) = ahead.pop_front() {
            if is_plain && followed == 0 && ahead.is_empty() {
                let plain = (start.to_path_buf(), here.clone(), is_inside);
                self.plain.replace(Some(plain));
            }
            if name == ".." {
                if is_inside && here == self.from() {
                    return false;
                }
                here.pop();
                continue;
            }
            here.push(name);
            // The data-root itself is there before and after, `<uid>.<gid>` in it is not.
            let stays = here == self.from() && Path::new(&self.to).starts_with(&self.from);
            let is_top = stays && !ahead.is_empty();
            if is_inside != self.new_path(&here).is_some() && !is_top {
                return false;
            }
            let Ok(target) = read_link(&here) else {
                continue;
            };
            followed += 1;
            if followed > MOST_SYMLINKS {
                return true;
            }
            if self.is_volume_link(&here) {
                // It is rewritten, so that it leads where it does.
                here = real(&here);
                is_inside = self.new_path(&here).is_some();
                continue;
            }
            here.pop();
            if target.is_absolute() {
                here = PathBuf::from("/");
                is_inside = false;
            }
            for name in names(&target).into_iter().rev() {
                ahead.push_front(name);
            }
        }
        true
    }

    /// Whether a symlink at this path is one that is rewritten where that is needed: a volume's.
    fn is_volume_link(&self, path: &Path) -> bool {
        let below = path.strip_prefix(&self.from);
        let names: Vec<_> = below.iter().flat_map(|below| below.iter()).collect();
        match &names[..] {
            [first, _] => *first == "volumes",
            [first, _, last] => *first == "volumes" && *last == "_data",
            _ => false,
        }
    }
}

/// A path without symlinks and without `..`. Components that do not exist are kept as they are.
pub fn real(path: &Path) -> PathBuf {
    for above in path.ancestors() {
        if let (Ok(mut real), Ok(below)) = (canonicalize(above), path.strip_prefix(above)) {
            for name in names(below) {
                match name == ".." {
                    true => drop(real.pop()),
                    false => real.push(name),
                }
            }
            return real;
        }
    }
    path.to_path_buf()
}

#[cfg(test)]
mod tests;
