//! The parameters of what we ask for, as Stripe names them. Only what we use.

use std::collections::BTreeMap;

use serde::Serialize;
use stripe_client_core::{RequestBuilder, StripeMethod};

use crate::deed::{Deed, Write};

/// What we note on objects. Sorted, so that the same notes are the same bytes.
pub type Metadata = BTreeMap<&'static str, String>;

/// <https://docs.stripe.com/api/customers/create>
#[derive(Debug, Clone, Serialize)]
pub struct CreateCustomer {
    /// On the customer.
    pub metadata: Metadata,
}

/// <https://docs.stripe.com/api/checkout/sessions/create>
#[derive(Debug, Clone, Serialize)]
pub struct CreateCheckoutSession<'a> {
    /// How it is paid.
    pub mode: Mode,
    /// Who pays.
    pub customer: &'a str,
    /// Our user.
    pub client_reference_id: &'a str,
    /// Where the browser goes afterwards.
    pub success_url: &'a str,
    /// Where the browser goes when nothing is paid.
    pub cancel_url: &'a str,
    /// What is bought.
    pub line_items: [LineItem<'a>; 1],
    /// On the session. Stripe does not copy it on what the session makes.
    pub metadata: Metadata,
    /// On the subscription it makes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription_data: Option<Noted>,
    /// On the payment it makes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payment_intent_data: Option<Noted>,
}

/// How a session is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Once.
    Payment,
    /// Again and again.
    Subscription,
}

/// One of something.
#[derive(Debug, Clone, Serialize)]
pub struct LineItem<'a> {
    /// How many.
    pub quantity: u32,
    /// A price that Stripe knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<&'a str>,
    /// A price for this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_data: Option<PriceData<'a>>,
}

/// A price for this once.
#[derive(Debug, Clone, Serialize)]
pub struct PriceData<'a> {
    /// Three small letters.
    pub currency: &'a str,
    /// Minor units.
    pub unit_amount: i64,
    /// What it is the price of.
    pub product_data: ProductData<'a>,
}

/// A product for this once.
#[derive(Debug, Clone, Serialize)]
pub struct ProductData<'a> {
    /// As buyers read it.
    pub name: &'a str,
}

/// What is noted on an object that another one makes.
#[derive(Debug, Clone, Serialize)]
pub struct Noted {
    /// On that object.
    pub metadata: Metadata,
}

/// <https://docs.stripe.com/api/payment_intents/create>
#[derive(Debug, Clone, Serialize)]
pub struct CreatePaymentIntent<'a> {
    /// Minor units.
    pub amount: i64,
    /// Three small letters.
    pub currency: &'a str,
    /// Who pays.
    pub customer: &'a str,
    /// On the payment.
    pub metadata: Metadata,
    /// By whatever the account allows.
    pub automatic_payment_methods: Enabled,
}

/// Something that is on.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Enabled {
    /// On or off.
    pub enabled: bool,
}

/// <https://docs.stripe.com/api/refunds/create>
#[derive(Debug, Clone, Serialize)]
pub struct CreateRefund<'a> {
    /// What was paid.
    pub payment_intent: &'a str,
    /// Minor units.
    pub amount: i64,
    /// A word of Stripe's.
    pub reason: &'a str,
    /// On the refund.
    pub metadata: Metadata,
}

/// <https://docs.stripe.com/api/customer_portal/sessions/create>
#[derive(Debug, Clone, Serialize)]
pub struct CreatePortalSession<'a> {
    /// Whose.
    pub customer: &'a str,
    /// Where the browser goes afterwards.
    pub return_url: &'a str,
}

/// <https://docs.stripe.com/api/subscriptions/update>
#[derive(Debug, Clone, Serialize)]
pub struct UpdateSubscription<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<[ChangedItem<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proration_behavior: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_behavior: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancel_at_period_end: Option<bool>,
}

/// What a subscription bills, and what it is to bill instead.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ChangedItem<'a> {
    /// `si_...`.
    pub id: &'a str,
    /// The new price.
    pub price: &'a str,
}

impl<'a> UpdateSubscription<'a> {
    /// Another plan: what differs is billed now, and the change does not happen when that cannot be paid.
    #[must_use]
    pub fn plan(item: ChangedItem<'a>) -> Self {
        Self {
            items: Some([item]),
            proration_behavior: Some("always_invoice"),
            payment_behavior: Some("error_if_incomplete"),
            cancel_at_period_end: None,
        }
    }

    /// Whether it ends with its period.
    #[must_use]
    pub fn ends(with_period: bool) -> Self {
        Self {
            items: None,
            proration_behavior: None,
            payment_behavior: None,
            cancel_at_period_end: Some(with_period),
        }
    }
}

impl From<&CreateCustomer> for Write {
    fn from(parameters: &CreateCustomer) -> Self {
        made(Deed::CreateCustomer, parameters)
    }
}

impl From<&CreateCheckoutSession<'_>> for Write {
    fn from(parameters: &CreateCheckoutSession<'_>) -> Self {
        made(Deed::CreateCheckoutSession, parameters)
    }
}

impl From<&CreatePaymentIntent<'_>> for Write {
    fn from(parameters: &CreatePaymentIntent<'_>) -> Self {
        made(Deed::CreatePaymentIntent, parameters)
    }
}

impl From<&CreateRefund<'_>> for Write {
    fn from(parameters: &CreateRefund<'_>) -> Self {
        made(Deed::CreateRefund, parameters)
    }
}

impl From<&CreatePortalSession<'_>> for Write {
    fn from(parameters: &CreatePortalSession<'_>) -> Self {
        made(Deed::CreatePortalSession, parameters)
    }
}

impl Write {
    /// A change of a subscription.
    #[must_use]
    pub fn update_subscription(id: &str, parameters: &UpdateSubscription<'_>) -> Self {
        Self {
            id: id.to_owned(),
            ..made(Deed::UpdateSubscription, parameters)
        }
    }

    /// <https://docs.stripe.com/api/checkout/sessions/expire>
    #[must_use]
    pub fn expire_checkout_session(id: &str) -> Self {
        Self {
            deed: Deed::ExpireCheckoutSession,
            id: id.to_owned(),
            form: String::new(),
        }
    }
}

fn made(deed: Deed, parameters: &impl Serialize) -> Write {
    let encoded = RequestBuilder::new(StripeMethod::Post, "").form(parameters).body;
    Write {
        deed,
        id: String::new(),
        form: encoded.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_in_stripes_form() {
        let metadata = Metadata::from([("user_id", "ann & co".to_owned()), ("credits", "5".to_owned())]);
        let session = CreateCheckoutSession {
            mode: Mode::Subscription,
            customer: "cus_1",
            client_reference_id: "ann & co",
            success_url: "https://shop.example/?id={CHECKOUT_SESSION_ID}",
            cancel_url: "https://shop.example/left",
            line_items: [LineItem {
                quantity: 1,
                price: Some("price_1"),
                price_data: None,
            }],
            metadata: metadata.clone(),
            subscription_data: Some(Noted { metadata }),
            payment_intent_data: None,
        };
        let form = Write::from(&session).form;
        let pairs: Vec<&str> = form.split('&').collect();
        assert_eq!(
            pairs,
            [
                "mode=subscription",
                "customer=cus_1",
                "client_reference_id=ann+%26+co",
                "success_url=https://shop.example/?id%3D{CHECKOUT_SESSION_ID}",
                "cancel_url=https://shop.example/left",
                "line_items[0][quantity]=1",
                "line_items[0][price]=price_1",
                "metadata[credits]=5",
                "metadata[user_id]=ann+%26+co",
                "subscription_data[metadata][credits]=5",
                "subscription_data[metadata][user_id]=ann+%26+co",
            ]
        );
    }
}
