//! `config.json` of an OCI bundle (runtime-spec, `config-linux.md`), as runc and crun get it.

use serde::Deserialize;

use super::{Described, NotationError, NotationSource, map_of};
use crate::idmap::Range;
use crate::idmap::range::RangeError;

const HELP: &str = "A range is {\"containerID\": 0, \"hostID\": 100000, \"size\": 65536} in linux.uidMappings and linux.gidMappings";

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    linux: Linux,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Linux {
    uid_mappings: Vec<Mapping>,
    gid_mappings: Vec<Mapping>,
    namespaces: Vec<Namespace>,
}

#[derive(Deserialize)]
struct Mapping {
    #[serde(rename = "containerID")]
    container: u32,
    #[serde(rename = "hostID")]
    host: u32,
    size: u32,
}

#[derive(Deserialize)]
struct Namespace {
    #[serde(rename = "type")]
    kind: String,
    /// One that is there is joined.
    #[serde(default)]
    path: Option<String>,
}

/// The map that the container gets. Without a user namespace its ids are the host's.
pub(super) fn describe(text: &str, file: &str) -> Result<Described, NotationError> {
    let bad = |reason: String| NotationError::new(file, reason, HELP);
    let config: Config =
        serde_json::from_str(text).map_err(|error| bad(error.to_string()).at(error.line()))?;
    let linux = config.linux;
    let user = linux.namespaces.iter().find(|one| one.kind == "user");
    let source = match user {
        None => NotationSource::HostIds,
        Some(Namespace {
            path: Some(path), ..
        }) => {
            let reason = format!("joins the user namespace {path}, which has the map");
            return Err(bad(reason));
        }
        Some(_) => {
            let ranges = |all: &[Mapping]| -> Result<Vec<Range>, NotationError> {
                let range = |one: &Mapping| Range::new(one.container, one.host, one.size);
                let all: Result<_, _> = all.iter().map(range).collect();
                all.map_err(|error: RangeError| bad(error.to_string()))
            };
            let (uids, gids) = (ranges(&linux.uid_mappings)?, ranges(&linux.gid_mappings)?);
            NotationSource::Map(map_of(uids, gids, file, HELP)?)
        }
    };
    Ok(Described::of("OCI runtime", source))
}

#[cfg(test)]
mod tests {
    use super::super::describe;
    use super::*;

    fn source(linux: &str) -> Result<NotationSource, String> {
        let text = format!(r#"{{"ociVersion": "1.0.2", "linux": {linux}}}"#);
        let described = describe(text.as_bytes(), "/config.json");
        described
            .map(|it| it.source)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn mappings_are_the_map_where_there_is_a_user_namespace() {
        let range = r#"[{"containerID": 0, "hostID": 100000, "size": 65536}]"#;
        let mappings = format!(r#""uidMappings": {range}, "gidMappings": {range}"#);
        let NotationSource::Map(map) = source(&format!(
            r#"{{"namespaces": [{{"type": "user"}}], {mappings}}}"#
        ))
        .unwrap() else {
            panic!("no map");
        };
        assert_eq!(map.to_string(), "b:0:100000:65536");
        // runc ignores mappings without a user namespace.
        let without = source(&format!(
            r#"{{"namespaces": [{{"type": "pid"}}], {mappings}}}"#
        ));
        assert_eq!(without, Ok(NotationSource::HostIds));
        let joined = source(r#"{"namespaces": [{"type": "user", "path": "/proc/7/ns/user"}]}"#);
        assert!(joined.unwrap_err().contains("/proc/7/ns/user"));
        assert!(source(r#"{"namespaces": [{"type": "user"}]}"#).is_err());
    }
}
