//! Events that do harm to who handles them. The handlers of a build with planted bugs do what they ask for.

use std::error::Error;
use std::time::{Duration, Instant};

use serde_json::json;

use super::apart::{PAUSE, event, send};
use super::faults::Harm;
use super::world::World;

/// Longest until an event that kills whoever handles it is set aside: five times until that is noticed, a lease, and the
/// search; half as much again.
const SET_ASIDE_LIMIT: Duration = Duration::from_secs(130);

impl World {
    /// Sends an event that does harm to who handles it, and waits until it is kept: the load goes on meanwhile.
    pub(super) async fn poison(&mut self, harm: Harm) -> Result<String, Box<dyn Error>> {
        let number = self.apart.len();
        let id = format!("evt_poison{number}");
        let metadata = json!({"planted": harm.word()});
        let body = event(
            &id,
            &format!("cus_poison{number}"),
            self.clock.unix_seconds(),
            &metadata,
        );
        send(&self.side_sender(1)?, &body)
            .await
            .map_err(|error| error.to_string())?;
        self.apart.insert(id.clone(), harm.fate());
        let began = Instant::now();
        while !self.store.has_event(&id).await? {
            if began.elapsed() > SET_ASIDE_LIMIT {
                return Err(format!("{id} is not set aside after {SET_ASIDE_LIMIT:?}").into());
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(format!("set aside after {:.1} s", began.elapsed().as_secs_f64()))
    }
}
