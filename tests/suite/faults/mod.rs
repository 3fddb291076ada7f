mod calls;
mod crash;
mod device;
mod journal;
mod power;
mod random_kills;
mod signals;
