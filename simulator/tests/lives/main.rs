//! Told lives: true to what a reader of their events makes of them.

mod reader;
mod truth;

use serde_json::Value;
use simulator::{
    ApiVersion,
    catalogue::Catalogue,
    event::Event,
    history::{Life, Setting, Story, live},
};

const START: i64 = 1_793_613_600;

fn prices(catalogue: &Catalogue) -> reader::Prices {
    let prices = catalogue.prices();
    prices
        .map(|price| (price.id.clone(), (price.credits, price.unit_amount)))
        .into()
}

fn read<'a>(events: impl IntoIterator<Item = &'a Event>, catalogue: &Catalogue) -> Value {
    let bodies = events.into_iter().map(|event| event.body.as_ref());
    reader::read(bodies, &prices(catalogue))
}

fn told(story: &str, version: ApiVersion, catalogue: &Catalogue) -> Life {
    let setting = Setting {
        catalogue,
        version,
        connected: false,
        seed: 3,
        now: START,
    };
    live(Story::named(story).expect("a story"), setting)
}
