//! What a price costs and grants, from wherever an event carries the price whole: `price.*` itself, a subscription's
//! items, an invoice's lines before 2025-03-31.basil. Later invoices only name it, so every sighting is kept.

use domain::objects::PriceTerms;

use crate::view::View;

/// The terms of a price, or of a plan, its older form. `None` for a mere id, and for numbers that cannot be read:
/// terms that are not understood must not be taken for terms that grant nothing.
pub(super) fn terms(price: &View<'_>) -> Option<PriceTerms> {
    let metadata = price.object("metadata").ok()?;
    if !price.has("metadata") {
        return None;
    }
    let number = |name: &str| match metadata.text(name).ok()? {
        None => Some(None),
        Some(text) => text
            .trim()
            .parse::<i64>()
            .ok()
            .filter(|number| *number >= 0)
            .map(Some),
    };
    Some(PriceTerms {
        price_id: price.text("id").ok()??,
        credits: number("credits")?.unwrap_or(0),
        free_monthly: number("free_monthly_credits")?.unwrap_or(0),
        expire_days: number("credits_expire_days")?
            .and_then(|days| i32::try_from(days).ok())
            .filter(|days| *days > 0),
        unit_amount: price
            .integer("unit_amount")
            .ok()
            .flatten()
            .or(price.integer("amount").ok().flatten()),
        currency: price.text("currency").ok().flatten(),
    })
}

/// The terms of the first of some members that is a whole price.
pub(super) fn terms_of(view: &View<'_>, members: &[&str]) -> Option<PriceTerms> {
    members
        .iter()
        .find_map(|name| view.object(name).ok().and_then(|price| terms(&price)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(value: &Value) -> Option<PriceTerms> {
        let value = value.into();
        terms(&View::new(&value, &[]).expect("an object"))
    }

    #[test]
    fn a_price_and_its_older_form_read_alike() {
        let price =
            json!({"id": "p", "unit_amount": 2000, "currency": "usd", "metadata": {"credits": "2000"}});
        let plan = json!({"id": "p", "amount": 2000, "currency": "usd", "metadata": {"credits": "2000"}});
        let expected = PriceTerms {
            price_id: "p".into(),
            credits: 2000,
            free_monthly: 0,
            expire_days: None,
            unit_amount: Some(2000),
            currency: Some("usd".into()),
        };
        assert_eq!(read(&price), Some(expected.clone()));
        assert_eq!(read(&plan), Some(expected));
    }

    #[test]
    fn what_is_not_understood_is_not_nothing() {
        assert_eq!(
            read(&json!({"id": "p", "metadata": {}})).map(|terms| terms.credits),
            Some(0)
        );
        for metadata in [
            json!({"credits": "many"}),
            json!({"credits": "-5"}),
            json!({"credits": "1.5"}),
        ] {
            assert_eq!(read(&json!({"id": "p", "metadata": metadata})), None);
        }
        assert_eq!(read(&json!({"id": "p"})), None, "a stub");
    }
}
