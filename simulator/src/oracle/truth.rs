//! The final state, in the words of the recorded scenarios' `expected`.

use serde_json::{Map, Value, json};

use super::{Books, books::Money, counts::counts, rows};
use crate::{
    event::Event,
    objects::{Thing, subscription::Subscription},
};

/// What an endpoint that got every event must have in the end. Every member maps ids (or business keys)
/// to objects (or credits).
///
/// Objects that no event was about are missing (a 2024-06-20 endpoint hears of a refund only when it
/// changes), and an object is as its last event shows it: a failed refund lowers `amount_refunded` of a
/// charge without an event, so `charges` keeps the higher number while `debits` is right.
///
/// Nothing here depends on the clock of the installation: what it sweeps up later (canceled becomes expired, credits
/// expire or are given for free) is not in it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Truth {
    /// By our own user id: `state`, `entitled`, `credits`, `email` (null while they only bought as a guest).
    /// Empty while no event names the user.
    pub users: Map<String, Value>,
    /// Subscriptions.
    pub subs: Map<String, Value>,
    /// Invoices.
    pub invoices: Map<String, Value>,
    /// Payment intents; `invoice` as far as events say which one they pay.
    pub payments: Map<String, Value>,
    /// Charges.
    pub charges: Map<String, Value>,
    /// Refunds.
    pub refunds: Map<String, Value>,
    /// Disputes.
    pub disputes: Map<String, Value>,
    /// Checkout sessions.
    pub checkout_sessions: Map<String, Value>,
    /// Credits by `grant:<invoice>` or `topup:<session>`; nothing for 0.
    pub grants: Map<String, Value>,
    /// Credits (negative) by `refund:<intent>` or `dispute:<intent>`; nothing for 0.
    pub debits: Map<String, Value>,
}

impl Truth {
    /// The names of the members, in the order of [`Truth::members`].
    pub const MEMBERS: [&str; 10] = [
        "users",
        "subs",
        "invoices",
        "payments",
        "charges",
        "refunds",
        "disputes",
        "checkout_sessions",
        "grants",
        "debits",
    ];

    /// What `books` say about the one user they are about.
    pub(crate) fn of(books: &Books, user: &str) -> Self {
        let mut truth = Self::default();
        let mut person = Person::default();
        for thing in books.announced() {
            truth.add(thing, books, &mut person);
        }
        let number = |(key, credits): (&String, &i64)| (key.clone(), Value::from(*credits));
        truth.grants = books.grants.iter().map(number).collect();
        for (intent, money) in &books.payments {
            truth.debit(intent, *money);
        }
        let credits: i64 = [&truth.grants, &truth.debits]
            .into_iter()
            .flat_map(Map::values)
            .filter_map(Value::as_i64)
            .sum();
        if person.heard_of {
            let state = rows::STATES[person.state];
            let row = json!({
                "state": state, "entitled": person.entitled, "credits": credits, "email": person.email
            });
            truth.users.insert(user.to_owned(), row);
        }
        truth
    }

    /// Adds what is true of another life, of which no id may occur in this one.
    pub fn extend(&mut self, other: Self) {
        for (ours, theirs) in self.members_mut().into_iter().zip(other.into_members()) {
            ours.extend(theirs);
        }
    }

    /// The members, in the order of [`Truth::MEMBERS`].
    #[must_use]
    pub fn members(&self) -> [&Map<String, Value>; 10] {
        [
            &self.users,
            &self.subs,
            &self.invoices,
            &self.payments,
            &self.charges,
            &self.refunds,
            &self.disputes,
            &self.checkout_sessions,
            &self.grants,
            &self.debits,
        ]
    }

    /// All of it as one object, in the form of a scenario's `expected` but for `events`.
    #[must_use]
    pub fn json(&self) -> Value {
        let member = |(name, map): (&str, &Map<String, Value>)| (name.to_owned(), Value::Object(map.clone()));
        let members = Self::MEMBERS.into_iter().zip(self.members());
        Value::Object(members.map(member).collect())
    }

    /// What an endpoint must have after these deliveries, in exactly the form of a scenario's `expected` and
    /// of `tollgate state --json`: [`Truth::json`], and how many `events` there were. Every event that matters
    /// must be among them, or the rest of it is not what follows.
    #[must_use]
    pub fn expected<'a>(&self, deliveries: impl IntoIterator<Item = &'a Event>) -> Value {
        let mut expected = self.json();
        expected["events"] = counts(deliveries);
        expected
    }

    fn members_mut(&mut self) -> [&mut Map<String, Value>; 10] {
        [
            &mut self.users,
            &mut self.subs,
            &mut self.invoices,
            &mut self.payments,
            &mut self.charges,
            &mut self.refunds,
            &mut self.disputes,
            &mut self.checkout_sessions,
            &mut self.grants,
            &mut self.debits,
        ]
    }

    fn into_members(mut self) -> [Map<String, Value>; 10] {
        self.members_mut().map(std::mem::take)
    }

    fn add(&mut self, thing: &Thing, books: &Books, person: &mut Person) {
        let (member, row) = match thing {
            Thing::Charge(it) => (&mut self.charges, rows::charge(it)),
            Thing::Dispute(it) => (&mut self.disputes, rows::dispute(it)),
            Thing::Intent(it) => (&mut self.payments, rows::payment(it, books)),
            Thing::Invoice(it) => (&mut self.invoices, rows::invoice(it)),
            Thing::Refund(it) => (&mut self.refunds, rows::refund(it)),
            Thing::Session(it) => {
                person.heard_of = true;
                (&mut self.checkout_sessions, rows::session(it))
            }
            Thing::Subscription(it) => {
                person.subscribes(it);
                (&mut self.subs, rows::subscription(it))
            }
            Thing::Customer(it) => {
                person.email = it.email.clone();
                person.heard_of = true;
                return;
            }
            _ => return,
        };
        member.insert(thing.id().to_owned(), row);
    }

    fn debit(&mut self, intent: &str, money: Money) {
        for (word, credits) in [
            ("refund", money.refund_debit()),
            ("dispute", money.dispute_debit()),
        ] {
            if credits != 0 {
                self.debits.insert(format!("{word}:{intent}"), (-credits).into());
            }
        }
    }
}

/// What is known of a user so far.
#[derive(Default)]
struct Person {
    /// Whether any event names them.
    heard_of: bool,
    /// Place in [`rows::STATES`].
    state: usize,
    entitled: bool,
    email: Option<String>,
}

impl Person {
    fn subscribes(&mut self, subscription: &Subscription) {
        self.state = self.state.max(rows::state(subscription.status));
        self.entitled |= matches!(subscription.status, "trialing" | "active" | "past_due");
    }
}
