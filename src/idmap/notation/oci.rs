//! `config.json` of an OCI bundle (runtime-spec, `config-linux.md`), as runc and crun get it.
//!
//! A `hostID` is an id of the namespace in which the runtime is started. A rootless engine starts it in the namespace of
//! its user: there 0 is the user, and those from 1 on are the user's lines in `/etc/subuid`. Without a `user`
//! namespace, the container shares that one.

use serde::Deserialize;

use super::{Described, NotationError, NotationSource, map_of};
use crate::idmap::range::RangeError;
use crate::idmap::{IdMap, Range, RangeMap};

const HELP: &str = "A range is {\"containerID\": 0, \"hostID\": 100000, \"size\": 65536} in linux.uidMappings and linux.gidMappings";

/// What a runtime is told.
#[derive(Clone, Debug, PartialEq)]
pub struct OciMaps {
    /// None without a user namespace of its own.
    map: Option<IdMap>,
    file: String,
}

impl OciMaps {
    /// For an engine of root: ids are host ids. None where the container has the host's.
    pub fn of_root(&self) -> Option<IdMap> {
        self.map.clone()
    }

    /// For the rootless engine of a user, who has these intermediate ids.
    ///
    /// # Errors
    /// A range needs ids that the user does not have.
    pub fn of_user(&self, user: &str, intermediate: &IdMap) -> Result<IdMap, NotationError> {
        let Some(map) = &self.map else {
            return Ok(intermediate.clone());
        };
        let through = |inner: &RangeMap, has: &RangeMap, ids: &str| {
            let ranges = inner.then(has);
            match count(&ranges) == count(inner) {
                true => Ok(ranges),
                false => {
                    let reason = format!("maps {ids}s that {user} does not have");
                    let help = format!(
                        "Is it a container of {user}? /etc/sub{ids} has what {user} has, and 0 is {user}"
                    );
                    Err(NotationError::new(&self.file, reason, help))
                }
            }
        };
        Ok(IdMap::new(
            through(&map.uids, &intermediate.uids, "uid")?,
            through(&map.gids, &intermediate.gids, "gid")?,
        ))
    }
}

fn count(map: &RangeMap) -> u64 {
    let sizes = map.ranges().iter().map(|range| u64::from(range.size()));
    sizes.sum()
}

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

/// The map that the container gets.
pub(super) fn describe(text: &str, file: &str) -> Result<Described, NotationError> {
    let bad = |reason: String| NotationError::new(file, reason, HELP);
    let config: Config =
        serde_json::from_str(text).map_err(|error| bad(error.to_string()).at(error.line()))?;
    let linux = config.linux;
    let user = linux.namespaces.iter().find(|one| one.kind == "user");
    let map = match user {
        None => None,
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
            Some(map_of(uids, gids, file, HELP)?)
        }
    };
    let file = file.to_string();
    let source = NotationSource::Oci(OciMaps { map, file });
    Ok(Described::of("OCI runtime", source))
}

#[cfg(test)]
mod tests {
    use super::super::describe;
    use super::*;

    fn maps(linux: &str) -> Result<OciMaps, String> {
        let text = format!(r#"{{"ociVersion": "1.0.2", "linux": {linux}}}"#);
        match describe(text.as_bytes(), "/config.json") {
            Ok(Described {
                source: NotationSource::Oci(maps),
                ..
            }) => Ok(maps),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn mappings_are_the_map_where_there_is_a_user_namespace() {
        let range = r#"[{"containerID": 0, "hostID": 100000, "size": 65536}]"#;
        let mappings = format!(r#""uidMappings": {range}, "gidMappings": {range}"#);
        let with = maps(&format!(
            r#"{{"namespaces": [{{"type": "user"}}], {mappings}}}"#
        ));
        let map = with.unwrap().of_root().unwrap();
        assert_eq!(map.to_string(), "b:0:100000:65536");
        // runc ignores mappings without a user namespace.
        let without = maps(&format!(
            r#"{{"namespaces": [{{"type": "pid"}}], {mappings}}}"#
        ));
        assert_eq!(without.unwrap().of_root(), None);
        let joined = maps(r#"{"namespaces": [{"type": "user", "path": "/proc/7/ns/user"}]}"#);
        assert!(joined.unwrap_err().contains("/proc/7/ns/user"));
        assert!(maps(r#"{"namespaces": [{"type": "user"}]}"#).is_err());
    }

    /// As `podman run --userns=keep-id` of a user with uid 1000 and the range 300000:65536 has it.
    #[test]
    fn in_a_rootless_engine_host_ids_are_those_of_its_user() {
        let has = crate::idmap::tests::map("b:0:1000:1 b:1:300000:65536");
        let range = |container: u32, host: u32, size: u32| {
            format!(r#"{{"containerID": {container}, "hostID": {host}, "size": {size}}}"#)
        };
        let of = |ranges: &[String]| {
            let ranges = ranges.join(", ");
            maps(&format!(
                r#"{{"namespaces": [{{"type": "user"}}], "uidMappings": [{ranges}], "gidMappings": [{ranges}]}}"#
            ))
            .unwrap()
            .of_user("ann", &has)
        };
        let keep_id = [
            range(0, 1, 1000),
            range(1000, 0, 1),
            range(1001, 1001, 64536),
        ];
        assert_eq!(
            of(&keep_id).unwrap().to_string(),
            "b:0:300000:1000 b:1000:1000:1 b:1001:301000:64536"
        );
        let error = of(&[range(0, 100_000, 65536)]).unwrap_err().to_string();
        assert!(
            error.contains("maps uids that ann does not have"),
            "{error}"
        );
        let plain = maps(r#"{"namespaces": [{"type": "pid"}]}"#).unwrap();
        assert_eq!(plain.of_user("ann", &has).unwrap(), has);
    }
}
