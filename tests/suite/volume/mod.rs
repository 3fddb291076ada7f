mod check;
mod check_entries;
mod check_places;
mod check_traces;
mod compose;
mod parents;
mod prepare;
pub mod services;
mod share;
