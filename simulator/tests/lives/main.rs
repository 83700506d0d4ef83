//! Random lives: repeatable, apart from each other, legal, and true to what a reader of their events makes of
//! them.

mod legal;
mod random;
mod reader;
mod truth;

use std::{
    ops::Range,
    sync::{Arc, LazyLock},
};

use serde_json::Value;
use simulator::{
    ApiVersion,
    catalogue::Catalogue,
    event::Event,
    history::{Life, Setting, Story, live, random::Options},
};

const START: i64 = 1_793_613_600;
/// Seeds that most tests look at.
const SEEDS: u64 = 500;

fn options() -> Options {
    Options::new(Arc::new(Catalogue::new(1, START)))
}

fn lives(seeds: Range<u64>, options: &Options) -> impl Iterator<Item = (u64, Life)> {
    seeds.map(|seed| (seed, simulator::history::random(seed, START, options)))
}

/// The lives of the first seeds, lived once for all tests.
static LIVES: LazyLock<(Options, Vec<Life>)> = LazyLock::new(|| {
    let options = options();
    let lives = lives(0..SEEDS, &options).map(|(_, life)| life).collect();
    (options, lives)
});

fn prices(catalogue: &Catalogue) -> reader::Prices {
    let prices = catalogue.prices();
    prices
        .map(|price| (price.id.clone(), (price.credits(), price.unit_amount)))
        .into()
}

fn read<'a>(events: impl IntoIterator<Item = &'a Event>, catalogue: &Catalogue) -> Value {
    let bodies = events.into_iter().map(|event| event.body.as_ref());
    reader::read(bodies, &prices(catalogue))
}

fn body(event: &Event) -> Value {
    serde_json::from_slice(&event.body).expect("JSON")
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
