//! What a run gave to a user, and how it is taken away again.
//!
//! Until its last steps such a run keeps everything where only root comes to. From [`Step::HandOver`] on the user may write
//! to it, link it elsewhere, or keep a handle to it. To undo the run would make root's, with set-id bits and capabilities,
//! what that user may have written. So it is only undone as long as nothing of it was changed since:
//!
//! 1. The journal says when it was handed over ([`Mark::HandingOver`]), and the run waits until the clock has moved on: from
//!    then on each change of the user's gives the inode a later ctime, which nobody but the clock sets.
//! 2. It is taken away: a directory that only root enters. Nobody has anything in it open then, and no process of the user's
//!    is there ([`holders`](crate::preflight::in_use)).
//! 3. No inode has a later ctime (`unchanged`), and no file is open for writing: the kernel grants a lease only then
//!    ([`ReadLease`](crate::fs::lease::ReadLease)). Then the journal says that it is taken back ([`Mark::TakenBack`]).
//! 4. Of each inode both are asked again right before it is root's, and a file's lease is held until it is (`window`).
//!
//! A run that takes something away from a user that never was root's does the same: it notes the time before it reads anything
//! ([`Reading`]), takes the tree away with its first step ([`Steps::around_take_over`](super::steps::Steps)), and looks for
//! what was changed since that time before it goes on ([`Mark::TakenOver`]). Its last rename gives everything to root's daemon
//! ([`Mark::HandingOver`]). That daemon may make files of root's in it that no user is to have. So such a run, too, is undone
//! only as long as nothing was changed since.

mod check;
mod reading;
mod tree;
mod unchanged;
mod window;

use std::time::Duration;

pub(super) use self::check::{check_taken_back, check_taken_over, not_undone, refuse_changed};
pub use self::reading::Reading;
pub(super) use self::unchanged::CHANGED;
pub use self::window::Window;
use crate::fs::Root;
use crate::fs::inode_time::SOME_TICKS;

#[cfg(doc)]
use crate::journal::{Mark, Step};

/// Longer than a second.
const SECOND: Duration = Duration::from_millis(1100);

/// Waits until whatever is changed gets a later ctime than all that was changed before. `root` was changed by this run;
/// none: it cannot be opened now.
pub(super) fn wait_for_the_clock(root: Option<&Root>) {
    let stat = root.and_then(|root| root.pin.stat().ok());
    // A filesystem that keeps whole seconds, or one of which nothing is known.
    let is_coarse = stat.is_none_or(|stat| stat.changed.is_whole_second());
    std::thread::sleep(if is_coarse { SECOND } else { SOME_TICKS });
}
