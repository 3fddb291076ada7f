//! What a migration has made or checked for a conversion of the containerd image store.

use super::{Migration, Survey};
use crate::docker::DockerError;
use crate::docker::conversion::check::{Checked, check_conversion, unpacked};
use crate::docker::conversion::leftover;
use crate::docker::conversion::requirements::check_space;
use crate::docker::conversion::staging::Staging;
use crate::docker::conversion::summary::ConversionSummary;
use crate::engine::RunControl;
use crate::fs::space::Amount;
use crate::idmap::IdMap;

/// What an operator should know of the conversion. Once the staging directory is made, the store is not as it was: then
/// there is none.
pub(super) fn summary(survey: &Survey<'_>) -> Result<Option<ConversionSummary>, DockerError> {
    let Some(conversion) = survey.conversion.as_ref() else {
        return Ok(None);
    };
    if survey.request.staging.is_some() {
        return Ok(None);
    }
    let locations = &survey.locations;
    let root = (&*locations.data_root, &*locations.range_dir);
    ConversionSummary::of(conversion, root, |id| survey.container_name(id)).map(Some)
}

impl Migration {
    /// Reads all that a conversion reads, for a dry run. `map`: what the owners of files go through.
    ///
    /// # Errors
    /// As of [`Migration::make_staging`].
    pub fn check_conversion(
        &self,
        map: Option<&IdMap>,
        control: RunControl<'_>,
    ) -> Result<Checked, DockerError> {
        let Some(conversion) = &self.conversion else {
            return Ok(Checked::default());
        };
        leftover::check_is_free(&self.data_root, &self.range_dir)?;
        check_conversion(conversion, (&self.data_root, map), control)
    }

    /// Space for the layers that a conversion unpacks from their blobs, which are read for this.
    ///
    /// # Errors
    /// One is damaged.
    pub fn unpacked(&self, control: RunControl<'_>) -> Result<Amount, DockerError> {
        let conversion = self.conversion.as_ref();
        conversion.map_or(Ok(Amount::default()), |it| {
            unpacked(it, &self.data_root, control)
        })
    }

    /// Whether there is space for what a conversion copies and unpacks; of the latter, `unpacked` is known.
    ///
    /// # Errors
    /// There is not.
    pub fn check_space(&self, unpacked: Amount) -> Result<(), DockerError> {
        let conversion = self.conversion.as_ref();
        let place = (&*self.data_root, &*self.range_dir);
        conversion.map_or(Ok(()), |it| check_space(it, place, unpacked))
    }

    /// Removes what a conversion that was cut short before it changed anything had made. The caller has the lock.
    ///
    /// # Errors
    /// Something is mounted in it.
    pub fn remove_unfinished(&self) -> Result<(), DockerError> {
        leftover::remove_unfinished(&self.data_root, &self.range_dir)
    }

    /// Makes what a conversion of the containerd image store adds, for [`MigrateRequest::staging`]. `None`: there is
    /// nothing to convert.
    ///
    /// [`MigrateRequest::staging`]: super::MigrateRequest::staging
    ///
    /// # Errors
    /// A blob is damaged, or the disk is full; nothing is left.
    pub fn make_staging(&self, control: RunControl<'_>) -> Result<Option<Staging>, DockerError> {
        let make = |conversion| {
            Staging::make(
                conversion,
                &self.data_root,
                &self.range_dir,
                self.root_gid,
                control,
            )
        };
        self.conversion.as_ref().map(make).transpose()
    }
}
