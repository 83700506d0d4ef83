//! Finding events, the newest first. An id, an object, a customer, or being set aside lead to their events by an index of
//! their own. Whatever else is asked goes back in time, [`SCANNED_MAX`] events a page: a page may then be short, or empty,
//! and still have a next one.

use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row};

use super::Events;
use crate::dead::Cursor;
use crate::{Status, StoreError};

/// Events that one page looks at, at most, when nothing narrower than a time is asked for.
pub const SCANNED_MAX: u32 = 20_000;

/// Which events: those that fit all that is said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventFilter {
    /// Connected account; empty for the platform's own.
    pub account: String,
    /// The event's id.
    pub id: Option<String>,
    /// The object it is about.
    pub object: Option<String>,
    /// The customer whose object it is about.
    pub customer: Option<String>,
    /// Its type, or how that begins: `invoice.*`.
    pub event_type: Option<String>,
    /// `applied`, `ignored` or `parked`.
    pub status: Option<Status>,
    /// The endpoint that received it.
    pub endpoint: Option<String>,
    /// Received then or later, unix microseconds.
    pub received_since_us: Option<i64>,
    /// Received before.
    pub received_until_us: Option<i64>,
    /// Happened then or later, unix seconds.
    pub created_since: Option<i64>,
    /// Happened before.
    pub created_until: Option<i64>,
}

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventLine {
    /// Connected account; empty for the platform's own.
    pub account: String,
    /// `evt_...`
    pub id: String,
    /// Stripe's type.
    pub event_type: String,
    /// What it is about.
    pub object_id: Option<String>,
    /// The kind of that.
    pub object_type: Option<String>,
    /// The endpoint that received it.
    pub endpoint: String,
    /// Live or test data.
    pub livemode: bool,
    /// The version that rendered it.
    pub api_version: Option<String>,
    /// When it happened, unix seconds.
    pub created: i64,
    /// When it was accepted, unix microseconds.
    pub received_us: i64,
    /// When its fate was committed, unix microseconds.
    pub settled_us: i64,
    /// `applied`, `ignored` or `parked`.
    pub status: String,
    /// Why ignored or parked.
    pub reason: Option<String>,
}

/// Events, and where to go on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventPage {
    /// The newest first.
    pub events: Vec<EventLine>,
    /// Where the next page goes on; `None` when there is none.
    pub next: Option<Cursor>,
}

pub(super) const COLUMNS: &str =
    "e.account, e.id, e.type, e.object_id, e.object_type, e.endpoint, e.livemode, e.api_version,
    extract(epoch FROM e.created)::bigint, (extract(epoch FROM e.received_at) * 1000000)::bigint,
    (extract(epoch FROM e.settled_at) * 1000000)::bigint, e.status, e.reason";

/// The columns of what is looked at: all but the body.
const SCANNED: &str =
    "SELECT e.account, e.id, e.type, e.object_id, e.object_type, e.endpoint, e.livemode, e.api_version,
    e.created, e.received_at, e.settled_at, e.status, e.reason FROM events e";

/// What events that have to do with a customer are about, `$1` being the account and `$2` the customer.
const OBJECTS_OF_CUSTOMER: &str = "
    SELECT $2 UNION SELECT s.id FROM subscriptions s WHERE (s.account, s.customer_id) = ($1, $2)
    UNION SELECT i.id FROM invoices i WHERE (i.account, i.customer_id) = ($1, $2)
    UNION SELECT p.id FROM payment_intents p WHERE (p.account, p.customer_id) = ($1, $2)
    UNION SELECT c.id FROM checkout_sessions c WHERE (c.account, c.customer_id) = ($1, $2)
    UNION SELECT c.id FROM charges c JOIN payment_intents p ON (p.account, p.id) = (c.account, c.payment_intent_id)
          WHERE (p.account, p.customer_id) = ($1, $2)
    UNION SELECT r.id FROM refunds r JOIN payment_intents p ON (p.account, p.id) = (r.account, r.payment_intent_id)
          WHERE (p.account, p.customer_id) = ($1, $2)
    LIMIT 10000";

impl EventFilter {
    /// Whether an index leads to few events.
    fn is_narrow(&self) -> bool {
        self.id.is_some()
            || self.object.is_some()
            || self.customer.is_some()
            || self.status == Some(Status::Parked)
    }

    /// Whether every event that is looked at is one that is wanted.
    fn is_plain(&self) -> bool {
        self.event_type.is_none()
            && self.status.is_none()
            && self.endpoint.is_none()
            && self.created_since.is_none()
            && self.created_until.is_none()
    }

    /// What an index finds.
    fn push_narrow(&self, sql: &mut QueryBuilder<Postgres>, objects: Option<&[String]>) {
        sql.push(" e.account = ").push_bind(self.account.clone());
        if let Some(id) = &self.id {
            sql.push(" AND e.id = ").push_bind(id.clone());
        }
        if let Some(object) = &self.object {
            sql.push(" AND e.object_id = ").push_bind(object.clone());
        }
        if let Some(objects) = objects {
            sql.push(" AND e.object_id = ANY(")
                .push_bind(objects.to_vec())
                .push(")");
        }
        for (bound, us) in [(" >= ", self.received_since_us), (" < ", self.received_until_us)] {
            if let Some(us) = us {
                sql.push(" AND e.received_at").push(bound);
                push_time(sql, us);
            }
        }
    }

    /// What has to be looked at.
    fn push_rest(&self, sql: &mut QueryBuilder<Postgres>) {
        match self.event_type.as_deref() {
            Some(event_type) if event_type.ends_with('*') => {
                let beginning = event_type.trim_end_matches('*').to_owned();
                sql.push(" AND starts_with(e.type, ")
                    .push_bind(beginning)
                    .push(")");
            }
            Some(event_type) => {
                sql.push(" AND e.type = ").push_bind(event_type.to_owned());
            }
            None => {}
        }
        if let Some(status) = self.status {
            sql.push(" AND e.status = ").push_bind(status.as_str());
        }
        if let Some(endpoint) = &self.endpoint {
            sql.push(" AND e.endpoint = ").push_bind(endpoint.clone());
        }
        for (bound, seconds) in [(" >= ", self.created_since), (" < ", self.created_until)] {
            if let Some(seconds) = seconds {
                sql.push(" AND e.created").push(bound).push("to_timestamp(");
                sql.push_bind(seconds).push(")");
            }
        }
    }

    /// What is looked at, the newest first, up to the limit that is to follow.
    fn push_scan(
        &self,
        sql: &mut QueryBuilder<Postgres>,
        objects: Option<&[String]>,
        after: Option<&Cursor>,
    ) {
        sql.push(SCANNED);
        if self.status == Some(Status::Parked) {
            // Those that wait are few, and the others are not worth an index.
            sql.push(
                " JOIN parked_events p ON (p.account, p.event_id) = (e.account, e.id) AND p.entry IS NULL",
            );
        }
        sql.push(" WHERE");
        self.push_narrow(sql, objects);
        if self.is_narrow() {
            self.push_rest(sql);
        }
        if self.status == Some(Status::Parked) {
            sql.push(" AND p.state <> 'replayed'");
        }
        if let Some(after) = after {
            sql.push(" AND (e.received_at, e.id) < (");
            push_time(sql, after.at_us);
            sql.push(", ").push_bind(after.id.clone()).push(")");
        }
        sql.push(" ORDER BY e.received_at DESC, e.id DESC LIMIT ");
    }
}

impl Events<'_> {
    /// Events, the newest first, at most `limit`, from after `after` on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn find(
        &mut self,
        filter: &EventFilter,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<EventPage, StoreError> {
        let objects = match &filter.customer {
            Some(customer) => Some(self.objects_of(&filter.account, customer).await?),
            None => None,
        };
        let scanned = if filter.is_narrow() {
            i64::MAX
        } else if filter.is_plain() {
            i64::from(limit) + 1
        } else {
            i64::from(SCANNED_MAX)
        };
        let page = i64::from(limit) + 1;
        let mut sql = QueryBuilder::<Postgres>::new("WITH e AS MATERIALIZED (");
        filter.push_scan(&mut sql, objects.as_deref(), after);
        sql.push_bind(if filter.is_narrow() { page } else { scanned });
        sql.push(
            "), seen AS (SELECT count(*) AS events, (array_agg(id ORDER BY received_at, id))[1] AS id,
                    (extract(epoch FROM min(received_at)) * 1000000)::bigint AS at FROM e)
             SELECT seen.events, seen.id, seen.at, page.* FROM seen LEFT JOIN LATERAL (SELECT ",
        );
        sql.push(COLUMNS).push(" FROM e WHERE true");
        if !filter.is_narrow() {
            filter.push_rest(&mut sql);
        }
        sql.push(" ORDER BY e.received_at DESC, e.id DESC LIMIT ")
            .push_bind(page);
        sql.push(") AS page ON true");
        let rows = sql.build().fetch_all(&mut *self.0).await?;
        Ok(cut(&rows, limit, scanned)?)
    }

    async fn objects_of(&mut self, account: &str, customer: &str) -> Result<Vec<String>, sqlx::Error> {
        sqlx::query_scalar(OBJECTS_OF_CUSTOMER)
            .bind(account)
            .bind(customer)
            .fetch_all(&mut *self.0)
            .await
    }
}

/// A page, and whether there may be more: more were found, or not everything was looked at.
fn cut(rows: &[PgRow], limit: u32, scanned: i64) -> Result<EventPage, sqlx::Error> {
    let Some(first) = rows.first() else {
        return Ok(EventPage::default());
    };
    let mut events = Vec::with_capacity(rows.len());
    for row in rows {
        if row.try_get::<Option<String>, _>(4)?.is_some() {
            events.push(event_line(row, 3)?);
        }
    }
    if events.len() > limit as usize {
        events.truncate(limit as usize);
        let next = events.last().map(|event| Cursor {
            at_us: event.received_us,
            id: event.id.clone(),
        });
        return Ok(EventPage { events, next });
    }
    let seen: i64 = first.try_get(0)?;
    let (id, at): (Option<String>, Option<i64>) = (first.try_get(1)?, first.try_get(2)?);
    let next = at
        .zip(id)
        .filter(|_| seen >= scanned)
        .map(|(at_us, id)| Cursor { at_us, id });
    Ok(EventPage { events, next })
}

/// Reads [`COLUMNS`], which begin at `at`.
pub(super) fn event_line(row: &PgRow, at: usize) -> Result<EventLine, sqlx::Error> {
    Ok(EventLine {
        account: row.try_get(at)?,
        id: row.try_get(at + 1)?,
        event_type: row.try_get(at + 2)?,
        object_id: row.try_get(at + 3)?,
        object_type: row.try_get(at + 4)?,
        endpoint: row.try_get(at + 5)?,
        livemode: row.try_get(at + 6)?,
        api_version: row.try_get(at + 7)?,
        created: row.try_get(at + 8)?,
        received_us: row.try_get(at + 9)?,
        settled_us: row.try_get(at + 10)?,
        status: row.try_get(at + 11)?,
        reason: row.try_get(at + 12)?,
    })
}

fn push_time(sql: &mut QueryBuilder<Postgres>, us: i64) {
    sql.push("timestamptz 'epoch' + ")
        .push_bind(us)
        .push(" * interval '1 microsecond'");
}
