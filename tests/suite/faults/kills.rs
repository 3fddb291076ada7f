//! Killed before and after every system call that changes the disk, a run loses nothing: it is
//! finished by `resume` and undone by `rollback`, to the byte, and so are those when they are killed.

use crate::support::scene::{self, Build, Scene, is_unfinished};
use crate::support::trace::{self, Event, Then};
use crate::support::{Idshift, Kind, Numbers, Promise, long};

/// What is done after a kill.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ending {
    Resume,
    Rollback,
    RollbackKilled,
    ResumeKilled,
}

const ENDINGS: [Ending; 4] = [
    Ending::Resume,
    Ending::Rollback,
    Ending::RollbackKilled,
    Ending::ResumeKilled,
];

impl Ending {
    /// Brings a killed run to an end, and what it worked on back to the start.
    fn bring(self, scene: &Scene, idshift: &Idshift, numbers: &mut Numbers, when: &str) {
        let when = &format!("{when}, then {self:?}");
        if idshift.journal_files().is_empty() {
            // Killed before there was a journal: nothing can have been done.
            return scene.is_at_start(when);
        }
        match self {
            Ending::Resume if is_unfinished(idshift) => scene.resume_to_end(idshift, when),
            Ending::RollbackKilled => {
                // Twice, so that also one that goes on is killed.
                for _ in 0..2 {
                    let n = numbers.below(60);
                    trace::kill_at(&scene.rollback(idshift), n);
                }
            }
            Ending::ResumeKilled if is_unfinished(idshift) => {
                let n = numbers.below(60);
                trace::kill_at(&scene.resume(idshift), n);
            }
            _ => {}
        }
        scene.roll_back(idshift, when);
    }
}

/// Kills a run at each of its events, or at some of them; `most` cases in the short form.
fn killed_everywhere(build: Build, kind: Kind, most: u64, promise: &Promise) {
    let scene = build(kind);
    // As most runs come to, whose journal's thread made neither more frames nor fewer.
    let mut counts = [(); 5].map(|()| scene.events());
    counts.sort_unstable();
    let events = counts[2];
    let mut numbers = Numbers::seeded(11);
    let all: Vec<(u64, Ending)> = (0..events)
        .flat_map(|n| ENDINGS.map(|ending| (n, ending)))
        .collect();
    // The number of endings does not divide it, so that each kind comes about.
    let each = match long() {
        true => 1,
        false => (all.len() as u64 / most) | 1,
    };
    for (n, ending) in all.into_iter().step_by(each as usize) {
        let when = format!("killed at event {n} of {events}");
        let killed = (0..TRIES).find_map(|_| {
            // A store of its own, as no other journal must be taken for this run's.
            let idshift = Idshift::new();
            if trace::kill_at(&scene.command(&idshift), n) {
                return Some(idshift);
            }
            scene.roll_back(&idshift, &when);
            None
        });
        let idshift = killed.unwrap_or_else(|| panic!("not {when}"));
        ending.bring(&scene, &idshift, &mut numbers, &when);
        promise.held();
    }
}

/// A run can make a few events fewer than another: the journal's thread takes what was handed in meanwhile into one frame.
/// Then its like is killed.
const TRIES: u32 = 20;

const HOW: &str = "kill -9 before and after each system call that changes the disk; each time resumed, \
                   rolled back, rolled back with two more kills, resumed with one more kill and rolled back";

macro_rules! killed {
    ($test:ident, $what:literal, $build:path, $kind:expr, $most:literal) => {
        #[test]
        fn $test() {
            let text = concat!($what, " is finished or undone to the byte");
            let promise = Promise::new("Crash", text, HOW);
            killed_everywhere($build, $kind, $most, &promise);
        }
    };
}

killed!(
    shift_on_ext4,
    "`shift` on ext4",
    scene::shift,
    Kind::Ext4,
    7
);
killed!(shift_on_xfs, "`shift` on xfs", scene::shift, Kind::Xfs, 7);
killed!(
    shift_in_many_frames,
    "`shift` with few descriptors, in many frames,",
    scene::shift_in_many_frames,
    Kind::Ext4,
    7
);
killed!(
    shift_of_immutable_inodes,
    "`shift --immutable=clear`, flags included,",
    scene::shift_immutable,
    Kind::Ext4,
    7
);
/// In the short form too: between an inode's change and its flag's coming back there is just one place.
#[test]
fn a_flag_that_was_cleared_for_a_moment_is_put_back() {
    let promise = Promise::new(
        "Crash",
        "A flag that `--immutable=clear` took for a moment comes back",
        "kill -9 before each call that clears or sets a flag; each time resumed, and rolled back",
    );
    let scene = scene::shift_immutable(Kind::Ext4);
    let mut numbers = Numbers::seeded(12);
    let kill_at_flag = |idshift: &Idshift, n: u64| {
        let mut flags = 0;
        let run = trace::run(&scene.command(idshift), |event| {
            let is_one = matches!(event, Event::Before(call) if call.name == "ioctl");
            flags += u64::from(is_one);
            match flags > n {
                true => Then::Kill,
                false => Then::GoOn,
            }
        });
        run.signal == Some(9)
    };
    for n in 0.. {
        let mut killed = false;
        for ending in [Ending::Resume, Ending::Rollback] {
            let idshift = Idshift::new();
            killed = kill_at_flag(&idshift, n);
            ending.bring(
                &scene,
                &idshift,
                &mut numbers,
                &format!("killed at flag {n}"),
            );
        }
        if !killed {
            // Four are changed.
            assert_eq!(n, 8, "flags cleared and set");
            break;
        }
        promise.held_in(2);
    }
}

killed!(
    from_manifest,
    "`shift --from-manifest`",
    scene::from_manifest,
    Kind::Ext4,
    7
);
killed!(
    prepare,
    "`prepare --create --fix-parents`",
    scene::prepare,
    Kind::Ext4,
    7
);
killed!(
    docker_migrate,
    "`docker migrate` of a data-root made by hand",
    scene::migrate,
    Kind::Ext4,
    7
);
