//! One file for each command: what was asked for is turned into a request, and its result into output.

pub mod check;
pub mod completions;
pub mod docker;
pub mod doctor;
pub mod journal;
pub mod man;
pub mod manifest;
pub mod map;
pub mod mount;
pub mod mounts;
pub mod podman;
pub mod prepare;
pub mod probe;
pub mod report;
pub mod resume;
pub mod rollback;
pub mod shift;
pub mod umount;
pub mod verify;
