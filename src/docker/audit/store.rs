//! The containerd image store: whether it can be converted, asked as the dry run and the run ask it.

use std::path::Path;

use crate::docker::conversion::check::{Checked, check_conversion};
use crate::docker::conversion::leftover;
use crate::docker::conversion::plan::Conversion;
use crate::docker::conversion::requirements::{check_namespace, check_space, check_storage_driver};
use crate::docker::conversion::summary::{ConversionSummary, changed_files};
use crate::docker::daemon_start::image_options::ImageOptions;
use crate::docker::data_root::count;
use crate::docker::{DockerError, guidance};
use crate::engine::{RunControl, Stats};
use crate::fs::escape::escaped;
use crate::fs::space::Amount;
use crate::host::Finding;
use crate::idmap::IdMap;

/// What findings are about.
pub const WHAT: &str = "containerd store";

/// Where a conversion would be made.
pub struct ConversionTarget<'a> {
    /// The data-root.
    pub top: &'a Path,
    /// `B.B`
    pub range: &'a str,
    /// What the owners of files go through, where that is known.
    pub map: Option<&'a IdMap>,
    /// What the daemon is told.
    pub options: &'a ImageOptions,
}

/// The result of a check.
pub struct StoreCheck {
    /// Findings.
    pub findings: Vec<Finding>,
    /// What a migration by changed owners would be undone for.
    pub cannot_shift: Option<Finding>,
    /// Whether a conversion is possible.
    pub is_carried: bool,
}

/// Makes all checks that a run makes before its first change. `quick`: layers are not read.
/// `summary` gets the files that were changed.
pub fn check(
    conversion: &Conversion,
    place: &ConversionTarget<'_>,
    summary: &mut ConversionSummary,
    quick: bool,
    control: RunControl<'_>,
) -> StoreCheck {
    let checked = check_place(conversion, place).and_then(|()| match quick {
        true => Ok(None),
        false => read(conversion, place, control).map(Some),
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
    let checked = checked.ok().flatten().unwrap_or_default();
    let told = changed_files(&checked.changed).map(|text| Finding::warning("layers", text));
    let cannot_shift = cannot_shift(&checked.left);
    summary.changed_files = checked.changed;
    StoreCheck {
        findings: [finding].into_iter().chain(told).collect(),
        cannot_shift,
        is_carried,
    }
}

/// Files that cannot be shifted once they are unpacked.
fn cannot_shift(left: &Stats) -> Option<Finding> {
    let first = left.problems.first()?;
    let found = format!(
        "{} in layers that are not unpacked yet; the first: {}: {}",
        count(left.unmapped as usize, "file"),
        escaped(&first.path),
        first.reason
    );
    let finding = Finding::error("inodes that cannot be shifted", found);
    Some(finding.remedy(guidance::EXPLAIN_PROBLEMS))
}

fn check_place(conversion: &Conversion, place: &ConversionTarget<'_>) -> Result<(), DockerError> {
    check_namespace(place.options)?;
    check_storage_driver(place.options)?;
    leftover::check_is_free(place.top, place.range)?;
    // What is plainly too much is told before anything is read.
    check_space(conversion, (place.top, place.range), Amount::default())
}

fn read(
    conversion: &Conversion,
    place: &ConversionTarget<'_>,
    control: RunControl<'_>,
) -> Result<Checked, DockerError> {
    let checked = check_conversion(conversion, (place.top, place.map), control)?;
    check_space(conversion, (place.top, place.range), checked.unpacked)?;
    Ok(checked)
}
