//! Times that staff ask about.

use shared::clock::Clock;

use super::paging::TIME_MAX;
use crate::problem::{Kind, Problem};

/// Longest time asked about at once, seconds: a year and a day. It bounds what is read for an answer.
const SPAN_MAX: i64 = 366 * DAY;
/// What is asked about when nothing is said, seconds.
const SPAN_DEFAULT: i64 = 30 * DAY;
const DAY: i64 = 86_400;

/// From when on, and before when, unix seconds.
pub(super) fn span(since: Option<i64>, until: Option<i64>) -> Result<(i64, i64), Problem> {
    span_at(since, until, Clock::system().unix_seconds())
}

/// What happens in this second is asked about, too.
fn span_at(since: Option<i64>, until: Option<i64>, now: i64) -> Result<(i64, i64), Problem> {
    let until = until.unwrap_or(now + 1);
    let since = since.unwrap_or_else(|| until.saturating_sub(SPAN_DEFAULT).max(0));
    let is_fine = (0..=TIME_MAX).contains(&since) && since < until && until <= TIME_MAX;
    if is_fine && until - since <= SPAN_MAX {
        return Ok((since, until));
    }
    Err(Kind::INVALID.because("since, until: unix seconds, one before the other, and at most 366 days apart"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_two_ends_that_are_not_too_far_apart() {
        let now = 1_000 * DAY;
        let of = |since, until| span_at(since, until, now).ok();
        assert_eq!(of(None, None), Some((now + 1 - SPAN_DEFAULT, now + 1)));
        assert_eq!(of(Some(now - SPAN_MAX), Some(now)), Some((now - SPAN_MAX, now)));
        assert_eq!(of(None, Some(1)), Some((0, 1)));
        for (since, until) in [
            (Some(now - SPAN_MAX - 1), Some(now)),
            (Some(now), Some(now)),
            (Some(-1), Some(5)),
            (Some(TIME_MAX), Some(i64::MAX)),
            (None, Some(i64::MIN)),
            (Some(i64::MIN), None),
        ] {
            assert_eq!(of(since, until), None, "{since:?} {until:?}");
        }
    }
}
