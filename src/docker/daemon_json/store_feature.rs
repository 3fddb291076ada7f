//! Switches in `features` of `daemon.json` with which a daemon uses the containerd image store.

use std::fmt;

/// One that a remapped daemon must not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFeature {
    /// It uses the store.
    Snapshotter,
    /// It changes over to the store (Docker 29; `daemon/daemon.go`, seen with 29.7.2).
    Migration,
}

impl StoreFeature {
    /// All of them.
    pub const ALL: [StoreFeature; 2] = [StoreFeature::Snapshotter, StoreFeature::Migration];

    /// Its name in `features`.
    pub fn name(self) -> &'static str {
        match self {
            StoreFeature::Snapshotter => "containerd-snapshotter",
            StoreFeature::Migration => "containerd-migration",
        }
    }
}

/// What it does where `userns-remap` is set; a sentence without its subject, and one more.
impl fmt::Display for StoreFeature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let effect = match self {
            StoreFeature::Snapshotter => {
                "Docker 29 does not start then, and older ones do not show these images"
            }
            StoreFeature::Migration => {
                "Docker 29 changes over to containerd images when it starts without containers, and then `docker \
                 build` fails"
            }
        };
        write!(
            f,
            "sets features.{}. With userns-remap, {effect}",
            self.name()
        )
    }
}
