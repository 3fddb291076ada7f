//! Secrets: a list that names the program or the file which has the content of each.

use std::collections::HashSet;
use std::path::Path;

use serde_json::Value;

use super::layers::check_is_closed;
use super::members::{is_empty, of_text};
use crate::fs::escape::shell_word;
use crate::podman::database::json::{JsonKind, Rewriter};
use crate::podman::store::Store;
use crate::store_move::MoveError;
use crate::store_move::untrusted::first_not_plain;

/// The list, in the store.
pub(super) const LIST: [&str; 2] = ["secrets", "secrets.json"];

/// The list as it is, with its mtime, and as it is to be.
pub(super) struct SecretList {
    pub before: String,
    pub mtime_ns: i64,
    pub after: String,
}

impl SecretList {
    /// The names of all secrets.
    pub fn names(&self) -> HashSet<String> {
        let members = of_text(&self.after).unwrap_or_default();
        let all = members.get("secrets").and_then(Value::as_object);
        let names = all.into_iter().flat_map(|all| all.values());
        names
            .filter_map(|secret| secret.get("name").and_then(Value::as_str))
            .map(String::from)
            .collect()
    }
}

/// The list with the paths of root's store, `to`. A secret of another driver than that of files is refused: `shell` runs
/// commands that its maker wrote. `None`: there is no list.
///
/// # Errors
/// The first of them.
pub(super) fn checked(
    store: &Store,
    (rewriter, to): (&Rewriter, &Path),
) -> Result<Option<SecretList>, MoveError> {
    let top = store.path.join(LIST[0]);
    if top.symlink_metadata().is_err() {
        return Ok(None);
    }
    check_is_closed(&top)?;
    if let Some(path) = first_not_plain(&top)? {
        let why = "is not what Podman makes, and root's could be led elsewhere by it. Move it away";
        return Err(MoveError::in_the_way(path, why));
    }
    let name = LIST.join("/");
    let Some((bytes, mtime_ns)) = store.file(&name)? else {
        return Ok(None);
    };
    let strange = |why: String| {
        let why = format!("is not what Podman writes: {why}. `podman secret rm --all` as the user");
        MoveError::in_the_way(store.path.join(&name), why)
    };
    let before = String::from_utf8(bytes).map_err(|error| strange(error.to_string()))?;
    let after = rewriter.rewrite(JsonKind::Secrets, &before);
    let after = after.map_err(|error| strange(error.to_string()))?;
    let members = of_text(&after).map_err(|error| strange(error.to_string()))?;
    let place = to.join("secrets/filedriver");
    for (id, secret) in members
        .get("secrets")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        if !is_of_file(secret, &place) {
            let named = secret.get("name").and_then(Value::as_str).unwrap_or(id);
            let why = format!(
                "the secret {named} is not in a file of the store, and root's Podman would run what {named} names. `podman secret \
                 rm {named}`, run as the user, removes it",
                named = shell_word(Path::new(named))
            );
            return Err(MoveError::in_the_way(store.path.join(&name), why));
        }
    }
    Ok(Some(SecretList {
        before,
        mtime_ns,
        after,
    }))
}

/// Whether the content of a secret is in a file of the store (`common/pkg/secrets`, Podman 5.4.2).
fn is_of_file(secret: &Value, place: &Path) -> bool {
    let member = |name: &str| secret.get(name).unwrap_or(&Value::Null);
    let options = member("driveroptions").as_object();
    let has_place = options.is_some_and(|options| {
        options.iter().all(|(name, value)| match name.as_str() {
            "path" => value.as_str() == place.to_str(),
            _ => is_empty(value),
        })
    });
    member("driver") == "file" && has_place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_secrets_in_files_of_the_store_are_taken() {
        let place = Path::new("/s/secrets/filedriver");
        for (text, expected) in [
            (
                r#"{"driver":"file","driverOptions":{"path":"/s/secrets/filedriver"}}"#,
                true,
            ),
            (
                r#"{"driver":"file","driverOptions":{"path":"/etc"}}"#,
                false,
            ),
            (
                r#"{"driver":"shell","driverOptions":{"lookup":"id","path":"/s/secrets/filedriver"}}"#,
                false,
            ),
            (
                r#"{"driver":"file","driverOptions":{"path":"/s/secrets/filedriver","lookup":"id"}}"#,
                false,
            ),
            (r#"{"driver":"file"}"#, false),
        ] {
            let secret = Value::Object(of_text(text).unwrap());
            assert_eq!(is_of_file(&secret, place), expected, "{text}");
        }
    }
}
