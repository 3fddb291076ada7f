//! Directories that are changed after what is in them.

use std::rc::Rc;

use super::{ToChange, Worker};
use crate::engine::Problem;
use crate::fs::dir_cache::PathChain;
use crate::journal::{Name, Transition};

/// A directory that is to be changed. That sets its ctime, and what is in a directory whose ctime is
/// new is slow to look at: so it comes after what the journal has next, which is mostly in it.
pub(super) struct DeferredDir {
    pub it: ToChange,
    pub transition: Rc<Transition>,
    /// For messages: the tree, the path of its directory, its name there.
    pub root: usize,
    pub chain: Option<Rc<PathChain>>,
    pub name: Name,
}

/// Directories that wait to be changed.
pub(super) const MAX_DEFERRED: usize = 1024;

/// Levels of their paths, of some hundred bytes each with long names: those of a deep tree would fill the memory.
const MAX_DEFERRED_LEVELS: usize = 1 << 16;

impl Worker<'_> {
    /// Changes the directories that were put off.
    pub(in crate::engine::replay) fn finish_deferred(&mut self) {
        self.deferred_levels = 0;
        for deferred in std::mem::take(&mut self.deferred) {
            if self.is_over() {
                return;
            }
            if let Err((kind, reason)) = self.change(&deferred.it, &deferred.transition) {
                self.leave(&deferred.it.stat);
                let path =
                    self.locator
                        .path(deferred.root, deferred.chain.as_deref(), &deferred.name);
                self.problem(Problem { path, kind, reason });
            }
        }
    }

    /// Paths that are kept must not fill the memory.
    pub(super) fn limit_deferred(&mut self) {
        self.deferred_levels += self.locator.take_new_levels();
        if self.deferred_levels >= MAX_DEFERRED_LEVELS {
            self.finish_deferred();
        }
    }
}
