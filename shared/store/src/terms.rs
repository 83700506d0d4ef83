//! What prices cost and grant, as it was at any time.

use domain::objects::PriceTerms;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres, Row};

use crate::upsert::column;

/// Terms that an event carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenTerms<'a> {
    /// Connected account; empty for the platform's own.
    pub account: &'a str,
    /// When they were true, unix seconds.
    pub seen_at: i64,
    /// Whether the event was about the price itself. Others only happened to carry it.
    pub is_own_event: bool,
    /// The terms.
    pub terms: &'a PriceTerms,
}

/// Keeps terms that are new, and marks prices nobody knew before. Sightings within other objects are many and
/// say little: of those, one a day is kept. The greater terms win where two claim the same moment, so that the order
/// does not matter.
pub(crate) async fn learn(connection: &mut PgConnection, seen: &[SeenTerms<'_>]) -> Result<(), sqlx::Error> {
    if seen.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "WITH seen AS (
             SELECT DISTINCT ON (account, price_id, origin, since) * FROM (
                 SELECT account, price_id, CASE WHEN is_own THEN 'event' ELSE 'embedded' END AS origin,
                        CASE WHEN is_own THEN to_timestamp(seen_at)
                             ELSE date_trunc('day', to_timestamp(seen_at), 'UTC') END AS since,
                        credits, free_monthly, expire_days, unit_amount, currency
                 FROM unnest($1::text[], $2::text[], $3::boolean[], $4::bigint[], $5::bigint[], $6::bigint[],
                             $7::integer[], $8::bigint[], $9::text[])
                      AS s (account, price_id, is_own, seen_at, credits, free_monthly, expire_days, unit_amount, currency)
             ) AS rows
             ORDER BY account, price_id, origin, since, credits DESC, free_monthly DESC, unit_amount DESC NULLS LAST),
         missing AS (
             SELECT seen.* FROM seen LEFT JOIN price_terms known USING (account, price_id, origin, since)
             WHERE known.price_id IS NULL
                OR (seen.credits, seen.free_monthly, coalesce(seen.unit_amount, -1))
                 > (known.credits, known.free_monthly, coalesce(known.unit_amount, -1))),
         kept AS (
             INSERT INTO price_terms AS known
                 (account, price_id, origin, since, credits, free_monthly, expire_days, unit_amount, currency)
             SELECT account, price_id, origin, since, credits, free_monthly, expire_days, unit_amount, currency
             FROM missing ORDER BY account, price_id, origin, since
             ON CONFLICT (account, price_id, origin, since) DO UPDATE
             SET credits = EXCLUDED.credits, free_monthly = EXCLUDED.free_monthly,
                 expire_days = EXCLUDED.expire_days, unit_amount = EXCLUDED.unit_amount, currency = EXCLUDED.currency
             WHERE (EXCLUDED.credits, EXCLUDED.free_monthly, coalesce(EXCLUDED.unit_amount, -1))
                 > (known.credits, known.free_monthly, coalesce(known.unit_amount, -1))
             RETURNING account, price_id, origin, since)
         INSERT INTO marks (account, kind, object_id)
         SELECT DISTINCT account, 'price', price_id FROM kept",
    )
    .bind(column!(seen, it => it.account))
    .bind(column!(seen, it => it.terms.price_id.as_str()))
    .bind(column!(seen, it => it.is_own_event))
    .bind(column!(seen, it => it.seen_at))
    .bind(column!(seen, it => it.terms.credits))
    .bind(column!(seen, it => it.terms.free_monthly))
    .bind(column!(seen, it => it.terms.expire_days))
    .bind(column!(seen, it => it.terms.unit_amount))
    .bind(column!(seen, it => it.terms.currency.as_deref()))
    .execute(connection)
    .await?;
    Ok(())
}

/// Shares a lock on prices nobody knows, so that whoever learns them afterwards finds who is waiting for them. False
/// when one of them is being announced just now. Never waits: the announcer may be waiting for rows of ours.
pub(crate) async fn wait_for(
    connection: &mut PgConnection,
    prices: &[(&str, &str)],
) -> Result<bool, sqlx::Error> {
    let shared: Option<bool> = lock(prices, "bool_and(pg_try_advisory_xact_lock_shared(hash))")
        .fetch_one(connection)
        .await?
        .try_get(0)?;
    Ok(shared.unwrap_or(true))
}

/// Waits until nobody is about to note that it waits for one of these prices. Comes before all other locks.
pub(crate) async fn announce(
    connection: &mut PgConnection,
    prices: &[(&str, &str)],
) -> Result<(), sqlx::Error> {
    if prices.is_empty() {
        return Ok(());
    }
    lock(prices, "pg_advisory_xact_lock(hash)")
        .execute(connection)
        .await?;
    Ok(())
}

fn lock<'q>(prices: &'q [(&str, &str)], what: &str) -> Query<'q, Postgres, PgArguments> {
    let sql = format!(
        "SELECT {what} FROM (
             SELECT DISTINCT hashtextextended('price:' || account || ':' || id, 0) AS hash
             FROM unnest($1::text[], $2::text[]) AS wanted (account, id) ORDER BY 1) AS sorted"
    );
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(column!(prices, price => price.0))
        .bind(column!(prices, price => price.1))
}
