mod device;
mod failing_calls;
mod journal;
mod kills;
mod power;
mod random_kills;
mod signals;
mod undone_without_mark;
