//! How far the run of a journal got.

/// How far the run of a journal got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalState {
    /// Begun and not ended: interrupted, killed, or still running.
    Unfinished,
    /// Everything was done.
    Finished,
    /// A rollback was begun and not ended.
    Undoing,
    /// Rolled back.
    Undone,
}

impl JournalState {
    /// Whether the tree is between two states, so that nothing else may start on it.
    pub fn is_open(self) -> bool {
        matches!(self, JournalState::Unfinished | JournalState::Undoing)
    }
}

impl std::fmt::Display for JournalState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            JournalState::Unfinished => "unfinished",
            JournalState::Finished => "finished",
            JournalState::Undoing => "rollback unfinished",
            JournalState::Undone => "rolled back",
        })
    }
}
