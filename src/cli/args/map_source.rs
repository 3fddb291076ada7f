//! One `MAP` of `--from` and `--to`, as it is written.

use std::path::PathBuf;
use std::str::FromStr;

use crate::idmap::MapSpec;
use crate::idmap::spec::MapSpecError;

/// A map in one word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapSource {
    /// `b:0:100000:65536`, several with commas.
    Ranges(Vec<MapSpec>),
    /// `subid:USER`
    Subid(String),
    /// `host`: ids are the host's, as of a privileged container.
    Host,
    /// A path, which has a slash.
    File(PathBuf),
}

impl FromStr for MapSource {
    type Err = MapSpecError;

    fn from_str(text: &str) -> Result<MapSource, MapSpecError> {
        if text == "host" {
            return Ok(MapSource::Host);
        }
        if let Some(user) = text.strip_prefix("subid:") {
            return match user.is_empty() {
                true => Err(MapSpecError::NoUser),
                false => Ok(MapSource::Subid(user.to_string())),
            };
        }
        if text.contains('/') {
            return Ok(MapSource::File(text.into()));
        }
        let ranges: Result<Vec<MapSpec>, MapSpecError> = text.split(',').map(str::parse).collect();
        ranges.map(MapSource::Ranges)
    }
}
