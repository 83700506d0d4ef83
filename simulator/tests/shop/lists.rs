//! What was written is found where everything else is.

use serde_json::{Value, json};
use simulator::{
    ApiVersion,
    catalogue::Catalogue,
    history::{Setting, Story, live},
    shop::Model,
};

use crate::till::{START, Till, id};

fn ids(page: &Value) -> Vec<String> {
    page["data"].as_array().expect("a list").iter().map(id).collect()
}

#[tokio::test]
async fn customers_are_found() {
    let till = Till::open().await;
    let (one, two) = (till.customer("usr_1").await, till.customer("usr_2").await);
    assert_eq!(
        ids(&till.get("/v1/customers").await),
        [two.clone(), one.clone()],
        "the newest first"
    );
    assert_eq!(
        ids(&till.get("/v1/customers?email=usr_1@example.com").await),
        std::slice::from_ref(&one)
    );
    assert!(ids(&till.get("/v1/customers?email=usr_3@example.com").await).is_empty());
    let found = till
        .get("/v1/customers/search?query=metadata['user_id']:'usr_2'")
        .await;
    assert_eq!(
        (ids(&found), &found["object"]),
        (vec![two], &json!("search_result"))
    );
    let after = till
        .get(&format!("/v1/customers?limit=1&ending_before={one}"))
        .await;
    assert_eq!(after["has_more"], false);
}

#[tokio::test]
async fn the_catalogue_grows_and_changes() {
    let till = Till::open().await;
    let product = till
        .make("/v1/products", &[("name", "Max"), ("metadata[credits]", "9")])
        .await;
    let form = [
        ("product", product["id"].as_str().expect("an id")),
        ("currency", "usd"),
        ("unit_amount", "9900"),
        ("recurring[interval]", "year"),
        ("lookup_key", "max_yearly"),
        ("metadata[credits]", "900"),
    ];
    let price = till.make("/v1/prices", &form).await;
    assert_eq!(
        (&price["recurring"]["interval"], &price["type"]),
        (&json!("year"), &json!("recurring"))
    );
    assert_eq!(
        ids(&till.get("/v1/prices?lookup_keys[]=max_yearly").await),
        [id(&price)]
    );
    assert_eq!(
        till.get(&format!("/v1/plans/{}", id(&price))).await["interval"],
        "year"
    );
    let taken = till.post("/v1/prices", &form).await;
    assert_eq!(taken.error().3, "lookup_key");
    let moved = [&form[..], &[("transfer_lookup_key", "true")]].concat();
    let heir = till.make("/v1/prices", &moved).await;
    assert_eq!(
        ids(&till.get("/v1/prices?lookup_keys[]=max_yearly").await),
        [id(&heir)]
    );
    let path = format!("/v1/prices/{}", id(&price));
    assert_eq!(till.make(&path, &[("active", "false")]).await["active"], false);
    assert!(!ids(&till.get("/v1/prices?active=true&limit=100").await).contains(&id(&price)));
    let form = [
        ("mode", "subscription"),
        ("success_url", "http://x/"),
        ("line_items[0][price]", price["id"].as_str().expect("an id")),
        ("line_items[0][quantity]", "1"),
    ];
    assert!(
        till.post("/v1/checkout/sessions", &form)
            .await
            .text
            .contains("inactive")
    );
    let path = format!("/v1/products/{}", id(&product));
    let changed = till
        .make(&path, &[("name", "Maximum"), ("default_price", &id(&heir))])
        .await;
    assert_eq!(
        (&changed["name"], &changed["default_price"]),
        (&json!("Maximum"), &json!(id(&heir)))
    );
    let kinds = till.kinds().await;
    assert_eq!(kinds.iter().filter(|kind| *kind == "plan.updated").count(), 2);
    assert_eq!(kinds.last().map(String::as_str), Some("product.updated"));
}

#[tokio::test]
async fn histories_go_on() {
    let catalogue = Catalogue::new(1, START);
    let version = ApiVersion::V2026_10_28Endive;
    let setting = Setting {
        catalogue: &catalogue,
        version,
        connected: false,
        seed: 3,
        now: START,
    };
    let life = live(Story::named("top_up").expect("a story"), setting);
    let model = Model::new(&catalogue, [&life]);
    let till = Till::open_with(version, catalogue, model).await;
    let lived = till.events().await.len();
    assert_eq!(lived, life.events.len());
    let intent = life.truth.payments.keys().next().expect("one");
    till.make("/v1/refunds", &[("payment_intent", intent.as_str())])
        .await;
    let events = till.events().await;
    assert_eq!(events.len(), lived + 2, "in one list with those that were loaded");
    assert_eq!(events[lived + 1]["data"]["object"]["amount_refunded"], 1000);
    let customer = till.get("/v1/customers").await["data"][0]["id"].clone();
    let path = format!("/v1/payment_intents?customer={}", customer.as_str().expect("one"));
    assert!(ids(&till.get(&path).await).contains(intent));
}
