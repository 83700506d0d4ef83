//! The catalogue: what a checked-in file offers, and what is known about prices.

use domain::objects::PriceTerms;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row};

use crate::upsert::{column, insert_from_arrays};
use crate::{Store, StoreError, Tx};

/// Something that is for sale: a row of `catalog_offers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferRow {
    /// What clients ask for.
    pub name: String,
    /// `plan` or `package`.
    pub kind: String,
    /// Its price at Stripe.
    pub price_id: String,
    /// Its product at Stripe, when the file says so.
    pub product_id: Option<String>,
    /// Credits per unit.
    pub credits: i64,
    /// Whether it can be bought now.
    pub active: bool,
    /// The whole entry, a JSON object.
    pub definition: String,
}

/// What the file said when it was applied last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Catalog {
    /// By name.
    pub offers: Vec<OfferRow>,
    /// Its last word on each price, also on those it no longer offers. By price.
    pub terms: Vec<PriceTerms>,
}

/// What Stripe's events said about a price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPrice {
    /// Which.
    pub id: String,
    /// The price itself, when there was an event about it.
    pub facts: Option<PriceFacts>,
    /// What it costs and grants by Stripe's metadata, when any event carried it.
    pub terms: Option<PriceTerms>,
}

/// A price as Stripe knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceFacts {
    /// Whether it can be used for something new.
    pub active: bool,
    /// Whether it is gone.
    pub deleted: bool,
    /// What it is the price of.
    pub product_id: Option<String>,
    /// `one_time` or `recurring`.
    pub price_type: Option<String>,
    /// `day`, `week`, `month` or `year`.
    pub interval: Option<String>,
    /// Three-letter code.
    pub currency: Option<String>,
    /// Minor units; absent for fractions of them.
    pub unit_amount: Option<i64>,
}

/// The terms that count for what is paid now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveTerms {
    /// `file`, `event` or `embedded`.
    pub origin: String,
    /// Since when, RFC 3339; `None` from the beginning.
    pub since: Option<String>,
    /// What they are.
    pub terms: PriceTerms,
}

/// The columns that [`terms`] reads.
const TERMS: &str = "price_id, credits, free_monthly, expire_days, unit_amount, currency";

/// Terms from the columns that begin with `first`.
fn terms(row: &PgRow, first: usize) -> Result<PriceTerms, sqlx::Error> {
    Ok(PriceTerms {
        price_id: row.try_get(first)?,
        credits: row.try_get(first + 1)?,
        free_monthly: row.try_get(first + 2)?,
        expire_days: row.try_get(first + 3)?,
        unit_amount: row.try_get(first + 4)?,
        currency: row.try_get(first + 5)?,
    })
}

async fn catalog(connection: &mut PgConnection, account: &str) -> Result<Catalog, sqlx::Error> {
    let offers = sqlx::query(
        "SELECT name, kind, price_id, product_id, credits, active, definition::text
         FROM catalog_offers WHERE account = $1 ORDER BY name",
    )
    .bind(account)
    .fetch_all(&mut *connection)
    .await?;
    let offer = |row: &PgRow| {
        Ok::<_, sqlx::Error>(OfferRow {
            name: row.try_get(0)?,
            kind: row.try_get(1)?,
            price_id: row.try_get(2)?,
            product_id: row.try_get(3)?,
            credits: row.try_get(4)?,
            active: row.try_get(5)?,
            definition: row.try_get(6)?,
        })
    };
    let sql = format!(
        "SELECT DISTINCT ON (price_id) {TERMS} FROM price_terms
         WHERE account = $1 AND origin = 'file' ORDER BY price_id, since DESC"
    );
    let said = sqlx::query(AssertSqlSafe(sql))
        .bind(account)
        .fetch_all(connection)
        .await?;
    Ok(Catalog {
        offers: offers.iter().map(offer).collect::<Result<_, _>>()?,
        terms: said.iter().map(|row| terms(row, 0)).collect::<Result<_, _>>()?,
    })
}

async fn replace_offers(
    connection: &mut PgConnection,
    account: &str,
    offers: &[OfferRow],
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM catalog_offers WHERE account = $1")
        .bind(account)
        .execute(&mut *connection)
        .await?;
    let columns = [
        ("account", "text"),
        ("name", "text"),
        ("kind", "text"),
        ("price_id", "text"),
        ("product_id", "text"),
        ("credits", "bigint"),
        ("active", "boolean"),
        ("definition", "jsonb"),
    ];
    sqlx::query(AssertSqlSafe(insert_from_arrays("catalog_offers", &columns)))
        .bind(vec![account; offers.len()])
        .bind(column!(offers, offer => offer.name.as_str()))
        .bind(column!(offers, offer => offer.kind.as_str()))
        .bind(column!(offers, offer => offer.price_id.as_str()))
        .bind(column!(offers, offer => offer.product_id.as_deref()))
        .bind(column!(offers, offer => offer.credits))
        .bind(column!(offers, offer => offer.active))
        .bind(column!(offers, offer => offer.definition.as_str()))
        .execute(connection)
        .await?;
    Ok(())
}

/// Keeps the file's word on prices, and marks them. A first word counts from the beginning, a later one from now
/// on, and after the one before whatever the clock says.
async fn say_terms(
    connection: &mut PgConnection,
    account: &str,
    said: &[PriceTerms],
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "WITH said AS (
             INSERT INTO price_terms
                 (account, price_id, origin, since, credits, free_monthly, expire_days, unit_amount, currency)
             SELECT $1, said.price_id, 'file',
                    coalesce((SELECT greatest(clock_timestamp(), max(since) + interval '1 microsecond')
                              FROM price_terms known
                              WHERE (known.account, known.price_id, known.origin) = ($1, said.price_id, 'file')
                              HAVING count(*) > 0),
                             '-infinity'),
                    credits, free_monthly, expire_days, unit_amount, currency
             FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::integer[], $6::bigint[], $7::text[])
                  AS said (price_id, credits, free_monthly, expire_days, unit_amount, currency)
             RETURNING price_id)
         INSERT INTO marks (account, kind, object_id) SELECT $1, 'price', price_id FROM said",
    )
    .bind(account)
    .bind(column!(said, it => it.price_id.as_str()))
    .bind(column!(said, it => it.credits))
    .bind(column!(said, it => it.free_monthly))
    .bind(column!(said, it => it.expire_days))
    .bind(column!(said, it => it.unit_amount))
    .bind(column!(said, it => it.currency.as_deref()))
    .execute(connection)
    .await?;
    Ok(())
}

impl Tx {
    /// Waits until nobody else changes the catalogue of an account, and returns it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn lock_catalog(&mut self, account: &str) -> Result<Catalog, StoreError> {
        sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('catalog:' || $1, 0))")
            .bind(account)
            .execute(&mut *self.0)
            .await?;
        Ok(catalog(&mut self.0, account).await?)
    }

    /// Replaces all offers of an account, whose catalogue must be locked, and keeps terms that are new. What waits
    /// for one of those prices is reckoned.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn write_catalog(
        &mut self,
        account: &str,
        offers: &[OfferRow],
        new_terms: &[PriceTerms],
    ) -> Result<(), StoreError> {
        replace_offers(&mut self.0, account, offers).await?;
        Ok(say_terms(&mut self.0, account, new_terms).await?)
    }
}

impl Store {
    /// What the file said when it was applied last.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn catalog(&self, account: &str) -> Result<Catalog, StoreError> {
        let mut connection = self.pool().acquire().await?;
        Ok(catalog(&mut connection, account).await?)
    }

    /// What Stripe's events said about some prices, in their order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn known_prices(&self, account: &str, ids: &[&str]) -> Result<Vec<KnownPrice>, StoreError> {
        let rows = sqlx::query(
            "SELECT wanted.id, p.id IS NOT NULL, p.active, p.deleted, p.product_id, p.price_type,
                    p.recurring_interval, p.currency, p.unit_amount,
                    t.price_id, t.credits, t.free_monthly, t.expire_days, t.unit_amount, t.currency
             FROM unnest($2::text[]) WITH ORDINALITY AS wanted (id, position)
             LEFT JOIN prices p ON (p.account, p.id) = ($1, wanted.id)
             LEFT JOIN LATERAL (
                 SELECT * FROM price_terms
                 WHERE (account, price_id) = ($1, wanted.id) AND origin <> 'file'
                 ORDER BY origin = 'event' DESC, since DESC LIMIT 1) AS t ON true
             ORDER BY wanted.position",
        )
        .bind(account)
        .bind(ids)
        .fetch_all(self.pool())
        .await?;
        Ok(rows.iter().map(known_price).collect::<Result<_, _>>()?)
    }

    /// The terms of every price of an account that count for what is paid now, by price.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn effective_terms(&self, account: &str) -> Result<Vec<EffectiveTerms>, StoreError> {
        // The order is that of the lines of an invoice made now: see `reckon::sources`.
        let sql = format!(
            "SELECT DISTINCT ON (price_id) origin, CASE WHEN isfinite(since) THEN
                        to_char(since AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') END, {TERMS}
             FROM price_terms WHERE account = $1
             ORDER BY price_id, origin = 'file' DESC, since <= now() DESC, origin = 'event' DESC,
                      CASE WHEN since <= now() THEN since END DESC NULLS LAST, since"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(account)
            .fetch_all(self.pool())
            .await?;
        let effective = rows.iter().map(|row| {
            Ok(EffectiveTerms {
                origin: row.try_get(0)?,
                since: row.try_get(1)?,
                terms: terms(row, 2)?,
            })
        });
        Ok(effective.collect::<Result<_, sqlx::Error>>()?)
    }
}

fn known_price(row: &PgRow) -> Result<KnownPrice, sqlx::Error> {
    let facts = if row.try_get(1)? {
        Some(PriceFacts {
            active: row.try_get(2)?,
            deleted: row.try_get(3)?,
            product_id: row.try_get(4)?,
            price_type: row.try_get(5)?,
            interval: row.try_get(6)?,
            currency: row.try_get(7)?,
            unit_amount: row.try_get(8)?,
        })
    } else {
        None
    };
    let has_terms = row.try_get::<Option<String>, _>(9)?.is_some();
    Ok(KnownPrice {
        id: row.try_get(0)?,
        facts,
        terms: if has_terms { Some(terms(row, 9)?) } else { None },
    })
}
