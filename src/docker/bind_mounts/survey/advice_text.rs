//! What to do about a bind mount, for people.

use std::path::Path;

use super::BindMountSurvey;
use crate::docker::bind_mounts::{Advice, prepare_claimed, prepare_command};
use crate::docker::guidance::PrepareOption;
use crate::docker::path_rewriter::real;
use crate::fs::escape::escaped;
use crate::preflight::homes::Claim;
use crate::preflight::mount_views::idmapped;

impl BindMountSurvey<'_> {
    pub(super) fn words_of_claim(&self, claim: &Claim, source: &Path) -> String {
        let prepare = prepare_claimed(self.remap, source);
        format!("nothing: it {claim}. If you want to shift it anyway: {prepare}")
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
        Advice::DoesNotStart => "nothing: the service is on the host's network, where a remapped daemon starts no \
            container. Give it another network (`docker service update --network-rm host`), or keep it on another \
            node (`docker service update --constraint-add node.hostname!=NODE`)".into(),
        Advice::InRange => "nothing: it is in the range already".into(),
        Advice::Usable => "nothing: it can be used as it is".into(),
        Advice::Socket => {
            "never shift a socket: run the container with --userns=host, or give it access through a group".into()
        }
        Advice::Device => "never shift a device: the container can use it as its mode allows to others".into(),
        Advice::System => {
            "never shift a part of the system: the container sees it as nobody's, and can read what \
            everybody can read".into()
        }
        Advice::DataRoot => {
            "never shift it by hand: it is a part of the data-root, and a remapped container sees most of it \
            as nobody's; one with --userns=host sees all"
                .into()
        }
        Advice::Moved => format!(
                "nothing: it moves with the data-root and is shifted; a Compose file that names it needs the \
                new path {}",
                escaped(moved_to.as_deref().unwrap_or(&place))
            ),
        Advice::Idmapped => {
            let help = idmapped(&place).and_then(|error| error.help()).unwrap_or_default();
            format!("never shift it through an idmapped mount: its owners on disk are not those shown. \
            {help}")
        }
        Advice::Prepare | Advice::Account => prepare(),
        Advice::Shared(other) if moved_to.is_some() => format!(
            "it moves with the data-root, not shifted: {other} binds it too and is not remapped. Afterwards: \
            {}",
            prepare()
        ),
        Advice::Shared(other) => format!(
            "{}, unless {other} needs it as it is: that container binds it too and is not remapped",
            prepare()
        ),
    }
    }
}
