//! Dead letters: set aside, found, run again, discarded.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::support::process::{Ended, Tollgate};
use crate::support::{Rig, customer, event};

mod jobs;
mod many;
mod seen;

/// Postgres refuses these customers until [`mend`].
const CAUSE: &str = "ALTER TABLE customers ADD CONSTRAINT no_example CHECK (email NOT LIKE '%@example.com')";
const WAITING: &str = "SELECT count(*) FROM parked_events WHERE state = 'waiting'";
const APPLIED: &str = "SELECT count(*) FROM events WHERE status = 'applied'";

async fn mend(rig: &Rig) {
    rig.execute("ALTER TABLE customers DROP CONSTRAINT IF EXISTS no_example")
        .await;
}

/// A charge no build can read.
fn unreadable(number: usize) -> Bytes {
    let object = json!({"id": format!("ch_{number}"), "object": "charge", "amount": "ten"});
    event(&format!("evt_bad_{number}"), "charge.succeeded", 1, &object)
}

/// So many customers whose events were set aside, and two unreadable charges.
async fn set_aside(rig: &Rig, customers: usize) {
    rig.execute(CAUSE).await;
    let mut bodies: Vec<Bytes> = (1..=customers).map(|number| customer(number, 1)).collect();
    bodies.extend([unreadable(1), unreadable(2)]);
    rig.enqueue(&bodies).await;
    let worker = rig.worker();
    rig.wait_until_drained().await;
    worker.stop().await.expect("a clean end");
    assert_eq!(rig.count(WAITING).await, customers as i64 + 2);
}

async fn dead(rig: &Rig, args: &[&str]) -> Ended {
    let args: Vec<&str> = ["dead"].iter().chain(args).copied().collect();
    let env = rig.env_with(&[("USER", "olga")]);
    Tollgate::run(&args, &env).await
}

/// One JSON object a line.
fn lines(ended: &Ended) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    ended.stdout.lines().map(parse).collect()
}
