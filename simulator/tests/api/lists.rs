//! Lists other than that of events: lines, invoice payments, the catalogue.

use std::collections::BTreeSet;

use hyper::StatusCode;
use serde_json::Value;
use simulator::{
    ApiVersion,
    history::random::{Options, WAVERS},
};

use crate::desk::{Desk, desk_of, lives, shop, told};

fn rows(page: &Value) -> &Vec<Value> {
    page["data"].as_array().expect("a list")
}

fn id(row: &Value) -> String {
    row["id"].as_str().expect("an id").to_owned()
}

/// Every row of a list, page by page from the top.
async fn all(desk: &Desk, path: &str, limit: usize) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = desk.get(&format!("{path}?limit={limit}{cursor}")).await.body;
        assert!(rows(&page).len() <= limit);
        assert_eq!(page["url"], path);
        all.extend(rows(&page).iter().cloned());
        if page["has_more"] == false {
            return all;
        }
        cursor = format!("&starting_after={}", id(all.last().expect("a full page")));
    }
}

/// What the lines that are no prorations grant; all our prices grant in proportion to their quantity.
fn granted(lines: &[Value], credits: impl Fn(&str) -> i64) -> i64 {
    let number = |line: &Value, name: &str| line[name].as_i64().expect("a number");
    let details = |line: &Value| line["parent"]["subscription_item_details"]["proration"].as_bool();
    let bought = lines
        .iter()
        .filter(|line| line["proration"].as_bool().or(details(line)) == Some(false));
    let price = |line: &Value| {
        let price = line["price"]["id"].as_str();
        let price = price.or(line["pricing"]["price_details"]["price"].as_str());
        credits(price.expect("a price"))
    };
    bought.map(|line| price(line) * number(line, "quantity")).sum()
}

#[tokio::test]
async fn the_lines_of_a_long_invoice_are_all_there_page_by_page() {
    let options = Options {
        long_invoices: true,
        ..Options::new(shop())
    };
    let prices = options
        .catalogue
        .prices()
        .map(|price| (&price.id, price.credits()));
    let credits = |id: &str| prices.iter().find(|(price, _)| *price == id).expect("ours").1;
    let mut lives = lives(0..200, &options);
    lives.retain(|life| life.steps.contains(&WAVERS));
    let desk = desk_of(&lives, &options.catalogue).await;
    let mut long = 0;
    for life in &lives {
        for (invoice, row) in &life.truth.invoices {
            let path = format!("/v1/invoices/{invoice}");
            let shown = desk.get(&path).await.body["lines"].take();
            if shown["has_more"] == false {
                continue;
            }
            long += 1;
            assert_eq!(rows(&shown).len(), 10);
            let lines = all(&desk, &format!("{path}/lines"), 5).await;
            assert!(lines.len() > 10);
            assert_eq!(rows(&shown), &lines[..10]);
            let ids: BTreeSet<String> = lines.iter().map(id).collect();
            assert_eq!(ids.len(), lines.len(), "each line once");
            let sum: i64 = lines.iter().filter_map(|line| line["amount"].as_i64()).sum();
            assert_eq!(sum, row["total"]);
            if row["status"] == "paid" {
                let grant = &life.truth.grants[&format!("grant:{invoice}")];
                assert_eq!(granted(&lines, credits), *grant);
                assert_eq!(
                    granted(&lines[..10], credits),
                    0,
                    "it takes the last line to know"
                );
            }
        }
    }
    assert!(long > 5, "{long} long invoices");
    let missing = desk.get("/v1/invoices/in_none/lines").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_paid_an_invoice_is_a_list_with_pages_too() {
    let catalogue = shop();
    let life = told("subscriber", ApiVersion::V2026_10_28Endive, &catalogue);
    let desk = desk_of(std::slice::from_ref(&life), &catalogue).await;
    let invoice = life.truth.invoices.keys().next().expect("an invoice");
    let path = format!("/v1/invoice_payments?invoice={invoice}&limit=1");
    let page = desk.get(&path).await.body;
    assert_eq!((rows(&page).len(), &page["has_more"]), (1, &Value::Bool(false)));
    let behind = format!("{path}&starting_after={}", id(&page["data"][0]));
    assert!(rows(&desk.get(&behind).await.body).is_empty());
    let nowhere = format!("{path}&starting_after=inpay_none");
    assert_eq!(desk.get(&nowhere).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_catalogue_is_listed_in_both_directions() {
    let catalogue = shop();
    let desk = desk_of(&[], &catalogue).await;
    for path in ["/v1/prices", "/v1/products"] {
        let found = all(&desk, path, 3).await;
        assert_eq!(found.len(), 4);
        let last = id(&found[3]);
        let before = desk
            .get(&format!("{path}?limit=2&ending_before={last}"))
            .await
            .body;
        assert_eq!(rows(&before), &found[1..3], "the page next to the cursor");
        assert_eq!(before["has_more"], true);
    }
}
