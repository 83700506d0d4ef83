//! Unix seconds in the forms Stripe writes them in, all in UTC.

const DAY_SECONDS: i64 = 86_400;
/// 1970-01-01 was a Thursday.
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// ISO 8601 with milliseconds, the form of v2 timestamps.
pub(crate) fn iso(seconds: i64, millis: i64) -> String {
    let (year, month, day) = civil(seconds.div_euclid(DAY_SECONDS));
    let (hour, minute, second) = clock(seconds);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// The form of HTTP's `Date`, RFC 9110 section 5.6.7.
pub(crate) fn http_date(seconds: i64) -> String {
    let days = seconds.div_euclid(DAY_SECONDS);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = clock(seconds);
    let weekday = name(&WEEKDAYS, days.rem_euclid(7));
    let month = name(&MONTHS, month - 1);
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

fn name(names: &[&'static str], place: i64) -> &'static str {
    names[usize::try_from(place).expect("a place among the names")]
}

fn clock(seconds: i64) -> (i64, i64, i64) {
    let rest = seconds.rem_euclid(DAY_SECONDS);
    (rest / 3600, rest / 60 % 60, rest % 60)
}

/// Year, month, day of a count of days since 1970-01-01, by Howard Hinnant's algorithm
/// (<https://howardhinnant.github.io/date_algorithms.html#civil_from_days>).
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_iso_8601() {
        let cases = [
            (0, 0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, 7, "2000-02-28T23:59:59.007Z"),
            (951_782_400, 0, "2000-02-29T00:00:00.000Z"),
            (1_793_613_660, 123, "2026-11-02T10:01:00.123Z"),
        ];
        for (seconds, millis, expected) in cases {
            assert_eq!(iso(seconds, millis), expected);
        }
    }

    #[test]
    fn times_are_written_as_http_does() {
        let cases = [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (1_796_041_199, "Mon, 30 Nov 2026 12:19:59 GMT"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(http_date(seconds), expected);
        }
    }
}
