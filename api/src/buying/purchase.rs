//! What a wish comes to, by the catalogue and the settings.

use store::api::{ActingTx, OfferKind, Sold};

use super::wish::Wish;
use crate::problem::{Kind, Problem};
use crate::sales::{Sales, TopUp};

/// What is bought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Purchase {
    /// A plan of the catalogue.
    Plan(Sold),
    /// A package of the catalogue.
    Package(Sold),
    /// Any amount.
    TopUp(TopUp),
}

impl Purchase {
    /// What is charged, minor units and currency.
    pub(super) fn price(&self) -> Result<(i64, &str), Problem> {
        match self {
            Self::TopUp(topup) => Ok((topup.amount, &topup.currency)),
            Self::Plan(sold) | Self::Package(sold) => match &sold.price {
                Some((amount, currency)) => Ok((*amount, currency)),
                None => Err(Kind::UNPRICED.because(
                    "neither the catalogue nor Stripe says what it costs; add unit_amount to the catalogue",
                )),
            },
        }
    }
}

/// Finds out what a wish comes to. Only what is active is found.
pub(crate) async fn purchase(tx: &mut ActingTx, sales: &Sales, wish: &Wish) -> Result<Purchase, Problem> {
    let (name, kind) = match wish {
        Wish::Plan(name) => (name, OfferKind::Plan),
        Wish::Package(name) => (name, OfferKind::Package),
        Wish::TopUp(amount) => return Ok(Purchase::TopUp(sales.topup(*amount)?)),
    };
    let found = if name.contains('\0') {
        None
    } else {
        tx.sold(name).await?
    };
    let sold = found
        .filter(|sold| sold.kind == kind)
        .ok_or_else(|| Kind::UNKNOWN_OFFER.because("nothing of that name and kind is for sale"))?;
    Ok(match kind {
        OfferKind::Plan => Purchase::Plan(sold),
        OfferKind::Package => Purchase::Package(sold),
    })
}
