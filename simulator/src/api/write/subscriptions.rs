//! Subscriptions: <https://docs.stripe.com/api/subscriptions>.

use super::{Deed, Target, lines::active_price, named};
use crate::{
    api::{
        errors::Reply,
        form::{Changes, Part, Read},
    },
    history::{Change, Chosen, costs_more},
    objects::{invoice::Invoice, subscription::Subscription},
    shop::Clerk,
};

const BEHAVIORS: [(&str, Change); 3] = [
    ("always_invoice", Change::AlwaysInvoice),
    ("create_prorations", Change::CreateProrations),
    ("none", Change::None),
];

/// What happens to a change whose payment is declined: the value of `payment_behavior`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unpaid {
    /// The subscription is past due.
    Allowed,
    /// The change does not happen.
    Refused,
}

const UNPAID: [(&str, Unpaid); 2] = [
    ("allow_incomplete", Unpaid::Allowed),
    ("error_if_incomplete", Unpaid::Refused),
];

/// What is to be different.
struct Wanted {
    price: Option<String>,
    item: Option<String>,
    quantity: Option<i64>,
    change: Change,
    unpaid: Unpaid,
    at_period_end: Option<bool>,
    /// An empty text takes the planned end away.
    cancel_at: Option<Option<i64>>,
    metadata: Option<Changes>,
}

impl Wanted {
    fn read(form: &Part<'_>) -> Read<Self> {
        let items = form.each("items");
        if items.len() > 1 {
            return Err(Reply::bad_parameter(
                "items",
                "A simulated subscription has one item.",
            ));
        }
        let item = items.first();
        let text = |key| item.map_or(Ok(None), |item| item.text(key));
        let said = form.at("metadata").is_there() || form.raw("metadata").is_some();
        Ok(Self {
            price: text("price")?.map(str::to_owned),
            item: text("id")?.map(str::to_owned),
            quantity: item.map_or(Ok(None), |item| item.at_least("quantity", 1))?,
            change: form
                .word("proration_behavior", &BEHAVIORS)?
                .unwrap_or(Change::CreateProrations),
            unpaid: form.word("payment_behavior", &UNPAID)?.unwrap_or(Unpaid::Allowed),
            at_period_end: form.boolean("cancel_at_period_end")?,
            cancel_at: match form.raw("cancel_at") {
                Some("") => Some(None),
                Some(_) => Some(form.integer("cancel_at")?),
                None => None,
            },
            metadata: said.then(|| form.metadata()).transpose()?,
        })
    }
}

pub(super) fn update(form: &Part<'_>, target: &Target<'_>) -> Read<Deed> {
    let (wanted, id) = (Wanted::read(form)?, target.id.to_owned());
    Ok(Box::new(move |clerk| {
        let mut subscription: Subscription = named(clerk, &id)?;
        if matches!(subscription.status, "canceled" | "incomplete_expired") {
            let message = "A canceled subscription can only update its cancellation_details and metadata.";
            return Err(Reply::bad_parameter("subscription", message));
        }
        if wanted
            .item
            .as_ref()
            .is_some_and(|item| *item != subscription.item_id)
        {
            let status = hyper::StatusCode::BAD_REQUEST;
            let item = wanted.item.as_deref().unwrap_or_default();
            return Err(Reply::no_such(status, "subscription_item", item, "items[0][id]"));
        }
        switch(clerk, &mut subscription, &wanted)?;
        plan_end(clerk, &mut subscription, &wanted)?;
        if let Some(metadata) = wanted.metadata {
            let customer = clerk.customer(Some(&subscription.customer));
            clerk.play(customer, |history| {
                history.alter_subscription(&mut subscription, |it| metadata.apply(&mut it.metadata));
            });
        }
        Ok((&subscription).into())
    }))
}

fn switch(clerk: &mut Clerk<'_>, subscription: &mut Subscription, wanted: &Wanted) -> Read<()> {
    let price = match &wanted.price {
        Some(id) => active_price(clerk, id, "items[0][price]")?,
        None => subscription.price.clone(),
    };
    let quantity = wanted.quantity.unwrap_or(subscription.quantity);
    if price.id == subscription.price.id && quantity == subscription.quantity {
        return Ok(());
    }
    let switch = Switch {
        to: (price, quantity),
        change: wanted.change,
        may_fail: wanted.unpaid == Unpaid::Refused,
    };
    switch.carry_out(clerk, subscription)
}

/// A change of plan.
pub(in crate::api) struct Switch {
    pub(in crate::api) to: Chosen,
    pub(in crate::api) change: Change,
    /// Whether a declined payment undoes it.
    pub(in crate::api) may_fail: bool,
}

impl Switch {
    pub(in crate::api) fn carry_out(self, clerk: &mut Clerk<'_>, it: &mut Subscription) -> Read<()> {
        let refuse = |message: &str| Err(Reply::bad_parameter("items[0][price]", message));
        let (price, _) = &self.to;
        if price.recurring != it.price.recurring {
            return refuse("A simulated subscription keeps its billing period.");
        }
        if price.currency != it.price.currency {
            return refuse("A subscription keeps its currency.");
        }
        let pays_now = self.change == Change::AlwaysInvoice && costs_more(it, &self.to);
        let declined = pays_now && clerk.shop.takes_decline();
        if declined && self.may_fail {
            return Err(Reply::declined(&serde_json::Value::Null));
        }
        let paid = paid_period(clerk, it);
        let customer = clerk.customer(Some(&it.customer));
        clerk.play(customer, |history| {
            history.switch_plan(it, paid.as_ref(), self.to, self.change, declined);
        });
        Ok(())
    }
}

/// The invoice that paid for the running period.
fn paid_period(clerk: &Clerk<'_>, subscription: &Subscription) -> Option<Invoice> {
    let is_period = |it: &&Invoice| {
        it.subscription == subscription.id
            && it.status == "paid"
            && matches!(it.billing_reason, "subscription_create" | "subscription_cycle")
    };
    let invoices = clerk.all::<Invoice>(is_period);
    invoices.into_iter().max_by_key(|it| it.created)
}

fn plan_end(clerk: &mut Clerk<'_>, subscription: &mut Subscription, wanted: &Wanted) -> Read<()> {
    let planned = subscription.cancel_at.is_some();
    let customer = clerk.customer(Some(&subscription.customer));
    let end = match (wanted.at_period_end, wanted.cancel_at) {
        (Some(true), Some(_)) => {
            let message = "You may only specify one of these parameters: cancel_at, cancel_at_period_end.";
            return Err(Reply::bad_parameter("cancel_at", message));
        }
        (Some(true), None) if subscription.cancel_at_period_end => return Ok(()),
        (Some(true), None) => None,
        (_, Some(Some(at))) if at <= clerk.time() => {
            return Err(Reply::bad_parameter(
                "cancel_at",
                "cancel_at must be in the future.",
            ));
        }
        (_, Some(Some(at))) => Some(at),
        (Some(false), None) | (_, Some(None)) => {
            if planned {
                clerk.play(customer, |history| history.undo_cancel(subscription));
            }
            return Ok(());
        }
        (None, None) => return Ok(()),
    };
    clerk.play(customer, |history| history.plan_end(subscription, end));
    Ok(())
}

pub(super) fn cancel(form: &Part<'_>, target: &Target<'_>) -> Read<Deed> {
    let id = target.id.to_owned();
    for unbilled in ["invoice_now", "prorate"] {
        if form.boolean(unbilled)?.unwrap_or(false) {
            let message = "A simulated cancellation bills and credits nothing.";
            return Err(Reply::bad_parameter(unbilled, message));
        }
    }
    Ok(Box::new(move |clerk| {
        let mut subscription: Subscription = named(clerk, &id)?;
        if matches!(subscription.status, "canceled" | "incomplete_expired") {
            return Err(Reply::missing("subscription", &id));
        }
        let customer = clerk.customer(Some(&subscription.customer));
        clerk.play(customer, |history| history.end_now(&mut subscription));
        Ok((&subscription).into())
    }))
}
