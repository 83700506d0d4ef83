//! Clocks that are wrong: those of ingest and of the workers, which read the time from one place that can be told to be
//! wrong; and Redis's, whose every use is the age of a lease.

use std::error::Error;

use shared::queue::GROUP;
use stack::RedisServer;

use super::world::World;

/// What a lease looks like after Redis's clock was set forward.
const AN_HOUR_MS: &str = "3600000";

impl World {
    /// Sets the clocks of ingest and all workers so far forward, or back.
    #[cfg(feature = "planted-bugs")]
    pub(super) fn set_clocks(&self, wrong_by_ms: i64) -> std::io::Result<()> {
        std::fs::write(self.clock_file(), wrong_by_ms.to_string())
    }

    /// Forward, back, and right again.
    #[cfg(feature = "planted-bugs")]
    pub(super) async fn step_clocks(&self, by: std::time::Duration) -> std::io::Result<()> {
        let ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        for wrong_by in [ms, -ms] {
            self.set_clocks(wrong_by)?;
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
        self.set_clocks(0)
    }

    /// Lets all leases look run out while who holds them lives: what they look like after Redis's clock was set forward.
    pub(super) async fn lapse_leases(&mut self) -> Result<usize, Box<dyn Error>> {
        self.fill_hands().await?;
        let mut lapsed = 0;
        for (_, keys) in Self::keys() {
            lapsed += lapse(self.master()?, &keys.events)?;
        }
        self.empty_hands();
        Ok(lapsed)
    }
}

/// All leases of one shard.
fn lapse(redis: &RedisServer, stream: &str) -> Result<usize, Box<dyn Error>> {
    // Without a group nobody holds anything.
    let Ok(answers) = redis.ask(&[&["XPENDING", stream, GROUP, "-", "+", "100000"]]) else {
        return Ok(0);
    };
    // Id, consumer, idle time, deliveries.
    let pending: Vec<(&str, &str)> = answers[0].chunks(4).map(|it| (&*it[0], &*it[1])).collect();
    let claims: Vec<[&str; 9]> = pending
        .iter()
        .map(|(id, consumer)| {
            [
                "XCLAIM", stream, GROUP, consumer, "0", id, "IDLE", AN_HOUR_MS, "JUSTID",
            ]
        })
        .collect();
    let claims: Vec<&[&str]> = claims.iter().map(<[&str; 9]>::as_slice).collect();
    if !claims.is_empty() {
        redis.ask(&claims)?;
    }
    Ok(pending.len())
}
