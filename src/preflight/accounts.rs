//! The accounts of this host that people log in to, as NSS knows them (`nsswitch.conf(5)`).

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::RwLock;

use serde::Serialize;

use crate::journal::name;

/// An account that people log in to: it has a shell and is not of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: u32,
    /// Its home directory, as the account says.
    #[serde(serialize_with = "name::serialize_path")]
    pub home: PathBuf,
}

impl std::fmt::Display for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (uid {})", self.name, self.uid)
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct LoginAccounts {
    uid_min: u32,
    listed: Vec<Account>,
    by_uid: HashMap<u32, usize>,
    /// Directory services answer for a uid, but mostly do not list their accounts: what they said.
    answers: Option<RwLock<HashMap<u32, Option<Account>>>>,
}

/// `UID_MIN` where `login.defs(5)` does not say.
const UID_MIN: u32 = 1000;

/// Of nobody and of ids that a user namespace does not map.
const NOBODY: u32 = 65_534;

/// Shells of accounts that nobody logs in to.
const NO_SHELLS: [&str; 5] = ["nologin", "false", "sync", "shutdown", "halt"];

/// Sources of `nsswitch.conf(5)` that list all their accounts.
const LISTING: [&str; 6] = ["files", "compat", "systemd", "db", "altfiles", "extrausers"];

impl LoginAccounts {
    /// Those of this host.
    pub fn of_host() -> LoginAccounts {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let text = getent(&[]).unwrap_or_else(|| read("/etc/passwd"));
        LoginAccounts::new(&text, &read("/etc/login.defs"), &read("/etc/nsswitch.conf"))
    }

    fn new(passwd: &str, login_defs: &str, nsswitch: &str) -> LoginAccounts {
        let uid_min = uid_min(login_defs);
        let all = passwd.lines().filter_map(login_account);
        let listed: Vec<Account> = all.filter(|it| is_person(it.uid, uid_min)).collect();
        let numbered = listed.iter().enumerate();
        LoginAccounts {
            uid_min,
            by_uid: numbered.map(|(n, it)| (it.uid, n)).collect(),
            listed,
            answers: (!lists_all(nsswitch)).then(RwLock::default),
        }
    }

    /// Those that the host lists; root is among them.
    pub fn listed(&self) -> &[Account] {
        &self.listed
    }

    /// Whether there may be others that only [`LoginAccounts::owner`] finds.
    pub fn may_have_more(&self) -> bool {
        self.answers.is_some()
    }

    /// Whose files with this owner are; never root's.
    pub fn owner(&self, uid: u32) -> Option<Account> {
        if uid == 0 || !is_person(uid, self.uid_min) {
            return None;
        }
        if let Some(&n) = self.by_uid.get(&uid) {
            return Some(self.listed[n].clone());
        }
        let answers = self.answers.as_ref()?;
        if let Some(known) = answers.read().ok()?.get(&uid) {
            return known.clone();
        }
        let answer = getent(&[&uid.to_string()]);
        let found = answer.and_then(|text| text.lines().find_map(login_account));
        answers.write().ok()?.insert(uid, found.clone());
        found
    }
}

fn is_person(uid: u32, uid_min: u32) -> bool {
    uid == 0 || (uid >= uid_min && uid != NOBODY)
}

/// A line of `passwd(5)`, where somebody can log in with it.
fn login_account(line: &str) -> Option<Account> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, uid, _, _, home, shell] = fields[..] else {
        return None;
    };
    let shell = Path::new(shell).file_name().unwrap_or_default();
    let has_shell = !NO_SHELLS.iter().any(|no_shell| shell == *no_shell);
    has_shell.then_some(Account {
        name: name.to_string(),
        uid: uid.parse().ok()?,
        home: home.into(),
    })
}

fn uid_min(login_defs: &str) -> u32 {
    let value = |line: &str| {
        let mut words = line.split_whitespace();
        (words.next() == Some("UID_MIN")).then(|| words.next()?.parse().ok())?
    };
    login_defs.lines().find_map(value).unwrap_or(UID_MIN)
}

fn lists_all(nsswitch: &str) -> bool {
    let line = nsswitch
        .lines()
        .find_map(|line| line.trim().strip_prefix("passwd:"));
    let line = line
        .unwrap_or_default()
        .split('#')
        .next()
        .unwrap_or_default();
    // `[NOTFOUND=return]` is no source.
    line.split_whitespace()
        .filter(|word| !word.starts_with('['))
        .all(|source| LISTING.contains(&source))
}

/// What NSS knows. By its program: modules of NSS keep descriptors for themselves, and the threads
/// of a walk have tables of their own.
fn getent(keys: &[&str]) -> Option<String> {
    let mut command = Command::new("getent");
    command
        .arg("passwd")
        .args(keys)
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    let output = command
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n\
        www-data:x:33:33::/var/www:/usr/sbin/nologin\n\
        postgres:x:101:104:,,,:/var/lib/postgresql:/bin/bash\n\
        leo:x:1000:1000:Leo,,,:/home/leo:/bin/zsh\n\
        bare:x:1001:1001::/home/bare:\n\
        app:x:1002:1002::/srv/app:/bin/false\n\
        nobody:x:65534:65534::/nonexistent:/bin/sh\n\
        ad:*:1234500001:1::/home/ad:/bin/sh\nbroken:x\n";

    #[test]
    fn people_have_a_shell_and_no_services_uid() {
        let names = |login_defs: &str| {
            let accounts = LoginAccounts::new(PASSWD, login_defs, "passwd: files systemd\n");
            let names = accounts.listed().iter().map(|it| it.name.clone());
            names.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(""), "root leo bare ad");
        assert_eq!(names("# UID_MIN 5\nUID_MIN\t\t  1001\n"), "root bare ad");
        assert_eq!(names("UID_MIN 100"), "root postgres leo bare ad");
    }

    #[test]
    fn roots_files_are_nobodys_loss() {
        let accounts = LoginAccounts::new(PASSWD, "", "passwd: files");
        assert_eq!(accounts.owner(0), None);
        assert_eq!(accounts.owner(33), None);
        assert_eq!(accounts.owner(1000).unwrap().to_string(), "leo (uid 1000)");
    }

    #[test]
    fn directory_services_may_have_more() {
        for (line, more) in [
            ("passwd: files", false),
            ("passwd:\t\tfiles systemd  # sss", false),
            ("passwd: compat [NOTFOUND=return] db", false),
            ("group: sss", false),
            ("passwd: files sss", true),
            ("passwd: ldap [UNAVAIL=return] files", true),
        ] {
            let accounts = LoginAccounts::new("", "", line);
            assert_eq!(accounts.may_have_more(), more, "{line}");
        }
    }
}
