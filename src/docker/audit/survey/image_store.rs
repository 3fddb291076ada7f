//! The containerd image store, looked through.

use std::collections::HashSet;

use super::Survey;
use crate::docker::DockerError;
use crate::docker::audit::{readiness, store};
use crate::docker::container::Container;
use crate::docker::conversion::requirements::check_namespace;
use crate::docker::conversion::summary::ConversionSummary;
use crate::docker::data_root::{ContainerFiles, Holds};
use crate::docker::findings::STORAGE_DRIVER;
use crate::docker::image_store::{self, ContainerdStore};
use crate::engine::RunControl;
use crate::host::{Finding, Level};

/// The containerd image store, and what a migration makes of it.
pub struct StoreSurvey {
    /// Whether images and container files are in a store that can be migrated.
    pub is_carried: bool,
    /// What becomes of it.
    pub summary: Option<ConversionSummary>,
    /// Ids of the containers whose files are in it.
    pub converted: HashSet<String>,
    /// Counts of the data-root and of it.
    pub holds: Holds,
}

impl Survey<'_> {
    /// Whether what is in containerd can be carried; `quick`: without reading its layers.
    pub fn image_store(
        &mut self,
        all: &[(Container, ContainerFiles)],
        quick: bool,
        control: RunControl<'_>,
    ) -> Result<StoreSurvey, DockerError> {
        let (root, top) = (&self.root, &self.top);
        let store = ContainerdStore::of(root, top, all.iter().map(|(container, _)| container))?;
        let with_config = all.iter().map(|(it, files)| (it, &files.config[..]));
        let store = store.conversion(root, false, with_config);
        let conversion = store.as_ref().ok().and_then(Option::as_ref);
        let range = self.range_dir();
        let name = |id: &str| {
            let mut all = all.iter().map(|(container, _)| container);
            all.find(|it| it.id == id).map(|it| it.name.as_str())
        };
        let summary = conversion.map(|it| ConversionSummary::of(it, (top, &range), name));
        let mut found = StoreSurvey {
            is_carried: store.is_ok(),
            summary: summary.transpose()?,
            converted: HashSet::new(),
            holds: root.holds()?,
        };
        let options = self.start.image_options()?;
        if let (Some(conversion), Some(summary)) = (conversion, &mut found.summary) {
            conversion.add_to(&mut found.holds);
            found.converted = conversion.containers.keys().cloned().collect();
            let place = store::ConversionTarget {
                top,
                range: &range,
                map: self.remap.as_ref().map(|remap| &remap.map),
                options: &options,
            };
            let checked = store::check(conversion, &place, summary, quick, control);
            found.is_carried &= checked.is_carried;
            // That it has no images is told with those in containerd.
            self.findings
                .retain(|it| it.what != STORAGE_DRIVER || it.level != Level::Warning);
            self.findings.extend(checked.findings);
            self.cannot_shift = checked.cannot_shift;
        } else if let (true, Err(error)) = (image_store::is_alone(root)?, check_namespace(&options))
        {
            found.is_carried = false;
            self.findings
                .push(Finding::error(store::WHAT, error.to_string()));
        }
        self.findings.extend(readiness::image_store(root, store));
        Ok(found)
    }
}
