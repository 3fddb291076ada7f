//! A journal is read without the program, and the program says of any file whether it is a whole
//! journal, one that was cut off, or a damaged one.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::journal::{HEAD, frame, frames, lines};
use crate::support::{
    Idshift, Kind, MAP, Numbers, Run, Snapshot, TestFs, assert_same, long, output, tree,
};
use serde_json::Value;

struct Journalled {
    _fs: TestFs,
    tree: PathBuf,
    idshift: Idshift,
    start: Snapshot,
    journal: PathBuf,
    bytes: Vec<u8>,
}

/// A tree that was shifted, large enough for a journal of several frames.
fn journalled() -> Journalled {
    let fs = TestFs::new(Kind::Tmpfs);
    let tree = tree::many(&fs.path().join("tree"), 20_000);
    let idshift = Idshift::new();
    let start = Snapshot::of(&tree);
    idshift.shift(&tree);
    let journal = idshift.the_journal();
    let bytes = fs::read(&journal).unwrap();
    assert!(frames(&bytes).len() >= 5, "{:?}", frames(&bytes));
    Journalled {
        _fs: fs,
        tree,
        idshift,
        start,
        journal,
        bytes,
    }
}

impl Journalled {
    /// Puts other bytes into the journal's place.
    fn write(&self, bytes: &[u8]) {
        fs::write(&self.journal, bytes).unwrap();
    }

    fn check(&self) -> Run {
        self.idshift.run(["journal", "check", "latest", "--json"])
    }

    fn rollback(&self, more: &[&str]) -> Run {
        self.idshift.run(
            ["rollback", self.journal.to_str().unwrap(), "--json"]
                .iter()
                .chain(more),
        )
    }
}

#[test]
fn zstdcat_and_jq_read_it() {
    let it = journalled();
    let text = output(
        "sh",
        [
            "-c",
            "zstdcat \"$1\" | jq -c .kind",
            "sh",
            it.journal.to_str().unwrap(),
        ],
    );
    let kinds = String::from_utf8(text.stdout).unwrap();
    let kinds: Vec<&str> = kinds.lines().collect();
    assert_eq!(kinds[0], "\"header\"");
    assert_eq!(kinds[kinds.len() - 1], "\"mark\"");
    output("zstd", ["--test", "--quiet", it.journal.to_str().unwrap()]);
}

#[test]
fn the_description_of_its_frames_is_right() {
    let it = journalled();
    let frames = frames(&it.bytes);
    let text: String = frames
        .iter()
        .map(|frame| lines(&it.bytes[frame.clone()]))
        .collect();
    assert_eq!(text.into_bytes(), output("zstdcat", [&it.journal]).stdout);
    // Made anew by the description, it is read.
    let again = frames
        .iter()
        .zip(0..)
        .flat_map(|(one, n)| frame(n, &lines(&it.bytes[one.clone()])));
    it.write(&again.collect::<Vec<u8>>());
    it.check().exits(0);
    it.rollback(&[]).exits(0);
    assert_same(&it.start, &Snapshot::of(&it.tree), "after the rollback");
}

#[test]
fn list_show_and_check_tell_of_it() {
    let it = journalled();
    let id = it
        .journal
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .replace(".jsonl.zst", "");
    let inodes = it.start.inodes().len();

    let list = it.idshift.run(["journal", "list", "--json"]).exits(0);
    let facts: Value = list.json()["journals"][0].clone();
    assert_eq!(
        (facts["id"].as_str(), facts["state"].as_str()),
        (Some(&*id), Some("finished"))
    );
    assert_eq!(facts["inodes"], inodes);
    let table = it.idshift.run(["journal", "list"]).exits(0).text();
    assert!(
        table.contains(&id) && table.contains(it.tree.to_str().unwrap()),
        "{table}"
    );

    let show = it.idshift.run(["journal", "show", &id]).exits(0).text();
    let of_the_tree = show
        .lines()
        .filter(|line| line.contains(&format!("{}/", it.tree.display())));
    assert_eq!(
        of_the_tree.count(),
        inodes - 1,
        "one line for each inode, and one for the top"
    );

    let check = it
        .idshift
        .run(["journal", "check", &id, "--json"])
        .exits(0)
        .json();
    assert_eq!(
        (&check["torn"], &check["inodes"]),
        (&false.into(), &inodes.into()),
        "{check}"
    );
}

#[test]
fn show_ends_quietly_when_nobody_reads_on() {
    let it = journalled();
    let command =
        "\"$1\" journal show latest --journal-dir \"$2\" | head -n 3; echo ${PIPESTATUS[0]}";
    let args = [
        "-c",
        command,
        "bash",
        Idshift::program().to_str().unwrap(),
        it.idshift.journals().to_str().unwrap(),
    ];
    let output = output("bash", args);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let said = String::from_utf8_lossy(&output.stdout);
    // `show` cannot know whether what it had left to say was wanted.
    assert_eq!(said.lines().last(), Some("74"), "{said}");
}

#[test]
fn a_journal_cut_anywhere_is_whole_up_to_there() {
    let it = journalled();
    let frames = frames(&it.bytes);
    let mut cuts: Vec<usize> = frames
        .iter()
        .flat_map(|one| {
            [
                one.start,
                one.start + 1,
                one.start + 19,
                one.start + 20,
                one.start + 21,
                one.end - 1,
            ]
        })
        .collect();
    let mut numbers = Numbers::seeded(1);
    let more = if long() { 500 } else { 30 };
    cuts.extend((0..more).map(|_| numbers.below(it.bytes.len() as u64) as usize));
    for cut in cuts {
        it.write(&it.bytes[..cut]);
        if cut < frames[0].end {
            // Not even its header: nothing was done under it.
            let run = it
                .idshift
                .run(["journal", "check", it.journal.to_str().unwrap()])
                .exits(4);
            run.says(it.journal.to_str().unwrap());
            continue;
        }
        let check = it.check().exits(0).json();
        let whole = frames.iter().filter(|frame| frame.end <= cut).count();
        assert_eq!(check["frames"], whole, "cut at {cut}: {check}");
        assert_eq!(
            check["torn"],
            !frames.iter().any(|one| one.end == cut),
            "cut at {cut}"
        );
        assert_eq!(
            check["state"],
            if cut < it.bytes.len() {
                "unfinished"
            } else {
                "finished"
            }
        );
    }
}

/// What a power cut can leave: the file is as long as it should be, its end was not written.
#[test]
fn zeros_at_its_end_are_a_cut_as_well() {
    let it = journalled();
    let frames = frames(&it.bytes);
    let mut numbers = Numbers::seeded(2);
    for _ in 0..if long() { 300 } else { 20 } {
        let from =
            frames[1].start + numbers.below((it.bytes.len() - frames[1].start) as u64) as usize;
        let mut bytes = it.bytes.clone();
        bytes[from..].fill(0);
        bytes.resize(bytes.len() + 4096, 0);
        it.write(&bytes);
        let check = it.check().exits(0).json();
        let whole = frames.iter().filter(|frame| frame.end <= from).count() as u64;
        let found = check["frames"].as_u64().unwrap();
        // A frame that ended in zeros anyway is whole after all.
        assert!(
            found == whole || found == whole + 1,
            "zeros from {from}: {check}"
        );
    }
}

/// The frames after a cut were never acted on. A run that was cut off is undone by what is there.
#[test]
fn rollback_of_one_that_was_cut_undoes_what_it_has() {
    let it = journalled();
    let frames = frames(&it.bytes);
    let there = Snapshot::of(&it.tree);
    it.write(&it.bytes[..frames[3].end - 10]);
    let inodes = it.check().exits(0).json()["inodes"].as_u64().unwrap();
    assert!(inodes > 0 && inodes < it.start.inodes().len() as u64);
    let run = it.rollback(&[]).exits(0);
    assert_eq!(run.count("changed"), inodes, "{run}");
    let now = Snapshot::of(&it.tree);
    assert_eq!(now.differing_inodes(&there).len() as u64, inodes);
}

/// What another program reads from a frame; `None` when it finds it damaged.
fn zstdcat(frame: &[u8]) -> Option<Vec<u8>> {
    let mut zstdcat = Command::new("zstdcat")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut into = zstdcat.stdin.take().unwrap();
    // It may end before it has read everything, over the damage.
    let _ = into.write_all(&frame[HEAD..]);
    drop(into);
    let output = zstdcat.wait_with_output().unwrap();
    output.status.success().then_some(output.stdout)
}

#[test]
fn a_bad_frame_is_named_and_stops_a_rollback() {
    let it = journalled();
    let all = frames(&it.bytes);
    let bad = 2;
    let there = Snapshot::of(&it.tree);
    let mut numbers = Numbers::seeded(3);
    let whole = zstdcat(&it.bytes[all[bad].clone()]).expect("it is whole");
    let mut refused = 0;
    // The unused bit of the frame's header, and then any.
    let mut flip = (HEAD + 4, 4);
    while refused < if long() { 200 } else { 10 } {
        let at = all[bad].start + flip.0;
        let mut bytes = it.bytes.clone();
        bytes[at] ^= 1 << flip.1;
        flip = (
            numbers.below(all[bad].len() as u64) as usize,
            numbers.below(8),
        );
        it.write(&bytes);
        let run = it
            .idshift
            .run(["journal", "check", it.journal.to_str().unwrap()]);
        let in_head = at < all[bad].start + HEAD;
        if !in_head && zstdcat(&bytes[all[bad].clone()]).as_ref() == Some(&whole) {
            // One of the few bits of a zstd frame that mean nothing (RFC 8878: unused, or padding).
            run.exits(0);
            continue;
        }
        refused += 1;
        assert!(run.code != Some(0), "a bit at byte {at} is wrong\n{run}");
        let run = run
            .says(&format!("frame {bad}"))
            .says(&all[bad].start.to_string());
        assert!(!run.stderr.contains("panicked"), "{run}");
        it.rollback(&[]).exits(4).says(&format!("frame {bad}"));
    }
    assert_same(&there, &Snapshot::of(&it.tree), "after the refusals");

    // Told how far to go, it undoes what stands before.
    let run = it.rollback(&["--up-to", &bad.to_string()]).exits(0);
    let undone = Snapshot::of(&it.tree);
    let changed = there.differing_inodes(&undone);
    assert!(!changed.is_empty());
    assert_eq!(run.count("changed"), changed.len() as u64, "{run}");
    // What stands behind says what the other owners were.
    let whole = format!("{}.whole", it.journal.display());
    assert!(run.stderr.contains(&whole), "{run}");
    let kept = std::fs::read(whole).unwrap();
    assert_eq!(
        kept[all[bad].start..].len(),
        it.bytes[all[bad].start..].len()
    );
    assert!(
        kept[all[bad].end..] == it.bytes[all[bad].end..],
        "all of it is kept"
    );
}

#[test]
fn one_of_a_newer_version_is_refused() {
    let it = journalled();
    let there = Snapshot::of(&it.tree);
    let header = lines(&it.bytes[frames(&it.bytes)[0].clone()]);
    assert!(header.contains("\"format\":1,"), "{header}");
    let newer = header.replacen("\"format\":1,", "\"format\":999,\"new\":{},", 1);
    let rest = &it.bytes[frames(&it.bytes)[0].end..];
    it.write(&[&frame(0, &newer)[..], rest].concat());
    it.rollback(&[]).exits(4).says("999");
    for command in ["resume", "verify"] {
        it.idshift
            .run([command, it.journal.to_str().unwrap()])
            .exits(4)
            .says("999");
    }
    assert_same(&there, &Snapshot::of(&it.tree), "after the refusals");
}

#[test]
fn what_is_no_journal_is_refused() {
    let it = journalled();
    for bytes in [
        &b"not a journal"[..],
        &[0; 4096],
        b"",
        &it.bytes[20..],
        &[0xff; 100],
    ] {
        it.write(bytes);
        it.rollback(&[]).exits(4).says(it.journal.to_str().unwrap());
    }
}

/// The journal as it is when the run was killed before its end.
fn cut_before_the_last_mark(it: &Journalled) {
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

impl Journalled {
    /// Puts the mark behind the journal's last frame.
    fn mark(&self, mark: &str) {
        let mut bytes = fs::read(&self.journal).unwrap();
        let number = frames(&bytes).len() as u32;
        let line = format!(
            "{{\"kind\":\"mark\",\"mark\":\"{mark}\",\"time\":\"2026-01-02T03:04:05Z\"}}\n"
        );
        bytes.extend(frame(number, &line));
        self.write(&bytes);
    }

    /// What a new run on the tree is told.
    fn new_run(&self) -> Run {
        self.idshift.shift_with(&self.tree, &["--reverse"]).exits(4)
    }
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

#[test]
fn force_is_advised_only_where_it_helps() {
    let it = journalled();
    fs::remove_file(it.tree.join("0000/1")).unwrap();
    for _ in 0..2 {
        let run = it.idshift.run(["rollback", "latest"]).exits(3);
        assert!(!run.text().contains("--force"), "{run}");
    }
    let it = journalled();
    std::os::unix::fs::lchown(it.tree.join("0000/1"), Some(7), Some(7)).unwrap();
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

#[test]
fn only_its_owner_reads_it() {
    use std::os::unix::fs::PermissionsExt;
    let it = journalled();
    let mode = fs::metadata(&it.journal).unwrap().permissions().mode() & 0o7777;
    assert_eq!(format!("{mode:04o}"), "0600");
}

#[test]
fn names_of_any_bytes_are_shown_without_harm() {
    let fs = TestFs::new(Kind::Tmpfs);
    let tree = tree::zoo(&fs.path().join("tree"));
    let idshift = Idshift::new();
    idshift.shift(&tree);
    let shown = idshift.run(["journal", "show", "latest"]).exits(0).stdout;
    assert!(!shown.contains(&0x1b), "an escape sequence got through");
    let list = idshift
        .run(["shift", "--dry-run", "-v", "--map", MAP, path(&tree)])
        .exits(0);
    assert!(
        !list.stdout.contains(&0x1b) && !list.stderr.contains('\x1b'),
        "{list}"
    );
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn long_journals_are_listed_without_being_read() {
    let it = journalled();
    for n in 2..40 {
        fs::copy(
            &it.journal,
            it.journal.with_file_name(format!("{n:04}-copy.jsonl.zst")),
        )
        .unwrap();
    }
    let time = |args: &[&str]| {
        let start = std::time::Instant::now();
        it.idshift.run(args).exits(0);
        start.elapsed()
    };
    let nothing = time(&["journal", "list", "--help"]);
    let one = time(&["journal", "check", "1"]) - nothing;
    let all = time(&["journal", "list"]) - nothing;
    assert!(
        all < one * 8,
        "39 are listed in {all:?}, one is read in {one:?}"
    );
}

#[test]
fn a_list_is_right_about_journals_of_every_kind() {
    let it = journalled();
    let inodes = it.start.inodes().len();
    let frames = frames(&it.bytes);
    let last = frames.last().unwrap().clone();
    let changes = frames[frames.len() - 2].clone();
    let listed = |bytes: &[u8]| {
        it.write(bytes);
        let run = it.idshift.run(["journal", "list", "--json"]);
        (run.json()["journals"][0].clone(), run.code)
    };
    let (whole, code) = listed(&it.bytes);
    assert_eq!((&whole["state"], code), (&"finished".into(), Some(0)));
    assert_eq!(
        (&whole["inodes"], &whole["frames"]),
        (&inodes.into(), &frames.len().into())
    );
    // Room behind it, as a killed run leaves.
    let (room, _) = listed(&[&it.bytes[..], &[0; 100_000]].concat());
    assert_eq!(
        (&room["state"], &room["torn"]),
        (&"finished".into(), &false.into())
    );
    // Its last turn was not written whole: it was going on.
    let (torn, code) = listed(&it.bytes[..last.end - 1]);
    assert_eq!(
        (&torn["state"], &torn["torn"]),
        (&"unfinished".into(), &true.into())
    );
    assert_eq!((&torn["inodes"], code), (&inodes.into(), Some(0)));
    // The head of one in the middle, and what stands behind the last.
    for at in [changes.start + 9, last.start + 9] {
        let mut bytes = it.bytes.clone();
        bytes[at] ^= 0xff;
        let (damaged, code) = listed(&bytes);
        assert!(
            damaged["error"].as_str().unwrap().contains("is damaged"),
            "{damaged}"
        );
        assert_eq!(code, Some(3));
    }
    let (damaged, _) = listed(&[&it.bytes[..], &b"x".repeat(5000)].concat());
    assert!(
        damaged["error"].as_str().unwrap().contains("is damaged"),
        "{damaged}"
    );
    // One of a version that did not count is read to its end.
    let older: Vec<u8> = frames
        .iter()
        .zip(0..)
        .flat_map(|(one, n)| {
            let text = lines(&it.bytes[one.clone()]);
            let text: Vec<String> = text.lines().map(without_counts).collect();
            frame(n, &format!("{}\n", text.join("\n")))
        })
        .collect();
    let (older, code) = listed(&older);
    assert_eq!((&older["inodes"], code), (&inodes.into(), Some(0)));
    assert_eq!(older["state"], "finished");
}

/// A line as it was before turns said what a journal names.
fn without_counts(line: &str) -> String {
    let mut value: Value = serde_json::from_str(line).unwrap();
    if value["kind"] == "mark" {
        let members = value.as_object_mut().unwrap();
        assert!(members.remove("inodes").is_some() && members.remove("steps").is_some());
    }
    value.to_string()
}

/// The number that the newest journal's id begins with.
fn newest_number(idshift: &Idshift) -> u64 {
    let newest = idshift.journal_files().pop().unwrap();
    let name = newest.file_name().unwrap().to_str().unwrap();
    name.split('-').next().unwrap().parse().unwrap()
}

#[test]
fn an_id_is_never_used_again() {
    let fs = TestFs::new(Kind::Tmpfs);
    let tree = tree::specimens(&fs.path().join("tree"));
    let idshift = Idshift::new();
    let run = |reverse: bool| {
        if reverse {
            idshift.reverse(&tree)
        } else {
            idshift.shift(&tree)
        };
        newest_number(&idshift)
    };
    let prune = || {
        idshift
            .run(["journal", "prune", "--older-than", "0"])
            .exits(0)
    };
    assert_eq!([run(false), run(true)], [1, 2]);
    prune();
    assert!(idshift.journal_files().is_empty());
    assert_eq!(run(false), 3, "after all were pruned");
    // Somebody removed them by hand.
    fs::remove_file(idshift.the_journal()).unwrap();
    assert_eq!(run(true), 4, "after one was removed");
    // One of another host was put there, and is over.
    let here = idshift.the_journal();
    let copied = here.with_file_name("0041-20200102T030405Z.jsonl.zst");
    fs::copy(&here, &copied).unwrap();
    fs::set_permissions(&copied, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    prune();
    assert!(idshift.journal_files().is_empty());
    assert_eq!(run(false), 42, "after a copied one was pruned");
}

#[test]
fn runs_that_begin_at_once_have_a_number_each() {
    let fs = TestFs::new(Kind::Tmpfs);
    let trees: Vec<PathBuf> = (0..12)
        .map(|n| tree::specimens(&fs.path().join(format!("tree-{n}"))))
        .collect();
    let idshift = Idshift::new();
    let start = |tree: &PathBuf| idshift.spawn(["shift", "--map", MAP, path(tree)]);
    let children: Vec<_> = trees.iter().map(start).collect();
    for child in children {
        Run::wait(child).exits(0);
    }
    let numbers = idshift.journal_files().into_iter().map(|file| {
        let name = file.file_name().unwrap().to_str().unwrap().to_string();
        name.split('-').next().unwrap().parse::<u64>().unwrap()
    });
    assert_eq!(numbers.collect::<Vec<_>>(), (1..=12).collect::<Vec<_>>());
}

#[test]
fn a_number_that_two_journals_have_names_neither() {
    let it = journalled();
    let name = it.journal.file_name().unwrap().to_str().unwrap();
    let (number, _) = name.split_once('-').unwrap();
    let other = it
        .journal
        .with_file_name(format!("{number}-20200102T030405Z.jsonl.zst"));
    fs::copy(&it.journal, &other).unwrap();
    let run = it.idshift.run(["rollback", "1"]).exits(4);
    run.says(name.strip_suffix(".jsonl.zst").unwrap())
        .says(&format!("{number}-20200102T030405Z"));
}

#[test]
fn a_missing_journal_directory_is_told() {
    let place = tempfile::tempdir().unwrap();
    let missing = place.path().join("no-such");
    let file = place.path().join("file");
    fs::write(&file, "").unwrap();
    for dir in [&missing, &file] {
        for command in [
            &["journal", "list"][..],
            &["journal", "prune"],
            &["journal", "show", "latest"],
            &["journal", "check", "1"],
            &["rollback"],
            &["resume"],
            &["verify", "latest"],
        ] {
            let mut run = Command::new(Idshift::program());
            run.args(command).arg("--journal-dir").arg(dir);
            let run = Run::of(&mut run).exits(4);
            assert!(run.stdout.is_empty(), "{run}");
            run.says(path(dir)).says("--journal-dir");
        }
    }
    assert!(!missing.exists(), "nor was it made");
    // One that is there and empty.
    let list = Idshift::new().run(["journal", "list"]).exits(0);
    assert!(list.text().contains("No journals"), "{list}");
}
