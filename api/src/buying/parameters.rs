//! What Stripe is told of a purchase. Pure. What the workers need to know later goes into metadata: whose it is, and of
//! credits how many; they believe what stands there, because only we write it.

use stripe_api::{
    CheckoutMode, CreateCheckoutSession, CreateCustomer, CreatePaymentIntent, Enabled, LineItem, Metadata,
    Noted, PriceData, ProductData, Write,
};

use super::purchase::Purchase;
use crate::intents::INTENT;
use crate::problem::Problem;
use crate::sales::Sales;

/// What buyers read of a top-up.
const TOPUP_NAME: &str = "Credits";

/// Who buys, under which intent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Buyer<'a> {
    pub user: &'a str,
    pub customer: &'a str,
}

pub(super) fn customer(user: &str, intent: &str) -> Write {
    let metadata = Metadata::from([("user_id", user.to_owned()), (INTENT, intent.to_owned())]);
    Write::from(&CreateCustomer { metadata })
}

/// A session on Stripe's page. Session metadata is not copied to what the session makes, so it is said twice.
pub(super) fn session(
    purchase: &Purchase,
    buyer: Buyer<'_>,
    sales: &Sales,
    intent: &str,
) -> Result<Write, Problem> {
    let metadata = metadata(purchase, buyer.user, intent);
    let noted = Some(Noted {
        metadata: metadata.clone(),
    });
    let (mode, subscription_data, payment_intent_data) = match purchase {
        Purchase::Plan(_) => (CheckoutMode::Subscription, noted, None),
        Purchase::Package(_) | Purchase::TopUp(_) => (CheckoutMode::Payment, None, noted),
    };
    Ok(Write::from(&CreateCheckoutSession {
        mode,
        customer: buyer.customer,
        client_reference_id: buyer.user,
        success_url: sales.success_url()?,
        cancel_url: sales.cancel_url()?,
        line_items: [line(purchase)],
        metadata,
        subscription_data,
        payment_intent_data,
    }))
}

fn line(purchase: &Purchase) -> LineItem<'_> {
    let (price, price_data) = match purchase {
        Purchase::Plan(sold) | Purchase::Package(sold) => (Some(sold.price_id.as_str()), None),
        Purchase::TopUp(topup) => (
            None,
            Some(PriceData {
                currency: &topup.currency,
                unit_amount: topup.amount,
                product_data: ProductData { name: TOPUP_NAME },
            }),
        ),
    };
    LineItem {
        quantity: 1,
        price,
        price_data,
    }
}

/// A payment in a page of the client's own. Without a session, the payment itself grants.
pub(super) fn payment(purchase: &Purchase, buyer: Buyer<'_>, intent: &str) -> Result<Write, Problem> {
    let (amount, currency) = purchase.price()?;
    let mut metadata = metadata(purchase, buyer.user, intent);
    metadata.insert("credits_source", "payment_intent".to_owned());
    Ok(Write::from(&CreatePaymentIntent {
        amount,
        currency,
        customer: buyer.customer,
        metadata,
        automatic_payment_methods: Enabled { enabled: true },
    }))
}

fn metadata(purchase: &Purchase, user: &str, intent: &str) -> Metadata {
    let mut metadata = Metadata::from([("user_id", user.to_owned()), (INTENT, intent.to_owned())]);
    match purchase {
        // What a plan grants follows from the terms of its price.
        Purchase::Plan(sold) => {
            metadata.insert("price_id", sold.price_id.clone());
        }
        Purchase::Package(sold) => {
            metadata.insert("price_id", sold.price_id.clone());
            metadata.insert("credits", sold.credits.to_string());
            if let Some(days) = sold.expire_days {
                metadata.insert("credits_expire_days", days.to_string());
            }
        }
        Purchase::TopUp(topup) => {
            metadata.insert("credits", topup.credits.to_string());
        }
    }
    metadata
}

#[cfg(test)]
mod tests {
    use store::api::{OfferKind, Sold};

    use super::*;

    fn package() -> Purchase {
        Purchase::Package(Sold {
            name: "credits_1000".to_owned(),
            kind: OfferKind::Package,
            price_id: "price_1".to_owned(),
            credits: 1000,
            expire_days: Some(365),
            price: Some((1000, "usd".to_owned())),
        })
    }

    #[test]
    fn a_payment_says_whose_it_is_and_that_it_grants_by_itself() {
        let buyer = Buyer {
            user: "ann",
            customer: "cus_1",
        };
        let form = payment(&package(), buyer, "i1").expect("a price").form;
        let pairs: Vec<&str> = form.split('&').collect();
        assert_eq!(
            pairs,
            [
                "amount=1000",
                "currency=usd",
                "customer=cus_1",
                "metadata[credits]=1000",
                "metadata[credits_expire_days]=365",
                "metadata[credits_source]=payment_intent",
                "metadata[price_id]=price_1",
                "metadata[tollgate_intent]=i1",
                "metadata[user_id]=ann",
                "automatic_payment_methods[enabled]=true",
            ]
        );
    }

    #[test]
    fn what_has_no_known_price_is_not_charged() {
        let Purchase::Package(mut sold) = package() else {
            return;
        };
        sold.price = None;
        let buyer = Buyer {
            user: "ann",
            customer: "cus_1",
        };
        let problem = payment(&Purchase::Package(sold), buyer, "i1").expect_err("no price");
        assert_eq!(problem.code, "offer_without_price");
    }
}
