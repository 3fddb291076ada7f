//! Variables that `sudo` sets to those of root, while whoever called it starts the project with their own.

use std::path::PathBuf;

use nix::unistd::{Uid, User, geteuid};

/// Set to the account that a command runs as (sudoers(5), `env_reset`; pkexec(1); doas(1)).
pub(super) const REPLACED: [&str; 3] = ["HOME", "USER", "LOGNAME"];

/// Programs that run a command as root, and the variable that says who called them. systemd's `run0` sets that of sudo.
const CALLERS: [(&str, &str); 3] = [
    ("sudo", "SUDO_UID"),
    ("pkexec", "PKEXEC_UID"),
    ("doas", "DOAS_USER"),
];

/// An account, as far as it matters here.
#[derive(Clone, Debug)]
struct Account {
    name: String,
    home: PathBuf,
}

impl From<User> for Account {
    fn from(user: User) -> Account {
        Account {
            name: user.name,
            home: user.dir,
        }
    }
}

/// Why the value of a variable may be another one where the project is started; `None` where it is as it stands.
pub(super) fn doubt(name: &str) -> Option<String> {
    if !REPLACED.contains(&name) {
        return None;
    }
    let variable = |name: &str| std::env::var(name).ok();
    let own = User::from_uid(geteuid()).ok().flatten()?;
    doubt_of(name, variable, &own.into(), |who| {
        let found = match who.parse() {
            Ok(uid) => User::from_uid(Uid::from_raw(uid)),
            Err(_) => User::from_name(who),
        };
        found.ok().flatten().map(Account::from)
    })
}

/// A value that is not `own` was given on purpose, or kept.
fn doubt_of(
    name: &str,
    variable: impl Fn(&str) -> Option<String>,
    own: &Account,
    account: impl Fn(&str) -> Option<Account>,
) -> Option<String> {
    let value = variable(name)?;
    let of = |account: &Account| match name {
        "HOME" => account.home.display().to_string(),
        _ => account.name.clone(),
    };
    let (program, mark, caller) = CALLERS.iter().find_map(|(program, mark)| {
        let caller = variable(mark).filter(|who| who != "0" && *who != own.name)?;
        Some((program, mark, caller))
    })?;
    if value != of(own) {
        return None;
    }
    let caller = account(&caller);
    let (who, theirs) = match &caller {
        Some(caller) => (caller.name.clone(), of(caller)),
        None => ("another user".into(), "…".into()),
    };
    Some(format!(
        "{program} has set {name} to {value}. If {who} starts the containers: `{program} env {name}={theirs} idshift …`. \
        If {} starts them: `{program} env -u {mark} idshift …`",
        own.name
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(name: &str, variables: &[(&str, &str)]) -> Option<String> {
        let account = |name: &str, home: &str| Account {
            name: name.into(),
            home: home.into(),
        };
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.to_string())
        };
        let leo = |who: &str| {
            ["1000", "leo"]
                .contains(&who)
                .then(|| account("leo", "/home/leo"))
        };
        doubt_of(name, variable, &account("root", "/root"), leo)
    }

    #[test]
    fn what_sudo_sets_to_that_of_root_is_doubted() {
        for (name, value, theirs) in [
            ("HOME", "/root", "HOME=/home/leo"),
            ("USER", "root", "USER=leo"),
            ("LOGNAME", "root", "LOGNAME=leo"),
        ] {
            for (program, mark, who) in [
                ("sudo", "SUDO_UID", "1000"),
                ("pkexec", "PKEXEC_UID", "1000"),
                ("doas", "DOAS_USER", "leo"),
            ] {
                let why = said(name, &[(name, value), (mark, who)]).unwrap();
                let helps = [
                    format!("`{program} env {theirs} idshift …`"),
                    format!("`{program} env -u {mark} idshift …`"),
                ];
                assert!(helps.iter().all(|help| why.contains(help)), "{why}");
            }
        }
        let why = said("HOME", &[("HOME", "/root"), ("SUDO_UID", "7")]).unwrap();
        assert!(why.contains("`sudo env HOME=… idshift …`"), "{why}");
    }

    #[test]
    fn what_was_given_or_kept_is_believed() {
        for variables in [
            &[("HOME", "/root")][..],
            &[("HOME", "/root"), ("SUDO_UID", "0")],
            &[("HOME", "/root"), ("DOAS_USER", "root")],
            &[("HOME", "/home/leo"), ("SUDO_UID", "1000")],
            &[("SUDO_UID", "1000")],
        ] {
            assert_eq!(said("HOME", variables), None, "{variables:?}");
        }
    }
}
