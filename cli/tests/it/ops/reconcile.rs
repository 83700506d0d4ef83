//! Whether everything is here, and what was missing.

use store::Store;
use store::api::{Actor, ActorRole};
use store::coverage::HoleFilter;

use super::browser::sign_in;
use super::{Visitor, start};
use crate::reconcile::Town;
use crate::support::{Rig, wait_for};

/// A connected account whose endpoint is off, with an event that is missing and one that Stripe has not any more; and the
/// platform's own, where all is well.
pub const TROUBLE: &str = "
    INSERT INTO coverage (account, stripe_account, livemode, covered_until, looked_until, round_at, listed, verdict,
                          verdict_since, endpoint_state)
    VALUES ('', 'acct_1', true, now() - interval '2 min', now() - interval '2 min', now() - interval '9 s', 42, 'flowing',
            now() - interval '3 days', 'enabled'),
           ('acct_9', 'acct_1', true, now() - interval '2 h', now() - interval '2 min', now() - interval '7 s', 3,
            'endpoint_disabled', now() - interval '2 h', 'disabled');
    INSERT INTO coverage_holes (account, event_id, type, created, gone_at)
    VALUES ('acct_9', 'evt_away', 'invoice.paid', now() - interval '2 h', NULL),
           ('acct_9', 'evt_forgotten', 'charge.succeeded', now() - interval '31 days', now())";

#[tokio::test(flavor = "multi_thread")]
async fn what_was_lost_is_listed_and_seen_to_be_filled_in() {
    let town = Town::open().await;
    let worker = town.rig.worker_with(town.env(&[]));
    town.wait_for_coverage(|it| it.verdict.is_some()).await;
    let api = start(&town.rig).await;
    let reader = Visitor::new(&api, "reader").await;
    town.customers(1).await;
    town.arrive(1).await;
    town.wait_for_coverage(|it| it.verdict.as_deref() == Some("flowing"))
        .await;
    let calm = reader.see("/ops").await;
    assert!(!calm.contains("aria-label=\"Warning"), "{calm}");

    town.lose("1").await;
    for _ in 0..2 {
        town.customers(1).await;
        town.pass().await;
    }
    town.wait_for_coverage(|it| it.verdict.as_deref() == Some("answered_elsewhere"))
        .await;
    town.wait_until_all_is_here().await;
    let lost = town.lost();
    let all_filled = async || {
        let page = reader.see("/ops/reconcile?state=filled").await;
        lost.iter().all(|id| page.contains(&format!(">{id}<")))
    };
    assert!(wait_for(all_filled).await, "{lost:?}");
    let page = reader.see("/ops/reconcile").await;
    for words in ["answered_elsewhere", "To do: ", "acct_", "filled in"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let overview = reader.see("/ops").await;
    assert!(
        overview.contains("aria-label=\"Warning") && overview.contains("href=\"/ops/reconcile\""),
        "{overview}"
    );
    worker.stop().await.expect("a clean end");
}

#[tokio::test]
async fn holes_are_found_by_account_state_type_and_id() {
    let rig = Rig::new().await;
    rig.execute(TROUBLE).await;
    let api = start(&rig).await;
    let reader = Visitor::new(&api, "reader").await;
    for (filter, away, forgotten) in [
        ("account=acct_9", true, true),
        ("account=acct_9&state=open", true, false),
        ("account=acct_9&state=gone", false, true),
        ("account=acct_9&state=filled", false, false),
        ("account=acct_9&type=invoice.paid", true, false),
        ("account=acct_9&id=evt_forgotten", false, true),
        ("", false, false),
    ] {
        let page = reader.see(&format!("/ops/reconcile?{filter}")).await;
        let seen = ["evt_away", "evt_forgotten"].map(|id| page.contains(&format!(">{id}<")));
        assert_eq!(seen, [away, forgotten], "{filter}: {page}");
    }
    assert_eq!(reader.get("/ops/reconcile?state=lost").await.status, 400);
    let overview = reader.see("/ops").await;
    assert!(
        overview.contains("endpoint_disabled") && overview.contains("2 h behind"),
        "{overview}"
    );
}

#[tokio::test]
async fn objects_that_differed_are_shown_with_what_did() {
    let rig = Rig::new().await;
    let api = start(&rig).await;
    let reader = Visitor::new(&api, "reader").await;
    let page = reader.see("/ops/reconcile").await;
    assert!(page.contains("None was found."), "{page}");
    rig.execute(
        "INSERT INTO object_differences (account, kind, object_id, is_gone, members, settled_at)
         VALUES ('', 'subscription', 'sub_other', false, '{status,items}', now()), ('', 'invoice', 'in_away', true, '{}', NULL),
                ('acct_9', 'charge', 'ch_theirs', false, '{status}', NULL)",
    )
    .await;
    let page = reader.see("/ops/reconcile").await;
    for words in [
        "sub_other",
        "status, items",
        "as Stripe has it",
        "in_away",
        "gone at Stripe",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(!page.contains("ch_theirs"), "{page}");
}

/// The platform sees how its connected accounts are; an account sees itself.
#[tokio::test]
async fn staff_see_their_own_account_and_the_platforms_all() {
    let rig = Rig::new().await;
    rig.execute(TROUBLE).await;
    let store = Store::for_api(&rig.database_url, 1).expect("an URL");
    for (account, role, accounts, holes) in [
        ("", ActorRole::Admin, 2, 2),
        ("acct_9", ActorRole::Admin, 1, 2),
        ("acct_1", ActorRole::Admin, 0, 0),
        ("", ActorRole::Service, 0, 0),
    ] {
        let actor = Actor {
            account: account.to_owned(),
            role,
            subject: "somebody".to_owned(),
        };
        let filter = HoleFilter {
            account: "acct_9",
            ..HoleFilter::default()
        };
        let mut tx = store.begin_reading_as(&actor).await.expect("Postgres answers");
        let seen = tx.coverages().await.expect("readable").len();
        let missing = tx.holes(filter, 9).await.expect("readable").len();
        assert_eq!((seen, missing), (accounts, holes), "{actor:?}");
    }
}

#[tokio::test]
async fn a_comparison_that_stopped_is_a_warning() {
    let rig = Rig::new().await;
    rig.execute(
        "INSERT INTO coverage (account, covered_until, round_at, verdict)
         VALUES ('', now() - interval '20 min', now() - interval '20 min', 'quiet')",
    )
    .await;
    let api = start(&rig).await;
    let reader = Visitor::new(&api, "reader").await;
    for page in ["/ops", "/ops/reconcile"] {
        let page = reader.see(page).await;
        assert!(page.contains("compared 20 min ago"), "{page}");
    }
}

/// What is a warning here is an alert there.
#[test]
fn warnings_are_those_of_the_alerts() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../deploy/prometheus/alerts.rules.yml"
    );
    let rules = std::fs::read_to_string(path).expect("readable");
    let (lag, age) = (
        domain::coverage::LAG_SECONDS_MAX,
        domain::coverage::AGE_SECONDS_MAX,
    );
    let stale =
        format!("min(tollgate_coverage_lag_seconds) > {lag} or min(tollgate_reconcile_age_seconds) > {age}");
    assert!(rules.contains(&stale), "{stale}");
    let alarming = domain::silence::Verdict::ALL
        .into_iter()
        .filter(|it| it.is_alarming());
    let words: Vec<&str> = alarming.map(domain::silence::Verdict::as_str).collect();
    let silent = format!("verdict=~\"{}\"", words.join("|"));
    assert!(rules.contains(&silent), "{silent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_warned_on_the_overview_is_led_to_what_is_missing() {
    let rig = Rig::new().await;
    rig.execute(TROUBLE).await;
    let api = start(&rig).await;
    let Some(mut browser) = sign_in(&api, "reader").await else {
        return;
    };
    browser.go(&format!("{}/ops", api.admin_url)).await;
    browser.press("[aria-label^=Warning] a").await;
    browser
        .wait_until("document.body.innerText.includes('turn the endpoint on again')")
        .await;
    let choose = "document.querySelector('#account').value = 'acct_9'; document.querySelector('#state').value = 'open';
                  document.querySelector('form.filter').requestSubmit()";
    browser.set_off(choose).await;
    browser
        .wait_until("document.querySelector('#holes')?.innerText.includes('evt_away')")
        .await;
    assert!(!browser.text().await.contains("evt_forgotten"));
    // What is found meanwhile is there without loading the page anew.
    rig.execute("UPDATE coverage_holes SET filled_at = now() WHERE event_id = 'evt_away'")
        .await;
    browser
        .wait_until("document.querySelector('#holes').innerText.includes('None fit')")
        .await;
}
