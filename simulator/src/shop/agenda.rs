//! What is due when. Pure: it follows from what an object is.

use std::collections::{BTreeSet, HashMap};

use super::model::Key;
use crate::{
    history::{DAY, INCOMPLETE_SECONDS, TRIAL_NOTICE, UPCOMING_DAYS},
    objects::{
        Thing, checkout::Session, invoice::Invoice, payment_intent::PaymentIntent, subscription::Subscription,
    },
};

/// How long a bank debit takes.
const DEBIT_SECONDS: i64 = 4 * DAY;

/// What the clock does to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Deed {
    ExpireSession,
    ExpireIncomplete,
    AnnounceTrialEnd,
    AnnounceRenewal,
    End,
    TurnPeriod,
    CollectDraft,
    Retry,
    SettleDebit,
}

/// One entry for each object that something is due for.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    entries: BTreeSet<(i64, Key, Deed)>,
    planned: HashMap<Key, (i64, Deed)>,
}

impl Agenda {
    /// An object is what it is from `now` on: what was planned for it is forgotten.
    pub(super) fn plan(&mut self, key: Key, thing: &Thing, now: i64) {
        if let Some((at, deed)) = self.planned.remove(&key) {
            self.entries.remove(&(at, key.clone(), deed));
        }
        if let Some((at, deed)) = next(thing, now) {
            self.planned.insert(key.clone(), (at, deed));
            self.entries.insert((at, key, deed));
        }
    }

    /// Something was done at `at`. What left no trace on the object is done all the same.
    pub(super) fn done(&mut self, key: Key, deed: Deed, thing: Option<&Thing>, at: i64) {
        let planned = self.planned.get(&key).copied();
        if let Some(thing) = thing.filter(|_| planned == Some((at, deed))) {
            self.plan(key.clone(), thing, at);
            if self.planned.get(&key) == Some(&(at, deed)) {
                self.planned.remove(&key);
                self.entries.remove(&(at, key, deed));
            }
        }
    }

    /// The first thing due until `now`.
    pub(super) fn first(&self, now: i64) -> Option<(i64, Key, Deed)> {
        self.entries.first().filter(|(at, ..)| *at <= now).cloned()
    }
}

/// What is due next for an object, and when. What is only announced is not announced late.
fn next(thing: &Thing, now: i64) -> Option<(i64, Deed)> {
    match thing {
        Thing::Session(it) => session(it),
        Thing::Subscription(it) => subscription(it, now),
        Thing::Invoice(it) => invoice(it),
        Thing::Intent(it) => intent(it),
        _ => None,
    }
}

fn session(it: &Session) -> Option<(i64, Deed)> {
    (it.status == "open").then_some((it.expires_at, Deed::ExpireSession))
}

fn subscription(it: &Subscription, now: i64) -> Option<(i64, Deed)> {
    let end = it.cancel_at.map(|at| (at, Deed::End));
    let later = |(at, deed): (i64, Deed)| (at > now).then_some((at, deed));
    let turn = (it.period_end, Deed::TurnPeriod);
    match it.status {
        "incomplete" => Some((it.created + INCOMPLETE_SECONDS, Deed::ExpireIncomplete)),
        "trialing" => {
            let notice = later((it.period_end - TRIAL_NOTICE, Deed::AnnounceTrialEnd));
            [notice, end, Some(turn)].into_iter().flatten().min()
        }
        "active" | "past_due" => {
            let notice = later((it.period_end - UPCOMING_DAYS * DAY, Deed::AnnounceRenewal));
            let notice = notice.filter(|(at, _)| end.is_none_or(|(end, _)| end > *at));
            let turn = Some(turn).filter(|_| it.status == "active");
            [notice.filter(|_| turn.is_some()), end, turn]
                .into_iter()
                .flatten()
                .min()
        }
        "canceled" | "incomplete_expired" => None,
        _ => end,
    }
}

fn invoice(it: &Invoice) -> Option<(i64, Deed)> {
    match it.status {
        "draft" => it.automatically_finalizes_at.map(|at| (at, Deed::CollectDraft)),
        "open" => it.next_payment_attempt.map(|at| (at, Deed::Retry)),
        _ => None,
    }
}

fn intent(it: &PaymentIntent) -> Option<(i64, Deed)> {
    (it.status == "processing").then_some((it.created + DEBIT_SECONDS, Deed::SettleDebit))
}
