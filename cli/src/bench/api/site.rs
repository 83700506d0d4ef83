//! What stands while the API is measured: a ledger with a past, one API, and a Stripe behind it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use shared::clock::Clock;
use shared::state_cache::StateCache;
use simulator::ApiVersion;
use simulator::api::{Api, Limits};
use simulator::catalogue::Catalogue;
use simulator::shop::{Model, Settings, Shop};
use store::{OfferRow, Store};
use tokio::net::TcpListener;

use super::requests::{Maker, PACKAGE, to_stripe};
use crate::bench::Outcome;
use crate::bench::cpu::Watched;
use crate::bench::generator::{self, Shot};
use crate::bench::rig::{Level, PREFIX, Rig};
use crate::bench::roles::Role;
use crate::http;

/// The metric of looks into what is kept of users.
const LOOKS: &str = "tollgate_api_state_cache_total";

/// Stops when dropped.
pub(super) struct Site {
    pub store: Store,
    /// How long it took.
    pub filled_in: Duration,
    pub stripe_address: SocketAddr,
    api: Role,
    admin: SocketAddr,
    _stripe: Api,
}

/// Looks into what is kept of users, so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Looks {
    hits: f64,
    all: f64,
}

impl Looks {
    fn of(metrics: &str) -> Self {
        let counts = metrics.lines().filter_map(|line| {
            let (labels, count) = line.strip_prefix(LOOKS)?.rsplit_once(' ')?;
            Some((labels.contains("\"hit\""), count.parse::<f64>().ok()?))
        });
        counts.fold(Self { hits: 0.0, all: 0.0 }, |sum, (is_hit, count)| Self {
            hits: sum.hits + if is_hit { count } else { 0.0 },
            all: sum.all + count,
        })
    }

    pub(super) fn share_of_hits_since(self, before: Self) -> f64 {
        (self.hits - before.hits) / (self.all - before.all).max(1.0)
    }
}

impl Site {
    /// Fills a ledger and starts an API on it.
    pub(super) fn open(rig: &Rig, users: usize, rows: usize) -> Outcome<Self> {
        let database = rig.fresh_database()?;
        rig.clear_redis(Level::Everysec)?;
        let store = rig.store(&database)?;
        let (stripe, stripe_address, filled_in) = rig.runtime.block_on(async {
            let filled_in = store.fill_ledger(users, rows).await?;
            let catalogue = Catalogue::new(1, Clock::system().unix_seconds());
            sell(&store, &catalogue).await?;
            let (stripe, address) = stripe(&catalogue).await?;
            Outcome::Ok((stripe, address, filled_in))
        })?;
        let (api, admin) = Role::api(rig, &database, &format!("http://{stripe_address}"))?;
        Ok(Self {
            store,
            filled_in,
            stripe_address,
            api,
            admin,
            _stripe: stripe,
        })
    }

    pub(super) fn maker(&self) -> Maker {
        Maker::new(self.api.address)
    }

    pub(super) fn watched(&self) -> Watched {
        self.api.watched()
    }

    /// Sends requests, each of which must be answered well.
    pub(super) fn send(&self, what: &str, requests: Vec<Bytes>, rate: f64) -> Outcome<Shot> {
        let count = requests.len() as u64;
        let shot = generator::open(self.api.address, &Arc::new(requests), rate)?;
        if shot.accepted < count {
            return Err(format!("{what}: the API refused {} of {count} requests", shot.refused).into());
        }
        Ok(shot)
    }

    pub(super) fn looks(&self, rig: &Rig) -> Outcome<Looks> {
        let (_, metrics) = rig
            .runtime
            .block_on(http::get(&format!("http://{}/metrics", self.admin)))?;
        Ok(Looks::of(&metrics))
    }

    /// Transactions so far that have written something.
    pub(super) fn commits(&self, rig: &Rig) -> Outcome<u64> {
        Ok(rig.runtime.block_on(self.store.transactions_begun())?)
    }

    /// What the API has asked of Stripe last, as requests of their own.
    pub(super) fn to_stripe(&self, rig: &Rig, count: usize) -> Outcome<Vec<Bytes>> {
        let forms = self.store.checkout_forms(u32::try_from(count)?);
        let forms = rig.runtime.block_on(forms)?;
        let requests = forms.iter().map(|form| to_stripe(self.stripe_address, form));
        Ok(requests.collect())
    }

    pub(super) fn close(self, rig: &Rig) -> Outcome<()> {
        rig.runtime.block_on(self.store.close());
        self.api.stop()
    }
}

/// As if five minutes had passed. Nobody changes users at the moment, so what is read from now on may be kept.
pub(super) fn forget_states(rig: &Rig) -> Outcome<()> {
    rig.clear_redis(Level::Everysec)?;
    let url = rig.redis_url()?;
    let announced = async { StateCache::new(&url, PREFIX)?.announce_before_anybody().await };
    Ok(rig.runtime.block_on(announced)?)
}

/// A Stripe that takes whatever comes; its limits are not what is measured.
async fn stripe(catalogue: &Catalogue) -> Outcome<(Api, SocketAddr)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let settings = Settings {
        version: ApiVersion::V2026_10_28Endive,
        clock: Clock::system(),
        seed: 1,
    };
    let shop = Shop::new(Model::new(catalogue, []), settings);
    Ok((Api::serve(listener, shop, Limits::NONE), address))
}

async fn sell(store: &Store, catalogue: &Catalogue) -> Outcome<()> {
    let price = &catalogue.top_up;
    let offer = OfferRow {
        name: PACKAGE.to_owned(),
        kind: "package".to_owned(),
        price_id: price.id.clone(),
        product_id: Some(price.product.clone()),
        credits: 1_000,
        active: true,
        definition: json!({"unit_amount": price.unit_amount, "currency": price.currency}).to_string(),
    };
    let mut tx = store.begin().await?;
    tx.write_catalog("", &[offer], &[]).await?;
    Ok(tx.commit().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_hits_is_of_what_was_looked_for_since() {
        let metrics = |hits: u32, misses: u32| {
            format!(
                "# TYPE {LOOKS} counter\n{LOOKS}{{outcome=\"hit\"}} {hits}\n{LOOKS}{{outcome=\"miss\"}} {misses}\n\
                 tollgate_api_requests_total{{outcome=\"hit\"}} 7\n"
            )
        };
        let (before, after) = (Looks::of(&metrics(10, 10)), Looks::of(&metrics(40, 20)));
        assert_eq!(after.share_of_hits_since(before), 0.75);
        assert_eq!(before.share_of_hits_since(before), 0.0);
        assert_eq!(Looks::of(""), Looks { hits: 0.0, all: 0.0 });
    }
}
