//! The loop that compares objects we hold with Stripe's, a sample at a time, for each account by one worker at a time:
//! first what was suspected, then whose turn it is. It stands behind everything else that is asked of Stripe.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::sample::Walk;
use domain::{Kind, ObjectKey};
use shared::clock::Clock;
use shared::unique;
use store::StoreError;
use store::samples::Sampling;
use stripe_api::{FetchError, Limit};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::reconcile::settings::{Deed, ReconcileSettings};
use crate::reconcile::{BACKLOG_MAX, Comparer, Sample, Trouble};
use crate::report;

/// How often to look for accounts whose turn it is.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long an account is its worker's without a sign of life, seconds: longer than an object may take with all its
/// waiting.
const LEASE_SECONDS: i64 = 120;
/// How often it is renewed.
const KEEP_EVERY: Duration = Duration::from_secs(20);

/// Longest a sample may take, with all its waiting for Stripe: what is cut off is done by whoever looks next.
const SAMPLE_MAX: Duration = Duration::from_secs(60 * 60);

/// What the loop needs.
#[derive(Clone)]
pub(crate) struct Sampler {
    pub(crate) comparer: Comparer,
    pub(crate) settings: ReconcileSettings,
    pub(crate) clock: Clock,
    /// Told when something was mended, which left marks.
    pub(crate) marked: Arc<Notify>,
}

impl Sampler {
    /// Compares until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let lease = unique::word();
        let accounts = self.settings.accounts.clone();
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            for account in &accounts {
                if let Err(error) = store::within(SAMPLE_MAX, self.turn(account, &lease)).await {
                    report::not_now("objects are not compared with Stripe's", &error);
                }
            }
        }
    }

    /// One sample of an account, when it is due and nobody else's.
    async fn turn(&mut self, account: &str, lease: &str) -> Result<(), StoreError> {
        let store = self.comparer.store.clone();
        let Some(sampling) = store.claim_sample(account, lease, LEASE_SECONDS).await? else {
            return Ok(());
        };
        let mut turn = Turn {
            lease,
            kept_at: Instant::now(),
            compared: 0,
        };
        let error = match self.sample(account, &sampling, &mut turn).await {
            Ok(()) => None,
            // Others need the budget more.
            Err(Trouble::Stripe(FetchError::RateLimited {
                limit: Limit::Budget, ..
            })) => Some("the budget for Stripe's API is used up by others".to_owned()),
            Err(error) => {
                tracing::warn!(
                    account,
                    "objects are not compared with Stripe's, trying again: {error}"
                );
                Some(error.to_string())
            }
        };
        let every = i64::try_from(self.settings.every.as_secs()).unwrap_or(i64::MAX);
        store
            .finish_sample(account, lease, turn.compared, error.as_deref(), every)
            .await
    }

    async fn sample(
        &mut self,
        account: &str,
        sampling: &Sampling,
        turn: &mut Turn<'_>,
    ) -> Result<(), Trouble> {
        if !self.comparer.is_calm(BACKLOG_MAX, self.clock.unix_ms()).await? {
            return Ok(());
        }
        self.comparer.identify(Some(&sampling.identity)).await?;
        let sample = Sample {
            covered_until: sampling.covered_until,
            repairs: self.settings.deed == Deed::Repair,
            clock: self.clock.clone(),
        };
        let store = self.comparer.store.clone();
        let size = self.settings.sample;
        let suspects = store.due_suspects(account, sample.covered_until, size).await?;
        let left = size.saturating_sub(u32::try_from(suspects.len()).unwrap_or(size));
        for key in suspects {
            self.one(&sample, &key, turn).await?;
        }
        for walk in Walk::ALL.into_iter().filter(|_| left > 0) {
            let share = walk.share(left);
            let step = store
                .next_of_walk(account, walk, sample.covered_until, share)
                .await?;
            for id in step.ids {
                self.one(&sample, &key(account, walk.kind(), id), turn).await?;
            }
            store.advance_walk(account, walk, step.until.as_deref()).await?;
        }
        Ok(())
    }

    async fn one(&self, sample: &Sample, key: &ObjectKey, turn: &mut Turn<'_>) -> Result<(), Trouble> {
        let found = sample.compare(&self.comparer, key).await?;
        turn.compared += 1;
        report::compared(found.map(|it| it.finding));
        if found.is_some_and(|it| it.is_mended) {
            self.marked.notify_one();
        }
        if turn.kept_at.elapsed() < KEEP_EVERY {
            return Ok(());
        }
        turn.kept_at = Instant::now();
        let store = &self.comparer.store;
        let is_ours = store.keep_sample(&key.account, turn.lease, LEASE_SECONDS).await?;
        is_ours.then_some(()).ok_or(Trouble::Lost)
    }
}

/// A sample under way.
struct Turn<'a> {
    lease: &'a str,
    /// When the lease was last renewed.
    kept_at: Instant,
    compared: u32,
}

fn key(account: &str, kind: Kind, id: String) -> ObjectKey {
    ObjectKey {
        account: account.to_owned(),
        kind,
        id,
    }
}
