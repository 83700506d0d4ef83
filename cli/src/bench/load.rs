//! What is sent: events, the requests that bring them, and the stream entries ingest makes of them. All of it is made
//! before a clock starts.

use std::net::SocketAddr;

use bytes::Bytes;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::entry::Meta;
use shared::envelope::{Envelope, VerifiedBody};
use shared::queue::shards::{SHARDS_DEFAULT, shard_of};
use shared::signature::{SIGNATURE_HEADER, Secret, sign};
use simulator::traffic::Plan;

use super::Outcome;

/// Size of the bodies that ingest and the queue are measured with, bytes. What `customer.subscription.updated` has.
const BODY_BYTES: usize = 3 * 1024;
/// Events about each product: objects change several times.
const CHANGES: usize = 4;

/// Which events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mix {
    /// Products change: a row of the inbox and a projection each, and no effect on anybody's money.
    Simple,
    /// All the simulator's stories: subscriptions, invoices, payments, refunds, disputes; credits, notices.
    Money,
}

impl Mix {
    /// `count` different events. Another `seed`, other events.
    pub(super) fn bodies(self, seed: u64, count: usize) -> Vec<Bytes> {
        match self {
            Self::Simple => simple(seed, count),
            Self::Money => money(seed, count),
        }
    }
}

/// Events of a size, about products.
fn simple(seed: u64, count: usize) -> Vec<Bytes> {
    (0..count).map(|number| product(seed, number)).collect()
}

fn product(seed: u64, number: usize) -> Bytes {
    let (id, change) = (number / CHANGES, number % CHANGES);
    let created = 1_793_000_000 + i64::try_from(change).unwrap_or(0);
    let body = |description: &str| -> Value {
        json!({
            "id": format!("evt_1Bench{seed:016x}{number:08x}"), "object": "event",
            "api_version": "2026-10-28.endive", "created": created, "livemode": false, "pending_webhooks": 1,
            "type": "product.updated", "request": {"id": null, "idempotency_key": null},
            "data": {"object": {
                "id": format!("prod_{seed:016x}{id:08x}"), "object": "product", "active": true,
                "created": 1_792_000_000, "updated": created, "name": format!("Product {id}"), "livemode": false,
                "description": description, "default_price": null, "metadata": {"line": format!("{}", id % 7)},
                "images": [], "marketing_features": [], "package_dimensions": null, "shippable": null,
                "statement_descriptor": null, "tax_code": null, "type": "service", "unit_label": null, "url": null,
            }, "previous_attributes": {"name": format!("Product {id} as it was before")}},
        })
    };
    let bare = serde_json::to_vec_pretty(&body("")).unwrap_or_default().len();
    let description = words(number, BODY_BYTES.saturating_sub(bare));
    serde_json::to_vec_pretty(&body(&description))
        .unwrap_or_default()
        .into()
}

/// Text that compresses about as well as JSON does, and differs from event to event.
fn words(number: usize, length: usize) -> String {
    let mut text = String::with_capacity(length + 16);
    let mut state = number as u64 + 1;
    while text.len() < length {
        // Knuth's linear congruential generator: any spread will do.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        text.push_str(&format!("{:x} lorem ", state >> 44));
    }
    text.truncate(length);
    text
}

/// Without repetitions and what changes nothing; a little out of order, as Stripe is.
fn money(seed: u64, count: usize) -> Vec<Bytes> {
    let plan = Plan {
        duplicates: 0.0,
        twins: 0.0,
        thin: 0.0,
        unknown: 0.0,
        connect: 0.0,
        ..Plan::new(seed, count, 1_793_613_600)
    };
    plan.traffic()
        .distinct()
        .map(|event| event.body.clone())
        .collect()
}

/// Whole HTTP requests, signed now: good for five minutes.
pub(super) fn requests(bodies: &[Bytes], address: SocketAddr, secret: &Secret) -> Vec<Bytes> {
    let now = Clock::system().unix_seconds();
    let request = |body: &Bytes| {
        let mut request = format!(
            "POST /webhooks/stripe HTTP/1.1\r\nhost: {address}\r\n\
             user-agent: Stripe/1.0 (+https://stripe.com/docs/webhooks)\r\n\
             content-type: application/json; charset=utf-8\r\naccept: */*; q=0.5, application/xml\r\n\
             cache-control: no-cache\r\ncontent-length: {}\r\n{SIGNATURE_HEADER}: {}\r\n\r\n",
            body.len(),
            sign(secret, now, body),
        )
        .into_bytes();
        request.extend_from_slice(body);
        Bytes::from(request)
    };
    bodies.iter().map(request).collect()
}

/// A stream entry as ingest makes it: what it knows about the event, and the body.
pub(super) struct Entry {
    pub shard: u16,
    pub meta: Vec<u8>,
    pub body: Bytes,
}

/// What ingest would put into the stream.
pub(super) fn entries(bodies: &[Bytes], secret: &Secret) -> Outcome<Vec<Entry>> {
    let clock = Clock::system();
    let now = clock.unix_seconds();
    let secrets = std::slice::from_ref(secret);
    let entry = |body: &Bytes| {
        let signature = sign(secret, now, body);
        let verified = VerifiedBody::verify(secrets, signature.as_bytes(), body.clone(), now)?;
        let meta = Meta {
            envelope: Envelope::peek(&verified)
                .map_err(|_| "the simulator made something that is no event")?,
            endpoint: "default".to_owned(),
            received_at_ms: clock.unix_ms(),
            mismatch: None,
            traceparent: None,
        };
        let (account, key) = (meta.envelope.account.as_deref(), meta.envelope.ordering_key());
        Ok(Entry {
            shard: shard_of(account, key, SHARDS_DEFAULT),
            meta: serde_json::to_vec(&meta)?,
            body: body.clone(),
        })
    };
    bodies.iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn simple_events_are_different_and_of_the_size() {
        let bodies = Mix::Simple.bodies(7, 40);
        assert_eq!(bodies.len(), 40);
        assert!(bodies.iter().all(|body| body.len() == BODY_BYTES));
        let ids: BTreeSet<String> = bodies.iter().map(id).collect();
        assert_eq!(ids.len(), 40);
        assert_ne!(Mix::Simple.bodies(8, 1), Mix::Simple.bodies(7, 1));
    }

    #[test]
    fn a_seed_repeats_the_events_about_money() {
        let bodies = Mix::Money.bodies(7, 300);
        assert_eq!(bodies, Mix::Money.bodies(7, 300));
        let ids: BTreeSet<String> = bodies.iter().map(id).collect();
        assert_eq!(ids.len(), 300);
    }

    #[test]
    fn requests_and_entries_are_what_ingest_takes_and_makes() {
        let secret = Secret::new("whsec_bench").expect("usable");
        let bodies = Mix::Simple.bodies(1, 2);
        let address = "127.0.0.1:80".parse().expect("an address");
        let requests = requests(&bodies, address, &secret);
        assert!(requests[0].starts_with(b"POST /webhooks/stripe HTTP/1.1\r\n"));
        assert!(requests[0].ends_with(&bodies[0]));
        let entries = entries(&bodies, &secret).expect("events");
        let meta: Value = serde_json::from_slice(&entries[1].meta).expect("JSON");
        assert_eq!(meta["type"], "product.updated");
        assert_eq!(meta["object_type"], "product");
    }

    fn id(body: &Bytes) -> String {
        let body: Value = serde_json::from_slice(body).expect("JSON");
        body["id"].as_str().expect("an id").to_owned()
    }
}
