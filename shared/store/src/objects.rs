//! The lock on an object, and which of its snapshots stands.

use domain::{Known, ObjectKey, Snapshot, Version};
use sqlx::{PgConnection, Row};

use crate::StoreError;
use crate::upsert::column;

/// Makes missing rows, locks all of them in key order, and returns the snapshots that stand.
///
/// Two phases, both in key order, so that two workers never wait for each other in a circle. `keys` must
/// be sorted and distinct.
pub(crate) async fn lock(connection: &mut PgConnection, keys: &[ObjectKey]) -> Result<Known, sqlx::Error> {
    debug_assert!(keys.is_sorted_by(|a, b| a < b), "sorted and distinct");
    let accounts: Vec<&str> = column!(keys, key => key.account.as_str());
    let kinds: Vec<&str> = column!(keys, key => key.kind.as_str());
    let ids: Vec<&str> = column!(keys, key => key.id.as_str());
    sqlx::query(
        "INSERT INTO objects (account, kind, id)
         SELECT * FROM unnest($1::text[], $2::text[], $3::text[])
         ON CONFLICT (account, kind, id) DO NOTHING",
    )
    .bind(&accounts)
    .bind(&kinds)
    .bind(&ids)
    .execute(&mut *connection)
    .await?;
    // The position ties a row to its key without sending the key back. The lock is taken above the sort.
    let rows = sqlx::query(
        "SELECT wanted.position, extract(epoch FROM objects.created)::bigint, objects.event_id,
                objects.terminal
         FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS wanted (account, kind, id, position)
         JOIN objects USING (account, kind, id)
         ORDER BY wanted.position
         FOR UPDATE OF objects",
    )
    .bind(&accounts)
    .bind(&kinds)
    .bind(&ids)
    .fetch_all(connection)
    .await?;
    let mut state = Known::with_capacity(rows.len());
    for row in rows {
        let position: i64 = row.try_get(0)?;
        let key = usize::try_from(position - 1)
            .ok()
            .and_then(|index| keys.get(index));
        let (Some(key), Some(created), Some(event_id)) = (key, row.try_get(1)?, row.try_get(2)?) else {
            continue;
        };
        let terminal = row.try_get(3)?;
        state.insert(
            key.clone(),
            Version {
                terminal,
                created,
                event_id,
            },
        );
    }
    Ok(state)
}

/// Notes which snapshots stand now. The rows are locked already.
pub(crate) async fn stand(connection: &mut PgConnection, changes: &[Snapshot]) -> Result<(), StoreError> {
    let done = sqlx::query(
        "UPDATE objects
         SET created = to_timestamp(now_standing.created), event_id = now_standing.event_id,
             terminal = now_standing.terminal
         FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::boolean[])
              AS now_standing (account, kind, id, created, event_id, terminal)
         WHERE (objects.account, objects.kind, objects.id)
             = (now_standing.account, now_standing.kind, now_standing.id)",
    )
    .bind(column!(changes, change => change.key.account.as_str()))
    .bind(column!(changes, change => change.key.kind.as_str()))
    .bind(column!(changes, change => change.key.id.as_str()))
    .bind(column!(changes, change => change.version.created))
    .bind(column!(changes, change => change.version.event_id.as_str()))
    .bind(column!(changes, change => change.version.terminal))
    .execute(connection)
    .await?;
    let (expected, changed) = (
        u64::try_from(changes.len()).unwrap_or(u64::MAX),
        done.rows_affected(),
    );
    if changed != expected {
        return Err(StoreError::WrongRowCount {
            table: "objects",
            expected,
            changed,
        });
    }
    Ok(())
}
