//! What the simulated shop sells. Ids belong to the shop, not to a customer, so that every history
//! of one run refers to the same prices.

use crate::{
    dice::Dice,
    mint::Mint,
    objects::catalogue::{Price, Product, Recurring},
};

/// How long before the start of a run the shop opened, in seconds; longer than any history.
const OPENED_BEFORE: i64 = 200 * 86_400;

/// The products and prices of one Stripe account.
#[derive(Debug, Clone)]
pub struct Catalogue {
    /// The account's part of ids.
    pub(crate) suffix: String,
    /// The id of the account (`acct_...`).
    pub account: String,
    /// USD 20.00 a month, 2000 credits.
    pub pro: Price,
    /// USD 50.00 a month, 6000 credits.
    pub team: Price,
    /// USD 10.00 once, 1000 credits.
    pub top_up: Price,
    /// JPY 1500 once, 1000 credits: a currency without minor units.
    pub top_up_jpy: Price,
    /// One product per line of the shop, in the order of the prices.
    pub products: Vec<Product>,
}

impl Catalogue {
    /// The shop that `seed` makes, opened well before `now` (unix seconds).
    #[must_use]
    pub fn new(seed: u64, now: i64) -> Self {
        let mut dice = Dice::new(seed);
        let suffix = Mint::draw_suffix(&mut dice);
        let mut mint = Mint::new(dice, suffix.clone());
        let opened = now - OPENED_BEFORE;
        let mut products = Vec::new();
        let mut sell =
            |name: &str, key: &str, amount, currency: &str, credits, recurring: Option<Recurring>| {
                let product = Product::new(mint.short("prod"), opened, name, credits);
                let price = Price {
                    id: mint.id("price", opened),
                    product: product.id.clone(),
                    created: opened,
                    name: name.to_owned(),
                    lookup_key: Some(key.to_owned()),
                    nickname: Some(recurring.map_or_else(|| name.to_owned(), |_| format!("{name} monthly"))),
                    currency: currency.to_owned(),
                    unit_amount: amount,
                    metadata: product.metadata.clone(),
                    recurring,
                    active: true,
                };
                products.push(product);
                price
            };
        let monthly = Some(Recurring::MONTHLY);
        let pro = sell("Pro", "pro_monthly", 2000, "usd", 2000, monthly);
        let team = sell("Team", "team_monthly", 5000, "usd", 6000, monthly);
        let top_up = sell("Credits 1000", "credits_1000", 1000, "usd", 1000, None);
        let top_up_jpy = sell("Credits 1000 JPY", "credits_1000_jpy", 1500, "jpy", 1000, None);
        let account = format!("acct_1{}{suffix}", mint.text(5));
        Self {
            suffix,
            account,
            pro,
            team,
            top_up,
            top_up_jpy,
            products,
        }
    }

    /// All prices, in the order of the products.
    #[must_use]
    pub fn prices(&self) -> [&Price; 4] {
        [&self.pro, &self.team, &self.top_up, &self.top_up_jpy]
    }
}
