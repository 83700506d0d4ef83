//! What the dice make: the same again, everything at some time, and as hostile as asked for.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use simulator::{
    ApiVersion,
    deliveries::{Hostility, deliveries},
    event::PROJECTED_TYPES,
    history::{
        Riddles,
        random::{self, Options},
    },
};

use crate::{LIVES, START, body, lives, options};

#[test]
fn a_seed_repeats_byte_for_byte_and_another_differs() {
    let options = options();
    for (seed, life) in lives(0..20, &options) {
        let again = simulator::history::random(seed, START, &options);
        assert_eq!(life.events, again.events);
        assert_eq!(life.truth, again.truth);
        let other = simulator::history::random(seed + 1000, START, &options);
        assert_ne!(life.events, other.events);
    }
}

#[test]
fn every_step_type_and_version_occurs_within_500_seeds() {
    let (options, lives) = &*LIVES;
    let (mut steps, mut kinds, mut switched) = (BTreeSet::new(), BTreeSet::new(), 0);
    for life in lives {
        steps.extend(life.steps.iter().copied());
        kinds.extend(life.events.iter().map(|event| event.kind.clone()));
        switched += usize::from(life.versions.len() > 1);
        assert!(life.events.len() < options.length.1 + 25, "{}", life.label());
    }
    let missing: Vec<_> = random::names()
        .filter(|name| *name != random::WAVERS && !steps.contains(name))
        .collect();
    assert!(missing.is_empty(), "nobody lives {missing:?}");
    let catalogue = |kind: &str| {
        ["plan.", "price.", "product."]
            .iter()
            .any(|part| kind.starts_with(part))
    };
    let missing: Vec<_> = PROJECTED_TYPES
        .iter()
        .filter(|kind| !catalogue(kind) && !kinds.contains(**kind))
        .collect();
    assert!(missing.is_empty(), "nobody sees {missing:?}");
    assert!(switched > 20, "{switched} lives changed their version");
}

#[test]
fn ties_and_twins_are_frequent_and_riddles_come_only_when_asked_for() {
    let (options, lives) = &*LIVES;
    let (mut events, mut ties, mut twins) = (0, 0, 0);
    for life in lives {
        assert!(life.riddles.is_empty());
        let mut seconds: BTreeMap<(&str, i64), Vec<Value>> = BTreeMap::new();
        for event in &life.events {
            if let Some(id) = &event.object_id {
                seconds.entry((id, event.created)).or_default().push(body(event));
            }
        }
        for group in seconds.values() {
            let shown: BTreeSet<_> = group
                .iter()
                .map(|body| body["data"]["object"].to_string())
                .collect();
            let kinds: BTreeSet<_> = group.iter().map(|body| body["type"].to_string()).collect();
            ties += usize::from(shown.len() > 1);
            twins += group.len() - kinds.len();
        }
        events += life.events.len();
    }
    assert!(ties * 20 > events, "{ties} ties among {events} events");
    assert!(twins * 20 > events, "{twins} twins among {events} events");
    let wild = Options {
        riddles: Riddles::Allow,
        haste: 0.9,
        ..options.clone()
    };
    let riddles: usize = crate::lives(0..100, &wild)
        .map(|(_, life)| life.riddles.len())
        .sum();
    assert!(riddles > 20, "{riddles} riddles");
}

#[test]
fn what_is_missing_is_handed_back() {
    let (_, life) = lives(7..8, &options()).next().expect("one life");
    let lossy = Hostility {
        missing: 0.3,
        ..Hostility::USUAL
    };
    let all = deliveries(&life.events, 1, lossy);
    let delivered: BTreeSet<&str> = all.order.iter().map(|event| event.id.as_str()).collect();
    let missing: BTreeSet<&str> = all.missing.iter().map(|event| event.id.as_str()).collect();
    assert!(!missing.is_empty() && delivered.is_disjoint(&missing));
    assert_eq!(delivered.len() + missing.len(), life.events.len());
    assert!(all.order.len() > delivered.len(), "some are repeated");
    assert_ne!(all.order, deliveries(&life.events, 2, lossy).order);
}

#[test]
fn small_and_extreme_options_work() {
    let calm = Options {
        haste: 0.0,
        twins: 0.0,
        switches: 0.0,
        versions: vec![ApiVersion::V2024_06_20],
        length: (0, 0),
        ..options()
    };
    assert!(lives(0..5, &calm).all(|(_, life)| life.events.is_empty()));
    let wild = Options {
        haste: 1.0,
        twins: 1.0,
        switches: 1.0,
        versions: Vec::new(),
        length: (200, 200),
        ..options()
    };
    assert!(lives(0..5, &wild).all(|(_, life)| life.events.len() >= 200));
}
