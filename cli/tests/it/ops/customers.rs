//! One customer: what is known of them, and what can be done for them.

use domain::credits::Owner;
use serde_json::json;

use super::browser::sign_in;
use super::{Visitor, start};
use crate::api::resyncs::Deaf;
use crate::ledger::TopUp;
use crate::support::{Rig, event, wait_for};

const ANN: &str = "/ops/customer?user=ann";
const TRANSFERS: &str = "SELECT count(*) FROM ledger_transfers WHERE kind = 'adjust'";
const DEEDS: &str = "SELECT count(*) FROM audit_log WHERE actor = 'ops:admin' AND user_id = 'ann'";

/// Ann, who has ten credits and is `cus_9` to Stripe.
pub async fn a_customer(rig: &Rig) {
    let object = json!({"id": "cus_9", "object": "customer", "metadata": {"user_id": "ann"}});
    let top_up = TopUp::new("ann", &Owner::User("ann".into()), 10);
    rig.enqueue(&[event("evt_9", "customer.created", 1, &object), top_up.event()])
        .await;
    let worker = rig.worker();
    rig.wait_for_count("SELECT count(*) FROM customer_users WHERE user_id = 'ann'", 1)
        .await;
    rig.wait_for_count("SELECT count(*) FROM ledger_transfers WHERE kind = 'topup'", 1)
        .await;
    worker.stop().await.expect("a clean end");
}

/// The value of a hidden field.
fn hidden<'a>(page: &'a str, name: &str) -> &'a str {
    let (_, rest) = page
        .split_once(&format!("name=\"{name}\" value=\""))
        .expect("a field");
    rest.split('"').next().expect("a value")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_corrects_credits_after_a_second_look_and_only_once() {
    let rig = Rig::new().await;
    a_customer(&rig).await;
    let api = start(&rig).await;
    let admin = Visitor::new(&api, "admin").await;
    let wanted = [("user", "ann"), ("credits", "40"), ("why", "an apology")];
    let confirm = admin.submit("/ops/corrections/confirm", &wanted).await;
    assert_eq!(confirm.status, 200, "{confirm:?}");
    for words in ["<dd>10</dd>", "<dd>+40</dd>", "<dd>50</dd>", "an apology"] {
        assert!(confirm.body.contains(words), "{words}: {confirm:?}");
    }
    assert_eq!(rig.count(TRANSFERS).await, 0, "nothing is done before");

    let key = hidden(&confirm.body, "key");
    let confirmed = [&wanted[..], &[("key", key)]].concat();
    for _ in 0..2 {
        let done = admin.submit("/ops/corrections", &confirmed).await;
        assert_eq!((done.status, done.to()), (303, ANN), "{done:?}");
    }
    assert_eq!((rig.count(TRANSFERS).await, rig.count(DEEDS).await), (1, 1));
    let page = admin.see(ANN).await;
    assert!(
        page.contains("<dd>50</dd>") && page.contains("an apology"),
        "{page}"
    );
    let log = admin.see("/ops/audit-log?user=ann").await;
    assert!(
        log.contains("credits.adjust") && log.contains("ops:admin"),
        "{log}"
    );

    let other = [("user", "ann"), ("credits", "41"), ("why", "x"), ("key", key)];
    assert_eq!(admin.submit("/ops/corrections", &other).await.status, 422);
    let operator = Visitor::new(&api, "operator").await;
    assert!(
        !operator.see(ANN).await.contains("/ops/corrections"),
        "for admins"
    );
}

#[tokio::test]
async fn what_cannot_be_corrected_is_refused() {
    let rig = Rig::new().await;
    a_customer(&rig).await;
    let api = start(&rig).await;
    let admin = Visitor::new(&api, "admin").await;
    let too_much = [("user", "ann"), ("credits", "-11"), ("why", "x"), ("key", "two")];
    let look = admin.submit("/ops/corrections/confirm", &too_much).await;
    assert!(
        look.body.contains("below zero") && !look.body.contains("Correct by"),
        "{look:?}"
    );
    assert_eq!(admin.submit("/ops/corrections", &too_much).await.status, 409);
    for (fields, status) in [
        (
            [("user", "ann"), ("credits", "0"), ("why", "x"), ("key", "3")],
            400,
        ),
        (
            [("user", "ann"), ("credits", "1.5"), ("why", "x"), ("key", "3")],
            400,
        ),
        (
            [("user", "ann"), ("credits", "1"), ("why", ""), ("key", "3")],
            400,
        ),
        (
            [("user", "ann"), ("credits", "1"), ("why", "x"), ("key", "")],
            400,
        ),
        (
            [("user", "nobody"), ("credits", "1"), ("why", "x"), ("key", "3")],
            404,
        ),
    ] {
        let refused = admin.submit("/ops/corrections", &fields).await;
        assert_eq!(refused.status, status, "{fields:?}: {refused:?}");
    }
    assert_eq!((rig.count(TRANSFERS).await, rig.count(DEEDS).await), (0, 0));
}

#[tokio::test]
async fn an_operator_begins_a_resync_once_and_a_reader_sees_it_wait() {
    let rig = Rig::new().await;
    a_customer(&rig).await;
    let api = start(&rig).await;
    let (operator, reader) = (
        Visitor::new(&api, "operator").await,
        Visitor::new(&api, "reader").await,
    );
    let page = operator.see(ANN).await;
    let fields = [
        ("customer", "cus_9"),
        ("why", "events were lost"),
        ("key", hidden(&page, "key")),
    ];
    let begun = operator.submit("/ops/resyncs", &fields).await;
    assert!(begun.to().starts_with("/ops/resync?id=rsy_"), "{begun:?}");
    assert_eq!(operator.submit("/ops/resyncs", &fields).await.to(), begun.to());
    let rows = "SELECT count(*) FROM resyncs";
    let deeds = "SELECT count(*) FROM audit_log WHERE action = 'customer.resync' AND actor = 'ops:operator'";
    assert_eq!((rig.count(rows).await, rig.count(deeds).await), (1, 1));
    let shown = reader.see(begun.to()).await;
    assert!(
        shown.contains(">waiting<") && shown.contains("events were lost"),
        "{shown}"
    );
    for page in [ANN, "/ops/jobs"] {
        let page = reader.see(page).await;
        assert!(
            page.contains("resync of cus_9") && !page.contains("/ops/resyncs\""),
            "{page}"
        );
    }
    assert_eq!(reader.get("/ops/resync?id=rsy_none").await.status, 404);
    let silent = [("customer", "cus_9"), ("why", " "), ("key", "x")];
    assert_eq!(operator.submit("/ops/resyncs", &silent).await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_asked_of_stripe_anew_and_corrected_in_a_browser() {
    let deaf = Deaf::open().await;
    deaf.buy(&json!({"plan": "pro"})).await;
    let customer = deaf.customer().await;
    deaf.resync(&customer).await;
    let rig = &deaf.till.rig;
    let granted = "SELECT count(*) FROM ledger_transfers WHERE kind = 'grant'";
    rig.wait_for_count(granted, 1).await;
    // What no event has told.
    deaf.buy(&json!({"package": "credits_1000"})).await;
    let api = start(rig).await;
    let Some(mut browser) = sign_in(&api, "admin").await else {
        return;
    };
    browser.go(&format!("{}{ANN}", api.admin_url)).await;
    browser.wait_until("document.querySelector('#resync-why')").await;
    browser.fill("#resync-why", "the endpoint was off").await;
    browser.press("form[action='/ops/resyncs'] button").await;
    // Without being loaded anew.
    browser
        .wait_until("document.querySelector('#live').innerText.includes('over')")
        .await;
    rig.wait_for_count("SELECT count(*) FROM ledger_transfers WHERE kind = 'topup'", 1)
        .await;
    browser.press("#live dd a").await;
    let text = browser.text().await;
    for words in [
        "3000",
        "pro",
        "active",
        "paid",
        "succeeded",
        "entitled",
        "subscription_create",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    browser.fill("#credits", "-500").await;
    browser.fill("#correct-why", "given twice").await;
    browser
        .press("form[action='/ops/corrections/confirm'] button")
        .await;
    assert!(browser.text().await.contains("2500"));
    browser.press("button.danger").await;
    browser.wait_until("location.pathname === '/ops/customer'").await;
    let corrected = wait_for(async || rig.count(TRANSFERS).await == 1);
    assert!(corrected.await && browser.text().await.contains("given twice"));
    assert_eq!(browser.value("window.refused").await, json!([]));
    deaf.worker.stop().await.expect("a clean end");
}
