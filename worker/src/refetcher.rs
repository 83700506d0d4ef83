//! The loop that asks Stripe: outside any transaction, under the fleet's budget, an object at a time. An answer goes
//! the way of every event.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use domain::{Kind, RefetchReason, wait_after};
use futures_util::{StreamExt, stream};
use shared::clock::Clock;
use store::{Answered, Due, Store, StoreError};
use stripe_api::{Budgeted, FetchError, Fetched, Limit, ObjectRef, Parent, PaymentsOf, Retrievable};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::item::Item;
use crate::refetch;
use crate::report;
use crate::resync;
use crate::transact::transact;
use crate::whole::{PAGES_MAX, retrieve, whole};

/// Requests claimed at a time.
const CLAIMED_MAX: u32 = 32;
/// Requests under way at a time.
const CONCURRENCY: usize = 8;
/// How long a claim is good for, seconds: longer than its requests may take with all their waiting.
const LEASE_SECONDS: i64 = 120;
/// Longest the requests claimed at a time may take together. Of those that are not answered by then the claims run out.
const TURN_MAX: Duration = Duration::from_secs(4 * LEASE_SECONDS as u64);
/// How often to look for requests.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Wait after the key was refused, seconds: an operator has to act, and will not at once.
const REFUSED_WAIT_SECONDS: i64 = 60;
/// Longest wait of a request for its turn; it is claimed meanwhile.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// Objects of a list that take effect in one transaction.
const TOGETHER_MAX: usize = 256;

/// What the loop needs.
#[derive(Clone)]
pub(crate) struct Refetcher {
    pub(crate) store: Store,
    pub(crate) stripe: Budgeted,
    pub(crate) clock: Clock,
    /// Told when an answer left marks.
    pub(crate) marked: Arc<Notify>,
}

impl Refetcher {
    /// Asks until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut armed = false;
        while !stop.is_cancelled() {
            let done = match store::within(TURN_MAX, self.turn(&mut armed)).await {
                Ok(done) => done,
                Err(error) => {
                    report::transient(&error);
                    0
                }
            };
            if done > 0 {
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Answers what is due; returns how many there were.
    async fn turn(&self, armed: &mut bool) -> Result<usize, StoreError> {
        if !*armed {
            self.store.arm_refetches().await?;
            *armed = true;
        }
        self.store
            .plan_resyncs(|it| resync::questions(&it.account, &it.customer))
            .await?;
        let due = self.store.due_refetches(CLAIMED_MAX, LEASE_SECONDS).await?;
        let count = due.len();
        stream::iter(due)
            .for_each_concurrent(CONCURRENCY, async |due| {
                if let Err(error) = self.answer(&due).await {
                    // The lease runs out, and it is asked again.
                    report::transient(&error);
                }
            })
            .await;
        Ok(count)
    }

    async fn answer(&self, due: &Due) -> Result<(), StoreError> {
        let fetched = match self.fetch(due).await {
            Ok(fetched) => fetched,
            Err(error) => return self.not_answered(due, &error).await,
        };
        let now_ms = self.clock.unix_ms();
        let entries = fetched
            .iter()
            .map(|it| refetch::entry_of(&due.key, &it.body, it.as_of, now_ms));
        let Some(entries) = entries.collect::<Option<Vec<_>>>() else {
            return self
                .store
                .give_up_refetch(due, "the answer is another object, or one that was deleted")
                .await;
        };
        let items: Vec<Item> = entries.into_iter().map(Item::fetched).collect();
        let before = self.prints(due, &fetched).await?;
        for items in items.chunks(TOGETHER_MAX) {
            let fates = transact(&self.store, items).await?;
            self.marked.notify_one();
            report::refetched(items, &fates);
        }
        let changed = match before {
            Some(before) => self.follow(due, &fetched, &before).await?,
            None => 0,
        };
        let objects = fetched.len();
        self.store.refetched(due, Answered { objects, changed }).await
    }

    /// Asks what an answer raises for whoever looks on; returns how many objects were not as we had them.
    async fn follow(
        &self,
        due: &Due,
        fetched: &[Fetched],
        before: &HashMap<String, String>,
    ) -> Result<usize, StoreError> {
        let raised = resync::raised(&due.key.account, fetched.iter().map(|it| it.body.as_ref()));
        self.store.follow_resync(due, raised).await?;
        let after = self.prints(due, fetched).await?.unwrap_or_default();
        let is_new = |(id, print): &(&String, &String)| before.get(*id) != Some(*print);
        Ok(after.iter().filter(is_new).count())
    }

    /// What we have of these objects, when somebody wants to know whether that changes.
    async fn prints(
        &self,
        due: &Due,
        fetched: &[Fetched],
    ) -> Result<Option<HashMap<String, String>>, StoreError> {
        if due.reason != RefetchReason::Resync.as_str() {
            return Ok(None);
        }
        let ids: Vec<String> = fetched.iter().filter_map(|it| refetch::id_of(&it.body)).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let prints = self.store.prints(&due.key.account, due.key.kind, &ids).await?;
        Ok(Some(prints))
    }

    async fn not_answered(&self, due: &Due, error: &FetchError) -> Result<(), StoreError> {
        let text = error.to_string();
        let asked = error
            .retry_after()
            .map_or(0, |wait| i64::try_from(wait.as_secs()).unwrap_or(0) + 1);
        match error {
            FetchError::Gone(_) | FetchError::Permanent(_) => {
                report::not_refetched(due, &text);
                self.store.give_up_refetch(due, &text).await
            }
            FetchError::Refused(_) => {
                report::refused(&text);
                self.store
                    .refetch_later(due, REFUSED_WAIT_SECONDS, Some(&text))
                    .await
            }
            // Not Stripe's trouble, and no attempt.
            FetchError::RateLimited {
                limit: Limit::Budget, ..
            } => self.store.refetch_later(due, asked, Some(&text)).await,
            FetchError::RateLimited { .. } | FetchError::Transient { .. } => match wait_after(due.attempts) {
                Some(wait) => self.store.refetch_later(due, wait.max(asked), Some(&text)).await,
                None => {
                    report::not_refetched(due, &text);
                    self.store.give_up_refetch(due, &text).await
                }
            },
        }
    }

    async fn fetch(&self, due: &Due) -> Result<Vec<Fetched>, FetchError> {
        let account = (!due.key.account.is_empty()).then(|| due.key.account.clone());
        if due.key.kind == Kind::InvoicePayment && due.key.id.starts_with("pi_") {
            return self.payments_of(account.as_deref(), &due.key.id).await;
        }
        // A summary has no address of its own, and nobody asks for one.
        let kind: Retrievable = due
            .key
            .kind
            .as_str()
            .parse()
            .map_err(|_| FetchError::Permanent(Default::default()))?;
        if let Some(parent) = resync::parent(&due.key.id) {
            return self.all_of(account, kind, &parent).await;
        }
        let id = due.key.id.clone();
        let object = ObjectRef { account, kind, id };
        Ok(vec![retrieve(&self.stripe, &object).await?])
    }

    /// All objects of a kind that a customer or a charge has.
    async fn all_of(
        &self,
        account: Option<String>,
        kind: Retrievable,
        parent: &Parent,
    ) -> Result<Vec<Fetched>, FetchError> {
        let mut fetched: Vec<Fetched> = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let page = self
                .stripe
                .list(account.as_deref(), kind, parent, after.as_deref());
            let page = page.await?;
            let as_of = page.as_of;
            after = page.items.last().and_then(|body| refetch::id_of(body));
            for body in page.items {
                let object = ObjectRef {
                    account: account.clone(),
                    kind,
                    id: refetch::id_of(&body).unwrap_or_default(),
                };
                fetched.push(whole(&self.stripe, &object, Fetched { body, as_of }).await?);
            }
            if !page.has_more {
                break;
            }
        }
        Ok(fetched)
    }

    /// All links of a payment intent to invoices. None at all is an answer, too.
    async fn payments_of(
        &self,
        account: Option<&str>,
        payment_intent: &str,
    ) -> Result<Vec<Fetched>, FetchError> {
        let of = PaymentsOf::PaymentIntent(payment_intent.to_owned());
        let mut fetched: Vec<Fetched> = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let page = self
                .stripe
                .list_invoice_payments(account, &of, after.as_deref())
                .await?;
            let as_of = page.as_of;
            after = page.items.last().and_then(|body| refetch::id_of(body));
            fetched.extend(page.items.into_iter().map(|body| Fetched { body, as_of }));
            if !page.has_more {
                break;
            }
        }
        Ok(fetched)
    }
}
