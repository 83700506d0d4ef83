//! Objects by id, and what paid an invoice.

use hyper::{Method, StatusCode};
use simulator::{
    ApiVersion,
    api::Limits,
    history::{Riddles, random::Options},
    shop::Shop,
    traffic::Plan,
};

use crate::desk::{Desk, KEY, START, desk_of, lives, paths, shop, told};

#[tokio::test]
async fn every_object_is_answered_as_it_is_in_the_end_in_either_shape() {
    let options = Options::new(shop());
    let lives = lives(0..40, &options);
    let desk = desk_of(&lives, &options.catalogue).await;
    for life in &lives {
        for (path, status) in paths(life) {
            let plain = desk.get(&path).await;
            assert_eq!(plain.status, StatusCode::OK, "{path}");
            assert_eq!(plain.body["status"], status, "{path}");
            assert_eq!(plain.body, desk.get_as(&path, life.version).await);
            let date = plain.headers["date"].to_str().expect("text");
            assert!(date.ends_with(" GMT"), "{date}");
            assert!(
                plain.headers["request-id"]
                    .to_str()
                    .expect("text")
                    .starts_with("req_")
            );
            for version in ApiVersion::ALL {
                let body = desk.get_as(&path, version).await;
                assert_eq!(body["status"], status);
                if body["object"] == "subscription" {
                    assert_eq!(body["current_period_end"].is_null(), version.is_current());
                }
            }
        }
    }
    for price in options.catalogue.prices() {
        let answer = desk.get(&format!("/v1/prices/{}", price.id)).await;
        assert_eq!(answer.body["metadata"]["credits"], price.credits().to_string());
        let product = desk.get(&format!("/v1/products/{}", price.product)).await;
        assert_eq!(product.body["object"], "product");
    }
}

#[tokio::test]
async fn what_no_event_said_can_be_asked() {
    let catalogue = shop();
    let life = told("refund_fails", ApiVersion::V2024_06_20, &catalogue);
    let desk = desk_of(std::slice::from_ref(&life), &catalogue).await;
    let charge = life.truth.charges.keys().next().expect("a charge");
    assert_eq!(life.truth.charges[charge]["amount_refunded"], 1000);
    let fetched = desk.get(&format!("/v1/charges/{charge}")).await.body;
    assert_eq!(fetched["amount_refunded"], 0, "the refund came back");
}

#[tokio::test]
async fn a_deleted_customer_is_only_that() {
    let catalogue = shop();
    let life = told("customer_deleted", ApiVersion::V2026_10_28Endive, &catalogue);
    let desk = desk_of(std::slice::from_ref(&life), &catalogue).await;
    let deleted = life.events.iter().find(|event| event.kind == "customer.deleted");
    let id = deleted.and_then(|event| event.object_id.clone()).expect("an id");
    let body = desk.get(&format!("/v1/customers/{id}")).await.body;
    assert_eq!(
        body,
        serde_json::json!({"id": id, "object": "customer", "deleted": true})
    );
}

#[tokio::test]
async fn what_paid_an_invoice_can_be_asked_from_both_ends() {
    let catalogue = shop();
    for version in ApiVersion::ALL {
        let life = told("subscriber", version, &catalogue);
        let desk = desk_of(std::slice::from_ref(&life), &catalogue).await;
        for (intent, row) in &life.truth.payments {
            let invoice = row["invoice"].as_str().expect("an invoice");
            let by_intent = format!(
                "/v1/invoice_payments?payment%5Btype%5D=payment_intent&payment[payment_intent]={intent}"
            );
            let list = desk.get(&by_intent).await.body;
            assert_eq!(list["data"].as_array().expect("a list").len(), 1);
            assert_eq!(list["data"][0]["invoice"], invoice);
            let by_invoice = desk
                .get(&format!("/v1/invoice_payments?invoice={invoice}"))
                .await
                .body;
            assert_eq!(by_invoice["data"], list["data"]);
            assert_eq!(list["data"][0]["payment"]["payment_intent"], intent.as_str());
            let id = list["data"][0]["id"].as_str().expect("an id");
            let one = desk.get(&format!("/v1/invoice_payments/{id}")).await.body;
            assert_eq!(one, list["data"][0]);
        }
    }
}

/// Riddles have an answer: here.
#[tokio::test]
async fn what_cannot_be_told_from_events_can_be_asked() {
    let options = Options {
        riddles: Riddles::Allow,
        haste: 0.9,
        ..Options::new(shop())
    };
    let lives = lives(0..60, &options);
    let desk = desk_of(&lives, &options.catalogue).await;
    let mut asked = 0;
    for life in &lives {
        for (path, status) in paths(life) {
            if life.riddles.iter().any(|id| path.ends_with(id.as_str())) {
                assert_eq!(desk.get(&path).await.body["status"], status);
                asked += 1;
            }
        }
    }
    assert!(asked > 10, "{asked} riddles");
}

#[tokio::test]
async fn a_plan_of_traffic_has_a_model_too() {
    let plan = Plan {
        connect: 0.2,
        ..Plan::new(9, 400, START)
    };
    let desk = Desk::open(Shop::of_histories(plan.model()), Limits::NONE).await;
    let (mut abroad, mut thin) = (0, 0);
    for event in plan.traffic().distinct() {
        let account = event.account.as_deref();
        let headers: Vec<_> = [("authorization", KEY)]
            .into_iter()
            .chain(account.map(|id| ("stripe-account", id)))
            .collect();
        let path = if event.is_thin() {
            "/v2/core/events"
        } else {
            "/v1/events"
        };
        let answer = desk
            .ask(Method::GET, &format!("{path}/{}", event.id), &headers)
            .await;
        assert_eq!(answer.status, StatusCode::OK, "{}", event.kind);
        abroad += usize::from(account.is_some());
        thin += usize::from(event.is_thin());
        let (Some(id), true) = (&event.object_id, event.kind.starts_with("customer.subscription")) else {
            continue;
        };
        let object = desk
            .ask(Method::GET, &format!("/v1/subscriptions/{id}"), &headers)
            .await;
        assert_eq!(object.body["id"], id.as_str());
    }
    assert!(abroad > 0 && thin > 0);
}
