//! A manifest, a journal or an audit as one HTML file for people: nothing in it is loaded from elsewhere, and it can be
//! read without scripts.
//!
//! - [`contents`]: what a report says, whatever it is made of
//! - [`source`]: finds out what a file is; `manifest`, `journal`, `audit` read it
//! - [`compare`]: what differs between two of them
//! - `tree`: inodes by directory; `treemap`: as areas; `picture`: drawn; `html`: the page

mod audit;
pub mod compare;
pub mod contents;
pub mod error;
mod html;
mod journal;
mod manifest;
mod picture;
pub mod source;
mod tree;
mod treemap;

pub use html::page;
