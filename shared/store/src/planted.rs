//! The planted bug `check-then-insert`: an inbox that looks first, and relies on nobody else doing so at the same time.
//! See `shared::planted`; its table has no key: [`crate::Store::drop_inbox_key`].

use std::sync::LazyLock;

use sqlx::PgConnection;

use crate::inbox::{InboxRow, known};

static IS_PLANTED: LazyLock<bool> =
    LazyLock::new(|| std::env::var("TOLLGATE_PLANTED_BUG").is_ok_and(|name| name == "check-then-insert"));

/// Whether this process is to make the mistake.
pub(crate) fn is_check_then_insert() -> bool {
    *IS_PLANTED
}

/// Those rows that are not there when it looks.
pub(crate) async fn look_first<'a>(
    connection: &mut PgConnection,
    rows: &[InboxRow<'a>],
) -> Result<Vec<InboxRow<'a>>, sqlx::Error> {
    let keys: Vec<_> = rows.iter().map(|row| row.key.clone()).collect();
    let known = known(connection, &keys).await?;
    let is_new = |row: &&InboxRow<'a>| !known.contains(&row.key);
    Ok(rows.iter().filter(is_new).cloned().collect())
}

/// The statement for a table without a key. It has to name all parameters of the one with.
pub(crate) fn without_key(insert: &str) -> String {
    let insert = insert.split(" ON CONFLICT").next().unwrap_or_default();
    format!("{insert} WHERE $18::text[] IS NOT NULL AND $19::boolean IS NOT NULL RETURNING account, id")
}
