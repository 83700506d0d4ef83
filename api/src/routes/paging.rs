//! Lists that are sorted by a time and an id, page by page.

use crate::caller::checked_id;
use crate::problem::{Kind, Problem};

/// Where an earlier page ended: unix seconds and an id.
pub(crate) fn cursor(text: Option<&str>) -> Result<Option<(i64, &str)>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let parts = text.split_once('.');
    let place = parts.and_then(|(time, id)| Some((time.parse().ok()?, checked_id(id).ok()?)));
    // What is beyond it, Postgres knows no time for.
    let place = place.filter(|(time, _): &(i64, &str)| (0..=TIME_MAX).contains(time));
    match place {
        Some(place) => Ok(Some(place)),
        None => Err(Kind::INVALID.because("after: not the end of an earlier page")),
    }
}

/// Latest time asked about, unix seconds: the year 9999.
pub(super) const TIME_MAX: i64 = 253_402_300_799;

/// Of `limit` rows and one more, those of this page, and where the next one goes on.
pub(crate) fn page<T>(
    rows: Vec<T>,
    limit: u32,
    place: impl Fn(&T) -> (i64, &str),
) -> (Vec<T>, Option<String>) {
    cut(rows, limit, |row| {
        let (time, id) = place(row);
        format!("{time}.{id}")
    })
}

/// The same for any kind of place.
pub(crate) fn cut<T, P>(mut rows: Vec<T>, limit: u32, place: impl Fn(&T) -> P) -> (Vec<T>, Option<P>) {
    let has_more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next = rows.last().filter(|_| has_more).map(place);
    (rows, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_where_the_next_one_begins() {
        let rows = || vec![(3, "c"), (2, "b"), (1, "a")];
        let (shown, next) = page(rows(), 2, |row| *row);
        assert_eq!((shown.len(), next.as_deref()), (2, Some("2.b")));
        assert_eq!(cursor(next.as_deref()).expect("ours"), Some((2, "b")));
        assert_eq!(page(rows(), 3, |row| *row).1, None);
    }

    #[test]
    fn what_is_no_end_of_a_page_is_refused() {
        for text in ["", "1", "1.", ".a", "x.a", "-1.a", "99999999999999.a", "1.\n"] {
            assert!(cursor(Some(text)).is_err(), "{text:?}");
        }
        assert_eq!(cursor(None).expect("the first"), None);
    }
}
