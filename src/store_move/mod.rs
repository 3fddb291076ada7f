//! Moving a whole store of a container engine: what Docker and Podman have in common.
//!
//! - [`MoveError`]: why nothing is done
//! - `names`: of idshift's own entries in a store; `files`: reading files of an engine's
//! - [`user`]: whose rootless engine it is, and the map
//! - [`place`]: where a store is, and where it is to be; [`place_checks`]: whether it can go there
//! - [`obstacle`]: what is different about a container in a rootless engine
//! - [`layout`]: which inode goes through the map
//! - [`request`]: how a store is moved
//! - [`steps`]: what both engines' plans rename and make; [`move_steps`]: the list of it
//! - [`copy`]: a copy of a store; [`copied_move`]: where one is made for a move
//! - [`planned_move`]: a plan of either engine's, and how it is carried out; [`execute`]: any run for which something is made first
//! - `coreutils_cp`, [`top_time`], [`mtime`], [`unfinished_mark`]: what that needs
//! - [`stamps`]: whether anything was changed meanwhile
//! - [`unfinished_run`]: runs that have not ended
//! - [`untrusted`]: what a user wrote and root's engine is to use

pub mod copied_move;
pub mod copy;
pub mod coreutils_cp;
pub mod error;
pub mod execute;
pub mod files;
pub mod layout;
pub mod move_steps;
pub mod mtime;
pub mod names;
pub mod obstacle;
pub mod place;
pub mod place_checks;
pub mod planned_move;
pub mod request;
pub mod stamps;
pub mod steps;
pub mod top_time;
pub mod unfinished_mark;
pub mod unfinished_run;
pub mod untrusted;
pub mod user;

pub use error::MoveError;
