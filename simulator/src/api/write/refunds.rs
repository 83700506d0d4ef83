//! Refunds: <https://docs.stripe.com/api/refunds>.

use serde_json::Value;

use super::{Deed, Target, lines::money, named, referred};
use crate::{
    api::{
        errors::Reply,
        form::{Part, Read},
    },
    history::Why,
    objects::{charge::Charge, payment_intent::PaymentIntent, refund::Refund},
    shop::Clerk,
};

const REASONS: [(&str, &str); 3] = [
    ("duplicate", "duplicate"),
    ("fraudulent", "fraudulent"),
    ("requested_by_customer", "requested_by_customer"),
];

/// What is refunded.
struct Of {
    charge: Option<String>,
    intent: Option<String>,
}

pub(super) fn create(form: &Part<'_>, _: &Target<'_>) -> Read<Deed> {
    let text = |key| form.text(key).map(|text| text.map(str::to_owned));
    let of = Of {
        charge: text("charge")?,
        intent: text("payment_intent")?,
    };
    if of.charge.is_none() && of.intent.is_none() {
        let message =
            "One of the following params should be provided for this request: payment_intent or charge.";
        return Err(Reply::bad_parameter("payment_intent", message));
    }
    let amount = form.at_least("amount", 1)?;
    let reason = form.word("reason", &REASONS)?.map(str::to_owned);
    let metadata: Value = form.metadata()?.fresh();
    Ok(Box::new(move |clerk| {
        let mut charge = of.charge(clerk)?;
        let amount = refundable(&charge, amount)?;
        let customer = clerk.customer(charge.customer.as_deref());
        let why = Why { reason, metadata };
        let refund = clerk.play(customer, |history| history.refund_card(&mut charge, amount, why));
        Ok((&refund).into())
    }))
}

impl Of {
    fn charge(&self, clerk: &Clerk<'_>) -> Read<Charge> {
        if let Some(id) = &self.charge {
            return referred(clerk, id, "charge");
        }
        let id = self.intent.as_deref().unwrap_or_default();
        let intent: PaymentIntent = referred(clerk, id, "payment_intent")?;
        let charge = intent
            .latest_charge
            .as_deref()
            .and_then(|id| clerk.get::<Charge>(id));
        charge
            .filter(|charge| charge.status == "succeeded")
            .ok_or_else(|| {
                let message =
                    format!("This PaymentIntent ({id}) does not have a successful charge to refund.");
                Reply::bad_parameter("payment_intent", &message)
            })
    }
}

/// The amount that goes back: all of what is left if none is named, and never more than that.
fn refundable(charge: &Charge, amount: Option<i64>) -> Read<i64> {
    let left = charge.amount - charge.amount_refunded;
    if charge.status != "succeeded" {
        let message = format!("Charge {} was not successful and cannot be refunded.", charge.id);
        return Err(Reply::bad_parameter("charge", &message));
    }
    if left == 0 {
        let message = format!("Charge {} has already been refunded.", charge.id);
        return Err(Reply::unexpected("charge_already_refunded", &message));
    }
    if charge.disputed {
        let message = format!(
            "Charge {} has been charged back; cannot issue a refund.",
            charge.id
        );
        return Err(Reply::unexpected("charge_disputed", &message));
    }
    let amount = amount.unwrap_or(left);
    if amount > left {
        let message = format!(
            "Refund amount ({}) is greater than unrefunded amount on charge ({})",
            money(amount, &charge.currency),
            money(left, &charge.currency)
        );
        return Err(Reply::bad_parameter("amount", &message));
    }
    Ok(amount)
}

/// Its metadata is all that can be changed.
pub(super) fn update(form: &Part<'_>, target: &Target<'_>) -> Read<Deed> {
    let (id, metadata) = (target.id.to_owned(), form.metadata()?);
    Ok(Box::new(move |clerk| {
        let mut refund: Refund = named(clerk, &id)?;
        metadata.apply(&mut refund.metadata);
        clerk.keep((&refund).into());
        Ok((&refund).into())
    }))
}
