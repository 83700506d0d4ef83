//! One run over many deliveries.

use tokio::{
    sync::{mpsc, watch},
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until},
};

use super::{Outcome, Report, Sender, UNDER_WAY_MAX, until_halted};
use crate::traffic::Delivery;

/// A run under way.
pub(super) struct Run<'a> {
    sender: &'a Sender,
    outcomes: mpsc::UnboundedSender<Outcome>,
    tasks: JoinSet<Outcome>,
    report: Report,
}

impl<'a> Run<'a> {
    pub(super) fn new(sender: &'a Sender, outcomes: mpsc::UnboundedSender<Outcome>) -> Self {
        Self {
            sender,
            outcomes,
            tasks: JoinSet::new(),
            report: Report::default(),
        }
    }

    pub(super) fn report(&self) -> Report {
        self.report
    }

    /// Begins each delivery when it is due and there is room.
    pub(super) async fn begin_all(&mut self, deliveries: Vec<Delivery>, halted: &watch::Receiver<bool>) {
        let began = Instant::now();
        let mut switch = halted.clone();
        let mut rest = deliveries.into_iter().enumerate();
        while let Some((index, delivery)) = rest.next() {
            let due = began + self.sender.0.settings.pace.due(index, delivery.at);
            tokio::select! {
                biased;
                () = until_halted(&mut switch) => {
                    self.report.unsent = rest.len() + 1;
                    return;
                }
                () = self.room(due) => {}
            }
            let (sender, halted, outcomes) = (self.sender.clone(), halted.clone(), self.outcomes.clone());
            self.tasks.spawn(async move {
                let outcome = sender.deliver(delivery, halted).await;
                // Nobody listening is the caller's choice.
                outcomes.send(outcome.clone()).unwrap_or(());
                outcome
            });
        }
    }

    /// Waits for the time and for room among the deliveries under way.
    async fn room(&mut self, due: Instant) {
        sleep_until(due).await;
        while let Some(done) = self.tasks.try_join_next() {
            self.take(done);
        }
        while self.tasks.len() >= UNDER_WAY_MAX {
            self.join_one().await;
        }
    }

    pub(super) async fn finish(&mut self) {
        while !self.tasks.is_empty() {
            self.join_one().await;
        }
    }

    async fn join_one(&mut self) {
        if let Some(done) = self.tasks.join_next().await {
            self.take(done);
        }
    }

    fn take(&mut self, done: Result<Outcome, JoinError>) {
        let outcome = match done {
            Ok(outcome) => outcome,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        self.report.count(&outcome);
    }
}
