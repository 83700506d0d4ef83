//! Which stretch of Stripe's list is compared next: pure.

use stripe_api::EventSpan;

/// How long Stripe keeps events, less an hour in which they may go.
pub const KEPT_SECONDS: i64 = 30 * 24 * 3_600 - 3_600;
/// What was compared before is compared again that far back: events show up late in Stripe's list.
pub const OVERLAP_SECONDS: i64 = 300;
/// Longest stretch of a round: after a long pause coverage grows hour by hour, and what dies loses little.
const STRETCH_SECONDS: i64 = 3_600;

const _: () = assert!(
    OVERLAP_SECONDS * 2 < STRETCH_SECONDS,
    "a round brings more than it repeats"
);

/// From where a round looks, and up to where. `begun` is where to begin when nobody has looked yet.
#[must_use]
pub fn span(now: i64, looked_until: Option<i64>, begun: i64) -> EventSpan {
    let since = looked_until.map_or(begun, |until| until - OVERLAP_SECONDS);
    let since = since.max(now - KEPT_SECONDS);
    let until = since + STRETCH_SECONDS;
    EventSpan {
        since,
        until: (until < now).then_some(until),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_begins_where_the_last_one_ended() {
        let now = 100_000_000;
        for (looked_until, begun, since, until) in [
            (None, now - 60, now - 60, None),
            (None, now - 7_200, now - 7_200, Some(now - 3_600)),
            (Some(now - 120), 0, now - 420, None),
            (Some(now - 10_000), 0, now - 10_300, Some(now - 6_700)),
            (Some(0), 0, now - KEPT_SECONDS, Some(now - KEPT_SECONDS + 3_600)),
        ] {
            assert_eq!(
                span(now, looked_until, begun),
                EventSpan { since, until },
                "{looked_until:?} {begun}"
            );
        }
    }
}
