//! The lock on an object, and which of its snapshots stands.

use std::sync::LazyLock;

use domain::{Known, ObjectKey, Snapshot, Version};
use sqlx::{AssertSqlSafe, PgConnection, Row};

use crate::StoreError;
use crate::lock::Lock;
use crate::upsert::{column, rows_from_arrays};

static LOCK: LazyLock<Lock> = LazyLock::new(|| {
    let version = ["extract(epoch FROM created)::bigint", "event_id", "terminal"];
    Lock::new("objects", &["account", "kind", "id"], &version)
});

/// Makes missing rows, locks all of them in key order, and returns the snapshots that stand. `keys` must be sorted and
/// distinct.
pub(crate) async fn lock(connection: &mut PgConnection, keys: &[ObjectKey]) -> Result<Known, sqlx::Error> {
    debug_assert!(keys.is_sorted_by(|a, b| a < b), "sorted and distinct");
    let arrays = [
        column!(keys, key => key.account.as_str()),
        column!(keys, key => key.kind.as_str()),
        column!(keys, key => key.id.as_str()),
    ];
    let rows = LOCK.take(connection, &arrays).await?;
    let mut state = Known::with_capacity(rows.len());
    for row in rows {
        let position: i64 = row.try_get(0)?;
        let key = usize::try_from(position - 1)
            .ok()
            .and_then(|index| keys.get(index));
        let (Some(key), Some(created), Some(event_id)) = (key, row.try_get(2)?, row.try_get(3)?) else {
            continue;
        };
        let terminal = row.try_get(4)?;
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

static STAND: LazyLock<String> = LazyLock::new(|| {
    let now_standing = rows_from_arrays(&[
        ("account", "text"),
        ("kind", "text"),
        ("id", "text"),
        ("created", "timestamptz"),
        ("event_id", "text"),
        ("terminal", "boolean"),
        ("has_effects", "boolean"),
    ]);
    // A time is an expression there, which has no name.
    format!(
        "WITH now_standing (account, kind, id, created, event_id, terminal, has_effects) AS MATERIALIZED (
             {now_standing}),
         marked AS (
             INSERT INTO marks (account, kind, object_id)
             SELECT account, kind, id FROM now_standing WHERE has_effects)
         UPDATE objects
         SET created = now_standing.created, event_id = now_standing.event_id, terminal = now_standing.terminal
         FROM now_standing
         WHERE (objects.account, objects.kind, objects.id)
             = (now_standing.account, now_standing.kind, now_standing.id)"
    )
});

/// Notes which snapshots stand now, and marks those that effects follow from. The rows are locked already.
pub(crate) async fn stand(connection: &mut PgConnection, changes: &[Snapshot]) -> Result<(), StoreError> {
    let done = sqlx::query(AssertSqlSafe(STAND.as_str()))
        .bind(column!(changes, change => change.key.account.as_str()))
        .bind(column!(changes, change => change.key.kind.as_str()))
        .bind(column!(changes, change => change.key.id.as_str()))
        .bind(column!(changes, change => change.version.created))
        .bind(column!(changes, change => change.version.event_id.as_str()))
        .bind(column!(changes, change => change.version.terminal))
        .bind(column!(changes, change => change.key.kind.has_effects()))
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
