//! Subscriptions that get free credits this month, and how many there may be.

use domain::credits::Owner;
use sqlx::{PgConnection, Row};

use super::Page;
use crate::upsert::column;
use crate::{Id, StoreError, Tx, credits};

/// A subscription that entitles, locked, and has not had this month's free credits. Not one of a user who was corrected
/// to have no plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entitled {
    /// Which.
    pub id: Id,
    /// Whose.
    pub owner: Owner,
    /// The business key of this month's free credits.
    pub key: String,
    /// How many, above zero.
    pub credits: i64,
    /// How long they last, days.
    pub expire_days: Option<i32>,
}

/// The last one looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreeAfter(Id);

impl Default for FreeAfter {
    fn default() -> Self {
        Self(Id {
            account: String::new(),
            id: String::new(),
        })
    }
}

/// What the prices of a subscription grant each month, by the terms that hold at `$4`: a file's word before Stripe's, an
/// event's before what another object carried along, and of each the last one before that time, else the first after it.
const WANTED: &str = "
    SELECT wanted.position, sum(t.free_monthly)::bigint, min(t.expire_days) FILTER (WHERE t.free_monthly > 0)
    FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS wanted (account, subscription_id, key, position)
    JOIN subscription_items i USING (account, subscription_id)
    CROSS JOIN LATERAL (
        SELECT * FROM price_terms p WHERE (p.account, p.price_id) = (i.account, i.price_id)
        ORDER BY origin = 'file' DESC, since <= to_timestamp($4) DESC, origin = 'event' DESC,
                 CASE WHEN since <= to_timestamp($4) THEN since END DESC NULLS LAST, since
        LIMIT 1) AS t
    WHERE NOT EXISTS (SELECT FROM ledger_transfers x WHERE (x.account, x.key) = (wanted.account, wanted.key))
    GROUP BY wanted.position HAVING sum(t.free_monthly) > 0
    ORDER BY wanted.position";

impl Tx {
    /// Locks subscriptions that entitle and whose prices grant free credits at `now`, but for those that have had them:
    /// the business key is `free:<subscription>:<month>`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn lock_entitled(
        &mut self,
        now: i64,
        month: &str,
        after: &FreeAfter,
        limit: u32,
    ) -> Result<Page<Entitled, FreeAfter>, StoreError> {
        let rows = sqlx::query(
            "SELECT account, subscription_id, user_id, team_id FROM subscription_states t
             WHERE entitled AND state IN ('active', 'trialing') AND coalesce(user_id, team_id) IS NOT NULL
               AND (account, subscription_id) > ($1, $2)
               AND (team_id IS NOT NULL OR NOT EXISTS (
                   SELECT FROM plan_corrections c WHERE (c.account, c.user_id) = (t.account, t.user_id)
                       AND c.ended_at IS NULL AND c.plan IS NULL))
             ORDER BY account, subscription_id LIMIT $3
             FOR NO KEY UPDATE OF t SKIP LOCKED",
        )
        .bind(&after.0.account)
        .bind(&after.0.id)
        .bind(i64::from(limit))
        .fetch_all(&mut *self.0)
        .await?;
        let mut locked = Vec::with_capacity(rows.len());
        for row in &rows {
            let (user, team): (Option<String>, Option<String>) = (row.try_get(2)?, row.try_get(3)?);
            let id = Id {
                account: row.try_get(0)?,
                id: row.try_get(1)?,
            };
            if let Some(owner) = team.map(Owner::Team).or(user.map(Owner::User)) {
                let key = format!("free:{}:{month}", id.id);
                locked.push((id, owner, key));
            }
        }
        let next = locked.last().map(|(id, ..)| FreeAfter(id.clone()));
        let next = next.filter(|_| rows.len() == limit as usize);
        let rows = wanted(&mut self.0, &locked, now).await?;
        Ok(Page { rows, next })
    }

    /// How many credits may still be given in an account that may have `outstanding_max`. Whoever asks has the answer to
    /// themselves until the end of the transaction, so that two cannot use it up twice.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn lock_capacity(&mut self, account: &str, outstanding_max: i64) -> Result<i64, StoreError> {
        sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('capacity:' || $1, 0))")
            .bind(account)
            .execute(&mut *self.0)
            .await?;
        // A statement later: what the one before us gave can be seen.
        let outstanding = credits::outstanding(&mut self.0, account).await?;
        Ok(outstanding_max.saturating_sub(outstanding))
    }
}

/// The rows are locked: a statement later, what another sweeper granted can be seen.
async fn wanted(
    connection: &mut PgConnection,
    locked: &[(Id, Owner, String)],
    now: i64,
) -> Result<Vec<Entitled>, sqlx::Error> {
    let rows = sqlx::query(WANTED)
        .bind(column!(locked, it => it.0.account.as_str()))
        .bind(column!(locked, it => it.0.id.as_str()))
        .bind(column!(locked, it => it.2.as_str()))
        .bind(now)
        .fetch_all(connection)
        .await?;
    let mut entitled = Vec::with_capacity(rows.len());
    for row in rows {
        let position: i64 = row.try_get(0)?;
        let index = usize::try_from(position - 1).unwrap_or(usize::MAX);
        let Some((id, owner, key)) = locked.get(index) else {
            continue;
        };
        entitled.push(Entitled {
            id: id.clone(),
            owner: owner.clone(),
            key: key.clone(),
            credits: row.try_get(1)?,
            expire_days: row.try_get(2)?,
        });
    }
    Ok(entitled)
}
