//! Points in time, as people write and read them.

use crate::clock::Clock;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

const SECOND_US: i64 = 1_000_000;

/// Reads `2026-11-21T20:00:00Z`, or how long ago: `90s`, `15m`, `2h`, `7d`. Unix microseconds.
pub fn moment(text: &str) -> Result<i64, String> {
    if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
        return i64::try_from(time.unix_timestamp_nanos() / 1_000).map_err(|error| error.to_string());
    }
    let wrong = || {
        format!("`{text}` is no time; write it as 2026-11-21T20:00:00Z, or how long ago: 90s, 15m, 2h, 7d")
    };
    let digits = text.chars().take_while(char::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: i64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let ago = number.checked_mul(seconds * SECOND_US).ok_or_else(wrong)?;
    Ok(now_us().saturating_sub(ago))
}

/// A time in UTC, to the millisecond. What no calendar has stays a number.
pub fn shown(us: i64) -> String {
    let rounded = i128::from(us.div_euclid(1_000)) * 1_000_000;
    in_utc(rounded).unwrap_or_else(|| us.to_string())
}

/// The same of unix seconds.
pub fn shown_seconds(seconds: i64) -> String {
    in_utc(i128::from(seconds) * 1_000_000_000).unwrap_or_else(|| seconds.to_string())
}

fn in_utc(nanoseconds: i128) -> Option<String> {
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).ok()?;
    time.format(&Rfc3339).ok()
}

fn now_us() -> i64 {
    Clock::system().unix_ms() * 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_shown() {
        assert_eq!(moment("1970-01-01T00:00:01.5Z"), Ok(1_500_000));
        assert_eq!(shown(1_500_000), "1970-01-01T00:00:01.5Z");
        assert_eq!(shown_seconds(1), "1970-01-01T00:00:01Z");
        assert_eq!(shown_seconds(i64::MAX), i64::MAX.to_string());
        let ago = now_us() - moment("2h").expect("a time");
        assert!((7_200_000_000 - 1_000_000..7_201_000_000).contains(&ago), "{ago}");
        for text in ["", "2", "h", "yesterday", "-1h", "99999999999999999d"] {
            assert!(moment(text).is_err(), "{text}");
        }
    }
}
