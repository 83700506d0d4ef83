//! A simulated Stripe with a catalogue, and nobody in it yet.

use shared::clock::Clock;
use simulator::ApiVersion;
use simulator::api::{Api, Limits};
use simulator::catalogue::Catalogue;
use simulator::shop::{Model, Settings, Shop};
use tokio::net::TcpListener;

/// Serves one that speaks `version`; returns it with its address and what it sells.
pub async fn serve(version: ApiVersion, limits: Limits) -> (Api, String, Catalogue) {
    let clock = Clock::system();
    let catalogue = Catalogue::new(1, clock.unix_seconds());
    let settings = Settings {
        version,
        clock,
        seed: 1,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let shop = Shop::new(Model::new(&catalogue, []), settings);
    (Api::serve(listener, shop, limits), url, catalogue)
}
