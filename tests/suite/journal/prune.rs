//! `journal prune`

use super::unfinished::cut_before_the_last_mark;
use crate::support::journal::journalled;

#[test]
fn prune_never_removes_an_unfinished_run() {
    let it = journalled();
    let prune = |more: &[&str]| {
        it.idshift
            .run(["journal", "prune"].iter().chain(more))
            .exits(0)
    };
    prune(&[]);
    assert_eq!(
        it.idshift.journal_files().len(),
        1,
        "it is young and can still be rolled back"
    );
    // No journal is as old as that, nor is the world.
    for days in ["36500", "7304484", "4294967295"] {
        prune(&["--older-than", days]);
        assert_eq!(it.idshift.journal_files().len(), 1, "{days} days");
    }
    prune(&["--older-than", "0", "--dry-run"]);
    assert_eq!(it.idshift.journal_files().len(), 1, "a dry run");

    cut_before_the_last_mark(&it);
    prune(&["--older-than", "0"]);
    assert_eq!(it.idshift.journal_files().len(), 1, "it is unfinished");

    it.idshift.resume();
    prune(&["--older-than", "0"]);
    assert_eq!(
        it.idshift.journal_files().len(),
        0,
        "it is finished and old"
    );
}

#[test]
fn a_rolled_back_one_is_pruned_at_once() {
    let it = journalled();
    it.rollback(&[]).exits(0);
    it.idshift.run(["journal", "prune"]).exits(0);
    assert_eq!(it.idshift.journal_files().len(), 0);
}
