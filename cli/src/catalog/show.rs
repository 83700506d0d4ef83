//! `tollgate catalog show`.

use std::error::Error;
use std::process::ExitCode;

use serde::Serialize;
use serde_json::Value;
use store::{Catalog, EffectiveTerms, OfferRow};

use super::ShowOptions;
use crate::{answer, tool};

#[derive(Serialize)]
struct Answer<'a> {
    account: &'a str,
    /// Entries of the file that was applied last.
    offers: Vec<Value>,
    /// Of every price that is known, what it costs and grants when it is paid now.
    terms: Vec<Terms<'a>>,
}

#[derive(Serialize)]
struct Terms<'a> {
    price: &'a str,
    /// Who says so: `file`, `event` (one about the price) or `embedded` (one that carried the price).
    origin: &'a str,
    /// RFC 3339; null is from the beginning.
    since: Option<&'a str>,
    credits: i64,
    free_monthly_credits: i64,
    credits_expire_days: Option<i32>,
    unit_amount: Option<i64>,
    currency: Option<&'a str>,
}

pub(super) fn main(options: &ShowOptions) -> ExitCode {
    tool::run(worker::config::database_url, |url| run(options, url))
}

async fn run(options: &ShowOptions, url: String) -> Result<ExitCode, Box<dyn Error>> {
    let store = tool::open(&url).await?;
    let Catalog { offers, .. } = store.catalog(&options.account).await?;
    let terms = store.effective_terms(&options.account).await?;
    store.close().await;
    if options.json {
        let definition = |offer: &OfferRow| serde_json::from_str(&offer.definition).unwrap_or_default();
        answer(&tool::json(&Answer {
            account: &options.account,
            offers: offers.iter().map(definition).collect(),
            terms: terms.iter().map(row).collect(),
        }));
    } else {
        answer(&in_words(&offers, &terms));
    }
    Ok(ExitCode::SUCCESS)
}

fn row(effective: &EffectiveTerms) -> Terms<'_> {
    let EffectiveTerms { origin, since, terms } = effective;
    Terms {
        price: &terms.price_id,
        origin,
        since: since.as_deref(),
        credits: terms.credits,
        free_monthly_credits: terms.free_monthly,
        credits_expire_days: terms.expire_days,
        unit_amount: terms.unit_amount,
        currency: terms.currency.as_deref(),
    }
}

/// Offers with the terms of their prices, then prices that nobody offers.
fn in_words(offers: &[OfferRow], terms: &[EffectiveTerms]) -> String {
    let terms_of = |price: &str| {
        terms
            .iter()
            .find(|it| it.terms.price_id == price)
            .map_or_else(String::new, says)
    };
    let mut lines = vec![format!("{} offers", offers.len())];
    lines.extend(offers.iter().map(|offer| {
        let OfferRow {
            kind,
            name,
            price_id,
            active,
            ..
        } = offer;
        let inactive = if *active { "" } else { "  not for sale" };
        format!(
            "  {kind:<8} {name:<24} {price_id}  {}{inactive}",
            terms_of(price_id)
        )
    }));
    let is_offered = |price: &str| offers.iter().any(|offer| offer.price_id == price);
    let others: Vec<&EffectiveTerms> = terms
        .iter()
        .filter(|it| !is_offered(&it.terms.price_id))
        .collect();
    lines.push(format!("{} other prices are known", others.len()));
    lines.extend(
        others
            .iter()
            .map(|it| format!("  {}  {}", it.terms.price_id, says(it))),
    );
    lines.join("\n")
}

fn says(effective: &EffectiveTerms) -> String {
    let EffectiveTerms { origin, since, terms } = effective;
    let mut parts = vec![format!("{} credits", terms.credits)];
    if let (Some(amount), Some(currency)) = (terms.unit_amount, &terms.currency) {
        parts.push(format!("for {amount} {currency}"));
    }
    if terms.free_monthly > 0 {
        parts.push(format!("and {} free each month", terms.free_monthly));
    }
    if let Some(days) = terms.expire_days {
        parts.push(format!("for {days} days"));
    }
    let since = since
        .as_ref()
        .map_or_else(String::new, |since| format!(" since {since}"));
    format!("{} ({origin}{since})", parts.join(" "))
}
