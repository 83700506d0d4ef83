//! One transaction over one batch.

use std::collections::HashSet;

use domain::{Contest, ObjectKey, Snapshot, State};
use sqlx::{Postgres, Transaction};

use crate::{EventKey, InboxRow, ParkedRow, StoreError, inbox, objects, parked, projections};

/// A running transaction. Dropping it rolls back.
#[derive(Debug)]
pub struct Tx(pub(crate) Transaction<'static, Postgres>);

impl Tx {
    /// Puts new events into the inbox and returns which ones were new; the others have taken effect before.
    /// Rows must be sorted by key and distinct.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn admit(&mut self, rows: &[InboxRow<'_>]) -> Result<HashSet<EventKey>, StoreError> {
        Ok(inbox::admit(&mut self.0, rows).await?)
    }

    /// Locks objects in key order and returns the snapshots that stand. Keys must be sorted and distinct.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn lock_objects(&mut self, keys: &[ObjectKey]) -> Result<State, StoreError> {
        if keys.is_empty() {
            return Ok(State::new());
        }
        Ok(objects::lock(&mut self.0, keys).await?)
    }

    /// The bodies of all applied events that take part in some contests, those of this transaction included,
    /// each with the index of its contest.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn bodies_of(&mut self, contests: &[Contest]) -> Result<Vec<(usize, String)>, StoreError> {
        if contests.is_empty() {
            return Ok(Vec::new());
        }
        Ok(inbox::bodies_of(&mut self.0, contests).await?)
    }

    /// Writes the snapshots that stand now: one row of `objects` each, and its projection.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn write(&mut self, changes: Vec<Snapshot>) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        objects::stand(&mut self.0, &changes).await?;
        Ok(projections::write(&mut self.0, changes).await?)
    }

    /// Keeps why events were set aside.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn park(&mut self, rows: &[ParkedRow]) -> Result<(), StoreError> {
        Ok(parked::park(&mut self.0, rows).await?)
    }

    /// Commits. After an error the outcome is unknown: the batch may have taken effect, and trying it
    /// again finds out.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn commit(self) -> Result<(), StoreError> {
        Ok(self.0.commit().await?)
    }
}
