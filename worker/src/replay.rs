//! Running dead letters again, the way of every event: from what is kept to an [`Item`], and one transaction that
//! applies, notes what became of each letter, and moves the job on. The loop that does it is `replayer`.

use bytes::Bytes;
use domain::Class;
use serde_json::Value;
use shared::entry::{Entry, MalformedEntry, Meta, Mismatch};
use shared::envelope::{Envelope, Rendering};
use shared::queue::{Claimed, StreamId};
use store::dead::{Body, Filter, Outcome, Replayed, RowChange, ToReplay, changes};
use store::{Readmit, Status, Store, StoreError, Tx};

use crate::item::{Fate, Item};
use crate::park::Failure;
use crate::read::Reading;
use crate::transact::{Done, apply, letter_id};

/// A letter with what it means today.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// What is kept of it.
    pub letter: ToReplay,
    /// What it means; `None` when this build cannot make an entry of it either.
    pub item: Option<Item>,
}

impl Candidate {
    /// Reads a letter. `attempts` counts how often that was begun, this time included: as many as the deliveries of an
    /// entry, and one that keeps killing its worker is found like one.
    #[must_use]
    pub fn new(letter: ToReplay, attempts: u32) -> Self {
        let item = entry_of(&letter).ok().map(|entry| {
            Item::new(Claimed {
                id: letter.entry_id.parse().unwrap_or(StreamId {
                    shard: 0,
                    ms: 0,
                    seq: 0,
                }),
                deliveries: attempts,
                entry: Ok(entry),
                fields: Vec::new(),
            })
        });
        Self { letter, item }
    }

    /// The same letter, set aside again.
    pub(crate) fn parked(self, failure: Failure) -> Self {
        Self {
            item: self.item.map(|item| item.parked(failure)),
            ..self
        }
    }
}

/// What ingest put into the stream, from what is kept of it.
fn entry_of(letter: &ToReplay) -> Result<Entry, MalformedEntry> {
    match &letter.body {
        Body::Event(body) => {
            let mut envelope =
                Envelope::parse(body).map_err(|error| MalformedEntry::BadMeta(error.to_string()))?;
            if letter.is_fetched {
                envelope.rendering = Rendering::Fetched;
            }
            let meta = Meta {
                envelope,
                endpoint: letter.endpoint.clone(),
                received_at_ms: letter.received_at_ms,
                mismatch: letter.mismatch.as_deref().and_then(Mismatch::parse),
                traceparent: letter.traceparent.clone(),
            };
            Ok(Entry {
                meta,
                body: Bytes::from(body.clone()),
            })
        }
        Body::Fields(fields) => {
            let fields: Value = serde_json::from_slice(fields).unwrap_or_default();
            Entry::decode(|name| fields[name].as_str().map(|text| Bytes::from(text.to_owned())))
        }
    }
}

/// What running letters again came to, in a transaction that is still open.
pub(crate) struct Attempt {
    /// What became of each candidate, in order; `None` when somebody else was quicker.
    pub outcomes: Vec<Option<Outcome>>,
    /// Whether each still waits under its own id.
    waits: Vec<bool>,
    pub done: Done,
    /// The items that took part.
    pub items: Vec<Item>,
}

impl Attempt {
    /// What is to be written down of the candidates it was about.
    pub(crate) fn replayed<'a>(&self, candidates: &'a [Candidate]) -> Vec<Replayed<'a>> {
        let outcomes = candidates.iter().zip(&self.outcomes).zip(&self.waits);
        outcomes
            .filter_map(|((candidate, outcome), waits)| {
                Some(Replayed {
                    letter: &candidate.letter,
                    outcome: (*outcome)?,
                    waits: *waits,
                })
            })
            .collect()
    }
}

/// Runs letters again within `tx`, all but those somebody else has run or discarded meanwhile.
///
/// # Errors
/// [`StoreError`]; nothing may stay of the transaction then.
pub(crate) async fn attempt(
    tx: &mut Tx,
    filter: &Filter,
    candidates: &[Candidate],
    armed: bool,
) -> Result<Attempt, StoreError> {
    let letters: Vec<&ToReplay> = candidates.iter().map(|candidate| &candidate.letter).collect();
    let open = tx.lock_letters(filter, &letters).await?;
    let takes_part = |candidate: &&Candidate| open.contains(&candidate.letter.id);
    let items: Vec<Item> = candidates
        .iter()
        .filter(takes_part)
        .filter_map(|candidate| candidate.item.clone())
        .collect();
    let done = apply(tx, &items, Readmit::Parked, armed).await?;
    let mut fates = done.fates.iter();
    let (mut outcomes, mut waits) = (Vec::new(), Vec::new());
    for candidate in candidates {
        let outcome = open.contains(&candidate.letter.id).then(|| {
            let fate = candidate.item.as_ref().and_then(|_| fates.next());
            fate.map_or(Outcome::Parked, |fate| outcome(*fate))
        });
        let own_id = candidate
            .item
            .as_ref()
            .is_none_or(|item| letter_id(item) == candidate.letter.id);
        outcomes.push(outcome);
        waits.push(outcome == Some(Outcome::Parked) && own_id);
    }
    Ok(Attempt {
        outcomes,
        waits,
        done,
        items,
    })
}

fn outcome(fate: Fate) -> Outcome {
    match fate {
        Fate::Settled(Status::Applied) => Outcome::Applied,
        Fate::Settled(Status::Ignored) => Outcome::Ignored,
        Fate::Settled(Status::Parked) => Outcome::Parked,
        Fate::Duplicate => Outcome::Duplicate,
    }
}

/// What running a letter again would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The letter's id.
    pub id: String,
    /// What would become of it, or why it cannot be said.
    pub outcome: Result<Outcome, String>,
    /// Why it would be set aside again.
    pub why: Option<String>,
    /// Rows that would be other ones.
    pub rows: Vec<RowChange>,
}

/// Runs a letter again in a transaction of its own, looks at what that changes, and takes it all back.
///
/// # Errors
/// [`StoreError`] when Postgres cannot be asked; what it says against the event is part of the preview.
pub async fn preview(store: &Store, filter: &Filter, letter: ToReplay) -> Result<Preview, StoreError> {
    let candidate = Candidate::new(letter, 1);
    let object = candidate.item.as_ref().and_then(Item::snapshot).map(|it| &it.key);
    let mut tx = store.begin().await?;
    let before = tx.rows_of(&candidate.letter, object).await?;
    let tried = attempt(&mut tx, filter, std::slice::from_ref(&candidate), false).await;
    let (outcome, rows) = match tried {
        Ok(tried) => {
            let after = tx.rows_of(&candidate.letter, object).await?;
            let outcome = tried.outcomes.first().copied().flatten();
            (
                outcome.ok_or_else(|| "it does not wait any more".to_owned()),
                changes(&before, &after),
            )
        }
        Err(error) if error.class() == Class::Transient => return Err(error),
        Err(error) => (Err(error.message()), Vec::new()),
    };
    // Dropped, the transaction is rolled back.
    drop(tx);
    let why = candidate.item.as_ref().and_then(|item| match &item.reading {
        Reading::Park(failure) => Some(failure.detail.clone()),
        Reading::Snapshot(_) | Reading::Ignore(_) => None,
    });
    Ok(Preview {
        id: candidate.letter.id,
        outcome,
        why,
        rows,
    })
}

#[cfg(test)]
mod tests {
    use store::dead::Cursor;

    use super::*;

    fn letter(body: Body) -> ToReplay {
        ToReplay {
            account: String::new(),
            id: "evt_1".into(),
            cursor: Cursor {
                at_us: 1,
                id: "evt_1".into(),
            },
            entry_id: "5-1@3".into(),
            endpoint: "default".into(),
            received_at_ms: 7,
            mismatch: Some("account".into()),
            is_fetched: false,
            traceparent: None,
            body,
        }
    }

    const BODY: &str = r#"{"id":"evt_1","object":"event","type":"customer.updated","created":5,"livemode":false,
        "data":{"object":{"id":"cus_1","object":"customer"}}}"#;

    #[test]
    fn a_letter_becomes_the_entry_it_was() {
        let entry = entry_of(&letter(Body::Event(BODY.into()))).expect("an event");
        assert_eq!(entry.meta.envelope.id, "evt_1");
        assert_eq!(entry.meta.mismatch, Some(Mismatch::Account));
        assert_eq!((entry.meta.received_at_ms, &entry.body[..]), (7, BODY.as_bytes()));
        let candidate = Candidate::new(letter(Body::Event(BODY.into())), 1);
        assert_eq!(
            candidate.item.expect("readable").id,
            StreamId {
                shard: 3,
                ms: 5,
                seq: 1
            }
        );
    }

    #[test]
    fn what_is_no_entry_stays_what_it_is() {
        for body in [
            Body::Event(vec![0xff]),
            Body::Fields(br#"{"hello":"world"}"#.to_vec()),
        ] {
            assert!(Candidate::new(letter(body), 1).item.is_none());
        }
    }
}
