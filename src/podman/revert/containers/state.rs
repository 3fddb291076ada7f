//! Pure: the state of a container that does not run, made anew: paths, mounts, processes and namespaces of the last run are
//! the user's. Podman sets up all of it at the next start (`ContainerState`, Podman 5.4.2, `libpod/container.go`).

use serde_json::{Map, Value};

use crate::podman::revert::members::of_text;

/// `ContainerStatus` of `libpod/define/containerstate.go`.
const CONFIGURED: i64 = 1;
pub(super) const EXITED: i64 = 6;

/// The zero of a time in Go.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// How its last run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// JSON of a row.
    pub text: String,
    /// `ContainerStatus`
    pub status: i64,
    /// What its process ended with.
    pub exit_code: i64,
}

/// What of a row of `ContainerState` counts for root's Podman. `None`: it runs, or something of its last run is left.
///
/// # Errors
/// It is not what Podman writes.
pub(super) fn ended(text: &str) -> serde_json::Result<Option<Ended>> {
    let members = of_text(text)?;
    let member = |name: &str| members.get(name).unwrap_or(&Value::Null);
    let status = member("state").as_i64().unwrap_or_default();
    if ![CONFIGURED, EXITED].contains(&status) {
        return Ok(None);
    }
    let exit_code = member("exitcode").as_i64().unwrap_or_default();
    let exit_code = exit_code.clamp(-1, 255);
    let mut new = Map::new();
    new.insert("state".into(), status.into());
    for (old, name) in [
        ("startedtime", "startedTime"),
        ("finishedtime", "finishedTime"),
    ] {
        let time = member(old).as_str().filter(|it| is_time(it));
        new.insert(name.into(), time.unwrap_or(NEVER).into());
    }
    if status == EXITED {
        new.insert("exitCode".into(), exit_code.into());
        new.insert("exited".into(), true.into());
        new.insert("oomKilled".into(), (member("oomkilled") == true).into());
    }
    let text = Value::Object(new).to_string();
    Ok(Some(Ended {
        text,
        status,
        exit_code,
    }))
}

fn is_time(text: &str) -> bool {
    text.parse::<jiff::Timestamp>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_last_run_counts_but_how_it_ended() {
        let exited = r#"{"state":6,"configPath":"/etc/x","runDir":"/r","mountPoint":"/etc","mounted":true,"startedTime":"2026-11-29T10:48:08.26Z",
            "finishedTime":"yesterday","exitCode":3,"exited":true,"pid":1,"bindMounts":{"/etc/hosts":"/etc/shadow"},"netns":"/run/n",
            "extensionStageHooks":{"poststop":[{"path":"/tmp/x"}]},"hcUnitName":"x.timer"}"#;
        let found = ended(exited).unwrap().unwrap();
        let expected: Value = serde_json::from_str(
            r#"{"state":6,"startedTime":"2026-11-29T10:48:08.26Z","finishedTime":"0001-01-01T00:00:00Z","exitCode":3,"exited":true,"oomKilled":false}"#,
        )
        .unwrap();
        let text: Value = serde_json::from_str(&found.text).unwrap();
        assert_eq!((text, found.status, found.exit_code), (expected, 6, 3));
        let made = ended(r#"{"state":1,"exitCode":0}"#).unwrap().unwrap();
        assert_eq!(made.status, 1);
        for active in [
            r#"{"state":3,"pid":1}"#,
            "{}",
            r#"{"state":2}"#,
            r#"{"State":4}"#,
        ] {
            assert_eq!(ended(active).unwrap(), None, "{active}");
        }
        assert!(ended(r#"{"state":1,"State":3}"#).is_err());
    }
}
