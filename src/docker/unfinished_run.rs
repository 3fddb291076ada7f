//! Runs on a data-root that have not ended.

use std::path::Path;

use super::data_root::canonical;
use crate::fs::Root;
use crate::journal::Store;
use crate::journal::store::StoreError;

/// The run on this data-root that has not ended, if its journal is in this store. What such a run left explains why no
/// plan can be made: it is to be told first.
pub fn unfinished_run(store: &Store, data_root: &Path) -> Option<StoreError> {
    let root = Root::open(&canonical(data_root).ok()?).ok()?;
    let found = store.check_no_unfinished(&[root]).err();
    found.filter(|error| matches!(error, StoreError::Unfinished { .. }))
}

/// Whether it is sure that no run on this data-root is unfinished: then nothing needs what was made for one. A journal
/// that cannot be read may be of such a run.
pub fn is_surely_ended(store: &Store, data_root: &Path) -> bool {
    let root = canonical(data_root)
        .ok()
        .and_then(|top| Root::open(&top).ok());
    root.is_some_and(|root| store.check_no_unfinished(&[root]).is_ok())
}
