mod adversary;
mod kills;
mod refusals;
mod scenario;
