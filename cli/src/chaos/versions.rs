//! Two builds at once. The newer one writes entries of a layout the older one cannot read; it is this one, told to be.

use std::error::Error;
use std::time::Duration;

use shared::planted::PLANTED_LAYOUT;

use super::deeds::INGEST;
use super::world::World;

/// The layout of the newer build.
const NEWER: u32 = shared::entry::VERSION + 1;
/// How long two builds run beside each other before the next process is replaced.
const BESIDE: Duration = Duration::from_millis(1_500);

impl World {
    /// Upgrades in the worst order, back, and forth again. Says how many entries waited at most for a newer build.
    pub(super) async fn upgrade(&mut self) -> Result<u64, Box<dyn Error>> {
        let all: Vec<usize> = (0..self.children().len()).collect();
        let (older, newer) = (None, Some(NEWER));
        // Where an upgrade was before, back to where that began.
        for at in all.iter().rev() {
            if self.children()[*at].has(PLANTED_LAYOUT) {
                self.become_build(*at, older).await?;
            }
        }
        // Who writes comes first, although the readers should; then that is taken back, and what was written waits.
        self.become_build(INGEST, newer).await?;
        let mut waited = self.waiting()?;
        self.become_build(INGEST, older).await?;
        waited = waited.max(self.waiting()?);
        for at in all.into_iter().rev() {
            self.become_build(at, newer).await?;
            waited = waited.max(self.waiting()?);
        }
        Ok(waited)
    }

    async fn become_build(&mut self, at: usize, layout: Option<u32>) -> Result<(), Box<dyn Error>> {
        if self.stopped == Some(at) {
            return Ok(());
        }
        self.children()[at].set(PLANTED_LAYOUT, layout.map(|layout| layout.to_string()));
        self.replace(at).await?;
        tokio::time::sleep(BESIDE).await;
        Ok(())
    }

    fn waiting(&mut self) -> Result<u64, Box<dyn Error>> {
        let mut waiting = 0;
        for (_, keys) in Self::keys() {
            let answers = self.master()?.ask(&[&["XLEN", &keys.newer_of(NEWER)]])?;
            waiting += answers[0].first().map_or(Ok(0), |count| count.parse())?;
        }
        Ok(waiting)
    }
}
