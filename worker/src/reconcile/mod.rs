//! Comparing Stripe's list of events with what is here, and filling in what is not. A pass goes through a stretch of the
//! list page by page; what is missing goes into the queue and so the way of every event. The loop that does it for ever
//! is `reconciler`; `tollgate reconcile` does it once.

mod endpoints;
mod listed;
mod mend;
mod pass;
mod sample;
pub mod settings;
mod span;

use std::time::Duration;

use shared::clock::Clock;
use shared::config::Common;
use shared::queue::{EnqueueError, Probe, QueueError};
use store::coverage::Identity;
use store::{Store, StoreError};
use stripe_api::{Budget, Budgeted, Client, FetchError, Mode, Priority};

pub use endpoints::Ours;
pub use listed::Listed;
pub(crate) use mend::BACKLOG_MAX;
pub use mend::Mender;
pub use pass::Pass;
pub(crate) use sample::Sample;
pub use span::{KEPT_SECONDS, OVERLAP_SECONDS, span};
pub use stripe_api::{EventSpan as Span, Settings as StripeSettings, read_settings as read_stripe};

use crate::WorkerError;
use settings::ReconcileSettings;

/// Longest wait of a request for its turn.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a pass ends early.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// Stripe does not answer, or not what was asked.
    #[error("Stripe: {0}")]
    Stripe(#[from] FetchError),
    /// Postgres cannot be asked.
    #[error("Postgres: {0}")]
    Store(#[from] StoreError),
    /// Redis cannot be asked.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// Redis does not take events.
    #[error(transparent)]
    Enqueue(#[from] EnqueueError),
    /// Another account's events must not be filled in.
    #[error("the key is of {found}, and events are those of {expected}")]
    WrongAccount {
        /// Whose the key is.
        found: String,
        /// Whose it should be.
        expected: String,
    },
    /// Somebody else goes on.
    #[error("the lease is lost")]
    Lost,
}

/// What comparing needs.
#[derive(Clone)]
pub struct Comparer {
    /// The inbox.
    pub store: Store,
    /// Under the budget, and behind live traffic.
    stripe: Budgeted,
    /// The queue.
    probe: Probe,
    /// What the key opens.
    mode: Mode,
    expected: Option<String>,
    endpoint: Option<String>,
}

impl Comparer {
    /// Prepares one; nothing is connected yet.
    ///
    /// # Errors
    /// [`WorkerError`] for addresses that cannot be used.
    pub fn new(
        common: &Common,
        stripe: stripe_api::Settings,
        settings: &ReconcileSettings,
        store: Store,
        clock: Clock,
    ) -> Result<Self, WorkerError> {
        let client = Client::new(stripe, clock)?;
        let mode = client.mode();
        let budget = Budget::new(&common.redis_url, &common.redis_prefix, mode)?;
        Ok(Self {
            store,
            stripe: Budgeted::new(client, budget, Priority::Backfill, PATIENCE),
            probe: Probe::new(&common.redis_url, &common.redis_prefix)?,
            mode,
            expected: settings.stripe_account.clone(),
            endpoint: settings.endpoint.clone(),
        })
    }

    /// Whose the key is, which must be who was asked about before, or who an operator says.
    ///
    /// # Errors
    /// [`Trouble::WrongAccount`], or Stripe's.
    pub async fn identify(&self, known: Option<&Identity>) -> Result<Identity, Trouble> {
        let found = Identity {
            stripe_account: self.stripe.own_account().await?.id,
            livemode: self.mode == Mode::Live,
        };
        check(&found, known, self.expected.as_deref())?;
        Ok(found)
    }

    /// Who asks: with the budget's lowest priority.
    pub(crate) fn stripe(&self) -> &Budgeted {
        &self.stripe
    }

    /// Whether no more than so many entries wait in the queue: live traffic goes first.
    ///
    /// # Errors
    /// [`Trouble::Queue`].
    pub async fn is_calm(&mut self, most: u64, now_ms: i64) -> Result<bool, Trouble> {
        Ok(self.probe.depth(now_ms).await?.entries <= most)
    }

    /// Our endpoint, as Stripe knows it.
    ///
    /// # Errors
    /// Stripe's.
    pub async fn ours(&self) -> Result<Ours, Trouble> {
        let (all, as_of) = self.stripe.webhook_endpoints().await?;
        Ok(Ours::of(&all, self.endpoint.as_deref(), as_of))
    }
}

/// What an operator says holds; otherwise what was seen first.
fn check(found: &Identity, known: Option<&Identity>, expected: Option<&str>) -> Result<(), Trouble> {
    let known_account = known.map(|known| known.stripe_account.as_str());
    let account = expected.or(known_account);
    let is_account = account.is_none_or(|account| account == found.stripe_account);
    // Whoever names the account has said nothing about its mode.
    let is_mode = known.is_none_or(|known| known.livemode == found.livemode);
    if is_account && is_mode {
        return Ok(());
    }
    let named = |account: &str, livemode| format!("{account} ({})", if livemode { "live" } else { "test" });
    Err(Trouble::WrongAccount {
        found: named(&found.stripe_account, found.livemode),
        expected: named(
            account.unwrap_or_default(),
            known.map_or(found.livemode, |known| known.livemode),
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(account: &str, livemode: bool) -> Identity {
        Identity {
            stripe_account: account.to_owned(),
            livemode,
        }
    }

    #[test]
    fn another_accounts_events_are_not_ours() {
        let found = identity("acct_1", true);
        for (known, expected, is_good) in [
            (None, None, true),
            (Some(identity("acct_1", true)), None, true),
            (Some(identity("acct_2", true)), None, false),
            (Some(identity("acct_1", false)), None, false),
            (None, Some("acct_2"), false),
            (Some(identity("acct_2", true)), Some("acct_1"), true),
            (Some(identity("acct_2", false)), Some("acct_1"), false),
        ] {
            assert_eq!(
                check(&found, known.as_ref(), expected).is_ok(),
                is_good,
                "{known:?} {expected:?}"
            );
        }
    }
}
