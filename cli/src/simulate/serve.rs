//! `tollgate simulate --serve`: a Stripe to write to, with pages to pay on, that sends the webhooks that follow.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;
use shared::clock::Clock;
use shared::signature::Secret;
use simulator::ApiVersion;
use simulator::api::{Api, Limits, Webhooks};
use simulator::catalogue::Catalogue;
use simulator::deliveries::Hostility;
use simulator::sender::Retry;
use simulator::shop::{Model, Settings, Shop};
use tokio::net::TcpListener;

use super::Options;
use crate::{answer, fail};

/// The shop opened well before this second, whenever it is served: a seed always has the same prices.
const CATALOGUE_OPEN: i64 = 1_750_000_000;
/// Any key of the shape is taken; this one is for pasting.
const API_KEY: &str = "sk_test_simulated";
/// Events are sent again and again for about an hour, so that what receives them may be started later.
const RETRY: Retry = Retry {
    attempts: 130,
    first: Duration::from_millis(200),
    longest: Duration::from_secs(30),
    longest_asked: Duration::from_secs(60),
};
/// Longest that a hostile network holds an event back.
const HOSTILE_DELAY: Duration = Duration::from_secs(2);

/// What there is, in one line.
#[derive(Serialize)]
struct Ready<'a> {
    stripe_url: String,
    api_key: &'static str,
    account: &'a str,
    /// Where events go; nowhere without a secret.
    webhook_url: Option<&'a str>,
    prices: Vec<Offer<'a>>,
}

/// A price of the catalogue.
#[derive(Serialize)]
struct Offer<'a> {
    id: &'a str,
    lookup_key: Option<&'a str>,
    currency: &'a str,
    unit_amount: i64,
}

/// Serves until Ctrl-C.
pub(super) fn main(options: &Options, address: SocketAddr) -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    match runtime.block_on(serve(options, address)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

async fn serve(options: &Options, address: SocketAddr) -> Result<(), Box<dyn std::error::Error>> {
    let catalogue = Catalogue::new(options.seed, CATALOGUE_OPEN);
    let listener = TcpListener::bind(address).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let mut api = Api::serve(listener, shop(options, &catalogue), Limits::SANDBOX);
    let webhooks = webhooks(options)?;
    let sends = webhooks.is_some();
    if let Some(webhooks) = webhooks {
        api.send_webhooks(webhooks)?;
        api.shop().announce_catalogue();
    }
    let ready = Ready {
        stripe_url: url,
        api_key: API_KEY,
        account: &catalogue.account,
        webhook_url: sends.then_some(options.url.as_str()),
        prices: catalogue.prices().into_iter().map(Offer::of).collect(),
    };
    ready.say(options.json);
    tokio::signal::ctrl_c().await?;
    Ok(())
}

fn shop(options: &Options, catalogue: &Catalogue) -> Shop {
    let clock = Clock::system();
    // Ids that no earlier run has made, unless it is to be repeated.
    let seed = options.start.unwrap_or_else(|| clock.unix_ms()).unsigned_abs();
    let settings = Settings {
        version: options.api_version.unwrap_or(ApiVersion::V2026_10_28Endive),
        clock,
        seed,
    };
    Shop::new(Model::new(catalogue, []), settings)
}

fn webhooks(options: &Options) -> Result<Option<Webhooks>, Box<dyn std::error::Error>> {
    if options.secret.is_empty() {
        return Ok(None);
    }
    let secrets = options.secret.iter().map(Secret::new);
    let mut webhooks = Webhooks::new(&options.url, secrets.collect::<Result<_, _>>()?);
    webhooks.retry = RETRY;
    webhooks.seed = options.seed;
    if options.hostile {
        webhooks.hostility = Hostility::USUAL;
        webhooks.delay = HOSTILE_DELAY;
    }
    Ok(Some(webhooks))
}

impl Ready<'_> {
    fn say(&self, json: bool) {
        if json {
            return answer(&serde_json::to_string(self).expect("integers and texts always serialise"));
        }
        answer(&format!(
            "Stripe is played at {}, key {}",
            self.stripe_url, self.api_key
        ));
        answer(&format!(
            "events go to {}",
            self.webhook_url.unwrap_or("nobody, for want of a secret")
        ));
        for price in &self.prices {
            let key = price.lookup_key.unwrap_or_default();
            answer(&format!(
                "{:>24}  {}  {} {}",
                key, price.id, price.unit_amount, price.currency
            ));
        }
    }
}

impl<'a> Offer<'a> {
    fn of(price: &'a simulator::objects::catalogue::Price) -> Self {
        Self {
            id: &price.id,
            lookup_key: price.lookup_key.as_deref(),
            currency: &price.currency,
            unit_amount: price.unit_amount,
        }
    }
}
