//! How far we have what Stripe says has happened: pure. Stripe lists its events newest first; each is compared with what
//! became of it here, and the whole says how far there is no hole.

use crate::silence::{Listened, Silence};

/// Coverage further behind than that many seconds is stale, and so is a comparison that ended well longer ago than
/// [`AGE_SECONDS_MAX`]: as in the alert `TollgateReconcileStale`.
pub const LAG_SECONDS_MAX: f64 = 3_600.0;
/// See [`LAG_SECONDS_MAX`].
pub const AGE_SECONDS_MAX: f64 = 900.0;

/// What became of an event of Stripe's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Held {
    /// It took part in deciding what stands.
    Applied,
    /// Kept, and changes nothing.
    Ignored,
    /// Set aside for a person.
    Parked,
    /// Accepted, and waits for a worker.
    Queued,
    /// Too much waits for a worker to find out whether it is among that.
    Unknown,
    /// Nowhere.
    Missing,
}

impl Held {
    /// The word in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Ignored => "ignored",
            Self::Parked => "parked",
            Self::Queued => "queued",
            Self::Unknown => "unknown",
            Self::Missing => "missing",
        }
    }
}

/// An event of Stripe's list, with what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compared {
    /// When it happened, unix seconds.
    pub created: i64,
    /// Whether an endpoint of ours is to be told of such events.
    pub is_subscribed: bool,
    /// What became of it.
    pub held: Held,
    /// Whether an endpoint of ours received it: not so what was filled in from the list.
    pub has_arrived: bool,
    /// Whether Stripe still wants to deliver it to somebody.
    pub is_pending: bool,
}

/// How many events of a list there were of each fate. Those that are too young to be judged are in `young` alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "see Held")]
pub struct Counts {
    pub applied: u64,
    pub ignored: u64,
    pub parked: u64,
    pub queued: u64,
    pub unknown: u64,
    pub missing: u64,
    /// Stripe may still be about to deliver these.
    pub young: u64,
    /// No endpoint of ours is to be told of these, and none was.
    pub unsubscribed: u64,
}

impl Counts {
    /// All of them.
    #[must_use]
    pub fn listed(&self) -> u64 {
        let settled = self.applied + self.ignored + self.parked;
        settled + self.queued + self.unknown + self.missing + self.young + self.unsubscribed
    }
}

/// A stretch of Stripe's list as it is gone through, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Comparison {
    /// What happened later is too young to be judged.
    horizon: i64,
    /// The earliest event whose place nobody knows for sure.
    first_open: Option<i64>,
    counts: Counts,
    listened: Listened,
}

impl Comparison {
    /// Of events up to `horizon`; `deaf_until` is until when silence has an explanation.
    #[must_use]
    pub fn new(horizon: i64, deaf_until: i64) -> Self {
        Self {
            horizon,
            first_open: None,
            counts: Counts::default(),
            listened: Listened::new(deaf_until),
        }
    }

    /// Takes in the next event, which is not newer than those before; says whether it is a hole to be filled.
    pub fn add(&mut self, event: &Compared) -> bool {
        if event.created > self.horizon {
            self.counts.young += 1;
            return false;
        }
        if !event.is_subscribed && event.held == Held::Missing {
            self.counts.unsubscribed += 1;
            return false;
        }
        let count = match event.held {
            Held::Applied => &mut self.counts.applied,
            Held::Ignored => &mut self.counts.ignored,
            Held::Parked => &mut self.counts.parked,
            Held::Queued => &mut self.counts.queued,
            Held::Unknown => &mut self.counts.unknown,
            Held::Missing => &mut self.counts.missing,
        };
        *count += 1;
        if matches!(event.held, Held::Queued | Held::Unknown) {
            let earliest = self
                .first_open
                .map_or(event.created, |first| first.min(event.created));
            self.first_open = Some(earliest);
        }
        // What may be in the queue may have arrived.
        if event.is_subscribed && event.held != Held::Unknown {
            self.listened.add(event);
        }
        event.held == Held::Missing
    }

    /// Up to where everything is settled or known to be missing, of a stretch that ends at `end`. What waits for a
    /// worker could still be lost, and is looked at again.
    #[must_use]
    pub fn looked_until(&self, end: i64) -> i64 {
        let before_open = self.first_open.map_or(i64::MAX, |first| first - 1);
        end.min(self.horizon).min(before_open)
    }

    /// How many there were of each.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether any of them arrived.
    #[must_use]
    pub fn has_heard(&self) -> bool {
        self.listened.has_heard()
    }

    /// The silence that is going on after these, given the one that went on before.
    #[must_use]
    pub fn silence(&self, before: Option<Silence>) -> Option<Silence> {
        self.listened.silence(before)
    }
}

/// Up to where every event is accounted for: up to where was looked, or to just before the first hole.
#[must_use]
pub fn covered_until(looked_until: i64, first_hole: Option<i64>) -> i64 {
    first_hole.map_or(looked_until, |hole| looked_until.min(hole - 1))
}

/// Whether an endpoint with these `enabled_events` is told of such events.
#[must_use]
pub fn is_subscribed<'a>(enabled: impl IntoIterator<Item = &'a str>, event_type: &str) -> bool {
    enabled
        .into_iter()
        .any(|enabled| enabled == "*" || enabled == event_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HORIZON: i64 = 100;

    fn event(created: i64, held: Held) -> Compared {
        Compared {
            created,
            is_subscribed: true,
            held,
            has_arrived: held != Held::Missing,
            is_pending: false,
        }
    }

    #[test]
    fn looking_ends_where_nobody_knows() {
        let cases: [(&[Compared], i64, &str); 6] = [
            (&[], 100, "nothing happened"),
            (
                &[event(99, Held::Applied), event(50, Held::Parked)],
                100,
                "all settled",
            ),
            (
                &[event(60, Held::Missing)],
                100,
                "a hole is known, and kept elsewhere",
            ),
            (
                &[event(90, Held::Queued), event(70, Held::Queued)],
                69,
                "the earliest that waits",
            ),
            (&[event(80, Held::Unknown)], 79, "perhaps it waits"),
            (&[event(101, Held::Missing)], 100, "too young"),
        ];
        for (events, expected, name) in cases {
            let mut comparison = Comparison::new(HORIZON, 0);
            for event in events {
                comparison.add(event);
            }
            assert_eq!(comparison.looked_until(1_000), expected, "{name}");
            assert_eq!(
                comparison.looked_until(10),
                10,
                "{name}: no further than the stretch"
            );
            assert_eq!(comparison.counts().listed(), events.len() as u64, "{name}");
        }
    }

    #[test]
    fn a_hole_is_what_we_should_have_been_told() {
        let mut comparison = Comparison::new(HORIZON, 0);
        let unsubscribed = Compared {
            is_subscribed: false,
            ..event(50, Held::Missing)
        };
        let came_nevertheless = Compared {
            is_subscribed: false,
            ..event(50, Held::Ignored)
        };
        assert!(!comparison.add(&event(101, Held::Missing)), "too young");
        assert!(!comparison.add(&unsubscribed));
        assert!(!comparison.add(&came_nevertheless));
        for held in [
            Held::Applied,
            Held::Ignored,
            Held::Parked,
            Held::Queued,
            Held::Unknown,
        ] {
            assert!(!comparison.add(&event(50, held)), "{held:?}");
        }
        assert!(comparison.add(&event(100, Held::Missing)));
        let counts = Counts {
            applied: 1,
            ignored: 2,
            parked: 1,
            queued: 1,
            unknown: 1,
            missing: 1,
            young: 1,
            unsubscribed: 1,
        };
        assert_eq!(comparison.counts(), counts);
    }

    #[test]
    fn the_first_hole_ends_what_is_covered() {
        for (looked, hole, covered) in [
            (100, None, 100),
            (100, Some(80), 79),
            (100, Some(200), 100),
            (100, Some(100), 99),
        ] {
            assert_eq!(covered_until(looked, hole), covered, "{looked} {hole:?}");
        }
    }

    #[test]
    fn endpoints_say_what_they_are_told() {
        assert!(is_subscribed(["*"], "invoice.paid"));
        assert!(is_subscribed(["a", "invoice.paid"], "invoice.paid"));
        assert!(!is_subscribed(["invoice"], "invoice.paid"));
        assert!(!is_subscribed([], "invoice.paid"));
    }
}
