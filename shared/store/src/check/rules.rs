//! The rules, each over the next few rows.

use sqlx::{PgConnection, Row};

use super::{
    BALANCE_IS_SUM, DEBITS_WITHIN_GRANT, GRANT_IS_PAID, KEY_OF_ONE_SOURCE, Position, SOURCE_AS_NOTED,
    SUM_IS_ZERO, Violation,
};
use crate::upsert::column;

/// Accounts cost several index look-ups each: so many rows of another kind weigh as much as one of them.
const ROWS_PER_ACCOUNT: i64 = 10;
/// Fewer transfers than this are summed up anew each time instead of being kept as a sum.
const CHECKPOINT_MIN: i64 = 100;

/// Checks the next rows and moves the position past them. After the last ones the next round begins.
pub(super) async fn step(
    connection: &mut PgConnection,
    position: &mut Position,
    rows: i64,
) -> Result<Vec<Violation>, sqlx::Error> {
    match position.stage.as_str() {
        "accounts" => accounts(connection, position, rows).await,
        "transfers" => transfers(connection, position, rows).await,
        "sources" => sources(connection, position, rows).await,
        _ => sum(connection, position).await,
    }
}

fn broken(rule: &str, subject: String, detail: String) -> Violation {
    Violation {
        rule: rule.to_owned(),
        subject,
        detail,
    }
}

/// Balances beside what transfers come to: what is kept of settled ones, some more of these, and all that are newer.
/// Settled ones are read in portions of `$4`; an account with more is not compared yet, and has no newer ones here.
const ACCOUNTS: &str = "
    WITH batch AS (
        SELECT a.id, a.owner_kind, a.owner_id, a.balance, coalesce(c.through_id, 0) AS through_id,
               coalesce(c.balance, 0) AS kept
        FROM ledger_accounts a LEFT JOIN ledger_checkpoints c ON c.ledger_account_id = a.id
        WHERE a.id > $1 ORDER BY a.id LIMIT $2)
    SELECT batch.id, concat_ws(' ', owner_kind, owner_id), batch.balance, kept, settled.n, settled.credits,
           settled.last_id, newer.credits, greatest($3, through_id)
    FROM batch
    CROSS JOIN LATERAL (
        SELECT count(*) AS n, coalesce(sum(amount), 0)::bigint AS credits, max(transfer_id) AS last_id
        FROM (SELECT transfer_id, amount FROM ledger_entries
              WHERE ledger_account_id = batch.id AND transfer_id > batch.through_id AND transfer_id <= $3
              ORDER BY transfer_id LIMIT $4) AS portion) AS settled
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(amount), 0)::bigint AS credits FROM ledger_entries
        WHERE ledger_account_id = batch.id AND transfer_id > greatest($3, batch.through_id) AND settled.n < $4) AS newer
    ORDER BY batch.id";

async fn accounts(
    connection: &mut PgConnection,
    position: &mut Position,
    rows: i64,
) -> Result<Vec<Violation>, sqlx::Error> {
    let accounts_max = (rows / ROWS_PER_ACCOUNT).max(1);
    let found = sqlx::query(ACCOUNTS)
        .bind(position.account)
        .bind(accounts_max)
        .bind(position.settled_id)
        .bind(rows)
        .fetch_all(&mut *connection)
        .await?;
    let mut violations = Vec::new();
    let mut checkpoints: Vec<(i64, i64, i64)> = Vec::new();
    let mut is_whole = true;
    for row in &found {
        let (id, owner, balance): (i64, String, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let (kept, n, settled): (i64, i64, i64) = (row.try_get(3)?, row.try_get(4)?, row.try_get(5)?);
        is_whole = n < rows;
        if !is_whole {
            checkpoints.push((id, row.try_get(6)?, kept.saturating_add(settled)));
            break;
        }
        position.account = id;
        if n >= CHECKPOINT_MIN {
            checkpoints.push((id, row.try_get(8)?, kept.saturating_add(settled)));
        }
        let sum = kept.saturating_add(settled).saturating_add(row.try_get(7)?);
        if balance != sum {
            let detail = format!("{owner}: the balance is {balance}, its transfers come to {sum}");
            violations.push(broken(BALANCE_IS_SUM, format!("ledger_accounts {id}"), detail));
        }
    }
    keep(connection, &checkpoints).await?;
    if is_whole && (found.len() as i64) < accounts_max {
        position.stage = "transfers".to_owned();
    }
    Ok(violations)
}

/// Keeps sums of settled transfers, `(account, through which one, credits)`.
async fn keep(connection: &mut PgConnection, checkpoints: &[(i64, i64, i64)]) -> Result<(), sqlx::Error> {
    if checkpoints.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO ledger_checkpoints (ledger_account_id, through_id, balance)
         SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[])
         ON CONFLICT (ledger_account_id) DO UPDATE SET through_id = EXCLUDED.through_id, balance = EXCLUDED.balance",
    )
    .bind(column!(checkpoints, it => it.0))
    .bind(column!(checkpoints, it => it.1))
    .bind(column!(checkpoints, it => it.2))
    .execute(connection)
    .await?;
    Ok(())
}

/// Sources of grants that are not paid. One whose status just changed is marked, and about to be reckoned.
const UNPAID: &str = "
    WITH source AS (
        SELECT DISTINCT account, source_kind, source_id FROM ledger_transfers
        WHERE id > $1 AND id <= $2 AND kind IN ('grant', 'topup'))
    SELECT first_id, source_kind || ' ' || source_id, granted
    FROM source s
    CROSS JOIN LATERAL (
        SELECT min(t.id) AS first_id,
               sum(CASE WHEN f.owner_kind = 'platform' THEN t.amount ELSE -t.amount END)::bigint AS granted
        FROM ledger_transfers t JOIN ledger_accounts f ON f.id = t.from_id
        WHERE (t.account, t.source_kind, t.source_id) = (s.account, s.source_kind, s.source_id)
          AND t.kind IN ('grant', 'topup')) AS grants
    WHERE granted > 0
      AND NOT (CASE source_kind
          WHEN 'invoice' THEN EXISTS (SELECT FROM invoices i
              WHERE (i.account, i.id) = (s.account, s.source_id) AND i.status = 'paid')
          WHEN 'checkout.session' THEN EXISTS (SELECT FROM checkout_sessions c
              WHERE (c.account, c.id) = (s.account, s.source_id) AND c.mode = 'payment' AND c.status = 'complete'
                AND c.payment_status IN ('paid', 'no_payment_required'))
          WHEN 'payment_intent' THEN EXISTS (SELECT FROM payment_intents p
              WHERE (p.account, p.id) = (s.account, s.source_id) AND p.status = 'succeeded')
          ELSE false END
          AND EXISTS (SELECT FROM money_sources m
              WHERE (m.account, m.kind, m.id) = (s.account, s.source_kind, s.source_id)))
      AND NOT EXISTS (SELECT FROM marks
          WHERE (marks.account, marks.kind, marks.object_id) = (s.account, s.source_kind, s.source_id)
            AND marks.trouble IS NULL)
    ORDER BY first_id";

/// The first transfer of each business key that is of another kind of source than the key's first.
const OTHER_KIND: &str = "
    WITH named AS (SELECT DISTINCT account, key FROM ledger_transfers WHERE id > $1 AND id <= $2)
    SELECT other.id, named.key, coalesce(other.source_kind, 'none'), coalesce(first.source_kind, 'none')
    FROM named
    CROSS JOIN LATERAL (
        SELECT source_kind FROM ledger_transfers t WHERE (t.account, t.key) = (named.account, named.key)
        ORDER BY seq LIMIT 1) AS first
    CROSS JOIN LATERAL (
        SELECT id, source_kind FROM ledger_transfers t WHERE (t.account, t.key) = (named.account, named.key)
          AND t.source_kind IS DISTINCT FROM first.source_kind
        ORDER BY seq LIMIT 1) AS other
    ORDER BY other.id";

async fn transfers(
    connection: &mut PgConnection,
    position: &mut Position,
    rows: i64,
) -> Result<Vec<Violation>, sqlx::Error> {
    let portion: (Option<i64>, i64) = sqlx::query_as(
        "SELECT max(id), count(*) FROM (SELECT id FROM ledger_transfers WHERE id > $1 ORDER BY id LIMIT $2) AS portion",
    )
    .bind(position.transfer)
    .bind(rows)
    .fetch_one(&mut *connection)
    .await?;
    // Not only when there are none left: somebody may add some before each step.
    if portion.1 < rows {
        position.stage = "sources".to_owned();
    }
    let Some(last) = portion.0 else {
        return Ok(Vec::new());
    };
    let mut violations = Vec::new();
    let unpaid = sqlx::query(UNPAID).bind(position.transfer).bind(last);
    for row in unpaid.fetch_all(&mut *connection).await? {
        let (id, source, granted): (i64, String, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let detail = format!("{granted} credits are granted for {source}, which is not paid");
        violations.push(broken(GRANT_IS_PAID, format!("ledger_transfers {id}"), detail));
    }
    let other_kind = sqlx::query(OTHER_KIND).bind(position.transfer).bind(last);
    for row in other_kind.fetch_all(connection).await? {
        let (id, key): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
        let (other, first): (String, String) = (row.try_get(2)?, row.try_get(3)?);
        let detail = format!("{key} is of the source kind {other} here, and of {first} at first");
        violations.push(broken(
            KEY_OF_ONE_SOURCE,
            format!("ledger_transfers {id}"),
            detail,
        ));
    }
    position.transfer = last;
    Ok(violations)
}

/// What is noted of sources beside what their transfers come to.
const SOURCES: &str = "
    SELECT m.account, m.kind, m.id, m.granted, m.refunded + m.disputed, t.granted, t.debits
    FROM (SELECT * FROM money_sources WHERE (account, kind, id) > ($1, $2, $3)
          ORDER BY account, kind, id LIMIT $4) AS m
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(credits) FILTER (WHERE kind IN ('grant', 'topup')), 0)::bigint AS granted,
               coalesce(-sum(credits) FILTER (WHERE kind IN ('refund', 'dispute')), 0)::bigint AS debits
        FROM (SELECT t.kind, CASE WHEN f.owner_kind = 'platform' THEN t.amount ELSE -t.amount END AS credits
              FROM ledger_transfers t JOIN ledger_accounts f ON f.id = t.from_id
              WHERE (t.account, t.source_kind, t.source_id) = (m.account, m.kind, m.id)) AS lines) AS t
    ORDER BY m.account, m.kind, m.id";

async fn sources(
    connection: &mut PgConnection,
    position: &mut Position,
    rows: i64,
) -> Result<Vec<Violation>, sqlx::Error> {
    let [account, kind, id] = [0, 1, 2].map(|part| position.source.get(part).map_or("", String::as_str));
    let query = sqlx::query(SOURCES).bind(account).bind(kind).bind(id).bind(rows);
    let found = query.fetch_all(connection).await?;
    let mut violations = Vec::new();
    for row in &found {
        let (kind, id): (String, String) = (row.try_get(1)?, row.try_get(2)?);
        let (noted, noted_debits): (i64, i64) = (row.try_get(3)?, row.try_get(4)?);
        let (granted, debits): (i64, i64) = (row.try_get(5)?, row.try_get(6)?);
        let subject = format!("money_sources {kind} {id}");
        if (noted, noted_debits) != (granted, debits) {
            let detail = format!(
                "noted are {noted} granted and {noted_debits} taken back, its transfers come to {granted} and {debits}"
            );
            violations.push(broken(SOURCE_AS_NOTED, subject.clone(), detail));
        }
        if debits > granted {
            let detail = format!("{debits} credits are taken back of {granted}");
            violations.push(broken(DEBITS_WITHIN_GRANT, subject, detail));
        }
        position.source = vec![row.try_get(0)?, kind, id];
    }
    if (found.len() as i64) < rows {
        position.stage = "sum".to_owned();
    }
    Ok(violations)
}

/// All balances at once: the one question that cannot be asked in portions. It reads each account once.
const SUM: &str = "
    SELECT min(id), account, sum(balance)::bigint FROM ledger_accounts GROUP BY account HAVING sum(balance) <> 0
    ORDER BY account";

async fn sum(connection: &mut PgConnection, position: &mut Position) -> Result<Vec<Violation>, sqlx::Error> {
    let mut violations = Vec::new();
    for row in sqlx::query(SUM).fetch_all(connection).await? {
        let (id, account, sum): (i64, String, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let detail = format!("all balances of account {account:?} come to {sum}");
        violations.push(broken(SUM_IS_ZERO, format!("ledger_accounts {id}"), detail));
    }
    *position = Position {
        stage: "accounts".to_owned(),
        account: 0,
        transfer: 0,
        source: vec![String::new(); 3],
        settled_id: position.settled_id,
        round: position.round + 1,
    };
    Ok(violations)
}
