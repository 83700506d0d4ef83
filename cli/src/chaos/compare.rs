//! What was acknowledged, what is there, and what should be there. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;
use store::{Kept, Moved};

/// Ids shown of each finding.
const SHOWN: usize = 20;
/// Counts deliveries, which are more in a trial than in the reference.
const EVENTS: &str = "events";

/// What a database ended with.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub kept: Vec<Kept>,
    pub redeliveries: BTreeMap<String, usize>,
    /// By account.
    pub states: BTreeMap<String, Value>,
    pub moved: Vec<Moved>,
    pub notices: Vec<String>,
}

/// What was said on the way.
#[derive(Debug)]
pub(super) struct Said<'a> {
    /// All ids there were to send.
    pub sent: BTreeSet<&'a str>,
    /// How often each event was answered with 200.
    pub acknowledged: BTreeMap<&'a str, usize>,
    /// How often each was in Redis when Redis was emptied.
    pub gap: &'a BTreeMap<String, usize>,
}

/// Things found, the first of them named.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Found {
    pub count: usize,
    pub first: Vec<String>,
}

/// What is not as it should be.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Findings {
    /// Acknowledged, and nowhere.
    pub lost: Found,
    /// Acknowledged, and gone with a Redis that was emptied: the allowed gap.
    pub gap: Found,
    /// There twice.
    pub doubled: Found,
    /// There, and not what it should be.
    pub wrong: Found,
}

impl Found {
    pub(super) fn note(&mut self, what: impl Into<String>) {
        self.count += 1;
        if self.first.len() < SHOWN {
            self.first.push(what.into());
        }
    }
}

impl Findings {
    /// With some more that is wrong.
    pub(super) fn and_wrong(mut self, more: Vec<String>) -> Self {
        more.into_iter().for_each(|it| self.wrong.note(it));
        self
    }
}

/// Compares what came of a trial with what was said and with what should be.
pub(super) fn compare(said: &Said<'_>, trial: &Outcome, reference: &Outcome) -> Findings {
    let mut findings = Findings::default();
    let mut rows: BTreeMap<&str, usize> = BTreeMap::new();
    for kept in &trial.kept {
        *rows.entry(&kept.id).or_default() += 1;
    }
    for (id, count) in rows.iter().filter(|(_, count)| **count > 1) {
        findings.doubled.note(format!("{id}: {count} rows"));
    }
    for id in rows.keys().filter(|id| !said.sent.contains(*id)) {
        findings.wrong.note(format!("{id}: never sent"));
    }
    for (id, acknowledged) in &said.acknowledged {
        let wiped = said.gap.get(*id).copied().unwrap_or(0);
        let row = rows.get(id).copied().unwrap_or(0);
        let deliveries = row + trial.redeliveries.get(*id).copied().unwrap_or(0);
        match (row, wiped) {
            (0, 0) => findings.lost.note(*id),
            (0, _) => findings.gap.note(*id),
            _ if *acknowledged > deliveries + wiped => findings.wrong.note(format!(
                "{id}: {acknowledged} deliveries acknowledged, {deliveries} kept"
            )),
            _ => {}
        }
    }
    let status = |outcome: &Outcome| -> BTreeMap<String, Value> {
        outcome
            .kept
            .iter()
            .map(|kept| (kept.id.clone(), kept.status.as_str().into()))
            .collect()
    };
    differ("event", &status(trial), &status(reference), &mut findings.wrong);
    differ(
        "credits",
        &credits(trial),
        &credits(reference),
        &mut findings.wrong,
    );
    differ("notice", &told(trial), &told(reference), &mut findings.wrong);
    let (trial, reference) = (objects(trial), objects(reference));
    let words: BTreeSet<&String> = trial.keys().chain(reference.keys()).collect();
    let none = BTreeMap::new();
    for word in words {
        let of = |outcome: &'_ Objects| outcome.get(word).unwrap_or(&none).clone();
        differ(word, &of(&trial), &of(&reference), &mut findings.wrong);
    }
    findings
}

/// Objects by the word for their kind, and by account and id.
type Objects = BTreeMap<String, BTreeMap<String, Value>>;

fn objects(outcome: &Outcome) -> Objects {
    let mut all = Objects::new();
    for (account, state) in &outcome.states {
        let words = state.as_object().into_iter().flatten();
        for (word, objects) in words.filter(|(word, _)| *word != EVENTS) {
            let objects = objects.as_object().into_iter().flatten();
            let named =
                objects.map(|(id, object)| (format!("{account} {id}").trim().to_owned(), object.clone()));
            all.entry(word.clone()).or_default().extend(named);
        }
    }
    all
}

fn credits(outcome: &Outcome) -> BTreeMap<String, Value> {
    let name = |it: &Moved| {
        format!("{} {} of {}", it.account, it.key, it.owner)
            .trim()
            .to_owned()
    };
    outcome
        .moved
        .iter()
        .map(|it| (name(it), it.credits.into()))
        .collect()
}

fn told(outcome: &Outcome) -> BTreeMap<String, Value> {
    outcome
        .notices
        .iter()
        .map(|key| (key.trim().to_owned(), true.into()))
        .collect()
}

/// Names what is in one only, or differs.
fn differ(
    what: &str,
    trial: &BTreeMap<String, Value>,
    reference: &BTreeMap<String, Value>,
    wrong: &mut Found,
) {
    let keys: BTreeSet<&String> = trial.keys().chain(reference.keys()).collect();
    for key in keys {
        match (trial.get(key), reference.get(key)) {
            (Some(is), Some(should)) if is != should => {
                wrong.note(format!("{what} {key}: {}", difference(is, should)));
            }
            (Some(is), None) => wrong.note(format!("{what} {key}: is {is}, should not be there")),
            (None, Some(should)) => wrong.note(format!("{what} {key}: is not there, should be {should}")),
            _ => {}
        }
    }
}

/// Of two objects only the members that differ.
fn difference(is: &Value, should: &Value) -> String {
    let (Some(is_map), Some(should_map)) = (is.as_object(), should.as_object()) else {
        return format!("is {is}, should be {should}");
    };
    let names: BTreeSet<&String> = is_map.keys().chain(should_map.keys()).collect();
    let differing = names
        .into_iter()
        .filter(|name| is_map.get(*name) != should_map.get(*name));
    let text = |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), Value::to_string);
    let parts = differing.map(|name| {
        format!(
            "{name} is {}, should be {}",
            text(is_map.get(name)),
            text(should_map.get(name))
        )
    });
    parts.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests;
