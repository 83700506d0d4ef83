//! Payment intents: <https://docs.stripe.com/api/payment_intents>.

use serde_json::{Value, json};

use super::{
    Deed, Target,
    lines::{chargeable, currency},
    named, referred,
};
use crate::{
    api::{
        errors::Reply,
        form::{Part, Read},
    },
    history::Bill,
    json::merge,
    objects::{Thing, customer::Customer, payment_intent::PaymentIntent},
    shop::Clerk,
};

const REASONS: [(&str, &str); 4] = [
    ("abandoned", "abandoned"),
    ("duplicate", "duplicate"),
    ("fraudulent", "fraudulent"),
    ("requested_by_customer", "requested_by_customer"),
];
/// Members that are kept and shown, and change nothing.
const SHOWN: [&str; 5] = [
    "description",
    "receipt_email",
    "setup_future_usage",
    "statement_descriptor",
    "statement_descriptor_suffix",
];

/// What becomes of an attempt, by the test card that is used.
/// Source: <https://docs.stripe.com/testing#cards>.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Card {
    Good,
    Declined,
    NeedsAction,
}

impl Card {
    fn of(method: &str) -> Self {
        if method.contains("chargeDeclined") {
            Self::Declined
        } else if method.contains("authenticationRequired") || method.contains("threeDSecure") {
            Self::NeedsAction
        } else {
            Self::Good
        }
    }
}

/// What is only said about how an intent is to be shown, or confirmed in a browser.
fn shown(form: &Part<'_>) -> Read<Value> {
    let automatic = form.at("automatic_payment_methods");
    let enabled = automatic.boolean("enabled")?;
    let redirects = automatic.text("allow_redirects")?.unwrap_or("always");
    let methods = enabled.map(|enabled| json!({"allow_redirects": redirects, "enabled": enabled}));
    // Only cards are simulated here, whatever else is allowed.
    form.texts("payment_method_types");
    form.url("return_url")?;
    form.boolean("off_session")?;
    let methods = methods.map_or(
        Value::Null,
        |methods| json!({"automatic_payment_methods": methods}),
    );
    Ok(merge([methods, form.extra(&SHOWN)?]))
}

pub(super) fn create(form: &Part<'_>, _: &Target<'_>) -> Read<Deed> {
    let amount = form.at_least("amount", 1)?;
    let amount = amount.ok_or_else(|| Reply::missing_parameter("amount"))?;
    let currency = currency(form)?;
    chargeable(amount, &currency)?;
    let customer = form.text("customer")?.map(str::to_owned);
    let method = form.text("payment_method")?.map(str::to_owned);
    let confirms = form.boolean("confirm")?.unwrap_or(false);
    let bill = Bill {
        amount,
        currency,
        method: method.clone(),
        metadata: form.metadata()?.fresh(),
        extra: shown(form)?,
    };
    Ok(Box::new(move |clerk| {
        let known = customer
            .as_deref()
            .map(|id| referred::<Customer>(clerk, id, "customer"));
        let customer = known.transpose()?.unwrap_or_else(Customer::nobody);
        let intent = clerk.play(customer, |history| history.begin_intent(bill));
        if confirms {
            attempt(clerk, intent)
        } else {
            Ok((&intent).into())
        }
    }))
}

pub(super) fn confirm(form: &Part<'_>, target: &Target<'_>) -> Read<Deed> {
    let id = target.id.to_owned();
    let method = form.text("payment_method")?.map(str::to_owned);
    shown(form)?;
    Ok(Box::new(move |clerk| {
        let mut intent: PaymentIntent = named(clerk, &id)?;
        if !matches!(intent.status, "requires_payment_method" | "requires_confirmation") {
            return Err(unexpected("confirm", &intent));
        }
        if let Some(method) = method {
            intent.payment_method = method;
            intent.status = "requires_confirmation";
        }
        attempt(clerk, intent)
    }))
}

/// The card is charged.
fn attempt(clerk: &mut Clerk<'_>, mut intent: PaymentIntent) -> Read<Thing> {
    if intent.status == "requires_payment_method" {
        let message = "You cannot confirm this PaymentIntent because it's missing a payment method. You can either \
            update the PaymentIntent with a payment method and then confirm it again, or confirm it again directly \
            with a payment method or ConfirmationToken.";
        return Err(Reply::unexpected("payment_intent_unexpected_state", message));
    }
    let declined = clerk.shop.takes_decline();
    let customer = clerk.customer(intent.customer.as_deref());
    let card = Card::of(&intent.payment_method);
    clerk.play(customer, |history| match card {
        Card::NeedsAction if !declined => history.ask_for_action(&mut intent),
        card => {
            history.charge_card(&mut intent, declined || card == Card::Declined);
        }
    });
    if intent.status == "requires_payment_method" {
        return Err(Reply::declined(&intent.json(clerk.shop.version())));
    }
    Ok((&intent).into())
}

pub(super) fn cancel(form: &Part<'_>, target: &Target<'_>) -> Read<Deed> {
    let id = target.id.to_owned();
    let reason = form.word("cancellation_reason", &REASONS)?;
    Ok(Box::new(move |clerk| {
        let mut intent: PaymentIntent = named(clerk, &id)?;
        if matches!(intent.status, "succeeded" | "canceled" | "processing") {
            return Err(unexpected("cancel", &intent));
        }
        let customer = clerk.customer(intent.customer.as_deref());
        clerk.play(customer, |history| history.withdraw_intent(&mut intent, reason));
        Ok((&intent).into())
    }))
}

/// What can be changed before it is paid. There is no event about it.
pub(super) fn update(form: &Part<'_>, target: &Target<'_>) -> Read<Deed> {
    let id = target.id.to_owned();
    let (amount, metadata) = (form.at_least("amount", 1)?, form.metadata()?);
    let extra = form.extra(&SHOWN)?;
    Ok(Box::new(move |clerk| {
        let mut intent: PaymentIntent = named(clerk, &id)?;
        if let Some(amount) = amount {
            if matches!(intent.status, "succeeded" | "canceled" | "processing") {
                return Err(unexpected("update", &intent));
            }
            chargeable(amount, &intent.currency)?;
            intent.amount = amount;
        }
        metadata.apply(&mut intent.metadata);
        intent.extra = merge([intent.extra.take(), extra]);
        clerk.keep((&intent).into());
        Ok((&intent).into())
    }))
}

fn unexpected(verb: &str, intent: &PaymentIntent) -> Box<Reply> {
    let message = format!(
        "You cannot {verb} this PaymentIntent because it has a status of {}.",
        intent.status
    );
    Reply::unexpected("payment_intent_unexpected_state", &message)
}
