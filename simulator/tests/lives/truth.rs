//! What the model says is true, against what a reader of the events finds out.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use serde_json::Value;
use simulator::{
    ApiVersion,
    catalogue::Catalogue,
    deliveries::{Hostility, deliveries},
    history::{Setting, catalogue_events, thin_about, unknown},
    oracle::Truth,
};

use crate::{LIVES, START, read, reader, told};

#[track_caller]
fn assert_true(read: &Value, truth: &Value, about: &str) {
    for member in Truth::MEMBERS {
        assert_eq!(read[member], truth[member], "{about}: {member}");
    }
}

#[test]
fn a_reader_of_the_events_in_any_order_comes_to_the_truth() {
    let (options, lives) = &*LIVES;
    for (seed, life) in (0..).zip(lives) {
        let hostile = deliveries(&life.events, seed, Hostility::USUAL).order;
        let about = format!("seed {seed}: {}", life.label());
        assert_true(
            &read(&life.events, &options.catalogue),
            &life.truth.json(),
            &about,
        );
        assert_true(&read(&hostile, &options.catalogue), &life.truth.json(), &about);
    }
}

#[test]
fn every_story_is_told_truly_in_both_versions() {
    let catalogue = Catalogue::new(1, START);
    for story in simulator::history::STORIES {
        for version in ApiVersion::ALL {
            let life = told(story.name, version, &catalogue);
            let reversed: Vec<_> = life.events.iter().rev().collect();
            let about = format!("{} in {version}", story.name);
            assert_true(&read(&life.events, &catalogue), &life.truth.json(), &about);
            assert_true(&read(reversed, &catalogue), &life.truth.json(), &about);
        }
    }
}

#[test]
fn events_are_counted_as_they_are_delivered() {
    let catalogue = Catalogue::new(1, START);
    for version in ApiVersion::ALL {
        let setting = Setting {
            catalogue: &catalogue,
            version,
            connected: false,
            seed: 5,
            now: START,
        };
        let shop = catalogue_events(setting);
        let life = told("customer_deleted", version, &catalogue);
        let others = [unknown(setting), thin_about(&life.events[0], 1)];
        let again = life.events[0].redelivered(3);
        let all = [&shop, &life.events, &others[..], &[again]].concat();
        let mut expected = life.truth.expected(&all);
        let counts = serde_json::json!({
            "deliveries": all.len(), "distinct": all.len() - 1, "not_applied": shop.len() + others.len()
        });
        assert_eq!(expected["events"].take(), counts);
        let words = expected.as_object_mut().expect("an object");
        words.remove("events");
        assert_eq!(expected, life.truth.json());
    }
}

/// Credits, number of grants and sum of debits of the specification's examples.
#[test]
fn the_examples_of_the_specification_come_out() {
    let catalogue = Catalogue::new(1, START);
    let examples = [
        ("upgrade", 4000, &[2000, 2000][..], &[][..]),
        ("refund_partial_twice", 250, &[1000], &[-750]),
        ("refund_full", 0, &[1000], &[-1000]),
        ("refund_fails", 1000, &[1000], &[]),
        ("dispute_lost", 0, &[1000], &[-1000]),
        ("dispute_won", 1000, &[1000], &[]),
        ("inquiry", 1000, &[1000], &[]),
        ("top_up_yen", 1000, &[1000], &[]),
        ("top_up_by_bank_debit_fails", 0, &[], &[]),
        ("coupon_for_the_first_month", 4000, &[2000, 2000], &[]),
        ("trial_converts", 6000, &[6000], &[]),
        ("payment_unpaid_and_voided", 2000, &[2000], &[]),
        ("refund_subscription", 0, &[2000], &[-2000]),
        ("invoice_in_trouble", 2000, &[2000], &[]),
    ];
    for (story, credits, grants, debits) in examples {
        for version in ApiVersion::ALL {
            let life = told(story, version, &catalogue);
            let values = |map: &serde_json::Map<String, Value>| -> Vec<i64> {
                map.values().filter_map(Value::as_i64).collect()
            };
            assert_eq!(life.truth.users[&life.user]["credits"], credits, "{story}");
            assert_eq!(values(&life.truth.grants), grants, "{story}");
            assert_eq!(values(&life.truth.debits), debits, "{story}");
        }
    }
}

fn scenarios() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/stripe/scenarios");
    folder.is_dir().then_some(folder)
}

/// The reader itself is held against the recorded scenarios, so that it does not merely agree with us.
#[test]
fn the_reader_reads_the_recorded_scenarios_right() {
    let Some(folder) = scenarios() else {
        // Not eprintln!, which the test runner keeps to itself.
        writeln!(
            std::io::stderr(),
            "NOT RUN: there are no recorded scenarios beside this repository"
        )
        .ok();
        return;
    };
    let mut compared = 0;
    for file in std::fs::read_dir(folder).expect("a folder") {
        let scenario: Value =
            serde_json::from_slice(&std::fs::read(file.expect("a file").path()).expect("readable"))
                .expect("JSON");
        let live = scenario["config"]["expected_livemode"].as_bool();
        let deliveries = scenario["deliveries"].as_array().expect("deliveries").iter();
        let ours = deliveries.map(|delivery| &delivery["event"]).filter(|event| {
            event["account"].is_null() && event["livemode"].as_bool() == live && event["object"] == "event"
        });
        let bodies: Vec<Vec<u8>> = ours.map(|event| event.to_string().into_bytes()).collect();
        let prices = scenario["config"]["catalog"]
            .as_object()
            .expect("a catalogue")
            .iter();
        let number = |price: &Value, name: &str| price[name].as_i64().unwrap_or(1);
        let prices = prices
            .map(|(id, price)| {
                (
                    id.clone(),
                    (number(price, "credits"), number(price, "unit_amount")),
                )
            })
            .collect();
        let read = reader::read(bodies.iter().map(Vec::as_slice), &prices);
        assert_true(&read, &scenario["expected"], &scenario["scenario"].to_string());
        compared += 1;
    }
    assert!(compared > 50, "only {compared} scenarios were compared");
}
