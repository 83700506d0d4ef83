//! The simulated Stripe that `dev`'s API sells through, unless the user has a key of their own.

use domain::objects::PriceTerms;
use serde_json::json;
use shared::clock::Clock;
use shared::config::Env;
use simulator::ApiVersion;
use simulator::api::{Api, Limits, Webhooks};
use simulator::catalogue::Catalogue;
use simulator::objects::catalogue::Price;
use simulator::shop::{Model, Settings, Shop};
use store::{OfferRow, Store, StoreError};
use tokio::net::TcpListener;

use super::services::{Services, fresh_seed};

/// Settings that say that there is a Stripe.
const CONFIGURED_BY: [&str; 2] = ["STRIPE_API_KEY", "STRIPE_API_KEY_FILE"];
/// The shop opened well before this second, whenever it is served: it always sells the same.
const CATALOGUE_OPEN: i64 = 1_750_000_000;
const CATALOGUE_SEED: u64 = 1;
/// Any key of the shape is taken.
const API_KEY: &str = "sk_test_simulated";
/// Browsers are sent here after paying; that nothing is there matters to nobody.
const SHOP: &str = "http://localhost/shop";

/// A Stripe account of our own.
pub(super) struct Stripe {
    api: Api,
    /// Where its API and its pages are.
    pub url: String,
    catalogue: Catalogue,
}

impl Stripe {
    /// Nothing, where the environment has a key.
    pub(super) async fn unless_configured(env: &Env) -> std::io::Result<Option<Self>> {
        if CONFIGURED_BY.iter().any(|name| env.get(name).is_some()) {
            return Ok(None);
        }
        let clock = Clock::system();
        // Ids that no earlier run has made.
        let seed = fresh_seed(&clock);
        let catalogue = Catalogue::new(CATALOGUE_SEED, CATALOGUE_OPEN);
        let settings = Settings {
            version: ApiVersion::V2026_10_28Endive,
            clock,
            seed,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let shop = Shop::new(Model::new(&catalogue, []), settings);
        Ok(Some(Self {
            api: Api::serve(listener, shop, Limits::SANDBOX),
            url,
            catalogue,
        }))
    }

    /// As the API takes them. What the user has set stays.
    pub(super) fn settings(&self, env: &Env) -> Vec<(&'static str, String)> {
        let ours = [
            ("STRIPE_API_KEY", API_KEY.to_owned()),
            ("TOLLGATE_STRIPE_API_URL", self.url.clone()),
            (
                "TOLLGATE_API_SUCCESS_URL",
                format!("{SHOP}?session={{CHECKOUT_SESSION_ID}}"),
            ),
            ("TOLLGATE_API_CANCEL_URL", SHOP.to_owned()),
            ("TOLLGATE_API_PORTAL_RETURN_URL", SHOP.to_owned()),
            ("TOLLGATE_API_TOPUP_CREDITS_PER_100", "100".to_owned()),
        ];
        let is_free = |(name, _): &(&str, String)| env.get(name).is_none();
        ours.into_iter().filter(is_free).collect()
    }

    /// Opens: what is sold is offered under names of our own, and what happens is told to ingest.
    pub(super) async fn open(
        &mut self,
        services: &Services,
        ingest_url: &str,
    ) -> Result<(), Box<dyn std::error::Error>> {
        self.offer(&services.store).await?;
        self.api
            .send_webhooks(Webhooks::new(ingest_url, vec![services.secret.clone()]))?;
        Ok(())
    }

    /// Not over a catalogue that the user has applied.
    async fn offer(&self, store: &Store) -> Result<(), StoreError> {
        let mut tx = store.begin().await?;
        if !tx.lock_catalog("").await?.offers.is_empty() {
            return Ok(());
        }
        let shop = &self.catalogue;
        let offers = [
            offer("pro", "plan", &shop.pro),
            offer("team", "plan", &shop.team),
            offer("credits_1000", "package", &shop.top_up),
        ];
        // No events say what these prices grant.
        let said = [&shop.pro, &shop.team, &shop.top_up].map(terms);
        tx.write_catalog("", &offers, &said).await?;
        tx.commit().await
    }
}

fn terms(price: &Price) -> PriceTerms {
    PriceTerms {
        price_id: price.id.clone(),
        credits: credits(price),
        free_monthly: 0,
        expire_days: None,
        unit_amount: Some(price.unit_amount),
        currency: Some(price.currency.clone()),
    }
}

fn credits(price: &Price) -> i64 {
    let credits = price.metadata["credits"].as_str();
    credits.and_then(|credits| credits.parse().ok()).unwrap_or(0)
}

fn offer(name: &str, kind: &str, price: &Price) -> OfferRow {
    OfferRow {
        name: name.to_owned(),
        kind: kind.to_owned(),
        price_id: price.id.clone(),
        product_id: Some(price.product.clone()),
        credits: credits(price),
        active: true,
        definition: json!({"unit_amount": price.unit_amount, "currency": price.currency}).to_string(),
    }
}
