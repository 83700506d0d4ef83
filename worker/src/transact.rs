//! One transaction over one batch: admit, load, decide, write, commit. Every statement is about the whole
//! batch; nothing here knows which event is at fault when one fails.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use domain::{Kind, ObjectKey, Snapshot, contests, decide_all};
use sha2::{Digest, Sha256};
use shared::entry::Mismatch;
use shared::envelope::{CREATED_MAX, Envelope};
use shared::trace::traceparent::is_well_formed;
use store::{EventKey, InboxRow, ParkedRow, Readmit, Redelivery, SeenTerms, Status, Store, StoreError, Tx};

use crate::item::{Fate, Item};
use crate::news;
use crate::park::Failure;
use crate::read::{Ignored, Reading, ThinReference};
use crate::refetch;
use crate::report;
use crate::ties::settle;

/// Bytes of the hash that names what is no event.
const RAW_ID_BYTES: usize = 12;

/// Makes the batch take effect, all of it or nothing, and says what became of each item, in order.
///
/// # Errors
/// [`StoreError`]; nothing has happened, or (when committing) nobody knows, and trying again finds out.
pub async fn transact(store: &Store, items: &[Item]) -> Result<Vec<Fate>, StoreError> {
    let mut tx = store.begin().await?;
    let done = apply(&mut tx, items, Readmit::Mismatched, store.can_ask()).await?;
    tx.commit().await?;
    report::guessed(done.guesses);
    Ok(done.fates)
}

/// What a transaction did that is not committed yet.
pub(crate) struct Done {
    /// What became of each item, in order.
    pub fates: Vec<Fate>,
    /// Ties that only the event id could settle.
    pub guesses: usize,
}

/// Everything but the end of the transaction. `armed` says whether this process can ask Stripe.
pub(crate) async fn apply(
    tx: &mut Tx,
    items: &[Item],
    readmit: Readmit,
    armed: bool,
) -> Result<Done, StoreError> {
    let (indexes, rows): (Vec<usize>, Vec<InboxRow<'_>>) = inbox_rows(items).into_iter().unzip();
    let admitted = if rows.is_empty() {
        HashSet::new()
    } else {
        tx.admit(&rows, &Ignored::MISMATCHES.map(Ignored::as_str), readmit)
            .await?
    };
    let mut is_new = vec![false; items.len()];
    for (index, row) in indexes.into_iter().zip(&rows) {
        is_new[index] = admitted.contains(&row.key);
    }
    let fates: Vec<Fate> = items
        .iter()
        .zip(is_new)
        .map(|(item, is_new)| fate(item, is_new))
        .collect();
    let new = || {
        items
            .iter()
            .zip(&fates)
            .filter(|(_, fate)| **fate != Fate::Duplicate)
            .map(|(item, _)| item)
    };

    let snapshots: Vec<Snapshot> = new().filter_map(Item::snapshot).cloned().collect();
    // Of all snapshots, whichever stands: the order of events must not decide what is known of a price.
    tx.learn_terms(&snapshots.iter().flat_map(seen_terms).collect::<Vec<_>>())
        .await?;
    let state = tx.lock_objects(&keys_of(&snapshots)).await?;
    let contests = contests(&state, &snapshots);
    #[cfg(feature = "planted-bugs")]
    let contests = if shared::planted::is_planted("tie-by-less-than") {
        Vec::new()
    } else {
        contests
    };
    let (settled, guesses) = settle(&contests, &tx.bodies_of(&contests).await?, &snapshots);
    tx.write(decide_all(&state, snapshots, settled)).await?;
    tx.park(&new().filter_map(parked_row).collect::<Vec<_>>()).await?;
    tx.redelivered(
        &items
            .iter()
            .zip(&fates)
            .filter_map(redelivery)
            .collect::<Vec<_>>(),
    )
    .await?;
    tx.tell(&new().filter_map(news::of_event).collect::<Vec<_>>())
        .await?;
    let thin: Vec<&ThinReference> = new().filter_map(Item::thin).collect();
    let known = tx
        .known_events(&thin.iter().filter_map(|it| it.twin.clone()).collect::<Vec<_>>())
        .await?;
    let wanted = refetch::wanted(&thin, &known, &guesses);
    tx.want(&wanted, armed).await?;
    Ok(Done {
        fates,
        guesses: guesses.len(),
    })
}

/// The rows to admit, sorted and without repeats, each with the index of the item it is for.
fn inbox_rows(items: &[Item]) -> Vec<(usize, InboxRow<'_>)> {
    let mut chosen: HashMap<EventKey, usize> = HashMap::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let Some(entry) = item.storable() else { continue };
        match chosen.entry(event_key(entry)) {
            Entry::Vacant(place) => {
                place.insert(index);
            }
            // Of several deliveries the first is the event, but for those that were not meant for us.
            Entry::Occupied(mut place) if is_mismatch(&items[*place.get()]) && !is_mismatch(item) => {
                place.insert(index);
            }
            Entry::Occupied(_) => {}
        }
    }
    let mut chosen: Vec<(EventKey, usize)> = chosen.into_iter().collect();
    chosen.sort_unstable();
    let rows = chosen.into_iter();
    rows.filter_map(|(key, index)| Some((index, inbox_row(key, &items[index])?)))
        .collect()
}

fn is_mismatch(item: &Item) -> bool {
    matches!(item.reading, Reading::Ignore(reason) if Ignored::MISMATCHES.contains(&reason))
}

/// `is_new`: its row was admitted for it, and not for another delivery.
fn fate(item: &Item, is_new: bool) -> Fate {
    match item.storable() {
        None => Fate::Settled(Status::Parked),
        Some(_) if is_new => Fate::Settled(status(&item.reading)),
        Some(_) => Fate::Duplicate,
    }
}

fn keys_of(snapshots: &[Snapshot]) -> Vec<ObjectKey> {
    let mut keys: Vec<ObjectKey> = snapshots.iter().map(|snapshot| snapshot.key.clone()).collect();
    keys.sort();
    keys.dedup();
    keys
}

fn event_key(entry: &shared::entry::Entry) -> EventKey {
    let envelope = &entry.meta.envelope;
    EventKey {
        account: envelope.account.clone().unwrap_or_default(),
        id: envelope.id.clone(),
    }
}

fn status(reading: &Reading) -> Status {
    match reading {
        Reading::Snapshot(_) => Status::Applied,
        Reading::Ignore(_) => Status::Ignored,
        Reading::Park(_) => Status::Parked,
    }
}

fn inbox_row(key: EventKey, item: &Item) -> Option<InboxRow<'_>> {
    let entry = item.storable()?;
    let envelope = &entry.meta.envelope;
    Some(InboxRow {
        key,
        event_type: &envelope.event_type,
        rendering: envelope.rendering.as_str(),
        created: envelope.created,
        livemode: envelope.livemode,
        api_version: envelope.api_version.as_deref(),
        object_type: envelope.object_type.as_deref(),
        // Summaries have no id of their own; under their customer's they are found again.
        object_id: envelope
            .object_id
            .as_deref()
            .or(item.snapshot().map(|it| it.key.id.as_str())),
        endpoint: &entry.meta.endpoint,
        received_at_ms: entry.meta.received_at_ms,
        status: status(&item.reading),
        reason: match &item.reading {
            Reading::Snapshot(_) => None,
            Reading::Ignore(reason) => Some(reason.as_str()),
            Reading::Park(failure) => Some(failure.reason),
        },
        body: std::str::from_utf8(&entry.body).ok()?,
        entry_id: item.id.to_string(),
        attempt: item.attempt(),
    })
}

fn redelivery<'a>((item, fate): (&'a Item, &Fate)) -> Option<Redelivery<'a>> {
    let entry = item.storable().filter(|_| *fate == Fate::Duplicate)?;
    Some(Redelivery {
        key: event_key(entry),
        entry_id: item.id.to_string(),
        endpoint: &entry.meta.endpoint,
        received_at_ms: entry.meta.received_at_ms,
    })
}

pub(crate) fn seen_terms(snapshot: &Snapshot) -> impl Iterator<Item = SeenTerms<'_>> {
    snapshot.object.terms().into_iter().map(|terms| SeenTerms {
        account: &snapshot.key.account,
        seen_at: snapshot.version.created,
        is_own_event: snapshot.key.kind == Kind::Price,
        terms,
    })
}

fn parked_row(item: &Item) -> Option<ParkedRow> {
    let Reading::Park(failure) = &item.reading else {
        return None;
    };
    let meta = item.entry().map(|entry| &entry.meta);
    let envelope = meta.map(|meta| &meta.envelope);
    let event_type = envelope.map_or("", |envelope| &envelope.event_type);
    Some(ParkedRow {
        account: storable(envelope.and_then(|it| it.account.as_deref()).unwrap_or_default()),
        id: letter_id(item),
        entry_id: item.id.to_string(),
        event_id: envelope.map(|envelope| storable(&envelope.id)),
        event_type: envelope.map(|_| storable(event_type)),
        customer_id: envelope.and_then(Envelope::customer_id).map(storable),
        class: failure.class,
        reason: failure.reason,
        fingerprint: Failure::fingerprint(failure, event_type),
        detail: failure.detail.clone(),
        deliveries: item.deliveries,
        entry: if item.storable().is_none() {
            Some(item.raw())
        } else {
            None
        },
        endpoint: meta.map(|meta| storable(&meta.endpoint)),
        received_at: meta
            .map(|meta| meta.received_at_ms / 1_000)
            .filter(|seconds| (0..=CREATED_MAX).contains(seconds)),
        mismatch: meta.and_then(|meta| meta.mismatch).map(Mismatch::as_str),
        // What is in Redis may be anybody's.
        traceparent: meta
            .and_then(|meta| meta.traceparent.clone())
            .filter(|text| is_well_formed(text)),
    })
}

/// Names what is set aside: the event, when the inbox has it. What it has not may say of itself what it likes, and is
/// named by what it is.
pub(crate) fn letter_id(item: &Item) -> String {
    match item.storable() {
        Some(entry) => storable(&entry.meta.envelope.id),
        None => format!("raw:{}", hex::encode(&Sha256::digest(item.raw())[..RAW_ID_BYTES])),
    }
}

/// Postgres cannot hold a NUL. Ingest lets none through, but Redis takes anything from anyone.
fn storable(word: &str) -> String {
    word.replace('\0', "\u{fffd}")
}
