//! Pure: networks in a container's metadata. They stay behind, and networks that are made again have other ids: a daemon that
//! finds an id there looks for that, and not for the name (`getNetworkID`, Docker 20.10).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::docker::container::edited;

/// Every daemon has these, and looks for their names.
const OF_EVERY_DAEMON: [&str; 4] = ["bridge", "host", "none", "default"];

#[derive(Deserialize)]
struct Config<'a> {
    #[serde(borrow, rename = "NetworkSettings", default)]
    settings: Option<Settings<'a>>,
}

#[derive(Deserialize)]
struct Settings<'a> {
    #[serde(borrow, rename = "Networks", default)]
    networks: Option<BTreeMap<String, Option<Endpoint<'a>>>>,
}

#[derive(Deserialize)]
struct Endpoint<'a> {
    #[serde(borrow, rename = "NetworkID", default)]
    id: Option<&'a RawValue>,
}

/// A `config.v2.json` in which networks have no ids, and their names; `None` if it has none that stay behind.
///
/// # Errors
/// It is not what dockerd writes.
pub(super) fn without_network_ids(text: &str) -> serde_json::Result<Option<(String, Vec<String>)>> {
    let config: Config<'_> = serde_json::from_str(text)?;
    let networks = config
        .settings
        .and_then(|it| it.networks)
        .unwrap_or_default();
    let left: Vec<(String, Option<Endpoint<'_>>)> = networks
        .into_iter()
        .filter(|(name, _)| !OF_EVERY_DAEMON.contains(&name.as_str()))
        .collect();
    if left.is_empty() {
        return Ok(None);
    }
    let ids = left.iter().filter_map(|(_, it)| it.as_ref()?.id);
    let none = |_: &str| Some(String::new());
    let without = edited(
        text,
        ids.map(|id| (id, &none as &dyn Fn(&str) -> Option<String>)),
    );
    Ok(Some((without, left.into_iter().map(|it| it.0).collect())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_that_stay_behind_lose_their_ids() {
        let text = r#"{"NetworkSettings":{"Networks":{"bridge":{"NetworkID":"aa"},"net1":{"NetworkID":"bb","IPAMConfig":null},"n":null}}}"#;
        let (after, names) = without_network_ids(text).unwrap().unwrap();
        assert_eq!(after, text.replace("bb", ""));
        assert_eq!(names, ["n", "net1"]);
        let plain = r#"{"NetworkSettings":{"Networks":{"none":{"NetworkID":"aa"}}}}"#;
        for text in [plain, "{}", r#"{"NetworkSettings":null}"#] {
            assert!(without_network_ids(text).unwrap().is_none(), "{text}");
        }
    }
}
