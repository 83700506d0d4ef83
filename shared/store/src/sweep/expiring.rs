//! Owners with credits whose time is over.

use std::collections::BTreeMap;

use domain::credits::{Expiry, Lot, Owner};
use sqlx::{PgConnection, Row};

use super::{ClockTransfer, Page};
use crate::reckon::expired;
use crate::upsert::column;
use crate::{StoreError, Tx};

/// An owner, locked, with everything that decides what expires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiring {
    /// Connected account; empty for the platform's own.
    pub account: String,
    /// Whose.
    pub owner: Owner,
    /// The owner's credits.
    pub balance: i64,
    /// What they were given, but for what has expired before.
    pub lots: Vec<Lot>,
    ledger_account: i64,
}

/// The last transfer looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueAfter {
    expires_at: String,
    id: i64,
}

impl Default for DueAfter {
    fn default() -> Self {
        Self {
            expires_at: "-infinity".to_owned(),
            id: 0,
        }
    }
}

const DUE: &str = "
    SELECT t.expires_at::text, t.id, t.to_id FROM ledger_transfers t
    WHERE t.expires_at <= to_timestamp($1) AND (t.expires_at, t.id) > ($2::timestamptz, $3)
      AND t.kind IN ('grant', 'topup', 'free')
      AND NOT EXISTS (SELECT FROM expired_grants e WHERE (e.account, e.key, e.ledger_account_id) = (t.account, t.key, t.to_id))
    ORDER BY t.expires_at, t.id LIMIT $4";

/// What owners were given: by what was paid, with what was taken back for it; by month; by hand.
const LOTS: &str = "
    WITH given AS (
        SELECT DISTINCT to_id AS owner, account, key, source_kind, source_id FROM ledger_transfers
        WHERE to_id = ANY ($1) AND kind IN ('grant', 'topup', 'free', 'adjust'))
    SELECT given.owner, given.key, coalesce(of_source.net, of_key.net, 0),
           (SELECT extract(epoch FROM t.expires_at)::bigint FROM ledger_transfers t
            WHERE (t.account, t.key) = (given.account, given.key) AND t.to_id = given.owner
            ORDER BY t.seq DESC LIMIT 1)
    FROM given
    LEFT JOIN LATERAL (
        SELECT sum(CASE WHEN t.to_id = given.owner THEN t.amount ELSE -t.amount END)::bigint AS net
        FROM ledger_transfers t
        WHERE (t.account, t.source_kind, t.source_id) = (given.account, given.source_kind, given.source_id)
          AND given.owner IN (t.from_id, t.to_id)) AS of_source ON given.source_id IS NOT NULL
    LEFT JOIN LATERAL (
        SELECT sum(CASE WHEN t.to_id = given.owner THEN t.amount ELSE -t.amount END)::bigint AS net
        FROM ledger_transfers t
        WHERE (t.account, t.key) = (given.account, given.key)
          AND given.owner IN (t.from_id, t.to_id)) AS of_key ON given.source_id IS NULL
    WHERE NOT EXISTS (SELECT FROM expired_grants e
        WHERE (e.account, e.key, e.ledger_account_id) = (given.account, given.key, given.owner))
    ORDER BY given.owner, given.key";

impl Tx {
    /// Locks the owners of credits whose time is over at `now`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn lock_expiring(
        &mut self,
        now: i64,
        after: &DueAfter,
        limit: u32,
    ) -> Result<Page<Expiring, DueAfter>, StoreError> {
        let due = sqlx::query(DUE)
            .bind(now)
            .bind(&after.expires_at)
            .bind(after.id)
            .bind(i64::from(limit))
            .fetch_all(&mut *self.0)
            .await?;
        let mut owners: Vec<i64> = due.iter().map(|row| row.try_get(2)).collect::<Result<_, _>>()?;
        owners.sort_unstable();
        owners.dedup();
        let next = match due.last() {
            Some(last) if due.len() == limit as usize => Some(DueAfter {
                expires_at: last.try_get(0)?,
                id: last.try_get(1)?,
            }),
            _ => None,
        };
        let rows = lock_owners(&mut self.0, &owners).await?;
        Ok(Page { rows, next })
    }

    /// Notes what expired, also when nothing was left. The owners must be locked.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn note_expired(&mut self, expired: &[(&Expiring, Expiry)]) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO expired_grants (account, key, ledger_account_id, used, credits)
             SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[])",
        )
        .bind(column!(expired, it => it.0.account.as_str()))
        .bind(column!(expired, it => it.1.key.as_str()))
        .bind(column!(expired, it => it.0.ledger_account))
        .bind(column!(expired, it => it.1.used))
        .bind(column!(expired, it => it.1.credits))
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    /// Appends transfers that no payment stands behind; the database moves the balances.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn append_by_clock(&mut self, transfers: &[ClockTransfer]) -> Result<(), StoreError> {
        for it in transfers {
            self.1.owner(&it.account, &it.transfer.place.owner);
        }
        Ok(expired::append(&mut self.0, transfers).await?)
    }
}

/// Locks owners that nobody else holds; a statement later, everything they were given can be seen.
async fn lock_owners(connection: &mut PgConnection, owners: &[i64]) -> Result<Vec<Expiring>, sqlx::Error> {
    if owners.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(
        "SELECT id, account, owner_kind, owner_id, balance FROM ledger_accounts
         WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED",
    )
    .bind(owners)
    .fetch_all(&mut *connection)
    .await?;
    let mut expiring = BTreeMap::new();
    for row in rows {
        let (id, kind): (i64, String) = (row.try_get(0)?, row.try_get(2)?);
        if let Some(owner) = Owner::new(&kind, row.try_get(3)?) {
            let it = Expiring {
                account: row.try_get(1)?,
                owner,
                balance: row.try_get(4)?,
                lots: Vec::new(),
                ledger_account: id,
            };
            expiring.insert(id, it);
        }
    }
    let locked: Vec<i64> = expiring.keys().copied().collect();
    for row in sqlx::query(LOTS).bind(&locked).fetch_all(connection).await? {
        let id: i64 = row.try_get(0)?;
        if let Some(it) = expiring.get_mut(&id) {
            it.lots.push(Lot {
                key: row.try_get(1)?,
                net: row.try_get(2)?,
                expires_at: row.try_get(3)?,
            });
        }
    }
    Ok(expiring.into_values().collect())
}
