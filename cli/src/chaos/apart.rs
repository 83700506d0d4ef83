//! Events that do harm to who handles them. The handlers of a build with planted bugs do what they ask for.

use std::error::Error;
use std::time::Duration;

use serde_json::json;
use shared::planted::{ABORT, PANIC};
use simulator::sender::{Sender, Settings};
use store::Kept;

use super::compare::Outcome;
use super::world::World;

/// Times one is sent before that is given up.
const TRIES: u32 = 20;
/// Pause between them.
const PAUSE: Duration = Duration::from_millis(500);

impl World {
    /// Sends one until it is accepted.
    pub(super) async fn poison(&mut self, aborts: bool) -> Result<(), Box<dyn Error>> {
        let (word, fate) = if aborts {
            (ABORT, "parked crash_loop")
        } else {
            (PANIC, "parked panic")
        };
        let number = self.poisons.len();
        let id = format!("evt_poison{number}");
        let object =
            json!({"id": format!("cus_poison{number}"), "object": "customer", "metadata": {"planted": word}});
        let body = json!({
            "id": id, "object": "event", "type": "customer.updated", "created": self.clock.unix_seconds(),
            "livemode": false, "data": {"object": object},
        });
        let sender = Sender::new(&self.url(), vec![World::secret()], Settings::default())?;
        for _ in 0..TRIES {
            if sender.post(body.to_string().into()).await.is_success() {
                self.poisons.insert(id, fate);
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err("the poison was not accepted".into())
    }

    /// Takes poisons out of what there is, and says which of them did not end as they should.
    pub(super) fn take_poisons(&self, trial: Outcome) -> (Outcome, Vec<String>) {
        let (found, kept): (Vec<Kept>, Vec<Kept>) = trial
            .kept
            .into_iter()
            .partition(|kept| self.poisons.contains_key(&kept.id));
        let mut missing = self.poisons.clone();
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
