mod containers;
mod host;
mod kills;
mod list;
mod refusals;
