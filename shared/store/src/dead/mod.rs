//! Dead letters: what was set aside, found and grouped, and the jobs that run them again or discard them.
//! See `migrations/0015_dead_letters.sql` and ADR 19.

mod jobs;
mod letters;
mod replay;
mod rows;

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Postgres, QueryBuilder, Row};

pub use jobs::{Deed, Job, JobState, NewJob};
pub use letters::{Cursor, Group, Letter};
pub use replay::{Body, Outcome, Progress, Replayed, ToReplay};
pub use rows::{RowChange, Rows, changes};

use crate::Tx;
use crate::api::ActingTx;

/// Most ids one filter may name.
pub const IDS_MAX: usize = 1_000;

/// Dead letters, as whoever holds the transaction may see and change them.
pub struct Dead<'a>(&'a mut PgConnection);

impl Tx {
    /// Dead letters, as a worker or an operator.
    pub fn dead(&mut self) -> Dead<'_> {
        Dead(&mut self.0)
    }
}

impl ActingTx {
    /// Dead letters, as the actor.
    pub fn dead(&mut self) -> Dead<'_> {
        Dead(self.connection())
    }
}

/// What a dead letter is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LetterState {
    /// A person.
    #[default]
    Waiting,
    /// Nothing: it was run again, and had its effect.
    Replayed,
    /// Nothing: somebody said so. It is kept.
    Discarded,
}

impl LetterState {
    /// The word in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Replayed => "replayed",
            Self::Discarded => "discarded",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Waiting, Self::Replayed, Self::Discarded]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// Which dead letters: those that fit all that is said. Times are unix microseconds, of parking.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Connected account; empty for the platform's own.
    pub account: String,
    /// What they are waiting for.
    pub state: LetterState,
    /// Only these; all when empty. At most [`IDS_MAX`].
    pub ids: Vec<String>,
    /// Only those with this cause.
    pub fingerprint: Option<String>,
    /// Only events of this type.
    pub event_type: Option<String>,
    /// Only those set aside for this reason.
    pub reason: Option<String>,
    /// Only those about this customer, or an object of theirs.
    pub customer: Option<String>,
    /// Set aside then or later.
    pub since_us: Option<i64>,
    /// Set aside before.
    pub until_us: Option<i64>,
}

impl Filter {
    /// Whether an index leads to few letters, of whatever cause.
    fn is_narrow(&self) -> bool {
        !self.ids.is_empty() || self.customer.is_some()
    }

    /// Whether it is about causes, of which there are few, beside letters, of which there may be a million.
    fn names_groups(&self) -> bool {
        !self.is_narrow()
            && (self.fingerprint.is_some() || self.event_type.is_some() || self.reason.is_some())
    }

    /// Whether only the letters themselves can say how many there are.
    fn names_letters(&self) -> bool {
        self.is_narrow() || self.since_us.is_some() || self.until_us.is_some()
    }

    /// Conditions on a row `g` of `dead_groups`.
    fn on_groups(&self, sql: &mut QueryBuilder<Postgres>) {
        sql.push(" g.letters > 0 AND g.account = ")
            .push_bind(self.account.clone());
        sql.push(" AND g.state = ").push_bind(self.state.as_str());
        self.on_cause("g", sql);
    }

    /// Conditions on the cause, which letters and their groups have both.
    fn on_cause(&self, row: &str, sql: &mut QueryBuilder<Postgres>) {
        let words = [
            ("fingerprint", &self.fingerprint),
            ("event_type", &self.event_type),
            ("reason", &self.reason),
        ];
        for (column, word) in words {
            if let Some(word) = word {
                sql.push(format!(" AND {row}.{column} = "))
                    .push_bind(word.clone());
            }
        }
    }

    /// Conditions on a row `p` of `parked_events`.
    fn on_letters(&self, sql: &mut QueryBuilder<Postgres>) {
        sql.push(" p.account = ").push_bind(self.account.clone());
        sql.push(" AND p.state = ").push_bind(self.state.as_str());
        if let Some(customer) = &self.customer {
            sql.push(" AND p.customer_id = ").push_bind(customer.clone());
        }
        self.on_cause("p", sql);
        self.on_ids_and_times(sql);
    }

    fn on_ids_and_times(&self, sql: &mut QueryBuilder<Postgres>) {
        if !self.ids.is_empty() {
            sql.push(" AND p.id = ANY(").push_bind(self.ids.clone()).push(")");
        }
        if let Some(since) = self.since_us {
            push_time(sql.push(" AND p.parked_at >= "), since);
        }
        if let Some(until) = self.until_us {
            push_time(sql.push(" AND p.parked_at < "), until);
        }
    }
}

/// A point in time, exact to the microsecond.
fn push_time(sql: &mut QueryBuilder<Postgres>, us: i64) {
    sql.push("timestamptz 'epoch' + ")
        .push_bind(us)
        .push(" * interval '1 microsecond'");
}

fn count(row: &PgRow, at: usize) -> Result<u64, sqlx::Error> {
    Ok(u64::try_from(row.try_get::<i64, _>(at)?).unwrap_or(0))
}
