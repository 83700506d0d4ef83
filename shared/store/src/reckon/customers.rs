//! Whose a customer is. The customer's own word first, then what the first checkout said, then the first
//! subscription: each a fact that does not depend on which event came first.

use std::sync::LazyLock;

use sqlx::{PgConnection, Row};

use super::Id;
use crate::lock::Lock;
use crate::upsert::column;

static LOCK: LazyLock<Lock> = LazyLock::new(|| Lock::new("customer_users", &["account", "customer_id"], &[]));

/// Locks the answers, in order, making those that are missing.
pub(crate) async fn lock(connection: &mut PgConnection, customers: &[Id]) -> Result<(), sqlx::Error> {
    let keys = [
        column!(customers, customer => customer.account.as_str()),
        column!(customers, customer => customer.id.as_str()),
    ];
    LOCK.take(connection, &keys).await?;
    Ok(())
}

/// Answers anew, and marks what depends on an answer that changed. Returns the users of all these customers, before
/// and after. The customers must be locked.
pub(crate) async fn attribute(
    connection: &mut PgConnection,
    customers: &[Id],
) -> Result<Vec<Id>, sqlx::Error> {
    if customers.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(
        "WITH wanted AS (
             SELECT old.account, old.customer_id, old.user_id AS old_user, old.team_id AS old_team,
                 nullif(coalesce(c.user_id,
                     (SELECT s.user_id FROM checkout_sessions s
                      WHERE (s.account, s.customer_id) = (old.account, old.customer_id) AND s.user_id IS NOT NULL
                      ORDER BY s.created, s.id LIMIT 1),
                     (SELECT s.user_id FROM subscriptions s
                      WHERE (s.account, s.customer_id) = (old.account, old.customer_id) AND s.user_id IS NOT NULL
                      ORDER BY s.created, s.id LIMIT 1)), '') AS user_id,
                 nullif(c.metadata ->> 'team_id', '') AS team_id
             FROM unnest($1::text[], $2::text[]) AS named (account, customer_id)
             JOIN customer_users old USING (account, customer_id)
             LEFT JOIN customers c ON (c.account, c.id) = (old.account, old.customer_id)),
         changed AS (
             UPDATE customer_users SET user_id = wanted.user_id, team_id = wanted.team_id FROM wanted
             WHERE (customer_users.account, customer_users.customer_id) = (wanted.account, wanted.customer_id)
               AND (wanted.old_user, wanted.old_team) IS DISTINCT FROM (wanted.user_id, wanted.team_id)
             RETURNING wanted.account, wanted.customer_id),
         dependents AS (
             INSERT INTO marks (account, kind, object_id)
             SELECT s.account, 'subscription', s.id FROM changed
             JOIN subscriptions s ON (s.account, s.customer_id) = (changed.account, changed.customer_id)
             UNION ALL SELECT i.account, 'invoice', i.id FROM changed
             JOIN invoices i ON (i.account, i.customer_id) = (changed.account, changed.customer_id)
             UNION ALL SELECT s.account, 'checkout.session', s.id FROM changed
             JOIN checkout_sessions s ON (s.account, s.customer_id) = (changed.account, changed.customer_id)
             UNION ALL SELECT p.account, 'payment_intent', p.id FROM changed
             JOIN payment_intents p ON (p.account, p.customer_id) = (changed.account, changed.customer_id))
         SELECT account, old_user, user_id FROM wanted",
    )
    .bind(column!(customers, customer => customer.account.as_str()))
    .bind(column!(customers, customer => customer.id.as_str()))
    .fetch_all(connection)
    .await?;
    let mut users = Vec::new();
    for row in rows {
        let account: String = row.try_get(0)?;
        let named: [Option<String>; 2] = [row.try_get(1)?, row.try_get(2)?];
        users.extend(named.into_iter().flatten().map(|id| Id {
            account: account.clone(),
            id,
        }));
    }
    Ok(users)
}
