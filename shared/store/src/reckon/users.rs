//! Where users stand: the best of their subscriptions, or what a person said instead; and how to reach them.

use std::sync::LazyLock;

use domain::{Correction, Standing, State, best_of, corrected};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::Id;
use crate::lock::Lock;
use crate::upsert::{column, upsert};

/// A user before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserChange {
    /// Who.
    pub id: Id,
    /// Where they stood.
    pub before: Standing,
    /// Where they stand.
    pub after: Standing,
    /// How many changes there have been, this one included.
    pub number: i64,
}

pub(crate) struct UserRow {
    id: Id,
    email: Option<String>,
    standing: Standing,
    changes: i64,
    correction: Corrected,
}

/// The correction in force, and the state without it. Nothing of a user who is not corrected.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Corrected {
    id: Option<String>,
    told: Option<String>,
}

upsert! {
    fn write(row: &UserRow) into "users" key "account, id" {
        "account" "text" = row.id.account.as_str();
        "id" "text" = row.id.id.as_str();
        "email" "text" = row.email.as_deref();
        "state" "text" = row.standing.state.as_str();
        "entitled" "boolean" = row.standing.entitled;
        "changes" "bigint" = row.changes;
        "correction_id" "text" = row.correction.id.as_deref();
        "told_state" "text" = row.correction.told.as_deref();
    }
}

static LOCK: LazyLock<Lock> = LazyLock::new(|| Lock::new("users", &["account", "id"], &[]));

/// What users stood as, what their subscriptions say, and what a person said instead.
const FACTS: &str = "
    SELECT u.account, u.id, u.state, u.entitled, u.changes, u.email,
           (SELECT c.email FROM customer_users m
            JOIN customers c ON (c.account, c.id) = (m.account, m.customer_id)
            WHERE (m.account, m.user_id) = (u.account, u.id) AND c.email IS NOT NULL
            ORDER BY c.deleted, c.created DESC, c.id DESC LIMIT 1),
           (SELECT array_agg(s.state || CASE WHEN s.entitled THEN '+' ELSE '' END)
            FROM subscription_states s WHERE (s.account, s.user_id) = (u.account, u.id)),
           u.correction_id, u.told_state, c.id, c.plan IS NOT NULL
    FROM unnest($1::text[], $2::text[]) AS wanted (account, id)
    JOIN users u USING (account, id)
    LEFT JOIN plan_corrections c ON (c.account, c.user_id) = (u.account, u.id) AND c.ended_at IS NULL";

/// Reckons where users stand, writes it, and returns those who moved. Users must be sorted and distinct.
pub(crate) async fn reckon(
    connection: &mut PgConnection,
    users: &[Id],
) -> Result<Vec<UserChange>, sqlx::Error> {
    if users.is_empty() {
        return Ok(Vec::new());
    }
    lock(connection, users).await?;
    // After the lock: a statement of its own sees what the one before us committed.
    let rows = sqlx::query(FACTS)
        .bind(column!(users, user => user.account.as_str()))
        .bind(column!(users, user => user.id.as_str()))
        .fetch_all(&mut *connection)
        .await?;
    let mut changes = Vec::new();
    let mut written = Vec::with_capacity(rows.len());
    for row in &rows {
        let (state, entitled): (String, bool) = (row.try_get(2)?, row.try_get(3)?);
        let subscriptions: Option<Vec<String>> = row.try_get(7)?;
        let id = Id {
            account: row.try_get(0)?,
            id: row.try_get(1)?,
        };
        let before = Standing {
            state: State::parse(&state).unwrap_or(State::NoSubscription),
            entitled,
        };
        let told = best_of(subscriptions.iter().flatten().filter_map(|word| standing(word)));
        let (correction, now) = correction(row, told)?;
        let after = corrected(told, correction);
        let was = Corrected {
            id: row.try_get(8)?,
            told: row.try_get(9)?,
        };
        let (email_before, email): (Option<String>, Option<String>) = (row.try_get(5)?, row.try_get(6)?);
        let number = row.try_get::<i64, _>(4)? + i64::from(before != after);
        if before != after || email_before != email || was != now {
            written.push(UserRow {
                id: id.clone(),
                email,
                standing: after,
                changes: number,
                correction: now,
            });
        }
        if before != after {
            changes.push(UserChange {
                id,
                before,
                after,
                number,
            });
        }
    }
    write(connection, &written).await?;
    Ok(changes)
}

/// What a person said, and how that is noted.
fn correction(row: &PgRow, told: Standing) -> Result<(Option<Correction>, Corrected), sqlx::Error> {
    let id: Option<String> = row.try_get(10)?;
    if id.is_none() {
        return Ok((None, Corrected::default()));
    }
    let correction = if row.try_get(11)? {
        Correction::Plan
    } else {
        Correction::NoPlan
    };
    let noted = Corrected {
        id,
        told: Some(told.state.as_str().to_owned()),
    };
    Ok((Some(correction), noted))
}

/// A state, with a plus when it entitles.
fn standing(word: &str) -> Option<Standing> {
    let state = State::parse(word.trim_end_matches('+'))?;
    Some(Standing {
        state,
        entitled: word.ends_with('+'),
    })
}

async fn lock(connection: &mut PgConnection, users: &[Id]) -> Result<(), sqlx::Error> {
    let keys = [
        column!(users, user => user.account.as_str()),
        column!(users, user => user.id.as_str()),
    ];
    LOCK.take(connection, &keys).await?;
    Ok(())
}
