//! Grants that have expired: what comes after that concerns what had been used of them.

use domain::credits::{Owner, Target};
use sqlx::{PgConnection, Row};

use super::SourceKey;
use super::ledger::{Line, append_lines};
use crate::upsert::column;

/// A grant that has expired, and what the ledger holds for it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpiredGrant {
    /// Connected account; empty for the platform's own.
    pub account: String,
    /// The grant's business key.
    pub key: String,
    /// Whose.
    pub owner: Owner,
    /// What had been used of it.
    pub used: i64,
    /// What it comes to, with refunds and disputes.
    pub net: i64,
    /// What has expired of it.
    pub expired: i64,
}

/// Those of sources, `(source, the grant's key)`. To be asked after transfers were appended: their owners' accounts are
/// locked then, and whoever let something expire before has committed.
pub(crate) async fn of_sources(
    connection: &mut PgConnection,
    sources: &[(&SourceKey, &str)],
) -> Result<Vec<ExpiredGrant>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT e.account, e.key, o.owner_kind, o.owner_id, e.used,
                (SELECT coalesce(sum(CASE WHEN t.to_id = o.id THEN t.amount ELSE -t.amount END), 0)::bigint
                 FROM ledger_transfers t
                 WHERE (t.account, t.source_kind, t.source_id) = (wanted.account, wanted.kind, wanted.id)
                   AND o.id IN (t.from_id, t.to_id)),
                (SELECT coalesce(sum(CASE WHEN t.to_id = o.id THEN -t.amount ELSE t.amount END), 0)::bigint
                 FROM ledger_transfers t
                 WHERE (t.account, t.key) = (e.account, 'expire:' || e.key) AND o.id IN (t.from_id, t.to_id))
         FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS wanted (account, kind, id, key)
         JOIN expired_grants e ON (e.account, e.key) = (wanted.account, wanted.key)
         JOIN ledger_accounts o ON o.id = e.ledger_account_id
         ORDER BY e.account, e.key, o.id",
    )
    .bind(column!(sources, it => it.0.account.as_str()))
    .bind(column!(sources, it => it.0.kind.as_str()))
    .bind(column!(sources, it => it.0.id.as_str()))
    .bind(column!(sources, it => it.1))
    .fetch_all(connection)
    .await?;
    let mut grants = Vec::with_capacity(rows.len());
    for row in rows {
        let owner_kind: String = row.try_get(2)?;
        let Some(owner) = Owner::new(&owner_kind, row.try_get(3)?) else {
            continue;
        };
        grants.push(ExpiredGrant {
            account: row.try_get(0)?,
            key: row.try_get(1)?,
            owner,
            used: row.try_get(4)?,
            net: row.try_get(5)?,
            expired: row.try_get(6)?,
        });
    }
    Ok(grants)
}

/// A transfer that the clock makes, not a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockTransfer {
    /// Connected account; empty for the platform's own.
    pub account: String,
    /// Where, how many.
    pub transfer: Target,
    /// Number within the business key.
    pub seq: i32,
    /// When what is granted expires, unix seconds.
    pub expires_at: Option<i64>,
}

/// Appends transfers. The database moves the balances.
pub(crate) async fn append(
    connection: &mut PgConnection,
    transfers: &[ClockTransfer],
) -> Result<(), sqlx::Error> {
    let lines = column!(transfers, it => Line {
        account: &it.account,
        transfer: &it.transfer,
        seq: it.seq,
        source: None,
        expires_at: it.expires_at,
    });
    append_lines(connection, &lines).await
}
