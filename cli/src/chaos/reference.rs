//! What should have come of it: the same events, each once, in the order of `created`, by the worker's own functions in
//! this process, with nothing in the way.

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::Arc;

use domain::Policy;
use ingest::{Accounts, DEFAULT_ENDPOINT, Endpoint};
use shared::clock::Clock;
use shared::entry::{Entry, Meta};
use shared::envelope::{Envelope, VerifiedBody};
use shared::queue::{Claimed, StreamId};
use shared::signature::{Secret, sign};
use simulator::event::Event;
use store::Store;
use worker::item::Item;
use worker::reckon::{MARKS_MAX, reckon};
use worker::transact::transact;

/// Events of one transaction.
const BATCH: usize = 64;
/// Connections it takes.
const CONNECTIONS_MAX: u32 = 2;
/// Beside the database that chaos is about, on the same server.
const DATABASE: &str = "reference";

/// Applies those of `events` that are among `kept`, into a database of their own. `url` is that of another database of
/// the server.
pub(super) async fn apply(
    store: &Store,
    url: &str,
    events: &[Arc<Event>],
    kept: &BTreeSet<&str>,
    secret: &Secret,
) -> Result<Store, Box<dyn Error>> {
    store.create_database(DATABASE).await?;
    let (server, _) = url.rsplit_once('/').ok_or("no database in the URL")?;
    let reference = Store::for_working(&format!("{server}/{DATABASE}"), CONNECTIONS_MAX)?;
    reference.migrate().await?;
    let mut items = Vec::with_capacity(kept.len());
    for (number, event) in events
        .iter()
        .filter(|event| kept.contains(event.id.as_str()))
        .enumerate()
    {
        items.push(item(event, secret, number as u64)?);
    }
    for batch in items.chunks(BATCH) {
        transact(&reference, batch).await?;
        while reckon(&reference, &Policy::default(), MARKS_MAX).await?.is_some() {}
    }
    Ok(reference)
}

/// The event as ingest passes it on.
fn item(event: &Event, secret: &Secret, number: u64) -> Result<Item, Box<dyn Error>> {
    let endpoint = Endpoint {
        name: DEFAULT_ENDPOINT.to_owned(),
        secrets: vec![secret.clone()],
        livemode: Some(false),
        accounts: Accounts::Any,
        token: None,
    };
    let clock = Clock::system();
    let now = clock.unix_seconds();
    let header = sign(secret, now, &event.body);
    let verified = VerifiedBody::verify(&endpoint.secrets, header.as_bytes(), event.body.clone(), now)?;
    let envelope = Envelope::peek(&verified)?;
    let meta = Meta {
        mismatch: endpoint.judge(&envelope),
        envelope,
        endpoint: endpoint.name,
        received_at_ms: clock.unix_ms(),
        traceparent: None,
    };
    Ok(Item::new(Claimed {
        id: StreamId {
            shard: 0,
            ms: 1,
            seq: number,
        },
        deliveries: 1,
        entry: Ok(Entry::new(verified, meta)),
        fields: Vec::new(),
    }))
}
