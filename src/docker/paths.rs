//! Where dockerd keeps its data, and what names of idshift's own entries in it begin with.

/// Where dockerd keeps its data unless told otherwise.
pub const DEFAULT_PATH: &str = "/var/lib/docker";

/// What the name of something that was set aside begins with.
pub const ASIDE: &str = "idshift-aside-";

/// What the name of a copy that is being made begins with.
pub const COPY: &str = "idshift-copy-";

/// What the name of a directory begins with in which a conversion of the containerd image store is made.
pub const CONVERTED: &str = "idshift-convert-";

/// What the name of what a run keeps out of sight begins with, as long as it goes on.
pub const MOVING: &str = "idshift-moving-";
