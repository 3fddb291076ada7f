//! Stopping in good order.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::engine::Stop;

/// A [`Stop`] that SIGINT, SIGTERM and SIGHUP raise.
pub fn stop_on_signals() -> Stop {
    let stop = Stop::new();
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // A handler that cannot be had leaves the default: the process ends, which the journal is
        // made for too.
        let _ = signal_hook::flag::register(signal, stop.flag());
    }
    stop
}
