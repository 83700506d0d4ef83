//! What subscriptions mean: facts to decide on, and the answer.

use domain::{Standing, State};
use sqlx::{PgConnection, Row};

use super::Id;
use crate::upsert::{column, upsert};

/// What is known of a subscription and its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionFacts {
    /// Which.
    pub id: Id,
    /// Stripe's status.
    pub status: Option<String>,
    /// Whether it is set to end.
    pub will_cancel: bool,
    /// When it ended, unix seconds.
    pub ended_at: Option<i64>,
    /// Whose, by its own word or its customer's.
    pub user_id: Option<String>,
    /// The team, by its own word or its customer's.
    pub team_id: Option<String>,
    /// The event whose snapshot stands.
    pub event_id: String,
    /// The answer so far.
    pub before: Option<SubscriptionRow>,
}

/// A row of `subscription_states`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the columns are documented in migrations/0005_reckoning.sql"
)]
pub struct SubscriptionRow {
    pub id: Id,
    pub user_id: Option<String>,
    pub team_id: Option<String>,
    pub state: State,
    pub entitled: bool,
    pub status: Option<String>,
    pub ended_at: Option<i64>,
    pub expired_at: Option<i64>,
}

impl SubscriptionRow {
    /// Where it stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        Standing {
            state: self.state,
            entitled: self.entitled,
        }
    }
}

/// Facts of subscriptions; those whose snapshot never came have none. Their customers must be locked.
pub(crate) async fn facts(
    connection: &mut PgConnection,
    subscriptions: &[Id],
) -> Result<Vec<SubscriptionFacts>, sqlx::Error> {
    if subscriptions.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(
        "SELECT s.account, s.id, s.status, s.cancel_at_period_end OR s.cancel_at IS NOT NULL,
                extract(epoch FROM s.ended_at)::bigint,
                nullif(coalesce(s.user_id, c.user_id), ''),
                nullif(coalesce(s.metadata ->> 'team_id', c.team_id), ''), s.event_id,
                b.user_id, b.team_id, b.state, b.entitled, b.status, extract(epoch FROM b.ended_at)::bigint,
                extract(epoch FROM b.expired_at)::bigint
         FROM unnest($1::text[], $2::text[]) AS wanted (account, id)
         JOIN subscriptions s USING (account, id)
         LEFT JOIN customer_users c ON (c.account, c.customer_id) = (s.account, s.customer_id)
         LEFT JOIN subscription_states b ON (b.account, b.subscription_id) = (s.account, s.id)",
    )
    .bind(column!(subscriptions, id => id.account.as_str()))
    .bind(column!(subscriptions, id => id.id.as_str()))
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            let id = Id {
                account: row.try_get(0)?,
                id: row.try_get(1)?,
            };
            let state: Option<String> = row.try_get(10)?;
            let before = match state.as_deref().and_then(State::parse) {
                Some(state) => Some(SubscriptionRow {
                    id: id.clone(),
                    user_id: row.try_get(8)?,
                    team_id: row.try_get(9)?,
                    state,
                    entitled: row.try_get(11)?,
                    status: row.try_get(12)?,
                    ended_at: row.try_get(13)?,
                    expired_at: row.try_get(14)?,
                }),
                None => None,
            };
            Ok(SubscriptionFacts {
                id,
                status: row.try_get(2)?,
                will_cancel: row.try_get(3)?,
                ended_at: row.try_get(4)?,
                user_id: row.try_get(5)?,
                team_id: row.try_get(6)?,
                event_id: row.try_get(7)?,
                before,
            })
        })
        .collect()
}

/// All statuses a subscription has had, the newest first: for one whose present status nobody here knows.
pub(crate) async fn statuses(connection: &mut PgConnection, id: &Id) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT status FROM (
             SELECT body::jsonb #>> '{data,object,status}' AS status, created, id FROM events
             WHERE account = $1 AND object_id = $2 AND events.status = 'applied') AS known
         WHERE status IS NOT NULL ORDER BY created DESC, id DESC LIMIT 100",
    )
    .bind(&id.account)
    .bind(&id.id)
    .fetch_all(connection)
    .await
}

upsert! {
    /// Writes answers.
    fn upsert_states(row: &SubscriptionRow) into "subscription_states" key "account, subscription_id" {
        "account" "text" = row.id.account.as_str();
        "subscription_id" "text" = row.id.id.as_str();
        "user_id" "text" = row.user_id.as_deref();
        "team_id" "text" = row.team_id.as_deref();
        "state" "text" = row.state.as_str();
        "entitled" "boolean" = row.entitled;
        "status" "text" = row.status.as_deref();
        "ended_at" "timestamptz" = row.ended_at;
        "expired_at" "timestamptz" = row.expired_at;
    }
}

/// Writes answers, and marks the invoices of subscriptions that changed hands: they name their owner through it.
pub(crate) async fn write(
    connection: &mut PgConnection,
    rows: &[SubscriptionRow],
    changed_hands: &[&Id],
) -> Result<(), sqlx::Error> {
    upsert_states(connection, rows).await?;
    if changed_hands.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO marks (account, kind, object_id)
         SELECT i.account, 'invoice', i.id FROM unnest($1::text[], $2::text[]) AS changed (account, id)
         JOIN invoices i ON (i.account, i.subscription_id) = (changed.account, changed.id)
         WHERE i.status = 'paid'",
    )
    .bind(column!(changed_hands, id => id.account.as_str()))
    .bind(column!(changed_hands, id => id.id.as_str()))
    .execute(connection)
    .await?;
    Ok(())
}
