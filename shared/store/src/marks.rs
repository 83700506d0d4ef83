//! Marks: which objects' effects have to be reckoned again.

use sqlx::{AssertSqlSafe, PgConnection, Row};

use crate::{Store, StoreError};

/// The kind of a mark that is about a user, not about a Stripe object.
pub const USER: &str = "user";

/// Every kind of mark that is about something with effects, and the table that has them all.
pub const MARKED: [(&str, &str); 10] = [
    ("customer", "customers"),
    ("subscription", "subscriptions"),
    ("invoice", "invoices"),
    ("invoice_payment", "invoice_payments"),
    ("checkout.session", "checkout_sessions"),
    ("payment_intent", "payment_intents"),
    ("charge", "charges"),
    ("refund", "refunds"),
    ("dispute", "disputes"),
    (USER, "users"),
];

/// Something to reckon.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// Connected account; empty for the platform's own.
    pub account: String,
    /// Stripe's name for the kind of object, or [`USER`].
    pub kind: String,
    /// The object's id.
    pub id: String,
}

/// Marks taken, and the rows they were.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Taken {
    /// Sorted, without repeats.
    pub marks: Vec<Mark>,
    /// `marks.id` of every row.
    pub rows: Vec<i64>,
}

/// Takes the oldest marks nobody else is taking. They come back if the transaction fails.
///
/// An array, because Postgres makes it once. What follows `IN` it may look up anew for every row of the queue, and
/// then finds other rows every time: those it has deleted no longer count towards the limit.
pub(crate) async fn take(connection: &mut PgConnection, marks_max: i64) -> Result<Taken, sqlx::Error> {
    let rows = sqlx::query(
        "DELETE FROM marks WHERE id = ANY(ARRAY(
             SELECT id FROM marks WHERE trouble IS NULL ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED))
         RETURNING account, kind, object_id, id",
    )
    .bind(marks_max)
    .fetch_all(connection)
    .await?;
    let mut taken = Taken::default();
    for row in rows {
        taken.marks.push(Mark {
            account: row.try_get(0)?,
            kind: row.try_get(1)?,
            id: row.try_get(2)?,
        });
        taken.rows.push(row.try_get(3)?);
    }
    taken.marks.sort();
    taken.marks.dedup();
    Ok(taken)
}

impl Store {
    /// How many objects of a kind there are; the kind is one of [`MARKED`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count_of(&self, (_, table): (&str, &'static str)) -> Result<u64, StoreError> {
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(format!("SELECT count(*) FROM {table}")))
            .fetch_one(self.pool())
            .await?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Marks the next objects of a kind, at most `marks_max` after `after`, `(account, id)`. Returns how many there
    /// were, and the last of them; `None` when there are no more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn mark_next(
        &self,
        (kind, table): (&str, &'static str),
        after: (&str, &str),
        marks_max: u32,
    ) -> Result<Option<(u64, (String, String))>, StoreError> {
        let sql = format!(
            "WITH page AS (
                 SELECT account, id FROM {table} WHERE (account, id) > ($2, $3) ORDER BY account, id LIMIT $4),
             marked AS (INSERT INTO marks (account, kind, object_id) SELECT account, $1, id FROM page)
             SELECT account, id, (SELECT count(*) FROM page) FROM page ORDER BY account DESC, id DESC LIMIT 1"
        );
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(kind)
            .bind(after.0)
            .bind(after.1)
            .bind(i64::from(marks_max))
            .fetch_optional(self.pool())
            .await?;
        let Some(row) = row else { return Ok(None) };
        let count: i64 = row.try_get(2)?;
        Ok(Some((
            u64::try_from(count).unwrap_or(0),
            (row.try_get(0)?, row.try_get(1)?),
        )))
    }

    /// Sets marks aside that cannot be reckoned, so that the others go on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_marks_aside(&self, rows: &[i64], trouble: &str) -> Result<(), StoreError> {
        sqlx::query("UPDATE marks SET trouble = $2 WHERE id = ANY($1)")
            .bind(rows)
            .bind(trouble)
            .execute(self.pool())
            .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use domain::Kind;

    use super::*;

    #[test]
    fn every_kind_with_effects_can_be_marked() {
        let all = [
            Kind::Charge,
            Kind::CheckoutSession,
            Kind::Customer,
            Kind::Dispute,
            Kind::EntitlementSummary,
            Kind::Invoice,
            Kind::InvoicePayment,
            Kind::PaymentIntent,
            Kind::Price,
            Kind::Product,
            Kind::Refund,
            Kind::Subscription,
        ];
        let with_effects = all
            .into_iter()
            .filter(|kind| kind.has_effects())
            .map(Kind::as_str);
        let mut wanted: Vec<&str> = with_effects.chain([USER]).collect();
        let mut marked: Vec<&str> = MARKED.iter().map(|(kind, _)| *kind).collect();
        wanted.sort_unstable();
        marked.sort_unstable();
        assert_eq!(marked, wanted);
    }
}
