//! The containerd image store: whether it can be converted, asked as the dry run and the run ask it.

use std::path::{Path, PathBuf};

use crate::docker::DockerError;
use crate::docker::conversion::check::check_conversion;
use crate::docker::conversion::plan::Conversion;
use crate::docker::conversion::requirements::{check_room, check_storage_driver};
use crate::docker::conversion::staging::Staging;
use crate::docker::conversion::summary::{ConversionSummary, changed_files};
use crate::docker::daemon_json::DaemonJson;
use crate::engine::RunControl;
use crate::fs::space::Amount;
use crate::host::Finding;

const WHAT: &str = "containerd store";

/// Where a conversion would be made.
pub struct Place<'a> {
    /// The data-root.
    pub top: &'a Path,
    /// `B.B`
    pub range: &'a str,
    /// The daemon's configuration, and where it is.
    pub daemon_json: (&'a DaemonJson, &'a Path),
}

/// The result of a check.
pub struct StoreCheck {
    /// Findings.
    pub findings: Vec<Finding>,
    /// Whether a conversion is possible.
    pub is_carried: bool,
}

/// Makes all checks that a run makes before its first change. `quick`: layers are not read.
/// `summary` gets the files that were changed.
pub fn check(
    conversion: &Conversion,
    place: &Place<'_>,
    summary: &mut ConversionSummary,
    quick: bool,
    control: RunControl<'_>,
) -> StoreCheck {
    let checked = check_place(conversion, place).and_then(|()| match quick {
        true => Ok(None),
        false => read(conversion, place.top, control).map(Some),
    });
    let finding = match &checked {
        Err(error) => Finding::error(WHAT, error.to_string()),
        Ok(None) => {
            let found = "the layers were not read; if one is damaged, the migration is refused";
            let help = format!(
                "idshift docker audit without --quick, or idshift docker migrate --dry-run, reads them: about {:.0} s",
                summary.seconds.max(1.0)
            );
            Finding::warning(WHAT, found).remedy(help)
        }
        Ok(Some(_)) => Finding::ok(WHAT, "all layers were read, and match their digests"),
    };
    let is_carried = checked.is_ok();
    let changed = checked.ok().flatten().unwrap_or_default();
    let told = changed_files(&changed).map(|text| Finding::warning("layers", text));
    summary.changed_files = changed;
    StoreCheck {
        findings: [finding].into_iter().chain(told).collect(),
        is_carried,
    }
}

fn check_place(conversion: &Conversion, place: &Place<'_>) -> Result<(), DockerError> {
    let (daemon_json, config) = place.daemon_json;
    check_storage_driver(daemon_json.storage_driver.as_deref(), config)?;
    Staging::check_is_free(place.top, place.range)?;
    // What is plainly too much is told before anything is read.
    check_room(conversion, place.top, Amount::default())
}

/// The files of layers that were changed.
fn read(
    conversion: &Conversion,
    top: &Path,
    control: RunControl<'_>,
) -> Result<Vec<PathBuf>, DockerError> {
    let checked = check_conversion(conversion, control)?;
    check_room(conversion, top, checked.unpacked)?;
    Ok(checked.changed)
}
