//! What the OCI image specification defines, read and checked. Pure.
//!
//! - [`digest`]: digests, and hashing what streams by
//! - [`manifest`]: manifests, indexes and configurations, Docker's older media types too

pub mod digest;
pub mod manifest;
