//! Runs on a store that have not ended.

use std::path::Path;

use crate::fs::Root;
use crate::journal::Store;
use crate::journal::error::StoreError;

/// The run on this store that has not ended, if its journal is in this store. The remains of
/// such a run can make a plan fail, so report it first.
pub fn unfinished_run(store: &Store, top: &Path) -> Option<StoreError> {
    let root = Root::open(&top.canonicalize().ok()?).ok()?;
    let found = store.check_no_unfinished(&[root]).err();
    found.filter(|error| matches!(error, StoreError::Unfinished { .. }))
}

/// Whether it is sure that no run on this store is unfinished: then nothing needs what was made for one. A journal
/// that cannot be read may be of such a run.
pub fn is_surely_ended(store: &Store, top: &Path) -> bool {
    let root = top.canonicalize().ok();
    let root = root.and_then(|top| Root::open(&top).ok());
    root.is_some_and(|root| store.check_no_unfinished(&[root]).is_ok())
}
