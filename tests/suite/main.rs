//! The real program, run on real trees: one crate, so that what all tests share is built once.
//!
//! Each folder is about one part of the program; `CONTRIBUTING.md` says where a new test goes.
//! `cargo test --test suite docker::migrate::` runs one file, `tests/run` all of them.

#![allow(unsafe_code, reason = "ptrace(2) and seccomp(2) have no safe calls")]

mod cli;
mod docker;
mod docs;
mod faults;
mod filesystems;
mod hostile;
mod journal;
mod mounts;
mod podman;
mod shift;
mod support;
mod volume;
