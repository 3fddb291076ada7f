//! A tree that is not there when its run is to be undone, finished or verified: nothing is done, and
//! nothing is written down as done.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{
    Idshift, Kind, MAP, Run, Snapshot, TestFs, assert_same, journal, scene, tree,
};

/// Trees of one run on two filesystems.
struct Place {
    here: TestFs,
    /// The one that goes away.
    away: TestFs,
    idshift: Idshift,
}

impl Place {
    fn new() -> Place {
        Place {
            here: TestFs::new(Kind::Ext4),
            away: TestFs::new(Kind::Ext4),
            idshift: Idshift::new(),
        }
    }

    fn shift(&self, roots: &[&Path], more: &[&str]) -> Run {
        let mut args = vec!["shift".into(), "--map".into(), MAP.into()];
        args.extend(more.iter().map(PathBuf::from));
        args.extend(roots.iter().map(|root| root.to_path_buf()));
        self.idshift.run(args).exits(0)
    }

    /// The journal as it is when the run was killed at its end.
    fn cut_short(&self) {
        let file = self.idshift.the_journal();
        let bytes = fs::read(&file).unwrap();
        let last = journal::frames(&bytes).pop().unwrap();
        fs::write(&file, &bytes[..last.start]).unwrap();
    }

    /// Each of these commands is refused, says what is missing, and leaves the journal as it was.
    fn is_refused(&self, commands: &[&[&str]], missing: &Path) {
        let file = self.idshift.the_journal();
        let there = fs::read(&file).unwrap();
        for command in commands {
            let run = self.idshift.run(*command).exits(4);
            let run = run.says(&format!("{}: ", missing.display()));
            let run = run.says("not mounted").says("findmnt");
            assert!(there == fs::read(&file).unwrap(), "journal written: {run}");
        }
    }
}

const ALL_BUT_RESUME: [&[&str]; 3] = [
    &["rollback", "latest"],
    &["rollback", "latest", "--dry-run"],
    &["verify", "latest"],
];

const RESUME: &[&str] = &["resume", "latest"];

/// Nothing is done while `root` is away, and everything can be done once it is there again.
fn nothing_is_done(place: &Place, roots: &[&Path], missing: &Path, away: impl Fn(&dyn Fn())) {
    let start: Vec<Snapshot> = roots.iter().map(|root| Snapshot::of(root)).collect();
    place.shift(roots, &[]);
    let end: Vec<Snapshot> = roots.iter().map(|root| Snapshot::of(root)).collect();
    let is_at = |expected: &[Snapshot], when: &str| {
        for (expected, root) in expected.iter().zip(roots) {
            assert_same(expected, &Snapshot::of(root), when);
        }
    };
    away(&|| place.is_refused(&ALL_BUT_RESUME, missing));
    is_at(&end, "after the refusals");
    place.idshift.run(["verify", "latest"]).exits(0);
    place.cut_short();
    away(&|| {
        place.is_refused(&ALL_BUT_RESUME, missing);
        place.is_refused(&[RESUME], missing);
    });
    place.idshift.resume();
    is_at(&end, "resumed");
    place.idshift.rollback();
    is_at(&start, "rolled back");
    // Over as it is, it is not said to be undone by one that could not look.
    let journal = place.idshift.the_journal();
    away(&|| place.is_refused(&[&["rollback", journal.to_str().unwrap()]], missing));
}

#[test]
fn a_tree_on_a_filesystem_that_is_not_mounted() {
    let place = Place::new();
    let tree = tree::specimens(&place.away.path().join("tree"));
    nothing_is_done(&place, &[&tree], &tree, |run| {
        place.away.while_unmounted(run);
    });
}

#[test]
fn a_mount_point_that_is_an_empty_directory() {
    let place = Place::new();
    let top = place.away.path();
    tree::specimens(&top.join("tree"));
    nothing_is_done(&place, &[&top], &top, |run| {
        place.away.while_unmounted(run);
    });
}

#[test]
fn another_filesystem_in_its_place() {
    let place = Place::new();
    let tree = tree::specimens(&place.away.path().join("tree"));
    nothing_is_done(&place, &[&tree], &tree, |run| {
        place.away.while_unmounted(|| {
            let other = TestFs::mount_inside(Kind::Tmpfs, &place.away.path());
            fs::create_dir(other.path().join("tree")).unwrap();
            run();
        });
    });
}

#[test]
fn one_of_two_trees() {
    let place = Place::new();
    let stays = tree::specimens(&place.here.path().join("stays"));
    let goes = tree::specimens(&place.away.path().join("goes"));
    nothing_is_done(&place, &[&stays, &goes], &goes, |run| {
        place.away.while_unmounted(run);
    });
}

/// Where it is gone for good, what is there can be undone.
#[test]
fn force_passes_over_a_tree_that_is_gone() {
    let place = Place::new();
    let stays = tree::specimens(&place.here.path().join("stays"));
    let goes = tree::specimens(&place.away.path().join("goes"));
    let start = Snapshot::of(&stays);
    place.shift(&[&stays, &goes], &[]);
    fs::remove_dir_all(&goes).unwrap();
    place.is_refused(&ALL_BUT_RESUME, &goes);
    let run = place.idshift.run(["rollback", "latest"]).exits(4);
    let journal = place.idshift.the_journal();
    let advised = format!("idshift rollback --force {}", journal.display());
    run.says(&advised);
    place
        .idshift
        .run(["rollback", "latest", "--force"])
        .exits(3);
    assert_same(&start, &Snapshot::of(&stays), "what is there");
}

#[test]
fn a_filesystem_that_was_mounted_inside_and_crossed() {
    let place = Place::new();
    let tree = tree::specimens(&place.here.path().join("tree"));
    let inner = tree.join("inner");
    fs::create_dir(&inner).unwrap();
    let mounted = TestFs::mount_inside(Kind::Ext4, &inner);
    tree::specimens(&inner.join("more"));
    let start = Snapshot::of(&tree);
    place.shift(&[&tree], &["--cross-mounts"]);
    let end = Snapshot::of(&tree);
    mounted.while_unmounted(|| place.is_refused(&ALL_BUT_RESUME[..2], &inner));
    place.cut_short();
    mounted.while_unmounted(|| place.is_refused(&[RESUME], &inner));
    place.idshift.resume();
    assert_same(&end, &Snapshot::of(&tree), "after the refusals");
    place.idshift.rollback();
    assert_same(&start, &Snapshot::of(&tree), "rolled back");
}

/// Directories in which only steps are taken count as well.
#[test]
fn a_data_root_and_a_prepared_directory_with_steps() {
    for build in [scene::migrate, scene::prepare] {
        let scene = build(Kind::Ext4);
        let idshift = Idshift::new();
        Run::of(&mut scene.command(&idshift)).exits(0);
        let there = fs::read(idshift.the_journal()).unwrap();
        scene.fs.while_unmounted(|| {
            for command in ALL_BUT_RESUME {
                idshift.run(command).exits(4).says("not mounted");
            }
            assert!(there == fs::read(idshift.the_journal()).unwrap());
            // Also forced, nothing is said to be undone.
            let run = idshift.run(["rollback", "latest", "--force"]);
            assert_ne!(run.code, Some(0), "{run}");
        });
        scene.roll_back(&idshift, "once it is there again");
    }
}
