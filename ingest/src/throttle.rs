//! Logs that strangers can cause must not fill a disk.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(1);

/// Lets a few through per second; counters have the rest.
#[derive(Debug)]
pub(crate) struct Throttle {
    per_window: u32,
    window: Mutex<(Option<Instant>, u32)>,
}

impl Throttle {
    pub(crate) const fn new(per_second: u32) -> Self {
        Self {
            per_window: per_second,
            window: Mutex::new((None, 0)),
        }
    }

    /// Whether to log now.
    pub(crate) fn allows(&self, now: Instant) -> bool {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let (start, used) = &mut *window;
        if start.is_none_or(|start| now.duration_since(start) >= WINDOW) {
            (*start, *used) = (Some(now), 0);
        }
        *used = used.saturating_add(1);
        *used <= self.per_window
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_per_second() {
        let throttle = Throttle::new(2);
        let start = Instant::now();
        assert_eq!([0, 1, 2].map(|_| throttle.allows(start)), [true, true, false]);
        assert!(throttle.allows(start + WINDOW));
    }
}
