//! The list of events.

use std::collections::BTreeSet;

use hyper::StatusCode;
use serde_json::Value;
use simulator::{
    api::Limits,
    history::random::Options,
    shop::{Model, Shop},
};

use crate::desk::{Desk, desk_of, lives, shop};

fn ids(page: &Value) -> Vec<String> {
    let events = page["data"].as_array().expect("a list");
    let id = |event: &Value| event["id"].as_str().expect("an id").to_owned();
    events.iter().map(id).collect()
}

/// Every page in one direction, each as it came.
async fn pages(desk: &Desk, query: &str, cursor: &str, mut at: Option<String>) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    loop {
        let cursor = at.map_or(String::new(), |id| format!("&{cursor}={id}"));
        let page = desk.get(&format!("/v1/events?{query}{cursor}")).await.body;
        let found = ids(&page);
        let next = if cursor.contains("ending") {
            found.first()
        } else {
            found.last()
        };
        at = next.cloned();
        pages.push(found);
        if page["has_more"] == false {
            return pages;
        }
    }
}

#[tokio::test]
async fn events_are_listed_newest_first_in_both_directions() {
    let options = Options::new(shop());
    let lives = lives(0..10, &options);
    let desk = desk_of(&lives, &options.catalogue).await;
    let mut all: Vec<_> = lives.iter().flat_map(|life| &life.events).collect();
    all.sort_by_key(|event| event.created);
    let newest_first: Vec<_> = all.iter().rev().map(|event| event.id.clone()).collect();
    let back = pages(&desk, "limit=7", "starting_after", None).await;
    assert!(back.iter().all(|page| page.len() <= 7));
    assert_eq!(back.concat(), newest_first);
    let oldest = newest_first.last().cloned();
    let mut forth = pages(&desk, "limit=7", "ending_before", oldest).await;
    forth.reverse();
    assert_eq!(forth.concat(), newest_first[..newest_first.len() - 1]);
    assert_eq!(ids(&desk.get("/v1/events").await.body).len(), 10);
    let one = desk.get(&format!("/v1/events/{}", all[5].id)).await.body;
    assert_eq!(one, serde_json::from_slice::<Value>(&all[5].body).expect("JSON"));
}

/// Whether an event of that type and second is to be listed.
type Wanted = Box<dyn Fn(&str, i64) -> bool>;

#[tokio::test]
async fn events_are_filtered() {
    let options = Options::new(shop());
    let lives = lives(0..10, &options);
    let mut all: Vec<_> = lives.iter().flat_map(|life| &life.events).collect();
    all.sort_by_key(|event| event.created);
    let since = all[all.len() / 2].created;
    let mut model = Model::new(&options.catalogue, &lives);
    model.set_undelivered([all[3].id.as_str(), all[8].id.as_str()]);
    let desk = Desk::open(Shop::of_histories(model), Limits::NONE).await;
    let cases: [(String, Wanted); 6] = [
        (
            "type=invoice.paid".to_owned(),
            Box::new(|kind, _| kind == "invoice.paid"),
        ),
        (
            "type=invoice.*".to_owned(),
            Box::new(|kind, _| kind.starts_with("invoice.")),
        ),
        (
            "types[]=invoice.paid&types%5B%5D=customer.created".to_owned(),
            Box::new(|kind, _| kind == "invoice.paid" || kind == "customer.created"),
        ),
        (
            format!("created[gte]={since}"),
            Box::new(move |_, at| at >= since),
        ),
        (format!("created[gt]={since}"), Box::new(move |_, at| at > since)),
        (
            format!("created[lt]={since}&type=charge.*"),
            Box::new(move |kind, at| at < since && kind.starts_with("charge.")),
        ),
    ];
    for (query, expected) in cases {
        let found: BTreeSet<_> = pages(&desk, &format!("limit=100&{query}"), "starting_after", None)
            .await
            .concat()
            .into_iter()
            .collect();
        let expected = all.iter().filter(|event| expected(&event.kind, event.created));
        assert_eq!(found, expected.map(|event| event.id.clone()).collect(), "{query}");
    }
    let lost = desk.get("/v1/events?delivery_success=false").await.body;
    assert_eq!(ids(&lost), [all[8].id.clone(), all[3].id.clone()]);
}

#[tokio::test]
async fn old_events_are_gone() {
    let options = Options::new(shop());
    let lives = lives(0..3, &options);
    let mut all: Vec<_> = lives.iter().flat_map(|life| &life.events).collect();
    all.sort_by_key(|event| event.created);
    let since = all[all.len() / 2].created;
    let mut model = Model::new(&options.catalogue, &lives);
    model.forget_before(since);
    let desk = Desk::open(Shop::of_histories(model), Limits::NONE).await;
    let found = pages(&desk, "limit=100", "starting_after", None).await.concat();
    assert_eq!(
        found.len(),
        all.iter().filter(|event| event.created >= since).count()
    );
    let gone = desk.get(&format!("/v1/events/{}", all[0].id)).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
}
