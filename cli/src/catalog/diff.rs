//! What applying a catalogue file changes.

use std::collections::{BTreeMap, BTreeSet};

use domain::objects::PriceTerms;
use serde::Serialize;
use serde_json::{Map, Value};
use store::Catalog;

use super::offer::Offer;

/// The difference between what was applied before and what is wanted.
#[derive(Serialize, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Names that are new.
    pub added: Vec<String>,
    /// Offers that are different.
    pub changed: Vec<Changed>,
    /// Names that are gone.
    pub removed: Vec<String>,
    /// How many offers stay as they are.
    pub unchanged: usize,
    /// Prices whose terms are new. Those of a price that is no longer offered stay: who has it goes on paying it.
    pub terms: Vec<NewTerms>,
}

/// An offer that is different.
#[derive(Serialize, Debug, PartialEq, Eq)]
pub(super) struct Changed {
    pub name: String,
    /// By member; null is absent.
    pub members: BTreeMap<String, FromTo>,
}

/// A member that is different.
#[derive(Serialize, Debug, PartialEq, Eq)]
pub(super) struct FromTo {
    pub from: Value,
    pub to: Value,
}

/// Terms that are new.
#[derive(Serialize, Debug, PartialEq, Eq)]
pub(super) struct NewTerms {
    pub price: String,
    pub since: Since,
    #[serde(skip)]
    pub terms: PriceTerms,
}

/// From when terms count. What was paid under other terms of the file keeps them.
#[derive(Serialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum Since {
    /// The file has said nothing about this price so far.
    Beginning,
    /// It has said something else.
    Now,
}

impl Changes {
    /// Whether there is nothing to do.
    pub(super) fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty() && self.terms.is_empty()
    }
}

/// Compares by name, and terms by price.
pub(super) fn diff(current: &Catalog, wanted: &[Offer]) -> Changes {
    let mut changes = Changes::default();
    let mut before: BTreeMap<&str, Value> = current
        .offers
        .iter()
        .map(|row| {
            (
                row.name.as_str(),
                serde_json::from_str(&row.definition).unwrap_or_default(),
            )
        })
        .collect();
    for offer in wanted {
        let name = offer.name.clone();
        match before.remove(offer.name.as_str()) {
            None => changes.added.push(name),
            Some(definition) => match members(&definition, &offer.definition()) {
                same if same.is_empty() => changes.unchanged += 1,
                members => changes.changed.push(Changed { name, members }),
            },
        }
        changes.terms.extend(new_terms(current, offer));
    }
    changes.removed = before.into_keys().map(str::to_owned).collect();
    changes
}

/// Members that are different.
fn members(before: &Value, after: &Value) -> BTreeMap<String, FromTo> {
    let nothing = Map::new();
    let keys = |value: &Value| {
        value
            .as_object()
            .unwrap_or(&nothing)
            .keys()
            .cloned()
            .collect::<BTreeSet<_>>()
    };
    let all = keys(before).into_iter().chain(keys(after));
    all.filter(|key| before.get(key) != after.get(key))
        .map(|key| {
            let of = |value: &Value| value.get(&key).cloned().unwrap_or_default();
            let (from, to) = (of(before), of(after));
            (key, FromTo { from, to })
        })
        .collect()
}

fn new_terms(current: &Catalog, offer: &Offer) -> Option<NewTerms> {
    let terms = offer.terms();
    let before = current
        .terms
        .iter()
        .find(|known| known.price_id == terms.price_id);
    let since = match before {
        None => Since::Beginning,
        Some(before) if *before == terms => return None,
        Some(_) => Since::Now,
    };
    Some(NewTerms {
        price: terms.price_id.clone(),
        since,
        terms,
    })
}
