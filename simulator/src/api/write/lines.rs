//! What is put into a cart, and what prices may be.

use super::referred;
use crate::{
    api::{
        errors::Reply,
        form::{Changes, Part, Read},
    },
    objects::catalogue::{Price, Product, Recurring, Unit},
    shop::Clerk,
};

/// Stripe's currencies: <https://docs.stripe.com/currencies>.
const CURRENCIES: &str = "aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bif bmd bnd bob brl bsd bwp byn bzd \
    cad cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq gyd hkd hnl htg \
    huf idr ils inr isk jmd jpy kes kgs khr kmf krw kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mur mvr \
    mwk mxn myr mzn nad ngn nio nok npr nzd pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp \
    sle sos srd std szl thb tjs top try ttd twd tzs uah ugx usd uyu uzs vnd vuv wst xaf xcd xof xpf yer zar zmw";
/// Least and largest amount of one payment, in minor units. Stripe has them for each currency; ours are USD's.
/// Source: <https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts>.
const AMOUNT_MIN: i64 = 50;
const AMOUNT_MAX: i64 = 99_999_999;
const UNITS: [(&str, Unit); 4] = [
    (Unit::Day.as_str(), Unit::Day),
    (Unit::Week.as_str(), Unit::Week),
    (Unit::Month.as_str(), Unit::Month),
    (Unit::Year.as_str(), Unit::Year),
];

/// One line of a cart.
pub(super) struct Line {
    what: What,
    quantity: i64,
    /// Its name, such as `line_items[0]`.
    name: String,
}

enum What {
    Price(String),
    /// A price of its own.
    Data(Box<Offer>),
}

/// What a new price is to be.
pub(super) struct Offer {
    pub(super) product: Selling,
    pub(super) currency: String,
    pub(super) unit_amount: i64,
    pub(super) recurring: Option<Recurring>,
    pub(super) metadata: Changes,
    pub(super) lookup_key: Option<String>,
    pub(super) nickname: Option<String>,
    pub(super) active: bool,
}

/// What a new price is for.
pub(super) enum Selling {
    /// A product that is there, and the parameter that names it.
    Known(String, String),
    /// A new one.
    New { name: String, metadata: Changes },
}

impl Line {
    pub(super) fn read(part: &Part<'_>) -> Read<Self> {
        let data = part.at("price_data");
        let what = if data.is_there() {
            What::Data(Box::new(Offer::read(&data)?))
        } else {
            What::Price(part.needed("price")?.to_owned())
        };
        let quantity = part.at_least("quantity", 1)?;
        let name = part.name("quantity");
        let name = name.trim_end_matches("[quantity]").to_owned();
        let missing = || {
            let message = format!("Quantity is required. Add `quantity` to `{name}`");
            Reply::bad_parameter(&name, &message)
        };
        Ok(Self {
            quantity: quantity.ok_or_else(missing)?,
            what,
            name,
        })
    }

    /// The price, which may have to be made first.
    pub(super) fn price(self, clerk: &mut Clerk<'_>) -> Read<(Price, i64)> {
        let price = match self.what {
            What::Price(id) => {
                let param = format!("{}[price]", self.name);
                active_price(clerk, &id, &param)?
            }
            What::Data(offer) => offer.make(clerk)?,
        };
        Ok((price, self.quantity))
    }
}

/// A price that can be bought.
pub(in crate::api) fn active_price(clerk: &Clerk<'_>, id: &str, param: &str) -> Read<Price> {
    let price: Price = referred(clerk, id, param)?;
    if price.active {
        return Ok(price);
    }
    let message = "The price specified is inactive. This field only accepts active prices.";
    Err(Reply::bad_parameter(param, message))
}

impl Offer {
    pub(super) fn read(part: &Part<'_>) -> Read<Self> {
        let data = part.at("product_data");
        let product = if data.is_there() {
            Selling::New {
                name: data.needed("name")?.to_owned(),
                metadata: data.metadata()?,
            }
        } else {
            Selling::Known(part.needed("product")?.to_owned(), part.name("product"))
        };
        let unit_amount = part.at_least("unit_amount", 0)?;
        let unit_amount = unit_amount.ok_or_else(|| Reply::missing_parameter(&part.name("unit_amount")))?;
        Ok(Self {
            product,
            currency: currency(part)?,
            unit_amount,
            recurring: recurring(&part.at("recurring"))?,
            metadata: part.metadata()?,
            lookup_key: part.text("lookup_key")?.map(str::to_owned),
            nickname: part.text("nickname")?.map(str::to_owned),
            active: part.boolean("active")?.unwrap_or(true),
        })
    }

    /// The price comes into the catalogue, and its product if it is new.
    pub(super) fn make(self, clerk: &mut Clerk<'_>) -> Read<Price> {
        let product = self.product.product(clerk)?;
        let nobody = clerk.customer(None);
        Ok(clerk.play(nobody, |history| {
            let price = Price {
                id: history.dated_id("price"),
                product: product.id,
                created: history.now(),
                name: product.name,
                lookup_key: self.lookup_key,
                nickname: self.nickname,
                currency: self.currency,
                unit_amount: self.unit_amount,
                metadata: self.metadata.fresh(),
                recurring: self.recurring,
                active: self.active,
            };
            history.offer_price(&price);
            price
        }))
    }
}

impl Selling {
    fn product(self, clerk: &mut Clerk<'_>) -> Read<Product> {
        let (name, metadata) = match self {
            Self::Known(id, param) => return referred(clerk, &id, &param),
            Self::New { name, metadata } => (name, metadata),
        };
        let nobody = clerk.customer(None);
        Ok(clerk.play(nobody, |history| {
            let mut product = Product::new(history.short_id("prod"), history.now(), &name, 0);
            product.description = None;
            product.metadata = metadata.fresh();
            history.offer_product(&product);
            product
        }))
    }
}

fn recurring(part: &Part<'_>) -> Read<Option<Recurring>> {
    if !part.is_there() {
        return Ok(None);
    }
    let unit = part.word("interval", &UNITS)?;
    let unit = unit.ok_or_else(|| Reply::missing_parameter(&part.name("interval")))?;
    let count = part.at_least("interval_count", 1)?.unwrap_or(1);
    Ok(Some(Recurring { unit, count }))
}

/// A currency that Stripe knows.
pub(super) fn currency(part: &Part<'_>) -> Read<String> {
    let said = part.needed("currency")?;
    let currency = said.to_lowercase();
    if currency.len() == 3 && CURRENCIES.split_whitespace().any(|known| known == currency) {
        return Ok(currency);
    }
    let known: Vec<&str> = CURRENCIES.split_whitespace().collect();
    let message = format!(
        "Invalid currency: {said}. Stripe currently supports these currencies: {}",
        known.join(", ")
    );
    Err(Reply::bad_parameter(&part.name("currency"), &message))
}

/// Refuses an amount that cannot be charged.
pub(super) fn chargeable(amount: i64, currency: &str) -> Read<()> {
    if amount < AMOUNT_MIN {
        let least = money(AMOUNT_MIN, currency);
        return Err(Reply::amount_too_small(&format!(
            "Amount must be at least {least}"
        )));
    }
    if amount > AMOUNT_MAX {
        let message = format!("Amount must be no more than {}", money(AMOUNT_MAX, currency));
        return Err(Reply::bad_parameter("amount", &message));
    }
    Ok(())
}

/// An amount for people.
pub(in crate::api) fn money(amount: i64, currency: &str) -> String {
    /// Currencies without minor units: <https://docs.stripe.com/currencies#zero-decimal>.
    const WHOLE: [&str; 15] = [
        "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof",
        "xpf",
    ];
    let code = currency.to_uppercase();
    if WHOLE.contains(&currency) {
        return format!("{code} {amount}");
    }
    format!("{code} {}.{:02}", amount / 100, amount % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_in_their_currency() {
        assert_eq!(money(1999, "usd"), "USD 19.99");
        assert_eq!(money(5, "eur"), "EUR 0.05");
        assert_eq!(money(1500, "jpy"), "JPY 1500");
    }
}
