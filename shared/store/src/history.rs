//! What happened to an owner's credits, the newest first, with the balance after each.

use std::fmt;
use std::str::FromStr;

use domain::credits::Owner;
use sqlx::{PgConnection, Row};

use crate::credits::ledger_account;
use crate::{Store, StoreError};

/// Most entries of one page.
pub const HISTORY_MAX: u32 = 500;

/// An entry of an owner's history.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the columns are documented in migrations/0006_ledger.sql"
)]
pub struct HistoryEntry {
    pub transfer_id: i64,
    pub kind: String,
    /// Credits that came, or went when below zero.
    pub credits: i64,
    /// The balance after it.
    pub balance: i64,
    pub key: String,
    pub seq: i32,
    pub source_kind: Option<String>,
    pub source_id: Option<String>,
    pub user_id: Option<String>,
    pub reason: Option<String>,
    /// Unix seconds.
    pub expires_at: Option<i64>,
    /// Unix seconds.
    pub created_at: i64,
}

/// Where a page ended: the next one goes on there. As text `id.balance`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryCursor {
    /// The last entry shown.
    pub transfer_id: i64,
    /// The balance before it.
    pub balance: i64,
}

impl fmt::Display for HistoryCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.transfer_id, self.balance)
    }
}

impl FromStr for HistoryCursor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split_once('.');
        let cursor = parts.and_then(|(id, balance)| {
            Some(Self {
                transfer_id: id.parse().ok()?,
                balance: balance.parse().ok()?,
            })
        });
        cursor.ok_or("not the end of an earlier page")
    }
}

/// A page of an owner's history.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    /// The newest first.
    pub entries: Vec<HistoryEntry>,
    /// Where the next page goes on; `None` when there is none.
    pub next: Option<HistoryCursor>,
}

/// Balances are reckoned backwards from the one that stands, which is of
/// the same moment.
const PAGE: &str = "
    SELECT e.transfer_id, e.kind, e.amount, e.key, e.seq, e.source_kind, e.source_id, e.user_id, e.reason,
           extract(epoch FROM e.expires_at)::bigint, extract(epoch FROM e.created_at)::bigint, a.balance
    FROM ledger_entries e JOIN ledger_accounts a ON a.id = e.ledger_account_id
    WHERE e.ledger_account_id = $1 AND e.transfer_id < $2
    ORDER BY e.transfer_id DESC LIMIT $3";

impl Store {
    /// A page of at most `limit` entries (and [`HISTORY_MAX`]) of what happened to an owner's credits, from the newest
    /// on, or from where an earlier page ended.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn history(
        &self,
        account: &str,
        owner: &Owner,
        after: Option<HistoryCursor>,
        limit: u32,
    ) -> Result<History, StoreError> {
        let mut connection = self.pool().acquire().await?;
        Ok(history(&mut connection, account, owner, after, limit).await?)
    }
}

pub(crate) async fn history(
    connection: &mut PgConnection,
    account: &str,
    owner: &Owner,
    after: Option<HistoryCursor>,
    limit: u32,
) -> Result<History, sqlx::Error> {
    let Some(id) = ledger_account(&mut *connection, account, owner).await? else {
        return Ok(History::default());
    };
    let limit = limit.clamp(1, HISTORY_MAX) as usize;
    let mut rows = sqlx::query(PAGE)
        .bind(id)
        .bind(after.map_or(i64::MAX, |cursor| cursor.transfer_id))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1))
        .fetch_all(connection)
        .await?;
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let mut balance = match (after, rows.first()) {
        (Some(cursor), _) => cursor.balance,
        (None, Some(row)) => row.try_get(11)?,
        (None, None) => 0,
    };
    let mut history = History::default();
    for row in &rows {
        let entry = entry(row, balance)?;
        balance -= entry.credits;
        history.entries.push(entry);
    }
    history.next = history
        .entries
        .last()
        .filter(|_| has_more)
        .map(|last| HistoryCursor {
            transfer_id: last.transfer_id,
            balance,
        });
    Ok(history)
}

fn entry(row: &sqlx::postgres::PgRow, balance: i64) -> Result<HistoryEntry, sqlx::Error> {
    Ok(HistoryEntry {
        transfer_id: row.try_get(0)?,
        kind: row.try_get(1)?,
        credits: row.try_get(2)?,
        balance,
        key: row.try_get(3)?,
        seq: row.try_get(4)?,
        source_kind: row.try_get(5)?,
        source_id: row.try_get(6)?,
        user_id: row.try_get(7)?,
        reason: row.try_get(8)?,
        expires_at: row.try_get(9)?,
        created_at: row.try_get(10)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_being_text() {
        let cursor = HistoryCursor {
            transfer_id: 17,
            balance: -3,
        };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for text in ["", "17", "17.", ".3", "a.b"] {
            assert!(text.parse::<HistoryCursor>().is_err(), "{text}");
        }
    }
}
