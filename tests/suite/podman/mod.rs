mod adversary;
mod copy;
mod kills;
mod question;
mod refusals;
mod revert;
mod scenario;
