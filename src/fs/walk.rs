//! Every directory of one or more trees, shared among threads.
//!
//! Each thread walks depth first on a stack of its own, with a descriptor table of its own, so the
//! threads share nothing but a small queue. A thread that runs dry raises `hungry`; whoever has
//! more than one thing to do then gives away its outermost directory, the one with most below it.
//! What crosses between threads is a [`DirPath`], never a descriptor: the receiver opens the
//! directory anew from the root and makes sure that it is the same inode.
//!
//! The stack holds directories still to be entered, and directories not read to their end; it
//! grows with the depth of the tree and the width of one read, not with the tree.

mod open_dir;
mod queue;

use std::cell::Cell;
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::sync::Arc;

use rustix::io::Errno;

use self::open_dir::OpenDir;
use self::queue::{EndOnPanic, Shareable, Shared};
use super::dir::{Dir, DirPath, Names, Read};
use super::threads::on_threads;
use super::{Root, process};

/// What one thread does with the entries that it visits. `Break` ends the walk on all threads.
pub trait Visit {
    /// The result of the visitor, once its thread has nothing more to do.
    type Output: Send;

    /// The top of a tree, before anything below it. A directory is entered, unless the visitor says otherwise.
    fn root(&mut self, _number: usize, root: &Root) -> ControlFlow<(), Enter> {
        ControlFlow::Continue(match root.is_dir() {
            true => Enter::Yes,
            false => Enter::No,
        })
    }

    /// Some names of a directory. Directories to be entered go to `found`.
    fn names(&mut self, dir: &Dir, names: &Names, found: &mut Vec<Arc<DirPath>>)
    -> ControlFlow<()>;

    /// A directory could not be opened or read: `ENOENT` when it is gone, `ESTALE` when another
    /// inode has its name, `EXDEV` when a mount came over it. It is left out, unless the visitor says otherwise.
    fn unreadable(&mut self, _dir: &Arc<DirPath>, _errno: Errno) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// The walk is over, for this thread; it may have ended early.
    fn finish(self) -> Self::Output;
}

/// Whether a root is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enter {
    /// Read its names.
    Yes,
    /// It is not a directory, or the visitor does not want it.
    No,
}

/// Walks `roots` with `jobs` threads, each with the visitor that `visitor` makes for it, and
/// returns the results of the visitors.
///
/// # Panics
/// When a visitor panics.
pub fn walk<V: Visit>(
    roots: &[Root],
    jobs: usize,
    visitor: impl Fn() -> V + Sync,
) -> Vec<V::Output> {
    let shared = Shared::new(roots.len());
    on_threads(jobs, || Walker::new(roots, &shared, visitor()).run())
}

/// Work on a thread's own stack.
enum Work {
    Anew(Shareable),
    /// A directory to be opened from its open parent.
    Enter(Rc<OpenDir>, Arc<DirPath>),
    /// A directory that has more names.
    Continue(Rc<OpenDir>),
}

struct Walker<'a, V> {
    roots: &'a [Root],
    shared: &'a Shared,
    visitor: V,
    stack: VecDeque<Work>,
    open: Rc<Cell<usize>>,
    may_open: usize,
    // Kept from directory to directory for their room.
    buffer: Vec<u8>,
    names: Names,
    more_names: Names,
    found: Vec<Arc<DirPath>>,
}

impl<'a, V: Visit> Walker<'a, V> {
    fn new(roots: &'a [Root], shared: &'a Shared, visitor: V) -> Self {
        Walker {
            roots,
            shared,
            visitor,
            stack: VecDeque::new(),
            open: Rc::default(),
            may_open: process::descriptors_for_directories(),
            buffer: Vec::new(),
            names: Names::default(),
            more_names: Names::default(),
            found: Vec::new(),
        }
    }

    fn run(mut self) -> V::Output {
        let _end_on_panic = EndOnPanic(self.shared);
        self.shared.begin();
        while let Some(work) = self.next() {
            if self.step(work).is_break() {
                self.shared.end();
            }
        }
        // Directories still open must not outlive this thread's descriptor table.
        self.stack.clear();
        self.visitor.finish()
    }

    fn next(&mut self) -> Option<Work> {
        if self.shared.is_over() {
            return None;
        }
        let own = self.stack.pop_back();
        own.or_else(|| self.shared.take().map(Work::Anew))
    }

    fn step(&mut self, work: Work) -> ControlFlow<()> {
        match work {
            Work::Anew(Shareable::Root(number)) => self.root(number)?,
            Work::Anew(Shareable::Dir(path)) => {
                let root = self.root_fd(&path);
                self.enter(Dir::open_from_root(root, Arc::clone(&path)), &path)?;
            }
            Work::Anew(Shareable::Names(path, names)) => {
                match Dir::open_from_root(self.root_fd(&path), Arc::clone(&path)) {
                    Ok(dir) => self.visit(&OpenDir::new(dir, &self.open), &names)?,
                    Err(errno) => self.visitor.unreadable(&path, errno)?,
                }
            }
            Work::Enter(parent, path) => {
                let dir = Dir::open_named(parent.dir.as_fd(), Arc::clone(&path));
                drop(parent);
                self.enter(dir, &path)?;
            }
            Work::Continue(dir) => self.read_on(dir)?,
        }
        self.share();
        ControlFlow::Continue(())
    }

    fn root_fd(&self, path: &DirPath) -> BorrowedFd<'a> {
        self.roots[path.root].pin.as_fd()
    }

    fn root(&mut self, number: usize) -> ControlFlow<()> {
        let root = &self.roots[number];
        if self.visitor.root(number, root)? == Enter::Yes {
            let path = DirPath::top(number, root);
            let dir = Dir::open_from_root(root.pin.as_fd(), Arc::clone(&path));
            self.enter(dir, &path)?;
        }
        ControlFlow::Continue(())
    }

    fn enter(&mut self, dir: rustix::io::Result<Dir>, path: &Arc<DirPath>) -> ControlFlow<()> {
        match dir {
            Ok(dir) => self.read_on(OpenDir::new(dir, &self.open)),
            Err(errno) => self.visitor.unreadable(path, errno),
        }
    }

    /// Reads the next names of a directory and visits them, or lets an idle thread do that.
    ///
    /// A read that left room in its buffer was most likely the last one: whether it was is asked at
    /// once, so that a directory is not kept open for that while everything below it is walked.
    fn read_on(&mut self, dir: Rc<OpenDir>) -> ControlFlow<()> {
        let mut names = std::mem::take(&mut self.names);
        let mut more = std::mem::take(&mut self.more_names);
        let mut flow = ControlFlow::Continue(());
        match dir.dir.read_names(&mut self.buffer, &mut names) {
            Ok(Read::End) => {}
            Ok(Read::Full) => {
                self.stack.push_back(Work::Continue(Rc::clone(&dir)));
                let wide = names.len() >= WIDE;
                if wide && self.shared.is_hungry() {
                    let path = Arc::clone(&dir.dir.path);
                    self.shared
                        .give(Shareable::Names(path, std::mem::take(&mut names)));
                } else {
                    flow = self.visit(&dir, &names);
                }
            }
            Ok(Read::Some) => match dir.dir.read_names(&mut self.buffer, &mut more) {
                Ok(Read::End) => flow = self.visit(&dir, &names),
                Ok(Read::Some | Read::Full) => {
                    self.stack.push_back(Work::Continue(Rc::clone(&dir)));
                    flow = self.visit(&dir, &names);
                    if flow.is_continue() {
                        flow = self.visit(&dir, &more);
                    }
                }
                Err(errno) => {
                    flow = self.visit(&dir, &names);
                    if flow.is_continue() {
                        flow = self.visitor.unreadable(&dir.dir.path, errno);
                    }
                }
            },
            Err(errno) => flow = self.visitor.unreadable(&dir.dir.path, errno),
        }
        self.names = names;
        self.more_names = more;
        flow
    }

    fn visit(&mut self, dir: &Rc<OpenDir>, names: &Names) -> ControlFlow<()> {
        self.visitor.names(&dir.dir, names, &mut self.found)?;
        for path in self.found.drain(..) {
            self.stack.push_back(Work::Enter(Rc::clone(dir), path));
        }
        ControlFlow::Continue(())
    }

    /// Gives the outermost directory away if a thread is idle, and closes descriptors if too many
    /// directories are open (a tree that is deep and wide).
    fn share(&mut self) {
        if self.shared.is_hungry() && self.stack.len() > 1 {
            let outermost = self
                .stack
                .iter()
                .position(|w| !matches!(w, Work::Continue(_)));
            match outermost.and_then(|place| self.stack.remove(place)) {
                Some(Work::Enter(_, path)) => self.shared.give(Shareable::Dir(path)),
                Some(Work::Anew(work)) => self.shared.give(work),
                Some(Work::Continue(_)) | None => {}
            }
        }
        if self.open.get() > self.may_open {
            self.close_outer();
        }
    }

    /// Closes the outer half of the directories that the stack holds open: what is to be entered
    /// from them is found again by name, and of those not read to their end the names that are left
    /// are kept instead.
    fn close_outer(&mut self) {
        let holds = |work: &&Work| !matches!(work, Work::Anew(_));
        let mut most = self.stack.iter().filter(holds).count().div_ceil(2);
        for work in std::mem::take(&mut self.stack) {
            match work {
                Work::Enter(_, path) if most > 0 => {
                    most -= 1;
                    self.stack.push_back(Work::Anew(Shareable::Dir(path)));
                }
                Work::Continue(dir) if most > 0 => {
                    most -= 1;
                    self.keep_names(&dir);
                }
                other => self.stack.push_back(other),
            }
        }
    }

    fn keep_names(&mut self, dir: &Rc<OpenDir>) {
        loop {
            let mut names = Names::default();
            match dir.dir.read_names(&mut self.buffer, &mut names) {
                Ok(Read::End) => return,
                Ok(_) => {
                    let path = Arc::clone(&dir.dir.path);
                    let work = Shareable::Names(path, names);
                    self.stack.push_back(Work::Anew(work));
                }
                // It says so again when its turn comes.
                Err(_) => return self.stack.push_back(Work::Continue(Rc::clone(dir))),
            }
        }
    }
}

/// With at least so many names, it pays that another thread opens the directory too.
const WIDE: usize = 256;
