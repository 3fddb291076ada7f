//! What is measured, one file for each subject.

pub mod docker;
pub mod growth;
pub mod journals;
pub mod mixed;
pub mod mounts;
pub mod polite;
pub mod reports;
pub mod shapes;
pub mod through_mount;
