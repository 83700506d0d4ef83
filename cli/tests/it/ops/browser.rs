//! The ops page in a real browser.

use serde_json::{Value, json};

use super::customers::a_customer;
use super::reconcile::TROUBLE;
use super::{PASSWORD, fingerprint, mend, set_aside, start};
use crate::api::Service;
use crate::support::Rig;
use crate::support::browser::Browser;

/// axe-core, <https://github.com/dequelabs/axe-core>, MPL-2.0: finds what keeps people out.
const AXE: &str = include_str!("../../assets/axe.min.js");
/// What it is asked: everything but its proposals, and of that what it takes seriously.
const AXE_RUN: &str = "axe.run({resultTypes: ['violations']}).then((found) => found.violations
    .filter((it) => ['serious', 'critical', 'moderate'].includes(it.impact))
    .map((it) => `${it.id}: ${it.nodes.map((node) => node.html).join(' ')}`))";
/// Told of what the policy refused.
const LISTEN: &str = "window.refused = []; document.addEventListener('securitypolicyviolation', (it) => \
                      window.refused.push(`${it.violatedDirective} ${it.blockedURI}`));";

/// Somebody who has signed in with a browser; nobody where there is none.
pub async fn sign_in(api: &Service, name: &str) -> Option<Browser> {
    let mut browser = Browser::start().await?;
    let listen = json!({"source": LISTEN});
    browser
        .tell("Page.addScriptToEvaluateOnNewDocument", listen)
        .await;
    browser.go(&format!("{}/ops/events", api.admin_url)).await;
    browser.fill("#name", name).await;
    browser.fill("#password", PASSWORD).await;
    browser.press("button[type=submit]").await;
    browser.wait_until("location.pathname === '/ops/events'").await;
    Some(browser)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_searches_by_keyboard_and_replays_a_group() {
    let rig = Rig::new().await;
    set_aside(&rig).await;
    mend(&rig).await;
    let api = start(&rig).await;
    let Some(mut browser) = sign_in(&api, "operator").await else {
        return;
    };
    browser.key("/", "/").await;
    assert_eq!(browser.value("document.activeElement.id").await, "q");
    browser
        .tell("Input.insertText", json!({"text": "status:parked type:charge.*"}))
        .await;
    browser.key("Enter", "\r").await;
    browser.wait_until("location.search.includes('charge')").await;
    let text = browser.text().await;
    assert!(text.contains("evt_bad") && !text.contains("evt_1_1"), "{text}");

    let cause = fingerprint(&rig).await;
    browser
        .go(&format!("{}/ops/dead-letters?fingerprint={cause}", api.admin_url))
        .await;
    browser.wait_until("document.querySelector('#why')").await;
    browser.fill("#why", "it is mended").await;
    browser.press("button.main").await;
    browser.wait_until("location.pathname === '/ops/job'").await;
    let worker = rig.worker();
    // Without being loaded anew: the page keeps itself fresh.
    browser.value("window.same = true").await;
    browser
        .wait_until("document.body.innerText.includes('2 of 2')")
        .await;
    assert_eq!(browser.value("window.same").await, true);
    worker.stop().await.expect("a clean end");
    assert_eq!(rig.count("SELECT count(*) FROM customers").await, 3);
    assert_eq!(browser.value("window.refused").await, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_pauses_the_queue_without_scripts() {
    let rig = Rig::new().await;
    let api = start(&rig).await;
    let Some(mut browser) = sign_in(&api, "operator").await else {
        return;
    };
    // The page's own script; what the test asks still runs.
    browser.block("*/ops/assets/*.js").await;
    browser.go(&format!("{}/ops/queue", api.admin_url)).await;
    browser.wait_until("document.querySelector('#why')").await;
    assert_eq!(browser.value("typeof keepFresh").await, "undefined");
    browser.fill("#why", "a migration").await;
    browser.press("form.work button").await;
    browser
        .wait_until("document.body.innerText.includes('paused')")
        .await;
    assert!(browser.text().await.contains("ops:operator: a migration"));
    browser.fill("#why", "it is over").await;
    browser.press("form.work button").await;
    browser
        .wait_until("document.body.innerText.includes('running')")
        .await;
}

/// What a chart of the overview says to who does not see it.
fn said_by(chart: &str) -> String {
    format!("document.querySelector('svg[aria-label^=\"{chart}\"]')?.getAttribute('aria-label')")
}

#[tokio::test(flavor = "multi_thread")]
async fn charts_of_the_overview_go_on_while_somebody_looks() {
    let rig = Rig::new().await;
    let api = start(&rig).await;
    let Some(mut browser) = sign_in(&api, "reader").await else {
        return;
    };
    browser.go(&format!("{}/ops", api.admin_url)).await;
    // Somebody has looked twice.
    let rate = said_by("Accepted a second");
    browser.wait_until(&format!("{rate}?.includes('0.0 now')")).await;
    browser.value("window.same = true").await;
    set_aside(&rig).await;
    for (chart, said) in [
        ("Accepted a second", "!it.includes(' 0.0 at most')"),
        ("Committed a second", "!it.includes(' 0.0 at most')"),
        ("Received to committed", "/ [0-9.]+ m?s now/.test(it)"),
        ("Events in Redis", "it.includes(' 0 now')"),
        ("Age of the oldest in Redis", "it.includes(' 0 s now')"),
        ("Dead letters", "it.includes(' 3 now')"),
    ] {
        let shown = said_by(chart);
        browser
            .wait_until(&format!("((it) => it && {said})({shown})"))
            .await;
    }
    let drawn = "document.querySelectorAll('.chart svg[role=img] path.line').length";
    assert!(browser.value(drawn).await.as_u64() >= Some(6), "a line in each");
    assert_eq!(browser.value("window.same").await, true, "it was not loaded anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_makes_a_form_of_their_own_is_refused() {
    let rig = Rig::new().await;
    set_aside(&rig).await;
    let api = start(&rig).await;
    let Some(mut browser) = sign_in(&api, "reader").await else {
        return;
    };
    browser.go(&format!("{}/ops/dead-letters", api.admin_url)).await;
    browser
        .wait_until("document.body.innerText.includes('evt_bad')")
        .await;
    assert_eq!(
        browser.value("document.querySelectorAll('.deeds').length").await,
        0
    );
    let make = "const form = document.querySelector('form.work');
        for (const [name, value] of [['scope', 'all'], ['why', 'for fun']]) {
            const field = document.createElement('input'); field.name = name; field.value = value; form.append(field);
        }
        form.submit();";
    browser.set_off(make).await;
    browser
        .wait_until("document.title.startsWith('Not allowed')")
        .await;
    assert_eq!(rig.count("SELECT count(*) FROM dead_jobs").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_on_any_page_keeps_people_out() {
    let rig = Rig::new().await;
    set_aside(&rig).await;
    rig.execute(TROUBLE).await;
    a_customer(&rig).await;
    rig.execute(
        "INSERT INTO resyncs (account, id, key, customer_id, reason, made_by) VALUES ('', 'rsy_1', 'k', 'cus_9', 'x', 'y')",
    )
    .await;
    let api = start(&rig).await;
    let Some(mut browser) = sign_in(&api, "admin").await else {
        return;
    };
    let pages = [
        "/ops",
        "/ops/events",
        "/ops/event?id=evt_bad",
        "/ops/event?id=evt_3_1",
        "/ops/dead-letters",
        "/ops/jobs",
        "/ops/reconcile?account=acct_9",
        "/ops/queue",
        "/ops/workers",
        "/ops/customers",
        "/ops/customer?user=ann",
        "/ops/resync?id=rsy_1",
        "/ops/audit-log",
        "/ops/sign-in",
        "/ops/event?id=none",
    ];
    let mut faults = Vec::new();
    for scheme in ["light", "dark"] {
        browser.prefer(scheme).await;
        for page in pages {
            browser.value("window.old = true").await;
            browser.go(&format!("{}{page}", api.admin_url)).await;
            browser
                .wait_until("window.old === undefined && document.querySelector('main')")
                .await;
            browser.value(AXE).await;
            let found = browser.value(AXE_RUN).await;
            let found = found.as_array().expect("a list").iter().filter_map(Value::as_str);
            faults.extend(found.map(|it| format!("{page} ({scheme}): {it}")));
            let refused = browser.value("window.refused").await;
            assert_eq!(refused, json!([]), "{page}");
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
