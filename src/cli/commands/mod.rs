//! One file for each command: what was asked for is turned into a request, and its result into output.

mod bind_note;
pub mod binds;
pub mod check;
pub mod completions;
pub mod copied;
pub mod docker;
pub mod docker_user;
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
pub mod store_move;
pub mod umount;
mod user_made;
pub mod verify;
