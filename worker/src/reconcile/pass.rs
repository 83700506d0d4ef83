//! Going through a stretch of Stripe's list, page by page.

use std::collections::{HashMap, HashSet};

use domain::coverage::{Compared, Comparison, Held, is_subscribed};
use shared::clock::Clock;
use store::coverage::KnownEvent;
use stripe_api::EventSpan;

use super::{Comparer, Listed, Ours, Trouble};
use crate::refetch::id_of;

/// What of an account is compared, and how.
#[derive(Debug, Clone)]
pub struct Pass {
    account: String,
    span: EventSpan,
    enabled_events: Vec<String>,
    deaf_until: i64,
    /// Seconds in which Stripe may still be about to deliver.
    grace: i64,
    clock: Clock,
    after: Option<String>,
    is_over: bool,
    /// Once the first page has said what time it is.
    comparison: Option<Comparison>,
}

impl Pass {
    /// Prepares a pass; nothing is asked yet.
    #[must_use]
    pub fn new(
        account: &str,
        span: EventSpan,
        ours: &Ours,
        deaf_until: i64,
        grace: i64,
        clock: Clock,
    ) -> Self {
        Self {
            account: account.to_owned(),
            span,
            enabled_events: ours.enabled_events.clone(),
            deaf_until,
            grace,
            clock,
            after: None,
            is_over: false,
            comparison: None,
        }
    }

    /// The events of the next page that are missing here; `None` once there are no more pages.
    ///
    /// # Errors
    /// [`Trouble`]; the same page may be asked for again.
    pub async fn next(&mut self, by: &mut Comparer) -> Result<Option<Vec<Listed>>, Trouble> {
        if self.is_over {
            return Ok(None);
        }
        let account = (!self.account.is_empty()).then_some(self.account.as_str());
        let page = by.stripe.list_events(account, self.span, self.after.as_deref());
        let page = page.await?;
        let now_ms = self.clock.unix_ms();
        let listed: Vec<Listed> = page
            .items
            .iter()
            .filter_map(|body| Listed::read(&self.account, body, now_ms))
            .collect();
        let known = known(by, &self.account, &listed).await?;
        let (horizon, deaf_until) = (page.as_of - self.grace, self.deaf_until);
        let comparison = self
            .comparison
            .get_or_insert_with(|| Comparison::new(horizon, deaf_until));
        let mut missing = Vec::new();
        for listed in listed {
            let types = self.enabled_events.iter().map(String::as_str);
            let envelope = &listed.entry.meta.envelope;
            let known = known.get(listed.id());
            let is_hole = comparison.add(&Compared {
                created: envelope.created,
                is_subscribed: is_subscribed(types, &envelope.event_type),
                held: known.map_or(Held::Missing, |known| known.held),
                has_arrived: known.is_some_and(|known| known.has_arrived),
                is_pending: listed.is_pending,
            });
            if is_hole {
                missing.push(listed);
            }
        }
        self.after = page.items.last().and_then(|body| id_of(body));
        self.is_over = !page.has_more || self.after.is_none();
        Ok(Some(missing))
    }

    /// What was seen; `None` before the first page.
    #[must_use]
    pub fn comparison(&self) -> Option<&Comparison> {
        self.comparison.as_ref()
    }

    /// Where the stretch ends; `None`: now.
    #[must_use]
    pub fn until(&self) -> Option<i64> {
        self.span.until
    }
}

/// What became of the events that are here. Who is not in the inbox may be in the queue; who was in neither when looked
/// for there may have been settled in between.
async fn known(
    by: &mut Comparer,
    account: &str,
    listed: &[Listed],
) -> Result<HashMap<String, KnownEvent>, Trouble> {
    let ids: Vec<&str> = listed.iter().map(Listed::id).collect();
    let mut known = by.store.known_of(account, &ids).await?;
    let unknown: HashSet<&str> = ids.into_iter().filter(|id| !known.contains_key(*id)).collect();
    if unknown.is_empty() {
        return Ok(known);
    }
    let waiting = by.probe.waiting_of(account, &unknown).await?;
    let left: Vec<&str> = unknown.iter().copied().collect();
    let settled = by.store.known_of(account, &left).await?;
    for id in unknown {
        let here = match &waiting {
            _ if settled.contains_key(id) => settled.get(id).copied(),
            Some(waiting) => waiting.get(id).map(|endpoint| KnownEvent {
                held: Held::Queued,
                has_arrived: endpoint != store::coverage::ASKED_FOR,
            }),
            None => Some(KnownEvent {
                held: Held::Unknown,
                has_arrived: false,
            }),
        };
        known.extend(here.map(|here| (id.to_owned(), here)));
    }
    Ok(known)
}
