mod kills;
mod scenario;
