//! What is different about a container in a rootless engine.

/// Ports below this one are root's (`ip_unprivileged_port_start`, unless the host sets it otherwise).
pub const FIRST_OPEN_PORT: u32 = 1024;

/// Why a container works differently in a rootless engine, and what can be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// What it has, for people: `publishes port 80`.
    pub what: String,
    /// What to do; for one that starts, what it has there.
    pub help: &'static str,
    /// It does not start as it is.
    pub is_fatal: bool,
}

/// The lowest port that users may open on this host.
pub fn first_open_port() -> u32 {
    let set = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    let set = set.ok().and_then(|text| text.trim().parse().ok());
    set.unwrap_or(FIRST_OPEN_PORT)
}
