//! What the ledger holds for sources, and appending to it.

use std::collections::HashMap;

use domain::credits::{Owner, Place, Posted, Side, Target, TransferKind};
use sqlx::{PgConnection, Row};

use super::SourceKey;
use crate::upsert::column;

/// A transfer to append, with what it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostedTransfer {
    /// What was paid.
    pub source: SourceKey,
    /// Where, how many.
    pub transfer: Target,
    /// Number within the business key; see [`last_seqs`](crate::Tx::last_seqs).
    pub seq: i32,
    /// When what is granted expires, unix seconds.
    pub expires_at: Option<i64>,
}

impl PostedTransfer {
    fn line(&self) -> Line<'_> {
        Line {
            account: &self.source.account,
            transfer: &self.transfer,
            seq: self.seq,
            source: Some(&self.source),
            expires_at: self.expires_at,
        }
    }
}

/// What the ledger holds for each source. They must be locked.
pub(crate) async fn posted(
    connection: &mut PgConnection,
    keys: &[SourceKey],
) -> Result<HashMap<SourceKey, Posted>, sqlx::Error> {
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query(
        "SELECT wanted.position, t.key, t.kind, o.owner_kind, o.owner_id, split_part(p.owner_id, ':', 1),
                sum(CASE WHEN t.to_id = o.id THEN t.amount ELSE -t.amount END)::bigint
         FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS wanted (account, kind, id, position)
         JOIN ledger_transfers t ON (t.account, t.source_kind, t.source_id) = (wanted.account, wanted.kind, wanted.id)
         JOIN ledger_accounts o ON o.id IN (t.from_id, t.to_id) AND o.owner_kind <> 'platform'
         JOIN ledger_accounts p ON p.id IN (t.from_id, t.to_id) AND p.owner_kind = 'platform'
         GROUP BY 1, 2, 3, 4, 5, 6",
    )
    .bind(column!(keys, key => key.account.as_str()))
    .bind(column!(keys, key => key.kind.as_str()))
    .bind(column!(keys, key => key.id.as_str()))
    .fetch_all(connection)
    .await?;
    let mut posted: HashMap<SourceKey, Posted> = HashMap::new();
    for row in rows {
        let position: i64 = row.try_get(0)?;
        let Some(source) = usize::try_from(position - 1)
            .ok()
            .and_then(|index| keys.get(index))
        else {
            continue;
        };
        let (kind, owner_kind, side): (String, String, String) =
            (row.try_get(2)?, row.try_get(3)?, row.try_get(5)?);
        if let (Some(kind), Some(owner), Some(side)) = (
            TransferKind::parse(&kind),
            Owner::new(&owner_kind, row.try_get(4)?),
            Side::parse(&side),
        ) {
            let key = row.try_get(1)?;
            let place = Place {
                key,
                kind,
                owner,
                side,
            };
            posted
                .entry(source.clone())
                .or_default()
                .insert(place, row.try_get(6)?);
        }
    }
    Ok(posted)
}

/// The number of the newest transfer of each business key, `(account, key)`.
pub(crate) async fn last_seqs(
    connection: &mut PgConnection,
    keys: &[(&str, &str)],
) -> Result<HashMap<(String, String), i32>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT t.account, t.key, max(t.seq) FROM unnest($1::text[], $2::text[]) AS wanted (account, key)
         JOIN ledger_transfers t USING (account, key) GROUP BY 1, 2",
    )
    .bind(column!(keys, key => key.0))
    .bind(column!(keys, key => key.1))
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| Ok(((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?)))
        .collect()
}

/// A transfer as the table wants it.
pub(crate) struct Line<'a> {
    pub(crate) account: &'a str,
    pub(crate) transfer: &'a Target,
    pub(crate) seq: i32,
    pub(crate) source: Option<&'a SourceKey>,
    pub(crate) expires_at: Option<i64>,
}

/// Appends transfers for sources. The database moves the balances.
pub(crate) async fn append(
    connection: &mut PgConnection,
    transfers: &[PostedTransfer],
) -> Result<(), sqlx::Error> {
    append_lines(connection, &column!(transfers, it => it.line())).await
}

/// Appends transfers. The database moves the balances. The accounts are locked before ids are taken: of one account,
/// ids come in the order in which transfers are committed, so that a history only ever grows at its end.
pub(crate) async fn append_lines(
    connection: &mut PgConnection,
    lines: &[Line<'_>],
) -> Result<(), sqlx::Error> {
    if lines.is_empty() {
        return Ok(());
    }
    open_accounts(connection, lines).await?;
    sqlx::query(
        "WITH line AS MATERIALIZED (
             SELECT n.*, o.id AS owner, p.id AS platform
             FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::integer[], $7::text[],
                         $8::bigint[], $9::text[], $10::text[], $11::bigint[])
                  AS n (account, owner_kind, owner_id, side, key, seq, kind, credits, source_kind, source_id, expires_at)
             JOIN ledger_accounts o ON (o.account, o.owner_kind, o.owner_id) = (n.account, n.owner_kind, n.owner_id)
             JOIN ledger_accounts p ON (p.account, p.owner_kind, p.owner_id)
                                     = (n.account, 'platform', ledger_platform(n.side, n.owner_id))),
         locked AS MATERIALIZED (
             SELECT id FROM ledger_accounts
             WHERE id = ANY (ARRAY(SELECT owner FROM line UNION SELECT platform FROM line))
             ORDER BY id FOR NO KEY UPDATE)
         INSERT INTO ledger_transfers
             (account, key, seq, kind, from_id, to_id, amount, source_kind, source_id, expires_at)
         SELECT account, key, seq, kind,
                CASE WHEN credits > 0 THEN platform ELSE owner END, CASE WHEN credits > 0 THEN owner ELSE platform END,
                abs(credits), source_kind, source_id, to_timestamp(expires_at)
         FROM line WHERE (SELECT count(*) FROM locked) > 0",
    )
    .bind(column!(lines, it => it.account))
    .bind(column!(lines, it => it.transfer.place.owner.kind()))
    .bind(column!(lines, it => it.transfer.place.owner.id()))
    .bind(column!(lines, it => it.transfer.place.side.as_str()))
    .bind(column!(lines, it => it.transfer.place.key.as_str()))
    .bind(column!(lines, it => it.seq))
    .bind(column!(lines, it => it.transfer.place.kind.as_str()))
    .bind(column!(lines, it => it.transfer.credits))
    .bind(column!(lines, it => it.source.map(|source| source.kind.as_str())))
    .bind(column!(lines, it => it.source.map(|source| source.id.as_str())))
    .bind(column!(lines, it => it.expires_at))
    .execute(connection)
    .await?;
    Ok(())
}

/// Makes the accounts that are missing, in order.
async fn open_accounts(connection: &mut PgConnection, lines: &[Line<'_>]) -> Result<(), sqlx::Error> {
    sqlx::query(
        "WITH line AS (SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS o (account, kind, id, side))
         INSERT INTO ledger_accounts (account, owner_kind, owner_id)
         SELECT DISTINCT account, kind, id FROM (
             SELECT account, kind, id FROM line
             UNION ALL SELECT account, 'platform', ledger_platform(side, id) FROM line) AS wanted
         WHERE NOT EXISTS (SELECT FROM ledger_accounts known
             WHERE (known.account, known.owner_kind, known.owner_id) = (wanted.account, wanted.kind, wanted.id))
         ORDER BY account, kind, id
         ON CONFLICT DO NOTHING",
    )
    .bind(column!(lines, it => it.account))
    .bind(column!(lines, it => it.transfer.place.owner.kind()))
    .bind(column!(lines, it => it.transfer.place.owner.id()))
    .bind(column!(lines, it => it.transfer.place.side.as_str()))
    .execute(connection)
    .await?;
    Ok(())
}

/// Balances of owners, after what this transaction appended.
pub(crate) async fn balances(
    connection: &mut PgConnection,
    owners: &[(&str, &Owner)],
) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT coalesce(a.balance, 0)
         FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS wanted (account, owner_kind, owner_id, position)
         LEFT JOIN ledger_accounts a USING (account, owner_kind, owner_id)
         ORDER BY wanted.position",
    )
    .bind(column!(owners, owner => owner.0))
    .bind(column!(owners, owner => owner.1.kind()))
    .bind(column!(owners, owner => owner.1.id()))
    .fetch_all(connection)
    .await
}
