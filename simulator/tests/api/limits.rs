//! Rates, failures and lag.

use std::{collections::BTreeSet, time::Duration};

use hyper::StatusCode;
use simulator::{
    api::{Faults, Limits},
    shop::{Model, Shop},
};

use crate::desk::{Desk, desk_of, shop};

#[tokio::test]
async fn too_many_requests_a_second_are_told_to_wait() {
    let catalogue = shop();
    let limits = Limits {
        global: 20,
        endpoint: 8,
    };
    let desk = Desk::open(Shop::of_histories(Model::new(&catalogue, &[])), limits).await;
    let price = format!("/v1/prices/{}", catalogue.pro.id);
    let product = format!("/v1/products/{}", catalogue.pro.product);
    let (mut reasons, mut served) = (BTreeSet::new(), 0);
    for _ in 0..200 {
        for path in [&price, &price, &product, &"/v1/events".to_owned()] {
            let answer = desk.get(path).await;
            if answer.status != StatusCode::TOO_MANY_REQUESTS {
                assert_eq!(answer.status, StatusCode::OK);
                served += 1;
                continue;
            }
            assert_eq!(answer.headers["retry-after"], "1");
            assert_eq!(answer.body["error"]["code"], "rate_limit");
            let reason = answer.headers["stripe-rate-limited-reason"]
                .to_str()
                .expect("text");
            reasons.insert(reason.to_owned());
        }
    }
    let counters = desk.api.counters();
    assert_eq!(
        reasons.into_iter().collect::<Vec<_>>(),
        ["endpoint-rate", "global-rate"]
    );
    assert_eq!((counters.requests, counters.limited), (800, 800 - served));
    assert!(counters.highest_rate > 20, "{counters:?}");
    assert_eq!(counters.by_endpoint["prices/:id"], 400);
}

#[tokio::test]
async fn it_fails_and_lags_on_request() {
    let catalogue = shop();
    let desk = desk_of(&[], &catalogue).await;
    let path = format!("/v1/prices/{}", catalogue.pro.id);
    desk.api.set_faults(Faults {
        first: 2,
        statuses: vec![503],
        ..Faults::default()
    });
    for expected in [503, 503, 200] {
        let answer = desk.get(&path).await;
        assert_eq!(answer.status, expected);
        assert_eq!(
            answer.headers.contains_key("stripe-should-retry"),
            expected == 503
        );
    }
    desk.api.set_faults(Faults {
        first: 1,
        statuses: vec![429],
        ..Faults::default()
    });
    let locked = desk.get(&path).await;
    assert_eq!(locked.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(locked.body["error"]["code"], "lock_timeout");
    assert!(!locked.headers.contains_key("stripe-rate-limited-reason"));
    let faults = Faults {
        errors: 0.5,
        latency: (Duration::from_millis(1), Duration::from_millis(3)),
        ..Faults::default()
    };
    let mut rows = Vec::new();
    for _ in 0..2 {
        desk.api.set_faults(faults.clone());
        let mut row = Vec::new();
        for _ in 0..30 {
            row.push(desk.get(&path).await.status.as_u16());
        }
        rows.push(row);
    }
    assert_eq!(rows[0], rows[1], "the seed repeats");
    assert_eq!(
        rows[0].iter().collect::<BTreeSet<_>>().len(),
        3,
        "200, 500 and 503"
    );
}
