//! What there is in a Stripe account: objects and events, of lives as they are in the end and of what happened since.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use bytes::Bytes;
use serde_json::Value;

use crate::{
    ApiVersion,
    catalogue::Catalogue,
    event::Event,
    history::Life,
    objects::{Kept, Plan, Thing, invoice_payment::InvoicePayment},
};

/// Account (empty for the platform), kind, id.
pub(crate) type Key = (String, &'static str, String);

/// An object, and the version of those who do not ask for one.
#[derive(Debug)]
struct Entry {
    thing: Thing,
    version: ApiVersion,
    /// Counts up: lists of one second show what was made last first.
    place: usize,
}

/// The events of one account, and where each is.
#[derive(Debug, Default)]
struct Events {
    /// Oldest first, once arranged.
    all: Vec<Arc<Event>>,
    places: HashMap<String, usize>,
    /// Whether one was appended that is older than the one before it.
    mixed: bool,
}

impl Events {
    fn append(&mut self, event: Arc<Event>) {
        let newest = self.all.last().map(|last| last.created);
        self.mixed |= newest.is_some_and(|newest| newest > event.created);
        self.places.insert(event.id.clone(), self.all.len());
        self.all.push(event);
    }

    fn arrange(&mut self) {
        if !std::mem::take(&mut self.mixed) {
            return;
        }
        // Stable: of one second, what happened later stays the later one.
        self.all.sort_by_key(|event| event.created);
        let places = self.all.iter().enumerate();
        self.places = places.map(|(place, event)| (event.id.clone(), place)).collect();
    }
}

/// The state of a Stripe account (and of connected ones) that the API answers from.
#[derive(Debug)]
pub struct Model {
    /// The platform's own.
    catalogue: Catalogue,
    accounts: HashSet<String>,
    objects: BTreeMap<Key, Entry>,
    events: HashMap<String, Events>,
    /// Account, invoice or intent.
    links: HashMap<(String, String), Vec<InvoicePayment>>,
    undelivered: HashSet<String>,
    /// Those that somebody has accepted, or that nobody is sent: no webhook is pending.
    settled: HashSet<String>,
    /// Older events are gone.
    since: i64,
}

impl Model {
    /// A shop and the lives of its customers, which stay the caller's.
    #[must_use]
    pub fn new<'a>(catalogue: &Catalogue, lives: impl IntoIterator<Item = &'a Life>) -> Self {
        let mut model = Self {
            catalogue: catalogue.clone(),
            accounts: HashSet::new(),
            objects: BTreeMap::new(),
            events: HashMap::new(),
            links: HashMap::new(),
            undelivered: HashSet::new(),
            settled: HashSet::new(),
            since: i64::MIN,
        };
        model.add_catalogue("", catalogue);
        let mut told = Vec::new();
        for life in lives {
            let account = life.account.as_deref().unwrap_or_default();
            for thing in &life.objects {
                model.put(account, thing.clone(), life.version);
            }
            told.extend(life.events.iter().map(|event| Arc::new(event.clone())));
        }
        model.add_events(told);
        model
    }

    /// The prices and products of a shop; of a connected account if `account` is not empty.
    pub(crate) fn add_catalogue(&mut self, account: &str, catalogue: &Catalogue) {
        let version = ApiVersion::V2026_10_28Endive;
        self.accounts.insert(account.to_owned());
        for product in &catalogue.products {
            self.put(account, product.into(), version);
        }
        for price in catalogue.prices() {
            self.put(account, price.into(), version);
            if price.recurring.is_some() {
                self.put(account, (&Plan(price.clone())).into(), version);
            }
        }
    }

    /// An object is made, or is what it is from now on. Whether it is new.
    pub(crate) fn put(&mut self, account: &str, thing: Thing, version: ApiVersion) -> bool {
        let key = (account.to_owned(), thing.object(), thing.id().to_owned());
        if let Thing::InvoicePayment(it) = &thing {
            for end in [&it.invoice, &it.intent] {
                let links = self.links.entry((account.to_owned(), end.clone())).or_default();
                links.retain(|link| link.id != it.id);
                links.push(it.as_ref().clone());
            }
        }
        let known = self.objects.get(&key).map(|entry| entry.place);
        let place = known.unwrap_or(self.objects.len());
        let entry = Entry {
            thing,
            version,
            place,
        };
        self.objects.insert(key, entry);
        known.is_none()
    }

    /// More events, in the order they happened: catalogue, thin ones, ...
    pub fn add_events(&mut self, events: impl IntoIterator<Item = Arc<Event>>) {
        for event in events {
            let account = event.account.clone().unwrap_or_default();
            self.events.entry(account).or_default().append(event);
        }
        for events in self.events.values_mut() {
            events.arrange();
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

    /// One event is on its way, or has arrived.
    pub(crate) fn mark_delivered(&mut self, id: &str, delivered: bool) {
        if delivered {
            self.undelivered.remove(id);
            self.settled.insert(id.to_owned());
        } else {
            self.undelivered.insert(id.to_owned());
        }
    }

    /// One event is sent to nobody.
    pub(crate) fn mark_unsent(&mut self, id: &str) {
        self.settled.insert(id.to_owned());
    }

    pub(crate) fn platform(&self) -> &str {
        &self.catalogue.account
    }

    pub(crate) fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    pub(crate) fn knows_account(&self, account: &str) -> bool {
        self.accounts.contains(account) || self.events.contains_key(account)
    }

    /// An object itself.
    pub(crate) fn get<T: Kept>(&self, account: &str, id: &str) -> Option<&T> {
        let key = (account.to_owned(), T::OBJECT, id.to_owned());
        T::of(&self.objects.get(&key)?.thing)
    }

    /// An object wherever it is, and its account.
    pub(crate) fn find<T: Kept>(&self, id: &str) -> Option<(&str, &T)> {
        let mut accounts = self.accounts.iter();
        accounts.find_map(|account| Some((account.as_str(), self.get(account, id)?)))
    }

    /// Every object of a kind, itself.
    pub(crate) fn each<T: Kept + 'static>(&self, account: &str) -> impl Iterator<Item = &T> {
        self.entries(account, T::OBJECT)
            .filter_map(|entry| T::of(&entry.thing))
    }

    fn entries(&self, account: &str, object: &'static str) -> impl Iterator<Item = &Entry> {
        let first = (account.to_owned(), object, String::new());
        let rest = self.objects.range(first.clone()..);
        let same = rest.take_while(move |((owner, kind, _), _)| (owner, *kind) == (&first.0, object));
        same.map(|(_, entry)| entry)
    }

    /// How many objects there are of each kind, in all accounts.
    pub(crate) fn counts(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for (_, object, _) in self.objects.keys() {
            *counts.entry(*object).or_default() += 1;
        }
        counts
    }

    /// An object by its key.
    pub(crate) fn thing(&self, key: &Key) -> Option<&Thing> {
        self.objects.get(key).map(|entry| &entry.thing)
    }

    /// How many events there are, in all accounts.
    pub(crate) fn told(&self) -> usize {
        self.events.values().map(|events| events.all.len()).sum()
    }

    /// When the newest event happened.
    pub(crate) fn newest(&self) -> Option<i64> {
        let newest = self.events.values().filter_map(|events| events.all.last());
        newest.map(|event| event.created).max()
    }

    /// An object as `version` renders it, or as its life's last version does.
    pub(crate) fn object(
        &self,
        account: Option<&str>,
        object: &'static str,
        id: &str,
        version: Option<ApiVersion>,
    ) -> Option<Value> {
        let key = (account.unwrap_or_default().to_owned(), object, id.to_owned());
        let entry = self.objects.get(&key)?;
        Some(entry.thing.fetched(version.unwrap_or(entry.version)))
    }

    /// Every object of a kind, the newest first.
    pub(crate) fn all(
        &self,
        account: Option<&str>,
        object: &'static str,
        version: Option<ApiVersion>,
    ) -> Vec<Value> {
        let entries = self.entries(account.unwrap_or_default(), object);
        let render = |entry: &Entry| {
            let shown = entry.thing.fetched(version.unwrap_or(entry.version));
            (shown["created"].as_i64(), entry.place, shown)
        };
        let mut rows: Vec<_> = entries.map(render).collect();
        rows.sort_by_key(|(created, place, _)| std::cmp::Reverse((*created, *place)));
        rows.into_iter().map(|(_, _, shown)| shown).collect()
    }

    /// All lines of an invoice, of which the invoice itself shows only the first ones.
    pub(crate) fn invoice_lines(
        &self,
        account: Option<&str>,
        id: &str,
        version: Option<ApiVersion>,
    ) -> Option<Vec<Value>> {
        let key = (account.unwrap_or_default().to_owned(), "invoice", id.to_owned());
        let entry = self.objects.get(&key)?;
        let version = version.unwrap_or(entry.version);
        match &entry.thing {
            Thing::Invoice(invoice) => Some(invoice.line_items(version)),
            _ => None,
        }
    }

    /// What paid an invoice, or what an intent paid.
    pub(crate) fn payments_of(
        &self,
        account: Option<&str>,
        id: &str,
    ) -> impl Iterator<Item = &InvoicePayment> {
        let account = account.unwrap_or_default().to_owned();
        let linked = self.links.get(&(account, id.to_owned()));
        linked.into_iter().flatten()
    }

    pub(crate) fn event(&self, account: Option<&str>, id: &str) -> Option<&Event> {
        let place = self.place(account, id)?;
        self.events(account).get(place).map(AsRef::as_ref)
    }

    /// Where an event is among all of its account, oldest first.
    pub(crate) fn place(&self, account: Option<&str>, id: &str) -> Option<usize> {
        let events = self.events.get(account.unwrap_or_default())?;
        let place = *events.places.get(id)?;
        (events.all[place].created >= self.since).then_some(place)
    }

    /// All events of an account, oldest first.
    pub(crate) fn events(&self, account: Option<&str>) -> &[Arc<Event>] {
        let events = self.events.get(account.unwrap_or_default());
        events.map_or(&[][..], |events| &events.all)
    }

    /// Where the events begin that are not gone yet.
    pub(crate) fn first_kept(&self, account: Option<&str>) -> usize {
        self.events(account)
            .partition_point(|event| event.created < self.since)
    }

    /// An event's body as it is now: what is delivered has no webhook pending any more.
    pub(crate) fn body_of(&self, event: &Event) -> Bytes {
        if self.settled.contains(&event.id) {
            event.redelivered(0).body
        } else {
            event.body.clone()
        }
    }

    pub(crate) fn is_delivered(&self, event: &Event) -> bool {
        !self.undelivered.contains(&event.id)
    }
}
