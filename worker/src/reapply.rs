//! Writing what stands of objects once more, from the stored events that made it so, as this build reads them. Which event
//! that is was decided when they came, and stays: so no older snapshot takes the place of a newer one, however often and in
//! whatever order this is done. What follows from the rows is reckoned anew, and is the same where they are.

use bytes::Bytes;
use domain::Snapshot;
use shared::entry::{Entry, Meta};
use shared::envelope::{Envelope, Rendering};
use store::{Standing, Store, StoreError};

use crate::read::{self, Reading};
use crate::transact::seen_terms;

/// What became of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reapplied {
    /// Written.
    pub written: u64,
    /// This build makes nothing of the event that stands: left as they are.
    pub unreadable: u64,
}

/// Writes the objects with these ids once more, in one transaction.
///
/// # Errors
/// [`StoreError`]; nothing has happened, or (when committing) nobody knows, and doing it again does no harm.
pub async fn reapply(store: &Store, account: &str, ids: &[String]) -> Result<Reapplied, StoreError> {
    let mut tx = store.begin().await?;
    let standing = tx.lock_standing(account, ids).await?;
    let all = standing.len() as u64;
    let mut snapshots: Vec<Snapshot> = standing.iter().filter_map(snapshot).collect();
    snapshots.sort_by(|a, b| a.key.cmp(&b.key));
    let written = snapshots.len() as u64;
    tx.learn_terms(&snapshots.iter().flat_map(seen_terms).collect::<Vec<_>>())
        .await?;
    tx.write(snapshots).await?;
    tx.commit().await?;
    Ok(Reapplied {
        written,
        unreadable: all - written,
    })
}

fn snapshot(standing: &Standing) -> Option<Snapshot> {
    let mut envelope = Envelope::parse(standing.body.as_bytes()).ok()?;
    if standing.is_fetched {
        envelope.rendering = Rendering::Fetched;
    }
    let entry = Entry {
        meta: Meta {
            envelope,
            endpoint: standing.endpoint.clone(),
            received_at_ms: standing.received_at_ms,
            mismatch: None,
            traceparent: None,
        },
        body: Bytes::from(standing.body.clone()),
    };
    match read::read(&entry).0 {
        Reading::Snapshot(snapshot) if snapshot.version.event_id == standing.event_id => Some(*snapshot),
        _ => None,
    }
}
