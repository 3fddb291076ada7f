//! Where dockerd keeps its data, and what names of idshift's own entries in it begin with.

/// Where dockerd keeps its data unless told otherwise.
pub const DEFAULT_PATH: &str = "/var/lib/docker";

/// What the name of a directory begins with in which a conversion of the containerd image store is made.
pub const CONVERTED: &str = "idshift-convert-";
