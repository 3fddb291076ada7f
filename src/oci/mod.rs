//! What the OCI image specification defines, read and checked. Pure.
//!
//! - [`digest`]: digests, and hashing what streams by
//! - [`manifest`]: manifests, indexes and configurations, Docker's older media types too

pub mod digest;
pub mod manifest;

/// This host's architecture as Go calls it.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "loongarch64" => "loong64",
        "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
        "powerpc64" => "ppc64",
        "mips64" if cfg!(target_endian = "little") => "mips64le",
        other => other,
    }
}
