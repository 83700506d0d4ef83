//! What the API knows: the objects of lives as they are in the end, and all their events.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use axum::http::{HeaderValue, StatusCode};
use serde_json::Value;

use super::{errors::Reply, query::Query};
use crate::{
    ApiVersion,
    calendar::http_date,
    catalogue::Catalogue,
    event::Event,
    history::Life,
    objects::{Plan, Thing, invoice_payment::InvoicePayment},
};

/// Answers are dated this long after the newest event, in seconds: what is fetched is newer than what was sent,
/// even for a reader who takes off how long the request took.
const ASKED_AFTER: i64 = 3600;

/// Account (empty for the platform), kind, id.
type Key = (String, &'static str, String);

/// The events of one account, and where each is.
#[derive(Debug, Default)]
struct Events {
    /// Oldest first.
    all: Vec<Arc<Event>>,
    places: HashMap<String, usize>,
}

/// The state of a Stripe account (and of connected ones) that the API answers from.
#[derive(Debug, Default)]
pub struct Model {
    platform: String,
    objects: BTreeMap<Key, (Thing, ApiVersion)>,
    events: HashMap<String, Events>,
    /// Account, invoice or intent.
    links: HashMap<(String, String), Vec<InvoicePayment>>,
    undelivered: HashSet<String>,
    /// Older events are gone.
    since: i64,
}

impl Model {
    /// A shop and the lives of its customers, which stay the caller's.
    #[must_use]
    pub fn new<'a>(catalogue: &Catalogue, lives: impl IntoIterator<Item = &'a Life>) -> Self {
        let mut model = Self {
            platform: catalogue.account.clone(),
            since: i64::MIN,
            ..Self::default()
        };
        model.add_catalogue("", catalogue);
        let mut told = Vec::new();
        for life in lives {
            let account = life.account.as_deref().unwrap_or_default();
            for thing in &life.objects {
                model.add(account, thing.clone(), life.version);
            }
            told.extend(life.events.iter().map(|event| Arc::new(event.clone())));
        }
        model.add_events(told);
        model
    }

    /// The prices and products of a shop; of a connected account if `account` is not empty.
    pub(crate) fn add_catalogue(&mut self, account: &str, catalogue: &Catalogue) {
        let version = ApiVersion::V2026_10_28Endive;
        for product in &catalogue.products {
            self.add(account, product.into(), version);
        }
        for price in catalogue.prices() {
            self.add(account, price.into(), version);
            if price.recurring.is_some() {
                self.add(account, (&Plan(price.clone())).into(), version);
            }
        }
    }

    fn add(&mut self, account: &str, thing: Thing, version: ApiVersion) {
        let key = (account.to_owned(), thing.object(), thing.id().to_owned());
        if let Thing::InvoicePayment(it) = &thing {
            for end in [&it.invoice, &it.intent] {
                let links = self.links.entry((account.to_owned(), end.clone()));
                links.or_default().push(it.as_ref().clone());
            }
        }
        self.objects.insert(key, (thing, version));
    }

    /// More events, in the order they happened: catalogue, thin ones, ...
    pub fn add_events(&mut self, events: impl IntoIterator<Item = Arc<Event>>) {
        for event in events {
            let account = event.account.clone().unwrap_or_default();
            self.events.entry(account).or_default().all.push(event);
        }
        for Events { all, places } in self.events.values_mut() {
            // Stable: of one second, what happened later stays the later one.
            all.sort_by_key(|event| event.created);
            *places = all
                .iter()
                .enumerate()
                .map(|(place, event)| (event.id.clone(), place))
                .collect();
        }
    }

    /// Events before `since` (unix seconds) are gone, as real ones are after 30 days.
    pub fn forget_before(&mut self, since: i64) {
        self.since = since;
    }

    /// Events that no endpoint has accepted: what `delivery_success=false` lists.
    pub fn set_undelivered<'a>(&mut self, ids: impl IntoIterator<Item = &'a str>) {
        self.undelivered = ids.into_iter().map(str::to_owned).collect();
    }

    pub(super) fn platform(&self) -> &str {
        &self.platform
    }

    pub(super) fn knows_account(&self, account: &str) -> bool {
        self.events.contains_key(account)
    }

    /// An object as `version` renders it, or as its life's last version does.
    pub(super) fn object(
        &self,
        account: Option<&str>,
        object: &'static str,
        id: &str,
        version: Option<ApiVersion>,
    ) -> Option<Value> {
        let key = (account.unwrap_or_default().to_owned(), object, id.to_owned());
        let (thing, own) = self.objects.get(&key)?;
        Some(thing.fetched(version.unwrap_or(*own)))
    }

    /// Every object of a kind, by id.
    pub(super) fn all(
        &self,
        account: Option<&str>,
        object: &'static str,
        version: Option<ApiVersion>,
    ) -> Vec<Value> {
        let first = (account.unwrap_or_default().to_owned(), object, String::new());
        let rest = self.objects.range(&first..);
        let same = rest.take_while(|((owner, kind, _), _)| (owner, *kind) == (&first.0, object));
        same.map(|(_, (thing, own))| thing.fetched(version.unwrap_or(*own)))
            .collect()
    }

    /// All lines of an invoice, of which the invoice itself shows only the first ones.
    pub(super) fn invoice_lines(
        &self,
        account: Option<&str>,
        id: &str,
        version: Option<ApiVersion>,
    ) -> Option<Vec<Value>> {
        let key = (account.unwrap_or_default().to_owned(), "invoice", id.to_owned());
        match self.objects.get(&key)? {
            (Thing::Invoice(invoice), own) => Some(invoice.line_items(version.unwrap_or(*own))),
            _ => None,
        }
    }

    /// The time of answers; none before anything happened.
    pub(super) fn date(&self) -> Option<HeaderValue> {
        let newest = self.events.values().filter_map(|events| events.all.last());
        let newest = newest.map(|event| event.created).max()?;
        HeaderValue::from_str(&http_date(newest + ASKED_AFTER)).ok()
    }

    /// What paid an invoice, or what an intent paid.
    pub(super) fn invoice_payments(
        &self,
        account: Option<&str>,
        query: &Query,
    ) -> Result<Vec<Value>, Box<Reply>> {
        let invoice = query.get("invoice");
        let intent = query.get("payment[payment_intent]");
        if let Some(id) = invoice.filter(|id| self.object(account, "invoice", id, None).is_none()) {
            return Err(Reply::no_such(StatusCode::BAD_REQUEST, "invoice", id, "invoice"));
        }
        if query
            .get("payment[type]")
            .is_some_and(|kind| kind != "payment_intent")
        {
            return Ok(Vec::new());
        }
        let Some(first) = invoice.or(intent) else {
            let message = "We list what paid one invoice, or what one payment intent paid.";
            return Err(Reply::bad_parameter("invoice", message));
        };
        let account = account.unwrap_or_default();
        let linked = self.links.get(&(account.to_owned(), first.to_owned()));
        let found = linked.into_iter().flatten();
        let both = found.filter(|it| intent.is_none_or(|id| it.intent == id));
        Ok(both.map(InvoicePayment::json).collect())
    }

    pub(super) fn event(&self, account: Option<&str>, id: &str) -> Option<&Event> {
        let place = self.place(account, id)?;
        self.events(account).get(place).map(AsRef::as_ref)
    }

    /// Where an event is among all of its account, oldest first.
    pub(super) fn place(&self, account: Option<&str>, id: &str) -> Option<usize> {
        let events = self.events.get(account.unwrap_or_default())?;
        let place = *events.places.get(id)?;
        (events.all[place].created >= self.since).then_some(place)
    }

    /// All events of an account, oldest first.
    pub(super) fn events(&self, account: Option<&str>) -> &[Arc<Event>] {
        let events = self.events.get(account.unwrap_or_default());
        events.map_or(&[][..], |events| &events.all)
    }

    /// Where the events begin that are not gone yet.
    pub(super) fn first_kept(&self, account: Option<&str>) -> usize {
        self.events(account)
            .partition_point(|event| event.created < self.since)
    }

    pub(super) fn is_delivered(&self, event: &Event) -> bool {
        !self.undelivered.contains(&event.id)
    }
}
