//! A journal is read without the program, and the program says of any file whether it is a whole
//! journal, one that was cut off, or a damaged one.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::journal::{HEAD, frame, frames, journalled, lines};
use crate::support::{Numbers, Snapshot, assert_same, long, output, trace};
use nix::errno::Errno;

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
        // A disk leaves out whole sectors. Less than a frame's checksum is not told from damage, which is the safe side.
        let leaves_a_part_of_a_checksum =
            |frame: &std::ops::Range<usize>| from > frame.end.saturating_sub(4) && from < frame.end;
        if frames.iter().any(leaves_a_part_of_a_checksum) {
            continue;
        }
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

/// EIO of each read that has a byte of one frame in it: what is before that frame can be undone.
#[test]
fn a_frame_that_the_disk_cannot_read_is_named() {
    let it = journalled();
    let there = Snapshot::of(&it.tree);
    let all = frames(&it.bytes);
    let bad = all.len() / 2;
    let lost = all[bad].start as u64 + 40;
    let run = |more: &[&str]| {
        let journal = it.journal.to_str().unwrap();
        let command = it.idshift.command([more, &[journal]].concat());
        trace::run_failing(&command, |call| {
            let [_, _, len, offset, ..] = call.args;
            let is_journal = || call.inode().is_some_and(|path| path == it.journal);
            let is_lost = call.name == "pread64" && (offset..offset + len).contains(&lost);
            (is_lost && is_journal()).then_some(Errno::EIO)
        })
    };
    let up_to = format!("idshift rollback --up-to {bad} ");
    run(&["journal", "check"])
        .exits(3)
        .says(&format!("frame {bad}"));
    run(&["rollback"]).exits(4).says(&up_to);
    assert_same(&there, &Snapshot::of(&it.tree), "after the refusal");
    run(&["rollback", "--up-to", &bad.to_string()]).exits(0);
    assert!(!there.differing_inodes(&Snapshot::of(&it.tree)).is_empty());
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
