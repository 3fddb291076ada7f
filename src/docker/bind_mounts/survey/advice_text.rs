//! What to do about a bind mount, for people.

use std::path::Path;

use super::BindMountSurvey;
use crate::docker::bind_mounts::{Advice, prepare_command};
use crate::docker::guidance::PrepareOption;
use crate::docker::path_rewriter::real;
use crate::fs::escape::escaped;
use crate::preflight::homes::Claim;
use crate::preflight::mount_views::idmapped;

impl BindMountSurvey<'_> {
    pub(super) fn words_of_claim(&self, claim: &Claim, source: &Path) -> String {
        let prepare = prepare_command(self.remap, &PrepareOption::AllowHome, &real(source));
        format!("nothing: it {claim}. If that is meant: {prepare}")
    }

    pub(super) fn words(&self, advice: &Advice, source: &Path) -> String {
        let place = real(source);
        let moved_to = self.rewriter.new_path(&place);
        let prepare = || {
            prepare_command(
                self.remap,
                &PrepareOption::None,
                moved_to.as_deref().unwrap_or(&place),
            )
        };
        match advice {
        Advice::NotThere => "nothing: it is not there".into(),
        Advice::NotRemapped => "nothing: the container is not remapped".into(),
        Advice::InRange => "nothing: it is in the range already".into(),
        Advice::Usable => "nothing: it can be used as it is".into(),
        Advice::Socket => {
            "never shift a socket: run the container with --userns=host, or let it talk through a group".into()
        }
        Advice::Device => "never shift a device: the container uses it as far as its mode lets all".into(),
        Advice::System => {
            "never shift a part of the system: the container sees it as nobody's, and reads what all may read".into()
        }
        Advice::DataRoot => {
            "never shift it by hand: a part of the data-root, most of it nobody's in a remapped container; --userns=host sees all"
                .into()
        }
        Advice::Carried => format!(
                "nothing: it goes along with the data-root, shifted; a compose file that names it needs {}",
                escaped(moved_to.as_deref().unwrap_or(&place))
            ),
        Advice::Idmapped => {
            let help = idmapped(&place).and_then(|error| error.help()).unwrap_or_default();
            format!("never shift it through an idmapped mount, where its owners on disk are others than those shown. {help}")
        }
        Advice::Prepare | Advice::Account => prepare(),
        Advice::Shared(other) if moved_to.is_some() => format!(
            "it goes along with the data-root as it is: {other} binds it too and is not remapped. Afterwards: {}",
            prepare()
        ),
        Advice::Shared(other) => format!(
            "{}, unless {other} needs it as it is: that container binds it too and is not remapped",
            prepare()
        ),
    }
    }
}
