mod adversary;
mod copy;
mod kills;
mod refusals;
mod revert;
mod scenario;
