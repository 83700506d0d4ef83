//! One object, compared with Stripe's: asked for, judged, written down and mended. Whose turn it is says `sampler`.

use domain::ObjectKey;
use domain::sample::{Finding, Look, judge};
use shared::clock::Clock;
use stripe_api::{FetchError, ObjectRef, Retrievable};

use super::{Comparer, Trouble};
use crate::item::Item;
use crate::transact::transact;
use crate::{refetch, report, whole};

/// What comparing an object came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Compared {
    pub(crate) finding: Finding,
    /// Whether Stripe's took the place of ours: there are marks.
    pub(crate) is_mended: bool,
}

impl From<Finding> for Compared {
    fn from(finding: Finding) -> Self {
        Self {
            finding,
            is_mended: false,
        }
    }
}

/// What is done about differences, and up to when every event is settled.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) covered_until: i64,
    pub(crate) repairs: bool,
    pub(crate) clock: Clock,
}

impl Sample {
    /// Compares an object. `None` when nobody can say: we do not hold it, or Stripe's cannot be read.
    pub(crate) async fn compare(&self, by: &Comparer, key: &ObjectKey) -> Result<Option<Compared>, Trouble> {
        let Some((held, held_at)) = by.store.held(key).await? else {
            by.store.clear_suspect(key, false).await?;
            return Ok(None);
        };
        let shown = match self.ask(by, key).await? {
            Shown::Unreadable => return Ok(None),
            Shown::Gone(as_of) => (None, as_of),
            Shown::There(item, as_of) => (Some(*item), as_of),
        };
        let (item, as_of) = shown;
        let mut look = Look {
            held,
            held_at,
            as_of,
            is_gone: item.is_none(),
            members: Vec::new(),
            is_set_aside: false,
        };
        if let Some(snapshot) = item.as_ref().and_then(Item::snapshot) {
            let found = by.store.compare(vec![snapshot.clone()]).await?;
            let found = found.into_iter().next();
            // Another snapshot may have taken its place since.
            if let Some((held, held_at)) = found.as_ref().and_then(|it| it.held.clone()) {
                (look.held, look.held_at) = (held, held_at);
            }
            look.members = found.map(|it| it.members).unwrap_or_default();
        }
        let finding = self.judge(by, key, &mut look).await?;
        self.act(by, key, finding, &look, item).await.map(Some)
    }

    async fn ask(&self, by: &Comparer, key: &ObjectKey) -> Result<Shown, Trouble> {
        let Ok(kind) = key.kind.as_str().parse::<Retrievable>() else {
            return Ok(Shown::Unreadable);
        };
        let object = ObjectRef {
            account: (!key.account.is_empty()).then(|| key.account.clone()),
            kind,
            id: key.id.clone(),
        };
        let fetched = match whole::retrieve(&by.stripe, &object).await {
            Ok(fetched) => fetched,
            // An answer of this moment, though it does not say so.
            Err(FetchError::Gone(_)) => return Ok(Shown::Gone(self.clock.unix_seconds())),
            Err(FetchError::Permanent(_)) => return Ok(Shown::Unreadable),
            Err(error) => return Err(error.into()),
        };
        let now_ms = self.clock.unix_ms();
        let Some(entry) = refetch::entry_of(key, &fetched.body, fetched.as_of, now_ms) else {
            return Ok(Shown::Gone(fetched.as_of));
        };
        let item = Item::fetched(entry);
        Ok(match item.snapshot() {
            Some(_) => Shown::There(Box::new(item), fetched.as_of),
            None => Shown::Unreadable,
        })
    }

    async fn judge(&self, by: &Comparer, key: &ObjectKey, look: &mut Look) -> Result<Finding, Trouble> {
        let first = judge(look, None, self.covered_until);
        if first != Finding::Suspect {
            return Ok(first);
        }
        look.is_set_aside = by.store.is_set_aside(key).await?;
        let before = by.store.suspicion(key).await?;
        Ok(judge(look, before.as_ref(), self.covered_until))
    }

    async fn act(
        &self,
        by: &Comparer,
        key: &ObjectKey,
        finding: Finding,
        look: &Look,
        item: Option<Item>,
    ) -> Result<Compared, Trouble> {
        match finding {
            Finding::Equal => by.store.clear_suspect(key, true).await?,
            Finding::Newer | Finding::SetAside => by.store.clear_suspect(key, false).await?,
            Finding::Suspect => by.store.suspect(key, look).await?,
            Finding::Waiting => {}
            Finding::Different | Finding::Gone => {
                let is_new = by.store.note_difference(key, look).await?;
                report::differs(key, look, is_new);
                by.store.clear_suspect(key, false).await?;
                if let Some(item) = item.filter(|_| self.repairs) {
                    return self.mend(by, key, item).await;
                }
            }
        }
        Ok(finding.into())
    }

    /// Lets Stripe's take part, the way of every answer of Stripe's. It is mended when nothing differs afterwards.
    async fn mend(&self, by: &Comparer, key: &ObjectKey, item: Item) -> Result<Compared, Trouble> {
        let snapshot = item.snapshot().cloned();
        let items = [item];
        let fates = transact(&by.store, &items).await?;
        report::refetched(&items, &fates);
        let after = by.store.compare(snapshot.into_iter().collect()).await?;
        let is_mended = after.iter().all(|it| it.members.is_empty());
        if is_mended {
            by.store.clear_suspect(key, true).await?;
        }
        Ok(Compared {
            finding: Finding::Different,
            is_mended,
        })
    }
}

/// What Stripe shows, and as of when.
enum Shown {
    There(Box<Item>, i64),
    Gone(i64),
    Unreadable,
}
