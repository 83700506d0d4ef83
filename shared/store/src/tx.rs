//! One transaction over one batch.

use std::collections::{HashMap, HashSet};

use domain::credits::{Owner, Posted, Reckoned};
use domain::{Contest, Known, ObjectKey, Snapshot};

use crate::reckon::{customers, expired, ledger, sources, subjects, subscriptions, users};
use crate::spare::Open;
use crate::touched::Touched;
use crate::{
    EventKey, ExpiredGrant, Id, InboxRow, Mark, OutboxRow, ParkedRow, PostedTransfer, Readmit, Redelivery,
    SeenTerms, SourceFacts, SourceKey, StoreError, Subjects, SubscriptionFacts, SubscriptionRow, Taken,
    UserChange, Wanted, inbox, marks, objects, outbox, parked, projections, refetches, terms,
};

/// A running transaction. Dropping it rolls back.
#[derive(Debug)]
pub struct Tx(pub(crate) Open, pub(crate) Touched);

impl Tx {
    /// Puts new events into the inbox and returns which ones were new; the others have taken effect before. One
    /// that is there for a reason among `mismatches` gives way to one that is not; `readmit` says what else does. Rows
    /// must be sorted by key and distinct.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn admit(
        &mut self,
        rows: &[InboxRow<'_>],
        mismatches: &[&str],
        readmit: Readmit,
    ) -> Result<HashSet<EventKey>, StoreError> {
        Ok(inbox::admit(&mut self.0, rows, mismatches, readmit).await?)
    }

    /// Locks objects in key order and returns the snapshots that stand. Keys must be sorted and distinct.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn lock_objects(&mut self, keys: &[ObjectKey]) -> Result<Known, StoreError> {
        if keys.is_empty() {
            return Ok(Known::new());
        }
        Ok(objects::lock(&mut self.0, keys).await?)
    }

    /// The bodies of all applied events that take part in some contests, those of this transaction included,
    /// each with the index of its contest.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn bodies_of(&mut self, contests: &[Contest]) -> Result<Vec<(usize, String)>, StoreError> {
        if contests.is_empty() {
            return Ok(Vec::new());
        }
        Ok(inbox::bodies_of(&mut self.0, contests).await?)
    }

    /// Writes the snapshots that stand now: one row of `objects` each, its projection, and a mark.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn write(&mut self, changes: Vec<Snapshot>) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        objects::stand(&mut self.0, &changes).await?;
        Ok(projections::write(&mut self.0, changes).await?)
    }

    /// Keeps why events were set aside.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn park(&mut self, rows: &[ParkedRow]) -> Result<(), StoreError> {
        Ok(parked::park(&mut self.0, rows).await?)
    }

    /// Keeps that events were delivered again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn redelivered(&mut self, rows: &[Redelivery<'_>]) -> Result<(), StoreError> {
        Ok(inbox::redelivered(&mut self.0, rows).await?)
    }

    /// Keeps what events said about prices.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn learn_terms(&mut self, seen: &[SeenTerms<'_>]) -> Result<(), StoreError> {
        Ok(terms::learn(&mut self.0, seen).await?)
    }

    /// Writes what the rest of the world should hear, once.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn tell(&mut self, rows: &[OutboxRow]) -> Result<(), StoreError> {
        Ok(outbox::write(&mut self.0, rows).await?)
    }

    /// Which of these events, `(account, id)`, are in the inbox.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn known_events(&mut self, keys: &[EventKey]) -> Result<HashSet<EventKey>, StoreError> {
        Ok(inbox::known(&mut self.0, keys).await?)
    }

    /// Notes what to ask Stripe for. Without an API key (`armed` false) that waits until a worker has one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn want(&mut self, wanted: &[Wanted], armed: bool) -> Result<(), StoreError> {
        Ok(refetches::request(&mut self.0, wanted, armed).await?)
    }

    /// Commits. After an error the outcome is unknown: the batch may have taken effect, and trying it
    /// again finds out.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn commit(self) -> Result<(), StoreError> {
        let Self(mut open, touched) = self;
        let fences = touched.fence(&mut open).await?;
        // After an error it may still come to pass: then the fence stands until its time is over.
        open.commit().await?;
        for fence in fences {
            fence.lift().await;
        }
        Ok(())
    }
}

/// Reckoning: the same transaction, seen from the other side. See [`crate::reckon`].
impl Tx {
    /// Takes the oldest marks, at most `marks_max`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take_marks(&mut self, marks_max: u32) -> Result<Taken, StoreError> {
        Ok(marks::take(&mut self.0, i64::from(marks_max)).await?)
    }

    /// What marks are about.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn subjects_of(&mut self, marks: &[Mark]) -> Result<Subjects, StoreError> {
        let prices = marks.iter().filter(|mark| mark.kind == "price");
        let prices: Vec<(&str, &str)> = prices
            .map(|mark| (mark.account.as_str(), mark.id.as_str()))
            .collect();
        terms::announce(&mut self.0, &prices).await?;
        Ok(subjects::of_marks(&mut self.0, marks).await?)
    }

    /// Locks customers, answers anew whose they are, and returns their users, before and after. Must be sorted and
    /// distinct.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn attribute_customers(&mut self, customers: &[Id]) -> Result<Vec<Id>, StoreError> {
        customers::lock(&mut self.0, customers).await?;
        Ok(customers::attribute(&mut self.0, customers).await?)
    }

    /// Facts of subscriptions, whose customers must be locked.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn subscription_facts(
        &mut self,
        subscriptions: &[Id],
    ) -> Result<Vec<SubscriptionFacts>, StoreError> {
        Ok(subscriptions::facts(&mut self.0, subscriptions).await?)
    }

    /// Every status a subscription has had, the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn statuses_of(&mut self, subscription: &Id) -> Result<Vec<String>, StoreError> {
        Ok(subscriptions::statuses(&mut self.0, subscription).await?)
    }

    /// Writes what subscriptions mean. `changed_hands` are those with another owner than before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn write_subscriptions(
        &mut self,
        rows: &[SubscriptionRow],
        changed_hands: &[&Id],
    ) -> Result<(), StoreError> {
        Ok(subscriptions::write(&mut self.0, rows, changed_hands).await?)
    }

    /// Locks users, reckons where they stand, and returns those who moved. Must be sorted and distinct.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn reckon_users(&mut self, users: &[Id]) -> Result<Vec<UserChange>, StoreError> {
        for user in users {
            self.1.user(&user.account, &user.id);
        }
        Ok(users::reckon(&mut self.0, users).await?)
    }

    /// Locks sources. Must be sorted and distinct.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn lock_sources(&mut self, keys: &[SourceKey]) -> Result<(), StoreError> {
        Ok(sources::lock(&mut self.0, keys).await?)
    }

    /// Facts of sources, which must be locked.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn source_facts(&mut self, keys: &[SourceKey]) -> Result<Vec<SourceFacts>, StoreError> {
        Ok(sources::facts(&mut self.0, keys).await?)
    }

    /// Before noting that sources wait for unknown prices, `(account, price)`: whoever learns one then finds them.
    /// False when somebody has just learned one and is past looking: the sources must be marked again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn wait_for_prices(&mut self, prices: &[(&str, &str)]) -> Result<bool, StoreError> {
        Ok(terms::wait_for(&mut self.0, prices).await?)
    }

    /// Customers and subscriptions that sources without an owner name, and that never came.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn missing_owners(&mut self, sources: &[&SourceKey]) -> Result<Vec<Wanted>, StoreError> {
        Ok(refetches::missing_owners(&mut self.0, sources).await?)
    }

    /// What marked refunds and disputes refer to, and that never came.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn missing_payments(&mut self, marks: &[Mark]) -> Result<Vec<Wanted>, StoreError> {
        Ok(refetches::missing_payments(&mut self.0, marks).await?)
    }

    /// Marks sources that have to be looked at once more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn mark_sources(&mut self, keys: &[&SourceKey]) -> Result<(), StoreError> {
        Ok(sources::mark(&mut self.0, keys).await?)
    }

    /// What the ledger holds for sources, which must be locked.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn posted(&mut self, keys: &[SourceKey]) -> Result<HashMap<SourceKey, Posted>, StoreError> {
        Ok(ledger::posted(&mut self.0, keys).await?)
    }

    /// The number of the newest transfer of each business key, `(account, key)`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn last_seqs(
        &mut self,
        keys: &[(&str, &str)],
    ) -> Result<HashMap<(String, String), i32>, StoreError> {
        Ok(ledger::last_seqs(&mut self.0, keys).await?)
    }

    /// Appends transfers to the ledger; the database moves the balances.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn append(&mut self, transfers: &[PostedTransfer]) -> Result<(), StoreError> {
        for it in transfers {
            self.1.owner(&it.source.account, &it.transfer.place.owner);
        }
        Ok(ledger::append(&mut self.0, transfers).await?)
    }

    /// Grants of sources, `(source, the grant's key)`, that have expired. To be asked after [`Self::append`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn expired_grants(
        &mut self,
        sources: &[(&SourceKey, &str)],
    ) -> Result<Vec<ExpiredGrant>, StoreError> {
        Ok(expired::of_sources(&mut self.0, sources).await?)
    }

    /// Balances of owners, in their order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn balances(&mut self, owners: &[(&str, &Owner)]) -> Result<Vec<i64>, StoreError> {
        Ok(ledger::balances(&mut self.0, owners).await?)
    }

    /// Notes what came of sources, and marks users who got credits for the first time.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn write_sources(&mut self, rows: &[(&SourceFacts, &Reckoned)]) -> Result<(), StoreError> {
        sources::write(&mut self.0, rows).await?;
        Ok(sources::mark_new_owners(&mut self.0, rows).await?)
    }
}
