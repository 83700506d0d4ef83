//! Finding dead letters. A list by cause reads a page of keys of each cause that fits, merges them, and looks up the rows of
//! one page; every other one reads an index in order. What a list reads follows from the page and the number of causes, and
//! not from how many letters there are. Jobs may also go past letters that do not fit: see [`Common`].

use std::fmt;
use std::str::FromStr;

use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row};

use super::{Dead, Filter, count};
use crate::StoreError;

/// An event that was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Connected account; empty for the platform's own.
    pub account: String,
    /// The event's id; of what is no event, a hash.
    pub id: String,
    /// The event's type, when it is one.
    pub event_type: Option<String>,
    /// `permanent` or `bug`.
    pub class: String,
    /// A word from a closed set.
    pub reason: String,
    /// Equal for failures with one cause.
    pub fingerprint: String,
    /// For people; never the body.
    pub detail: String,
    /// `waiting`, `replayed` or `discarded`.
    pub state: String,
    /// How often the entry was given to a worker.
    pub deliveries: i32,
    /// How often it was run again.
    pub replays: i32,
    /// When it was set aside first, unix microseconds.
    pub parked_us: i64,
    /// When it was last run again or discarded, unix microseconds.
    pub changed_us: Option<i64>,
}

/// Dead letters with one cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Names the cause.
    pub fingerprint: String,
    /// `permanent` or `bug`.
    pub class: String,
    /// A word from a closed set.
    pub reason: String,
    /// The type of their events.
    pub event_type: Option<String>,
    /// How many there are.
    pub letters: u64,
    /// When the first was set aside, unix microseconds.
    pub first_us: i64,
    /// When the last was.
    pub last_us: i64,
    /// The last one's id.
    pub sample_id: String,
    /// What is said about the last one.
    pub sample_detail: String,
}

/// The end of the year 9999, which every date type can hold.
const LATEST_US: i64 = 253_402_300_799_999_999;

/// Where a page of letters ended. As text `microseconds.id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// When the last one shown was set aside, or received.
    pub at_us: i64,
    /// Its id.
    pub id: String,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.at_us, self.id)
    }
}

impl FromStr for Cursor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split_once('.');
        let cursor = parts.and_then(|(at, id)| {
            Some(Self {
                at_us: at.parse().ok().filter(|at| (0..=LATEST_US).contains(at))?,
                id: (!id.is_empty() && !id.contains('\0')).then(|| id.to_owned())?,
            })
        });
        cursor.ok_or("not the end of an earlier page")
    }
}

/// Which way a list goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    NewestFirst,
    OldestFirst,
}

impl Direction {
    fn order(self) -> &'static str {
        match self {
            Self::NewestFirst => " ORDER BY p.parked_at DESC, p.id DESC LIMIT ",
            Self::OldestFirst => " ORDER BY p.parked_at, p.id LIMIT ",
        }
    }

    fn after(self) -> &'static str {
        match self {
            Self::NewestFirst => " AND (p.parked_at, p.id) < (",
            Self::OldestFirst => " AND (p.parked_at, p.id) > (",
        }
    }
}

/// How much more it costs to pass a letter than to merge one: its row is read, and not only its key.
const PASSED_COSTS: u64 = 4;

const COLUMNS: &str = "p.account, p.id, p.event_type, p.class, p.reason, p.fingerprint, p.detail, p.state, p.deliveries,
    p.replays, (extract(epoch FROM p.parked_at) * 1000000)::bigint, (extract(epoch FROM p.changed_at) * 1000000)::bigint";

/// The letters `p` of a group `g`.
const OF_GROUP: &str = "p.account = g.account AND p.state = g.state AND p.fingerprint = g.fingerprint";

impl Dead<'_> {
    /// Letters, the newest first, at most `limit`, from after `after` on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn letters(
        &mut self,
        filter: &Filter,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Vec<Letter>, StoreError> {
        self.page(filter, after, limit, Direction::NewestFirst).await
    }

    pub(super) async fn page(
        &mut self,
        filter: &Filter,
        after: Option<&Cursor>,
        limit: u32,
        direction: Direction,
    ) -> Result<Vec<Letter>, StoreError> {
        let mut sql = QueryBuilder::<Postgres>::new(format!("SELECT {COLUMNS} FROM "));
        let merges = filter.names_groups()
            && (direction == Direction::NewestFirst || !self.common(filter).await?.is_worth_passing());
        if merges {
            // A page of so many letters has letters of as many causes at most: those whose first ones come first.
            sql.push(
                "(SELECT p.account, p.id FROM (SELECT g.account, g.state, g.fingerprint FROM dead_groups g",
            );
            filter.push_of_group(&mut sql, after, 1, direction);
            sql.push(" WHERE");
            filter.on_groups(&mut sql);
            sql.push(direction.order()).push_bind(i64::from(limit));
            sql.push(") AS g");
            filter.push_of_group(&mut sql, after, limit, direction);
            sql.push(direction.order()).push_bind(i64::from(limit));
            sql.push(") AS page JOIN parked_events p USING (account, id)");
            sql.push(direction.order()).push_bind(i64::from(limit));
        } else {
            sql.push("parked_events p WHERE");
            filter.on_letters(&mut sql);
            push_page(&mut sql, after, limit, direction);
        }
        let rows = sql.build().fetch_all(&mut *self.0).await?;
        Ok(rows.iter().map(letter).collect::<Result<_, _>>()?)
    }

    /// How common the causes of a filter are.
    async fn common(&mut self, filter: &Filter) -> Result<Common, StoreError> {
        let mut sql = QueryBuilder::<Postgres>::new(
            "SELECT count(*), coalesce(sum(g.letters), 0)::bigint, coalesce((SELECT sum(o.letters) FROM dead_groups o
                    WHERE (o.account, o.state) = (",
        );
        sql.push_bind(filter.account.clone()).push(", ");
        sql.push_bind(filter.state.as_str());
        sql.push(")), 0)::bigint FROM dead_groups g WHERE");
        filter.on_groups(&mut sql);
        let row = sql.build().fetch_one(&mut *self.0).await?;
        Ok(Common {
            causes: count(&row, 0)?,
            letters: count(&row, 1)?,
            of: count(&row, 2)?,
        })
    }

    /// One letter, by its id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn letter(&mut self, account: &str, id: &str) -> Result<Option<Letter>, StoreError> {
        let mut sql = QueryBuilder::<Postgres>::new(format!(
            "SELECT {COLUMNS} FROM parked_events p WHERE p.account = "
        ));
        sql.push_bind(account).push(" AND p.id = ").push_bind(id);
        let row = sql.build().fetch_optional(&mut *self.0).await?;
        Ok(row.as_ref().map(letter).transpose()?)
    }

    /// How many letters fit.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count(&mut self, filter: &Filter) -> Result<u64, StoreError> {
        let mut sql = QueryBuilder::<Postgres>::new("SELECT ");
        match (filter.names_letters(), filter.names_groups()) {
            (false, _) => {
                sql.push("coalesce(sum(g.letters), 0)::bigint FROM dead_groups g WHERE");
                filter.on_groups(&mut sql);
            }
            (true, false) => {
                sql.push("count(*) FROM parked_events p WHERE");
                filter.on_letters(&mut sql);
            }
            (true, true) => {
                sql.push("count(*) FROM dead_groups g JOIN parked_events p ON ");
                sql.push(OF_GROUP);
                filter.on_ids_and_times(&mut sql);
                sql.push(" WHERE");
                filter.on_groups(&mut sql);
            }
        }
        let row = sql.build().fetch_one(&mut *self.0).await?;
        Ok(count(&row, 0)?)
    }

    /// Causes, those with the most letters first, at most `limit`. Ids and times of the filter do not count here.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn groups(&mut self, filter: &Filter, limit: u32) -> Result<Vec<Group>, StoreError> {
        let mut sql = QueryBuilder::<Postgres>::new(
            "SELECT g.fingerprint, g.class, g.reason, g.event_type, g.letters,
                    (extract(epoch FROM first.parked_at) * 1000000)::bigint,
                    (extract(epoch FROM last.parked_at) * 1000000)::bigint, last.id, last.detail
             FROM (SELECT * FROM dead_groups g WHERE",
        );
        filter.on_groups(&mut sql);
        sql.push(" ORDER BY g.letters DESC, g.fingerprint LIMIT ")
            .push_bind(i64::from(limit));
        sql.push(
            ") AS g
             CROSS JOIN LATERAL (SELECT p.parked_at FROM parked_events p
                 WHERE (p.account, p.state, p.fingerprint) = (g.account, g.state, g.fingerprint)
                 ORDER BY p.parked_at, p.id LIMIT 1) AS first
             CROSS JOIN LATERAL (SELECT p.parked_at, p.id, p.detail FROM parked_events p
                 WHERE (p.account, p.state, p.fingerprint) = (g.account, g.state, g.fingerprint)
                 ORDER BY p.parked_at DESC, p.id DESC LIMIT 1) AS last
             ORDER BY g.letters DESC, g.fingerprint",
        );
        let rows = sql.build().fetch_all(&mut *self.0).await?;
        Ok(rows.iter().map(group).collect::<Result<_, _>>()?)
    }
}

/// Causes that fit, the letters with these, and all letters in that state.
#[derive(Debug, Clone, Copy)]
struct Common {
    causes: u64,
    letters: u64,
    of: u64,
}

impl Common {
    /// Whether a job does better to go through all letters in order and pass those that do not fit. It passes each once,
    /// however many portions it takes; merging reads a portion of every cause each time. A list may have to pass a million
    /// for its first page, so it never does.
    fn is_worth_passing(self) -> bool {
        // Each cost is that of a letter that is found.
        let (passing, merging) = (self.of.saturating_mul(PASSED_COSTS), self.causes);
        passing < merging.saturating_mul(self.letters)
    }
}

impl Filter {
    /// Joins the first letters `p` of each group `g`: their keys, which are all in the index.
    fn push_of_group(
        &self,
        sql: &mut QueryBuilder<Postgres>,
        after: Option<&Cursor>,
        limit: u32,
        direction: Direction,
    ) {
        sql.push(" CROSS JOIN LATERAL (SELECT p.account, p.id, p.parked_at FROM parked_events p WHERE ");
        sql.push(OF_GROUP);
        self.on_ids_and_times(sql);
        push_page(sql, after, limit, direction);
        sql.push(") AS p");
    }
}

fn push_page(sql: &mut QueryBuilder<Postgres>, after: Option<&Cursor>, limit: u32, direction: Direction) {
    if let Some(after) = after {
        super::push_time(sql.push(direction.after()), after.at_us);
        sql.push(", ").push_bind(after.id.clone()).push(")");
    }
    sql.push(direction.order()).push_bind(i64::from(limit));
}

fn letter(row: &PgRow) -> Result<Letter, sqlx::Error> {
    Ok(Letter {
        account: row.try_get(0)?,
        id: row.try_get(1)?,
        event_type: row.try_get(2)?,
        class: row.try_get(3)?,
        reason: row.try_get(4)?,
        fingerprint: row.try_get(5)?,
        detail: row.try_get(6)?,
        state: row.try_get(7)?,
        deliveries: row.try_get(8)?,
        replays: row.try_get(9)?,
        parked_us: row.try_get(10)?,
        changed_us: row.try_get(11)?,
    })
}

fn group(row: &PgRow) -> Result<Group, sqlx::Error> {
    Ok(Group {
        fingerprint: row.try_get(0)?,
        class: row.try_get(1)?,
        reason: row.try_get(2)?,
        event_type: row.try_get(3)?,
        letters: count(row, 4)?,
        first_us: row.try_get(5)?,
        last_us: row.try_get(6)?,
        sample_id: row.try_get(7)?,
        sample_detail: row.try_get(8)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_common_causes_are_not_merged_again_and_again() {
        let is_worth_passing = |causes, letters, of| Common { causes, letters, of }.is_worth_passing();
        assert!(is_worth_passing(150, 950_000, 1_000_000));
        assert!(is_worth_passing(50, 400_000, 1_000_000));
        assert!(!is_worth_passing(1, 1_000_000, 1_000_000), "one is in order");
        assert!(!is_worth_passing(150, 150, 1_000_000), "rare");
        assert!(!is_worth_passing(0, 0, 0));
    }

    #[test]
    fn the_end_of_a_page_is_read_as_it_is_written() {
        let end = Cursor {
            at_us: 1_700_000_000_123_456,
            id: "raw:ab.c".into(),
        };
        assert_eq!(end.to_string().parse(), Ok(end));
        for text in ["", "1", "x.y", "1.", "-1.a", "9223372036854775807.a"] {
            assert!(text.parse::<Cursor>().is_err(), "{text}");
        }
    }
}
