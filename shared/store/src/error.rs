//! What went wrong in Postgres, and who must act.

use domain::Class;

/// A failed statement, or no connection to make one on.
#[derive(Debug, thiserror::Error)]
#[error("postgres: {source}")]
pub struct StoreError {
    #[from]
    source: sqlx::Error,
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
        let Some(code) = self.sqlstate() else {
            return match self.source {
                sqlx::Error::Encode(_) | sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => {
                    Class::Bug
                }
                _ => Class::Transient,
            };
        };
        match (&code[..2], code.as_str()) {
            // Data, constraint: this event's content.
            ("21" | "22" | "23", _) => Class::Permanent,
            // Too deep, too many, too large: this event's content, too.
            (_, "54000" | "54001" | "54011" | "54023") => Class::Permanent,
            ("XX", _) => Class::Bug,
            _ => Class::Transient,
        }
    }

    /// A deadlock or a serialization failure: worth trying again at once.
    #[must_use]
    pub fn is_contention(&self) -> bool {
        matches!(self.sqlstate().as_deref(), Some("40001" | "40P01" | "55P03"))
    }

    /// A word for what failed, equal for failures with one cause: SQLSTATE and constraint.
    #[must_use]
    pub fn cause(&self) -> String {
        match &self.source {
            sqlx::Error::Database(error) => {
                let constraint = error.constraint().or(error.table()).unwrap_or("-");
                format!("sqlstate:{}:{constraint}", error.code().unwrap_or_default())
            }
            other => {
                // The variant's name: the rest of the text may hold addresses and values.
                let debug = format!("{other:?}");
                debug
                    .split(|c: char| !c.is_alphanumeric())
                    .next()
                    .unwrap_or("unknown")
                    .to_owned()
            }
        }
    }

    /// The message for people, without Postgres's `DETAIL`, which repeats the row.
    #[must_use]
    pub fn message(&self) -> String {
        match &self.source {
            sqlx::Error::Database(error) => error.message().to_owned(),
            other => other.to_string(),
        }
    }

    fn sqlstate(&self) -> Option<String> {
        self.source
            .as_database_error()?
            .code()
            .map(std::borrow::Cow::into_owned)
    }
}
