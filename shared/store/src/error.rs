//! What went wrong in Postgres, and who must act.

use domain::Class;
use shared::redact::without_values;

/// A failed statement, or no connection to make one on.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// What Postgres or the connection says.
    #[error("postgres: {}", told(.0))]
    Postgres(#[from] sqlx::Error),
    /// What is kept of users elsewhere could not be dropped, so nothing was committed.
    #[error("the state cache: {0}")]
    Cache(#[source] shared::queue::QueueError),
    /// Nothing was said in time.
    #[error("postgres did not answer in time")]
    Silent,
    /// A promise between our own statements is broken.
    #[error("a statement was to change {expected} rows of {table} and changed {changed}")]
    WrongRowCount {
        /// The table.
        table: &'static str,
        /// Rows that had to be there.
        expected: u64,
        /// Rows that were.
        changed: u64,
    },
}

impl StoreError {
    /// Who must act. Decides between trying the whole batch again ([`Class::Transient`]) and looking for
    /// the event that spoils it (anything else).
    ///
    /// Classes of SQLSTATE are in <https://www.postgresql.org/docs/current/errcodes-appendix.html>. Trouble
    /// that would hit every event alike, such as a missing table or a revoked grant, is transient here: it
    /// waits for the operator, and parks nothing.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::WrongRowCount { .. } => Class::Bug,
            Self::Cache(_) | Self::Silent => Class::Transient,
            Self::Postgres(error) => match sqlstate(error) {
                Some(code) => class_of(&code),
                None => class_without_code(error),
            },
        }
    }

    /// A deadlock or a serialization failure: two workers were in each other's way, and it is over already.
    #[must_use]
    pub fn is_contention(&self) -> bool {
        let Self::Postgres(error) = self else { return false };
        matches!(sqlstate(error).as_deref(), Some("40001" | "40P01"))
    }

    /// The first two letters of the SQLSTATE, where Postgres gave one.
    #[must_use]
    pub fn sqlstate_class(&self) -> Option<String> {
        let Self::Postgres(error) = self else { return None };
        Some(sqlstate(error)?.get(..2)?.to_owned())
    }

    /// Why it is worth another try, in a word; one of [`Self::RETRY_REASONS`].
    #[must_use]
    pub fn retry_reason(&self) -> &'static str {
        match self {
            Self::Cache(_) => "state_cache",
            Self::Silent => "timeout",
            _ if self.is_contention() => "serialization",
            _ if self.sqlstate_class().is_some() => "database",
            _ => "connection",
        }
    }

    /// What [`Self::retry_reason`] says.
    pub const RETRY_REASONS: [&'static str; 5] = [
        "serialization",
        "database",
        "connection",
        "state_cache",
        "timeout",
    ];

    /// The batch may be too much at once: a statement that ran out of time, a message that was too long. It may
    /// also be Postgres that is slow; smaller batches blame nobody.
    #[must_use]
    pub fn is_too_much(&self) -> bool {
        let Self::Postgres(error) = self else { return false };
        matches!(sqlstate(error).as_deref(), Some("57014" | "08P01"))
    }

    /// A word for what failed, equal for failures with one cause: SQLSTATE and constraint.
    #[must_use]
    pub fn cause(&self) -> String {
        match self {
            Self::WrongRowCount { table, .. } => format!("wrong_row_count:{table}"),
            Self::Cache(_) => "state_cache".to_owned(),
            Self::Silent => "silent".to_owned(),
            Self::Postgres(sqlx::Error::Database(error)) => {
                let place = error.constraint().or(error.table()).unwrap_or("-");
                format!("sqlstate:{}:{place}", error.code().unwrap_or_default())
            }
            // The variant's name: the rest of the text may hold addresses and values.
            Self::Postgres(other) => format!("{other:?}")
                .chars()
                .take_while(|letter| letter.is_alphanumeric())
                .collect(),
        }
    }

    /// The message for people, without Postgres's `DETAIL`, which repeats the row, and without values.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Postgres(error @ sqlx::Error::Database(_)) => told(error),
            other => other.to_string(),
        }
    }
}

/// What Postgres says. Where it is about data (class 22) or a trigger's own words (class P0), it repeats values.
fn told(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(database) => {
            let code = sqlstate(error).unwrap_or_default();
            match code.get(..2) {
                Some("22" | "P0") => without_values(database.message()),
                _ => database.message().to_owned(),
            }
        }
        other => other.to_string(),
    }
}

fn class_of(code: &str) -> Class {
    match (code.get(..2).unwrap_or_default(), code) {
        // Cardinality, data, constraint: this event's content.
        ("21" | "22" | "23" | "44", _) => Class::Permanent,
        // What a trigger or a function of the user's says about it.
        ("38" | "39" | "P0", _) => Class::Permanent,
        // A damaged table or index is an operator's matter, and hits every event alike.
        (_, "XX001" | "XX002") => Class::Transient,
        // Too deep, too many, too large: this event's content, too.
        (_, "54000" | "54001" | "54011" | "54023") => Class::Permanent,
        ("XX", _) => Class::Bug,
        _ => Class::Transient,
    }
}

fn class_without_code(error: &sqlx::Error) -> Class {
    match error {
        sqlx::Error::Encode(_) | sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => Class::Bug,
        _ => Class::Transient,
    }
}

fn sqlstate(error: &sqlx::Error) -> Option<String> {
    error
        .as_database_error()?
        .code()
        .map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_told_from_circumstances() {
        for (code, class) in [
            ("23514", Class::Permanent),
            ("22P05", Class::Permanent),
            ("21000", Class::Permanent),
            ("54001", Class::Permanent),
            ("XX000", Class::Bug),
            ("XX001", Class::Transient),
            ("P0001", Class::Permanent),
            ("57014", Class::Transient),
            ("40P01", Class::Transient),
            ("57P01", Class::Transient),
            ("53100", Class::Transient),
            ("42P01", Class::Transient),
            ("25006", Class::Transient),
            ("", Class::Transient),
        ] {
            assert_eq!(class_of(code), class, "{code}");
        }
        assert_eq!(class_without_code(&sqlx::Error::PoolTimedOut), Class::Transient);
        let broken = StoreError::WrongRowCount {
            table: "objects",
            expected: 2,
            changed: 1,
        };
        assert_eq!(
            (broken.class(), broken.cause().as_str()),
            (Class::Bug, "wrong_row_count:objects")
        );
    }
}
