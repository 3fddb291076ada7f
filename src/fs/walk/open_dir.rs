//! Directories that stay open, counted.

use std::cell::Cell;
use std::rc::Rc;

use crate::fs::dir::Dir;

/// A directory that stays open while something below it is still to be entered.
pub(super) struct OpenDir {
    pub dir: Dir,
    open: Rc<Cell<usize>>,
}

impl OpenDir {
    pub fn new(dir: Dir, open: &Rc<Cell<usize>>) -> Rc<OpenDir> {
        open.set(open.get() + 1);
        let open = Rc::clone(open);
        Rc::new(OpenDir { dir, open })
    }
}

impl Drop for OpenDir {
    fn drop(&mut self) {
        self.open.set(self.open.get() - 1);
    }
}
