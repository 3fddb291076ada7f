//! How much of what a user would miss is in a docker root.

use serde::Serialize;

/// How much of what a user would miss is in a docker root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Holds {
    /// Images.
    pub images: usize,
    /// Layers of images and containers.
    pub layers: usize,
    /// Containers.
    #[serde(rename = "containers_total")]
    pub containers: usize,
    /// Volumes.
    pub volumes: usize,
}

impl Holds {
    /// A daemon was started there and nothing was made with it.
    pub fn is_unused(&self) -> bool {
        *self == Holds::default()
    }
}

impl std::fmt::Display for Holds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Holds {
            images,
            layers,
            containers,
            volumes,
        } = self;
        write!(
            f,
            "{}, {}, {}, {}",
            count(*images, "image"),
            count(*layers, "layer"),
            count(*containers, "container"),
            count(*volumes, "volume")
        )
    }
}

/// `1 image`, `2 images`
pub fn count(n: usize, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}
