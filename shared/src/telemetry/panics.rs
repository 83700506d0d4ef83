//! A panic says where it was, as a line of the log like any other, and never what it was about: the usual message repeats
//! values.

use std::panic;

use crate::redact;

/// From now on, in this process.
pub(super) fn tell() {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string);
        let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
        tracing::error!(place, thread, "panic: {}", redact::panic(info.payload()));
    }));
}
