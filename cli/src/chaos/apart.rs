//! Events beside the load, which somebody sends to see what becomes of them, and of the others meanwhile.

use std::error::Error;
use std::time::Duration;

use serde_json::{Value, json};
use simulator::sender::{Sender, Settings};
use store::Kept;

use super::compare::Outcome;
use super::world::World;

/// Times one is sent before that is given up.
const TRIES: u32 = 100;
/// Pause between them.
pub(super) const PAUSE: Duration = Duration::from_millis(100);
/// An event about a customer, who may have something to say to a handler.
pub(super) fn event(id: &str, customer: &str, created: i64, metadata: &Value) -> bytes::Bytes {
    let object = json!({"id": customer, "object": "customer", "metadata": metadata});
    let body = json!({
        "id": id, "object": "event", "type": "customer.updated", "created": created, "livemode": false,
        "data": {"object": object},
    });
    body.to_string().into()
}

/// Sends one until it is accepted.
pub(super) async fn send(sender: &Sender, body: &bytes::Bytes) -> Result<(), Box<dyn Error + Send + Sync>> {
    for _ in 0..TRIES {
        if sender.post(body.clone()).await.is_success() {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err("an event beside the load was not accepted".into())
}

impl World {
    /// Who sends beside the load, without a proxy in between.
    pub(super) fn side_sender(&self, concurrency: usize) -> Result<Sender, Box<dyn Error>> {
        let settings = Settings {
            concurrency,
            ..Settings::default()
        };
        let url = format!("http://{}{}", self.ingest, ingest::PATH);
        Ok(Sender::new(&url, vec![World::secret()], settings)?)
    }

    /// Takes these events out of what there is, and says which of them did not end as they should.
    pub(super) fn take_apart(&self, trial: Outcome) -> (Outcome, Vec<String>) {
        let (found, kept): (Vec<Kept>, Vec<Kept>) = trial
            .kept
            .into_iter()
            .partition(|kept| self.apart.contains_key(&kept.id));
        let mut missing = self.apart.clone();
        let mut wrong = Vec::new();
        for kept in found {
            let should = missing.remove(&kept.id);
            if should != Some(kept.status.as_str()) {
                wrong.push(format!("{}: is {}, should be {should:?}", kept.id, kept.status));
            }
        }
        wrong.extend(missing.keys().map(|id| format!("{id}: is not there")));
        (Outcome { kept, ..trial }, wrong)
    }
}
