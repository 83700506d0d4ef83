//! The loop that compares Stripe's list of events with what is here, for each account by one worker at a time: what is
//! missing is written down and filled in, how far there is no hole is written down, and why nothing arrives.

use std::time::Duration;

use domain::coverage::Comparison;
use domain::silence::{Verdict, deaf_until, verdict};
use shared::clock::Clock;
use shared::unique;
use store::StoreError;
use store::coverage::{Coverage, Identity, NewHole, Round};
use tokio_util::sync::CancellationToken;

use crate::reconcile::settings::{Deed, ReconcileSettings};
use crate::reconcile::{Comparer, KEPT_SECONDS, Listed, Mender, Ours, Pass, Trouble, span};
use crate::report;

/// How often to look for accounts that are due.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long an account is its worker's without a sign of life, seconds: longer than a page may take with all its waiting.
const LEASE_SECONDS: i64 = 120;
/// Longest a round may take: a month of a busy account's events.
const ROUND_MAX: Duration = Duration::from_secs(60 * 60);
/// After something was filled in, or while there is more of the past, seconds: what was put into the queue is settled by
/// then.
const SOON_SECONDS: i64 = 2;
/// How long a hole that was put into the queue may take to be filled, seconds.
const TRIED_SECONDS: i64 = 60;
/// Holes asked for one by one in a round.
const SINGLES_MAX: u32 = 200;
/// Holes looked at in a round to see whether they are filled.
const SETTLED_MAX: u32 = 10_000;
/// Days back from now in which the first event may have come.
const KEPT_DAYS: i64 = KEPT_SECONDS / (24 * 3_600);

/// What the loop needs.
#[derive(Clone)]
pub(crate) struct Reconciler {
    pub(crate) comparer: Comparer,
    pub(crate) mender: Mender,
    pub(crate) settings: ReconcileSettings,
    pub(crate) clock: Clock,
}

impl Reconciler {
    /// Compares until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let lease = unique::word();
        let accounts = self.settings.accounts.clone();
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            for account in &accounts {
                if let Err(error) = store::within(ROUND_MAX, self.turn(account, &lease)).await {
                    report::not_now("Stripe's list of events is not compared", &error);
                }
            }
        }
    }

    /// One round of an account, when it is due and nobody else's.
    async fn turn(&mut self, account: &str, lease: &str) -> Result<(), StoreError> {
        let store = self.comparer.store.clone();
        let every = i64::try_from(self.settings.every.as_secs()).unwrap_or(i64::MAX);
        let Some(before) = store.claim_coverage(account, lease, LEASE_SECONDS, every).await? else {
            return Ok(());
        };
        match self.round(&before, lease).await {
            Ok(round) => store.finish_round(account, lease, &round).await,
            Err(Trouble::Store(error)) => Err(error),
            Err(error) => {
                report::not_compared(account, &error);
                let verdict = matches!(error, Trouble::WrongAccount { .. }).then_some(Verdict::WrongAccount);
                let text = error.to_string();
                store.fail_round(account, lease, &text, every, verdict).await
            }
        }
    }

    async fn round(&mut self, before: &Coverage, lease: &str) -> Result<Round, Trouble> {
        let identity = self.comparer.identify(before.identity.as_ref()).await?;
        let ours = self.comparer.ours().await?;
        let mut mended = self.mend_old(&before.account, lease).await?;
        let now = ours.as_of;
        let begun = self.begin(&before.account, now).await?;
        let stretch = span(now, before.looked_until, begun);
        let deaf = deaf_until(before.deaf_until, before.endpoint, ours.state, ours.made_at, now);
        let clock = self.clock.clone();
        let mut pass = Pass::new(&before.account, stretch, &ours, deaf, self.settings.grace, clock);
        while let Some(missing) = pass.next(&mut self.comparer).await? {
            mended += self.fill(&before.account, &missing).await?;
            self.keep(&before.account, lease).await?;
        }
        Ok(self.conclude(before, identity, &ours, &pass, deaf, mended))
    }

    async fn keep(&self, account: &str, lease: &str) -> Result<(), Trouble> {
        let store = &self.comparer.store;
        let is_ours = store.keep_coverage(account, lease, LEASE_SECONDS).await?;
        is_ours.then_some(()).ok_or(Trouble::Lost)
    }

    /// What a round came to.
    fn conclude(
        &self,
        before: &Coverage,
        identity: Identity,
        ours: &Ours,
        pass: &Pass,
        deaf_until: i64,
        mended: u64,
    ) -> Round {
        let seen = pass.comparison();
        let looked_until = seen.map_or(i64::MIN, |seen| {
            seen.looked_until(pass.until().unwrap_or(i64::MAX))
        });
        let silence = seen.and_then(|seen| seen.silence(before.silence));
        let has_heard = seen.is_some_and(Comparison::has_heard);
        // What was long ago says nothing about today.
        let is_of_today = pass.until().is_none();
        let verdict =
            is_of_today.then(|| verdict(ours.state, has_heard, silence.as_ref(), self.settings.silence));
        let is_further = before.looked_until.is_none_or(|before| looked_until > before);
        let goes_on = !is_of_today && is_further;
        let every = i64::try_from(self.settings.every.as_secs()).unwrap_or(i64::MAX);
        let again_after = match (goes_on, mended > 0) {
            (true, _) => 0,
            (false, true) => SOON_SECONDS.min(every),
            (false, false) => every,
        };
        Round {
            identity,
            looked_until,
            counts: seen.map(Comparison::counts).unwrap_or_default(),
            verdict,
            endpoint: ours.state,
            deaf_until,
            silence,
            again_after,
        }
    }

    /// Where comparing begins, when nobody has: with the first event that came, or now.
    async fn begin(&self, account: &str, now: i64) -> Result<i64, Trouble> {
        let first = self.comparer.store.first_received(account, KEPT_DAYS).await?;
        Ok(first.unwrap_or(now - self.settings.grace))
    }

    /// Writes down what is missing, and fills it in where that is wanted.
    async fn fill(&mut self, account: &str, missing: &[Listed]) -> Result<u64, Trouble> {
        let holes: Vec<NewHole> = missing.iter().map(Listed::hole).collect();
        let new = self.comparer.store.note_holes(account, &holes).await?;
        report::missing(account, new, missing);
        if self.settings.deed != Deed::Repair {
            return Ok(0);
        }
        let mended = self.mender.mend(&mut self.comparer, account, missing).await?;
        report::mended(mended);
        Ok(mended)
    }

    /// Holes of earlier rounds: some are filled by now, others have to be tried again.
    async fn mend_old(&mut self, account: &str, lease: &str) -> Result<u64, Trouble> {
        let store = self.comparer.store.clone();
        store.settle_holes(account, SETTLED_MAX).await?;
        if self.settings.deed != Deed::Repair {
            return Ok(0);
        }
        let mut mended = 0;
        for id in store.due_holes(account, TRIED_SECONDS, SINGLES_MAX).await? {
            mended += u64::from(self.mender.mend_one(&mut self.comparer, account, &id).await?);
            self.keep(account, lease).await?;
        }
        report::mended(mended);
        Ok(mended)
    }
}
