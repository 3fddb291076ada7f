mod at_boot;
mod containers;
mod hints;
mod host;
mod kills;
mod list;
mod refusals;
mod units;
