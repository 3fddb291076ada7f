//! Runs that were begun and not ended: what is refused, and what is advised.

use std::fs;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::Path;
use std::process::Command;

use crate::support::journal::{HEAD, Journalled, frame, frames, journalled, lines};
use crate::support::trace::{Event, Then};
use crate::support::{Idshift, Kind, MAP, Run, Snapshot, TestFs, assert_same, scene, trace, tree};

/// The journal as it is when the run was killed before its end.
pub(super) fn cut_before_the_last_mark(it: &Journalled) {
    let last = frames(&it.bytes).pop().unwrap();
    assert!(lines(&it.bytes[last.clone()]).contains("\"mark\""));
    it.write(&it.bytes[..last.start]);
}

#[test]
fn an_unfinished_run_refuses_a_new_one_on_the_tree() {
    let it = journalled();
    cut_before_the_last_mark(&it);
    let there = Snapshot::of(&it.tree);
    let journal = it.journal.to_str().unwrap();
    let below = it.tree.join("0000");
    for tree in [&*it.tree, &below, it.tree.parent().unwrap()] {
        let run = it.idshift.shift_with(tree, &["--reverse"]).exits(4);
        run.says(&format!("idshift resume {journal}"))
            .says(&format!("idshift rollback {journal}"));
    }
    assert_same(&there, &Snapshot::of(&it.tree), "after the refusals");

    it.idshift.resume();
    assert_same(&there, &Snapshot::of(&it.tree), "after the resume");
    it.idshift.reverse(&it.tree);
    assert_same(&it.start, &Snapshot::of(&it.tree), "after the way back");
}

#[test]
fn what_a_resume_reports_it_leaves() {
    let it = journalled();
    cut_before_the_last_mark(&it);
    let dir = it.tree.join("0000");
    let file = dir.join("1");
    for path in [&dir, &file] {
        lchown(path, Some(7), Some(7)).unwrap();
    }
    let run = it.idshift.run(["resume", "--json"]).exits(3);
    let told = run.json();
    assert_eq!(told["problems"].as_array().unwrap().len(), 2, "{run}");
    assert_eq!(told["changed"], 0, "{run}");
    let owner = |path: &Path| fs::symlink_metadata(path).unwrap().uid();
    for path in [&dir, &file] {
        assert_eq!(owner(path), 7, "{run}");
    }
    // The two are no problem of their filesystem, and each is told once.
    it.idshift.run(["verify", "latest"]).exits(3);
    let forced = it.idshift.run(["rollback", "--force", "--json"]).exits(0);
    assert_eq!(forced.json()["problems"], serde_json::json!([]), "{forced}");
    assert_same(&it.start, &Snapshot::of(&it.tree), "rolled back");
}

/// The commands that a message names, in their order.
fn advised(run: &Run) -> Vec<String> {
    let quoted = run.stderr.split('`').skip(1).step_by(2).map(str::to_string);
    let shown = run.stderr.lines().filter_map(|line| {
        let (_, command) = line.split_once(": ")?;
        command
            .trim()
            .starts_with("idshift ")
            .then(|| command.trim().to_string())
    });
    quoted
        .filter(|one| one.starts_with("idshift "))
        .chain(shown)
        .collect()
}

/// Runs a command line as a message has it.
fn run_advised(command: &str) -> Run {
    let program = Idshift::program().to_str().unwrap();
    let line = command.replacen("idshift", program, 1);
    let run = Run::of(Command::new("sh").args(["-c", &line]));
    assert_ne!(run.code, Some(2), "{run}");
    run
}

#[test]
fn of_a_killed_rollback_only_rollback_is_advised() {
    let it = journalled();
    it.mark("undoing");
    let command = format!("idshift rollback {}", it.journal.display());
    let resume = it.idshift.run(["resume", "latest"]).exits(4);
    for run in [it.new_run(), resume] {
        assert_eq!(advised(&run), [&*command], "{run}");
    }
    run_advised(&command).exits(0);
    assert_same(&it.start, &Snapshot::of(&it.tree), "as advised");
    it.idshift.shift(&it.tree);
}

#[test]
fn each_command_advised_for_a_killed_run_works() {
    for (n, verb) in ["resume", "rollback"].into_iter().enumerate() {
        let it = journalled();
        let end = Snapshot::of(&it.tree);
        cut_before_the_last_mark(&it);
        let advised = advised(&it.new_run());
        let journal = it.journal.display();
        assert_eq!(advised.len(), 2, "{advised:?}");
        assert_eq!(advised[n], format!("idshift {verb} {journal}"));
        run_advised(&advised[n]).exits(0);
        let expected = if verb == "resume" { &end } else { &it.start };
        assert_same(expected, &Snapshot::of(&it.tree), verb);
    }
}

/// The run was killed before it knew all that is to be done.
#[test]
fn of_a_run_killed_while_listing_rollback_is_advised() {
    let it = journalled();
    let header = lines(&it.bytes[frames(&it.bytes)[0].clone()]);
    let listing = header.replacen(
        "\"kind\":\"header\",",
        "\"kind\":\"header\",\"listed_first\":true,",
        1,
    );
    assert_ne!(header, listing);
    it.write(&frame(0, &listing));
    let command = format!("idshift rollback {}", it.journal.display());
    let resume = it.idshift.run(["resume", "latest"]).exits(4);
    for run in [it.new_run(), resume] {
        assert_eq!(advised(&run), [&*command], "{run}");
    }
    run_advised(&command).exits(0);
    it.idshift.reverse(&it.tree);
}

#[test]
fn what_is_advised_of_a_damaged_journal_works() {
    let it = journalled();
    let third = frames(&it.bytes)[2].clone();
    let mut bytes = it.bytes.clone();
    bytes[third.start + HEAD + 30] ^= 0xff;
    it.write(&bytes);
    for command in ["rollback", "resume", "verify"] {
        let run = it.idshift.run([command, "latest"]).exits(4);
        let journal = it.journal.display();
        assert_eq!(
            advised(&run),
            [format!("idshift rollback --up-to 2 {journal}")],
            "{run}"
        );
    }
    let there = Snapshot::of(&it.tree);
    let run = it.idshift.run(["rollback", "latest"]);
    run_advised(&advised(&run)[0]).exits(0);
    assert!(!there.differing_inodes(&Snapshot::of(&it.tree)).is_empty());
}

/// What `--up-to` takes: a number of whole frames of a damaged journal, of which the first is the header.
#[test]
fn only_whole_frames_with_changes_are_undone() {
    let it = journalled();
    let shifted = Snapshot::of(&it.tree);
    let files = fs::read_dir(it.journal.parent().unwrap()).unwrap().count();
    let refused = |number: &str, why: &str| {
        let bytes = fs::read(&it.journal).unwrap();
        let run = it.rollback(&["--up-to", number]).exits(4);
        let run = run.says(why);
        assert!(!run.stderr.contains("prune"), "{run}");
        assert!(
            fs::read(&it.journal).unwrap() == bytes,
            "{number}: the journal"
        );
        assert_same(&shifted, &Snapshot::of(&it.tree), number);
        assert_eq!(
            fs::read_dir(it.journal.parent().unwrap()).unwrap().count(),
            files
        );
    };
    let header = "names no change, so there is nothing to undo in the first";
    refused("0", header);
    refused("1", header);
    let frames = frames(&it.bytes);
    let all = frames.len();
    for number in [2, all - 1, all, all + 1, u32::MAX as usize] {
        let whole = format!("all of its {all} frames are complete");
        refused(&number.to_string(), &whole);
    }
    let damage = |frame: usize| {
        let mut bytes = it.bytes.clone();
        bytes[frames[frame].start + HEAD + 30] ^= 0xff;
        it.write(&bytes);
    };
    damage(2);
    refused("1", header);
    refused("3", "rollback --up-to 2 ");
    // No change is recorded before the damage.
    damage(1);
    for number in ["2", "1"] {
        let run = it.rollback(&["--up-to", number]).exits(4);
        assert!(!run.stderr.contains("rollback --up-to"), "{run}");
    }
    refused("2", "nothing can be undone with this journal");
}

#[test]
fn force_is_advised_only_where_it_helps() {
    let it = journalled();
    fs::remove_file(it.tree.join("0000/1")).unwrap();
    for _ in 0..2 {
        let run = it.idshift.run(["rollback", "latest"]).exits(3);
        assert!(!run.text().contains("--force"), "{run}");
    }
    let it = journalled();
    lchown(it.tree.join("0000/1"), Some(7), Some(7)).unwrap();
    let run = it.idshift.run(["rollback", "latest"]).exits(3);
    let command = format!("idshift rollback --force {}", it.journal.display());
    assert!(run.text().contains(&command), "{run}");
    let run = run_advised(&command).exits(0);
    assert!(!run.text().contains("--force"), "{run}");
    assert_same(&it.start, &Snapshot::of(&it.tree), "as advised");
}

#[test]
fn it_does_not_stand_in_the_way_of_another_tree() {
    let it = journalled();
    cut_before_the_last_mark(&it);
    let other = tree::plain_zoo(&it.tree.with_file_name("tree-2"));
    it.idshift.shift(&other);
}

/// A process that works in a directory.
struct Worker(std::process::Child);

impl Worker {
    fn in_dir(dir: &Path) -> Worker {
        let mut sleep = Command::new("sleep");
        Worker(sleep.arg("300").current_dir(dir).spawn().unwrap())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// A container may have been started on the tree since the run was killed.
#[test]
fn a_resume_is_refused_while_the_tree_is_in_use() {
    let fs = TestFs::new(Kind::Tmpfs);
    let tree = tree::many(&fs.path().join("tree"), 50);
    let start = Snapshot::of(&tree);
    for allowed in [&[][..], &["--allow-in-use"]] {
        let idshift = Idshift::new();
        let args = [&["shift", "--map", MAP], allowed, &[tree.to_str().unwrap()]];
        let killed = trace::run(&idshift.command(args.concat()), |event| match event {
            Event::After(call, 0) if call.name == "fchownat" => Then::Kill,
            _ => Then::GoOn,
        });
        assert_eq!(killed.signal, Some(9), "{killed}");
        let half = Snapshot::of(&tree);
        let _worker = Worker::in_dir(&tree);
        let resume = ["resume", "latest"];
        if allowed.is_empty() {
            let run = idshift.run(resume).exits(4);
            run.says("is in use by process").says("--allow-in-use");
            assert_same(&half, &Snapshot::of(&tree), "refused");
            idshift.run([&resume[..], &["--allow-in-use"]].concat())
        } else {
            idshift.run(resume)
        }
        .exits(0);
        assert_same(&start.shifted(&[MAP]), &Snapshot::of(&tree), "finished");
        idshift.rollback();
        assert_same(&start, &Snapshot::of(&tree), "rolled back");
    }
}

/// Each inode counts once, whichever part of the run it was.
#[test]
fn what_a_resume_counts_is_all_there_is() {
    let mut resumed = 0;
    for n in [40, 60, 80, 100] {
        let scene = scene::shift_in_many_frames(Kind::Tmpfs);
        let idshift = Idshift::new();
        trace::kill_at(&scene.command(&idshift), n);
        if !scene::is_unfinished(&idshift) {
            continue;
        }
        let run = idshift.run(["resume", "latest", "--json"]).exits(0);
        let told = run.count("changed") + run.count("already_shifted");
        assert_eq!(told, run.count("seen"), "killed at event {n}: {run}");
        resumed += u64::from(run.count("already_shifted") > 0);
    }
    assert!(resumed > 0, "nothing was done before a kill");
}
