//! Whether output is the same as on a page, but for what differs from run to run: times, rates, sizes, process ids.

/// A line that stands for any lines.
const ANY: &str = "…";

/// Whether the output is that of the page.
pub fn is_same(expected: &[String], found: &[String]) -> bool {
    let Some((first, rest)) = expected.split_first() else {
        return found.is_empty();
    };
    if first.trim() == ANY {
        return (0..=found.len()).any(|skipped| is_same(rest, &found[skipped..]));
    }
    match found.split_first() {
        Some((line, more)) => plain(first) == plain(line) && is_same(rest, more),
        None => false,
    }
}

/// A line without what differs. Columns are as wide as what is in them, so spaces count once.
fn plain(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut plain = Vec::new();
    for (i, word) in words.iter().enumerate() {
        let before = i.checked_sub(1).map_or("", |i| words[i]);
        let after = words.get(i + 1).copied().unwrap_or_default();
        // Depends on the memory of the host.
        let is_limit = i >= 2 && words[i - 2] == "user.max_user_namespaces" && before == "is";
        // How long something will take is about a second on one host, and under one on another.
        let is_estimate = *word == "under" && words.get(i + 2).is_some_and(|unit| *unit == "s");
        plain.push(match (is_limit, is_estimate) {
            (true, _) => "N".into(),
            (_, true) => "about".into(),
            _ => plain_word(before, word, after),
        });
    }
    plain.join(" ")
}

fn plain_word(before: &str, word: &str, after: &str) -> String {
    let bare = word.trim_matches(|c: char| "(),.;:".contains(c));
    let is_number =
        !bare.is_empty() && bare.chars().all(|c| c.is_ascii_digit() || ",.".contains(c));
    let unit = after.trim_end_matches(|c: char| !c.is_ascii_alphabetic());
    let months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec";
    let is_month = |word: &str| months.split(' ').any(|month| month == word);
    let units = ["B", "KiB", "MiB", "GiB"];
    let is_measured = is_number && (unit == "s" || units.contains(&unit) || bare.contains('.'));
    let is_process = is_number && ["process", "pid"].contains(&before);
    let is_day = is_month(word) || is_number && is_month(before);
    let is_time = ["00:00", "00:00:00", "0000-00-00"]
        .iter()
        .any(|time| is_like(bare, time));
    let is_hex = bare.len() >= 12 && bare.chars().all(|c| c.is_ascii_hexdigit());
    if is_measured || is_process || bare.ends_with("/s") {
        "N".into()
    } else if units.contains(&bare) {
        "SIZE".into()
    } else if is_day || is_time {
        "DATE".into()
    } else if is_hex {
        "HEX".into()
    } else {
        without_time(word)
    }
}

/// A journal's id without the time that is in it.
fn without_time(word: &str) -> String {
    let ids = word.match_indices("-20").find_map(|(at, _)| {
        let time = word.get(at..at + "-20260102T030405Z".len())?;
        is_like(time, "-00000000T000000Z").then_some((at, time.len()))
    });
    match ids {
        Some((at, length)) => format!("{}-TIME{}", &word[..at], &word[at + length..]),
        None => word.to_string(),
    }
}

/// Whether it has digits where the pattern has zeros, and else the same.
fn is_like(text: &str, pattern: &str) -> bool {
    let shape = |c: char| if c.is_ascii_digit() { '0' } else { c };
    text.chars().map(shape).eq(pattern.chars())
}

#[test]
fn only_what_differs_from_run_to_run_is_passed_over() {
    let lines = |text: &str| text.lines().map(String::from).collect::<Vec<_>>();
    for (a, b) in [
        ("in 0.03 s (15,811/s).", "in 1.22 s (3/s)."),
        (
            "  Journal:   /j/0001-20261123T194427Z.jsonl.zst (2.80 KiB)",
            "  Journal: /j/0001-20260102T030405Z.jsonl.zst (679 B)",
        ),
        (
            "-rw-r--r-- 1 33 33 3 Nov 28 11:55 file",
            "-rw-r--r-- 1 33 33 3 Jan  2 03:04 file",
        ),
        ("daemon stopped under 1 s", "daemon stopped about 2 s"),
        ("one\n…\nfour", "one\ntwo\nthree\nfour"),
        ("one\n…", "one"),
        (
            "  ok user namespaces user.max_user_namespaces is 96365",
            "  ok user namespaces user.max_user_namespaces is 1024",
        ),
        (
            "in use by process 114 (sleep)",
            "in use by process 30324 (sleep)",
        ),
    ] {
        assert!(is_same(&lines(a), &lines(b)), "{a}\n{b}");
    }
    for (a, b) in [
        ("Shifted 408 of 408 inodes", "Shifted 407 of 408 inodes"),
        ("33:33 -> 100033:100033 401", "33:33 -> 100033:100034 401"),
        (
            "rollback 0001-20261123T194427Z",
            "rollback 0002-20261123T194427Z",
        ),
        ("one\n…\nfour", "one\ntwo"),
        ("one", "one\ntwo"),
        (
            "-rw-r--r-- 1 33 33 3 Nov 28 11:55 file",
            "-rw-r--r-- 1 33 34 3 Nov 28 11:55 file",
        ),
    ] {
        assert!(!is_same(&lines(a), &lines(b)), "{a}\n{b}");
    }
}
