//! What a person sees while it runs: on stderr, so that stdout stays for answers. A live line on a
//! terminal, a plain line a second otherwise.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Pause between plain lines.
const PLAIN_EVERY: Duration = Duration::from_secs(1);

/// Says one thing.
pub(super) fn say(text: &str) {
    eprintln!("tollgate: {text}");
}

/// The demo's progress.
pub(super) struct Progress {
    bar: ProgressBar,
    plain: bool,
    said_at: Instant,
}

/// How far the demo is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct State {
    /// Deliveries to make.
    pub deliveries: usize,
    /// Deliveries made.
    pub sent: usize,
    /// Of those, answered with 2xx.
    pub accepted: usize,
    /// Distinct events that took effect or were found to have none.
    pub settled: u64,
    /// Events set aside.
    pub parked: u64,
}

impl Progress {
    /// Starts showing.
    pub(super) fn new(deliveries: usize) -> Self {
        let plain = !std::io::stderr().is_terminal();
        let target = if plain {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        let bar = ProgressBar::with_draw_target(Some(deliveries as u64), target);
        let style = ProgressStyle::with_template("{elapsed:>4} {bar:30} {pos}/{len} sent  {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self {
            bar,
            plain,
            said_at: Instant::now(),
        }
    }

    /// Shows how far it is.
    pub(super) fn show(&mut self, state: State) {
        let message = format!(
            "accepted {}  settled {}  parked {}",
            state.accepted, state.settled, state.parked
        );
        self.bar.set_position(state.sent as u64);
        if self.plain && self.said_at.elapsed() >= PLAIN_EVERY {
            self.said_at = Instant::now();
            say(&format!("sent {}/{}  {message}", state.sent, state.deliveries));
        }
        self.bar.set_message(message);
    }

    /// Leaves the last state standing.
    pub(super) fn finish(&self) {
        self.bar.abandon();
    }
}
