//! Free credits: once a month, as long as the platform has any to give.

const DAY_SECONDS: i64 = 86_400;

/// Which of the wanted grants can be made, in their order, without handing out more than `left`.
#[must_use]
pub fn free_grants(wanted: &[i64], left: Option<i64>) -> Vec<bool> {
    let Some(mut left) = left else {
        return vec![true; wanted.len()];
    };
    let fits = |credits: &i64| {
        let fits = *credits <= left;
        if fits {
            left -= credits;
        }
        fits
    };
    wanted.iter().map(fits).collect()
}

/// The calendar month in UTC, `YYYY-MM`.
#[must_use]
pub fn month_of(unix_seconds: i64) -> String {
    // Days since 1 March of year 0, in eras of 400 years: http://howardhinnant.github.io/date_algorithms.html
    let days = unix_seconds.div_euclid(DAY_SECONDS) + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let (month, carry) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    format!("{:04}-{month:02}", year + era * 400 + carry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_given_beyond_what_is_left() {
        assert_eq!(free_grants(&[5, 5], None), [true, true]);
        assert_eq!(free_grants(&[5, 6, 5], Some(10)), [true, false, true]);
        assert_eq!(free_grants(&[1], Some(0)), [false]);
        assert_eq!(free_grants(&[1], Some(-7)), [false]);
    }

    #[test]
    fn months_are_those_of_the_calendar() {
        let cases = [
            (0, "1970-01"),
            (-1, "1969-12"),
            (951_782_400, "2000-02"), // 29 February
            (951_868_799, "2000-02"),
            (951_868_800, "2000-03"),
            (1_704_067_199, "2023-12"),
            (1_704_067_200, "2024-01"),
            (1_709_251_199, "2024-02"), // 29 February
            (4_102_444_800, "2100-01"),
            (4_107_542_400, "2100-03"), // no 29 February
        ];
        for (seconds, month) in cases {
            assert_eq!(month_of(seconds), month, "{seconds}");
        }
    }
}
