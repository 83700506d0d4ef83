//! Bringing in objects of Stripe's that are in no event any more, a page of a list at a time: compared with what is held,
//! and what is new or another takes part as an answer to a refetch does. `tollgate backfill` goes from page to page.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use domain::sample::is_told;
use domain::{Kind, ObjectKey};
use shared::clock::Clock;
use stripe_api::{Fetched, ObjectRef, PaymentsOf, Retrievable};

pub use stripe_api::MadeSpan;

use crate::item::Item;
use crate::reconcile::{BACKLOG_MAX, Comparer, Trouble};
use crate::transact::transact;
use crate::whole::{PAGES_MAX, whole};
use crate::{refetch, resync};

/// The lists, in an order in which parents come before what belongs to them.
pub const LISTS: [Kind; 10] = [
    Kind::Customer,
    Kind::Product,
    Kind::Price,
    Kind::Subscription,
    Kind::Invoice,
    Kind::CheckoutSession,
    Kind::PaymentIntent,
    Kind::Charge,
    Kind::Refund,
    Kind::Dispute,
];
/// Objects that take effect in one transaction.
const TOGETHER_MAX: usize = 256;
/// How often to look whether the queue has become shorter.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What a page came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// Objects that Stripe showed.
    pub shown: usize,
    /// Of these, those that were not held.
    pub added: usize,
    /// Of these, those that were held otherwise.
    pub changed: usize,
    /// Of these, those that cannot be read, by id. They are left out.
    pub unreadable: Vec<String>,
    /// The last object; `None` on an empty page.
    pub after: Option<String>,
    /// Whether it is the last page.
    pub is_last: bool,
}

/// Goes through lists.
pub struct Backfiller {
    /// Whom to ask, and what to compare with.
    pub comparer: Comparer,
    /// The time that entries are made at.
    pub clock: Clock,
    /// Whether anything is written.
    pub is_dry: bool,
}

impl Backfiller {
    /// Brings in the next page of a list, from behind `after` on, once the queue is short: live traffic goes first.
    ///
    /// # Errors
    /// [`Trouble`]; what has taken effect before stays, and the page may be asked for again.
    pub async fn page(
        &mut self,
        account: &str,
        kind: Kind,
        span: MadeSpan,
        after: Option<&str>,
    ) -> Result<Page, Trouble> {
        while !self.comparer.is_calm(BACKLOG_MAX, self.clock.unix_ms()).await? {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let Ok(listed) = kind.as_str().parse::<Retrievable>() else {
            return Ok(Page {
                is_last: true,
                ..Page::default()
            });
        };
        let stripe = self.comparer.stripe();
        let of = (!account.is_empty()).then_some(account);
        let answer = stripe.list_all(of, listed, span, after).await?;
        let mut page = Page {
            shown: answer.items.len(),
            after: answer.items.last().and_then(|body| refetch::id_of(body)),
            is_last: !answer.has_more,
            ..Page::default()
        };
        let mut shown = Vec::with_capacity(answer.items.len());
        for body in answer.items {
            let object = ObjectRef {
                account: of.map(str::to_owned),
                kind: listed,
                id: refetch::id_of(&body).unwrap_or_default(),
            };
            let fetched = Fetched {
                body,
                as_of: answer.as_of,
            };
            shown.push(whole(stripe, &object, fetched).await?);
        }
        self.bring(account, kind, &shown, &mut page).await?;
        if kind == Kind::PaymentIntent {
            self.bring_payments(account, &shown, &mut page).await?;
        }
        // Nothing to go on from: it would be asked for again and again.
        page.is_last |= page.after.is_none();
        Ok(page)
    }

    /// What payments paid, where nothing says so: payments point at no invoice any more.
    async fn bring_payments(&self, account: &str, shown: &[Fetched], page: &mut Page) -> Result<(), Trouble> {
        let raised = resync::raised(account, shown.iter().map(|it| it.body.as_ref()));
        let ids: Vec<&str> = raised.iter().map(|key| key.id.as_str()).collect();
        let linked = self.comparer.store.linked_payments(account, &ids).await?;
        let linked: HashSet<&str> = linked.iter().map(String::as_str).collect();
        for id in ids.into_iter().filter(|id| !linked.contains(id)) {
            let payments = self.payments_of(account, id).await?;
            page.shown += payments.len();
            self.bring(account, Kind::InvoicePayment, &payments, page).await?;
        }
        Ok(())
    }

    async fn payments_of(&self, account: &str, intent: &str) -> Result<Vec<Fetched>, Trouble> {
        let (of, paid) = (
            (!account.is_empty()).then_some(account),
            PaymentsOf::PaymentIntent(intent.to_owned()),
        );
        let mut fetched: Vec<Fetched> = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let stripe = self.comparer.stripe();
            let page = stripe.list_invoice_payments(of, &paid, after.as_deref()).await?;
            let as_of = page.as_of;
            after = page.items.last().and_then(|body| refetch::id_of(body));
            fetched.extend(page.items.into_iter().map(|body| Fetched { body, as_of }));
            if !page.has_more {
                break;
            }
        }
        Ok(fetched)
    }

    /// Compares objects, and lets those take part that are new or others.
    async fn bring(
        &self,
        account: &str,
        kind: Kind,
        shown: &[Fetched],
        page: &mut Page,
    ) -> Result<(), Trouble> {
        let mut items = self.read(account, kind, shown, page);
        let snapshots = items.values().filter_map(|item| item.snapshot().cloned());
        let compared = self.comparer.store.compare(snapshots.collect()).await?;
        let mut wanted = Vec::new();
        for it in compared {
            let is_new = it.held.is_none();
            if !is_new && !it.members.iter().any(|name| is_told(name)) {
                continue;
            }
            page.added += usize::from(is_new);
            page.changed += usize::from(!is_new);
            wanted.extend(items.remove(&it.key.id));
        }
        if self.is_dry {
            return Ok(());
        }
        for items in wanted.chunks(TOGETHER_MAX) {
            transact(&self.comparer.store, items).await?;
        }
        Ok(())
    }

    /// What Stripe shows, as items, by id.
    fn read(&self, account: &str, kind: Kind, shown: &[Fetched], page: &mut Page) -> HashMap<String, Item> {
        let now_ms = self.clock.unix_ms();
        let mut items = HashMap::with_capacity(shown.len());
        for it in shown {
            let key = ObjectKey {
                account: account.to_owned(),
                kind,
                id: refetch::id_of(&it.body).unwrap_or_default(),
            };
            let entry = refetch::entry_of(&key, &it.body, it.as_of, now_ms);
            let item = entry.map(Item::fetched).filter(|item| item.snapshot().is_some());
            match item {
                Some(item) => _ = items.insert(key.id, item),
                None => page.unreadable.push(key.id),
            }
        }
        items
    }
}
