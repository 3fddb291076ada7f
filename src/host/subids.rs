//! `/etc/subuid` and `/etc/subgid` as a whole: whose ranges meet, who lives in one.

use nix::unistd::User;

use super::Finding;
use super::missing_ranges::MissingRanges;
use crate::idmap::{SubidFile, SubidLine};

/// A range that is shorter has no room for the ids of usual images, 65534 being nobody.
const USUAL: u32 = 65_536;

/// What is to be said of both files, for the ranges of this user.
pub fn findings(user: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let accounts = accounts();
    let fix = fix(user);
    for path in ["/etc/subuid", "/etc/subgid"] {
        let text = std::fs::read(path).unwrap_or_default();
        findings.extend(match SubidFile::parse(&text, path) {
            Ok(file) => of_file(&file, path, user, fix.as_deref(), &accounts),
            Err(error) => vec![Finding::error(name_of(path), error.to_string())],
        });
    }
    findings
}

fn name_of(path: &str) -> &'static str {
    match path {
        "/etc/subuid" => "subuid",
        _ => "subgid",
    }
}

/// The commands that give the user what it lacks in the two files.
fn fix(user: &str) -> Option<String> {
    let file = |path| SubidFile::parse(&std::fs::read(path).unwrap_or_default(), path).ok();
    let (uids, gids) = (file("/etc/subuid")?, file("/etc/subgid")?);
    let uid = User::from_name(user).ok().flatten();
    let uid = uid.map(|user| user.uid.as_raw());
    let missing = MissingRanges::of(user, uid, [&uids, &gids])?;
    missing.has_any().then(|| missing.command_line())
}

/// An id of a host account, and what it is called.
pub(super) type Account = (u32, String);

/// Host accounts with their ids in the two files' order: users, groups.
pub(super) fn accounts() -> [Vec<Account>; 2] {
    ["/etc/passwd", "/etc/group"].map(|path| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let account = |line: &str| {
            let mut fields = line.split(':');
            let (name, id) = (fields.next()?, fields.nth(1)?);
            Some((id.parse().ok()?, name.to_string()))
        };
        text.lines().filter_map(account).collect()
    })
}

fn of_file(
    file: &SubidFile,
    path: &'static str,
    user: &str,
    fix: Option<&str>,
    accounts: &[Vec<Account>; 2],
) -> Vec<Finding> {
    let what = name_of(path);
    let uid = User::from_name(user).ok().flatten();
    let own = file.lines_for(user, uid.map(|user| user.uid.as_raw()));
    let mut findings = Vec::new();
    match &own[..] {
        [] => findings.push(
            Finding::error(what, format!("{path} has no line for {user}"))
                .remedy(fix.unwrap_or("add a range of 65536 ids that no other user has")),
        ),
        lines => {
            let ids: u64 = lines.iter().map(|line| u64::from(line.count)).sum();
            let ranges: Vec<String> = lines.iter().map(range).collect();
            let found = format!("{user}: {}", ranges.join(", "));
            findings.push(match ids < u64::from(USUAL) {
                true => Finding::warning(
                    what,
                    format!("{found}: only {ids} ids; images use ids up to 65534"),
                )
                .remedy(format!("a range of 65536 in {path}")),
                false => Finding::ok(what, found),
            });
        }
    }
    findings.extend(overlaps(file.lines(), &own, what));
    let accounts = match what {
        "subuid" => &accounts[0],
        _ => &accounts[1],
    };
    findings.extend(inhabited(&own, accounts, what, user));
    findings
}

fn range(line: &SubidLine) -> String {
    format!("{}:{}", line.start, line.count)
}

fn end(line: &SubidLine) -> u64 {
    u64::from(line.start) + u64::from(line.count)
}

/// Lines that share ids: processes of the one could reach files of the other. What concerns this
/// user's lines comes first.
fn overlaps(all: &[SubidLine], own: &[SubidLine], what: &'static str) -> Vec<Finding> {
    let mut lines: Vec<&SubidLine> = all.iter().filter(|line| line.count > 0).collect();
    lines.sort_by_key(|line| (line.start, line.line_no));
    let mut pairs = Vec::new();
    for (n, one) in lines.iter().enumerate() {
        let meets = |other: &&&SubidLine| u64::from(other.start) < end(one);
        for other in lines[n + 1..].iter().take_while(meets) {
            // The same said twice is one range.
            if (&one.owner, range(one)) != (&other.owner, range(other)) {
                pairs.push(match own.contains(other) && !own.contains(one) {
                    true => (*other, *one),
                    false => (*one, *other),
                });
            }
        }
    }
    pairs.sort_by_key(|(one, _)| !own.contains(one));
    let said =
        |line: &SubidLine| format!("line {} ({}, {})", line.line_no, line.owner, range(line));
    let finding = |(one, other): (&SubidLine, &SubidLine)| {
        let found = format!("{} shares ids with {}", said(one), said(other));
        Finding::warning(what, found).remedy(
            "give each user a range that no other user has, before anything is shifted into it",
        )
    };
    // More than a screen of them says no more.
    pairs.into_iter().take(10).map(finding).collect()
}

/// The first finding about accounts that have an id in the ranges of this user: containers' files would be theirs.
pub fn accounts_inside(user: &str) -> Option<Finding> {
    let accounts = accounts();
    let uid = User::from_name(user).ok().flatten();
    let uid = uid.map(|user| user.uid.as_raw());
    let files = ["/etc/subuid", "/etc/subgid"].iter().zip(&accounts);
    files.into_iter().find_map(|(path, accounts)| {
        let text = std::fs::read(path).unwrap_or_default();
        let file = SubidFile::parse(&text, path).ok()?;
        inhabited(&file.lines_for(user, uid), accounts, name_of(path), user)
    })
}

/// Host accounts whose id is in one of these ranges. The user itself may be the container's root, as with `jenkins:1005:1`
/// before its others.
fn inhabited(
    own: &[SubidLine],
    accounts: &[Account],
    what: &'static str,
    user: &str,
) -> Option<Finding> {
    let lives_there = |(id, name): &&Account| {
        let is_inside = |line: &SubidLine| line.start <= *id && u64::from(*id) < end(line);
        let is_container_root =
            || name == user && own.first().is_some_and(|line| line.start == *id);
        own.iter().any(is_inside) && !is_container_root()
    };
    let names: Vec<String> = accounts
        .iter()
        .filter(lives_there)
        .map(|(id, name)| format!("{name} ({id})"))
        .collect();
    (!names.is_empty()).then(|| {
        Finding::error(
            what,
            format!("host accounts are inside the range: {}", names.join(", ")),
        )
        .remedy("use another range: containers' files would belong to these accounts")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Level;

    fn levels(text: &str) -> Vec<(Level, String)> {
        let file = SubidFile::parse(text.as_bytes(), "/etc/subuid").unwrap();
        let accounts = [vec![(100_007, "eve".to_string())], Vec::new()];
        let found = of_file(&file, "/etc/subuid", "dockremap", None, &accounts);
        found.into_iter().map(|f| (f.level, f.found)).collect()
    }

    #[test]
    fn ranges_that_meet_others_or_accounts_are_found() {
        let fine = levels("me:300000:65536\ndockremap:200000:65536\n");
        assert_eq!(fine, [(Level::Ok, "dockremap: 200000:65536".to_string())]);
        let bad = levels("me:160000:65536\ndockremap:100000:65536\n");
        assert_eq!(bad.len(), 3, "{bad:?}");
        assert!(
            bad[1]
                .1
                .contains("line 2 (dockremap, 100000:65536) shares ids with line 1")
        );
        assert!(bad[2].1.contains("eve (100007)"));
        // Of others, too; what concerns ours comes first.
        let others = levels("a:1000:10\nb:1009:10\nme:160000:65536\ndockremap:100000:65536\n");
        let said: Vec<&str> = others.iter().map(|(_, found)| &found[..6]).collect();
        assert_eq!(said, ["dockre", "line 4", "line 1", "host a"], "{others:?}");
        assert_eq!(
            levels("dockremap:200000:65536\ndockremap:200000:65536\n").len(),
            1
        );
        assert_eq!(levels("dockremap:200000:1000\n")[0].0, Level::Warning);
        assert_eq!(levels("me:1:1\n")[0].0, Level::Error);
    }
}
