//! A look at what is below one directory, with one thread, until enough was seen.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::AtFlags;

use super::dir::NameKind;
use super::stat::stat_at;
use super::walk::{Visit, walk};
use super::{Dir, DirPath, Names, Root, Stat};

/// Calls `each` for every name below a directory, and on its mount, until that says `Break`: with what the name means where
/// it may be a directory, or where `stats_all`; names of which that cannot be read are left out then. Leaves no access times.
pub fn scan(
    root: &Root,
    stats_all: bool,
    each: impl FnMut(Option<&Stat>) -> ControlFlow<()> + Send,
) {
    let each = Mutex::new(each);
    let scan = || Scan {
        stats_all,
        each: each.lock().unwrap_or_else(PoisonError::into_inner),
    };
    walk(std::slice::from_ref(root), 1, scan);
}

struct Scan<'a, F> {
    stats_all: bool,
    each: MutexGuard<'a, F>,
}

impl<F: FnMut(Option<&Stat>) -> ControlFlow<()>> Visit for Scan<'_, F> {
    type Output = ();

    fn names(
        &mut self,
        dir: &Dir,
        names: &Names,
        found: &mut Vec<Arc<DirPath>>,
    ) -> ControlFlow<()> {
        for (name, kind) in names.with_kinds() {
            if !self.stats_all && kind != NameKind::MaybeDirectory {
                (self.each)(None)?;
                continue;
            }
            let Ok(stat) = stat_at(dir, name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            if stat.crosses_mount(dir.path.dev) {
                continue;
            }
            (self.each)(Some(&stat))?;
            if stat.is_dir() {
                found.push(dir.path.met(name.to_bytes(), &stat));
            }
        }
        ControlFlow::Continue(())
    }

    fn finish(self) {}
}
