//! What is shown.

use serde_json::json;

use super::{Visitor, fingerprint, set_aside, start};
use crate::support::{Rig, customer, event};

#[tokio::test]
async fn events_are_found_by_what_is_written() {
    let rig = Rig::new().await;
    set_aside(&rig).await;
    let api = start(&rig).await;
    let reader = Visitor::new(&api, "reader").await;
    let all = ["evt_1_1", "evt_2_1", "evt_3_1", "evt_bad"];
    for (search, wanted) in [
        ("", &all[..]),
        ("type:charge.*", &["evt_bad"]),
        ("status:parked+type:customer.updated", &["evt_1_1", "evt_2_1"]),
        ("status:applied+since:1h", &["evt_3_1"]),
        ("cus_3", &["evt_3_1"]),
        ("object:ch_1", &["evt_bad"]),
        ("evt_2_1", &["evt_2_1"]),
        ("until:1h", &[]),
    ] {
        let page = reader.see(&format!("/ops/events?q={search}")).await;
        let found: Vec<_> = all
            .iter()
            .filter(|id| page.contains(&format!(">{id}<")))
            .collect();
        assert_eq!(found, wanted.iter().collect::<Vec<_>>(), "{search}");
    }
    let page = reader.see("/ops/events?q=colour:red").await;
    assert!(
        page.contains("role=\"alert\"") && page.contains("colour"),
        "{page}"
    );
}

#[tokio::test]
async fn an_event_tells_its_story_and_letters_are_grouped() {
    let rig = Rig::new().await;
    set_aside(&rig).await;
    let api = start(&rig).await;
    let reader = Visitor::new(&api, "reader").await;
    let story = reader.see("/ops/event?id=evt_3_1").await;
    for word in [
        "created",
        "received",
        "queued",
        "shard 0, entry ",
        "begun",
        "attempt 1",
        "applied",
        "this event stands",
        "customer cus_3",
    ] {
        assert!(story.contains(word), "{word}: {story}");
    }
    let order = ["created", "received", "queued", "begun", "applied"];
    let (_, timeline) = story.split_once("id=\"timeline\"").expect("a timeline");
    let places: Vec<_> = order
        .iter()
        .map(|word| timeline.find(&format!(">{word}<")).expect("shown"))
        .collect();
    assert!(places.is_sorted(), "{story}");
    let parked = reader.see("/ops/event?id=evt_bad").await;
    assert!(
        parked.contains(">begun<") && parked.contains(">parked<"),
        "{parked}"
    );
    assert_eq!(reader.get("/ops/event?id=evt_none").await.status, 404);
    assert_eq!(reader.get("/ops/event").await.status, 400);
    let cause = fingerprint(&rig).await;
    let groups = reader.see("/ops/dead-letters").await;
    assert!(groups.contains(&format!("fingerprint={cause}")), "{groups}");
    let group = reader
        .see(&format!("/ops/dead-letters?fingerprint={cause}"))
        .await;
    assert!(group.contains("evt_1_1") && group.contains("evt_2_1") && !group.contains("evt_bad"));
    let overview = reader.see("/ops").await;
    assert!(
        overview.contains("rejected_by_database") && overview.contains("evt_3_1"),
        "{overview}"
    );
}

#[tokio::test]
async fn an_event_that_waits_for_a_worker_is_shown_to_wait() {
    let rig = Rig::new().await;
    rig.enqueue(&[customer(1, 1)]).await;
    let api = start(&rig).await;
    let reader = Visitor::new(&api, "reader").await;
    let page = reader.see("/ops/event?id=evt_1_1").await;
    assert!(
        page.contains(">queued<") && page.contains("endpoint default"),
        "{page}"
    );
    let worker = rig.worker();
    rig.wait_until_drained().await;
    worker.stop().await.expect("a clean end");
    let page = reader.see("/ops/event?id=evt_1_1").await;
    assert!(page.contains(">begun<") && page.contains(">applied<"), "{page}");
}

#[tokio::test]
async fn a_customer_is_found_by_user_and_by_customer() {
    let rig = Rig::new().await;
    let object = json!({
        "id": "cus_9", "object": "customer", "email": "<script>@example.com",
        "metadata": {"user_id": "<b>&\"u9"},
    });
    rig.enqueue(&[event("evt_9", "customer.created", 1, &object)])
        .await;
    let worker = rig.worker();
    rig.wait_until_drained().await;
    rig.wait_for_count("SELECT count(*) FROM users", 1).await;
    worker.stop().await.expect("a clean end");
    let api = start(&rig).await;
    let reader = Visitor::new(&api, "reader").await;
    let list = reader.see("/ops/customers").await;
    assert!(list.contains("&lt;script&gt;@example.com"), "{list}");
    let found = reader.get("/ops/customers?q=cus_9").await;
    assert_eq!(found.status, 303, "{found:?}");
    let page = reader.see(found.to()).await;
    assert!(
        page.contains("&lt;b&gt;&amp;&quot;u9") && page.contains("evt_9"),
        "{page}"
    );
    assert!(
        !page.contains("<b>") && !list.contains("<script>"),
        "what customers call themselves stays text"
    );
    assert_eq!(reader.get("/ops/customer?user=nobody").await.status, 404);
}

/// The policy says that nothing inline runs; so there must not be anything inline that would be missed.
#[tokio::test]
async fn pages_are_strict_about_what_browsers_may_do() {
    let rig = Rig::new().await;
    set_aside(&rig).await;
    let api = start(&rig).await;
    let admin = Visitor::new(&api, "admin").await;
    let pages = [
        "/ops",
        "/ops/events",
        "/ops/event?id=evt_bad",
        "/ops/dead-letters",
        "/ops/jobs",
        "/ops/sign-in",
    ];
    let mut assets = Vec::new();
    for path in pages
        .into_iter()
        .chain(["/ops/event?id=evt_none", "/ops/nowhere"])
    {
        let shown = admin.get(path).await;
        if path != "/ops/nowhere" {
            let policy = shown.header("content-security-policy");
            assert!(
                policy.starts_with("default-src 'none'; style-src 'self'; script-src 'self'"),
                "{path}: {shown:?}"
            );
            assert!(policy.contains("frame-ancestors 'none'") && policy.contains("form-action 'self'"));
            assert_eq!(shown.header("cache-control"), "no-store", "{path}");
        }
        for inline in [" style=", "<style", " onclick=", "javascript:", "<script>"] {
            assert!(!shown.body.contains(inline), "{path} has {inline}");
        }
        let sources = shown
            .body
            .split(['"'])
            .filter(|it| it.starts_with("/ops/assets/"));
        assets.extend(sources.map(str::to_owned));
    }
    assets.sort();
    assets.dedup();
    assert_eq!(assets.len(), 2, "{assets:?}");
    for asset in assets {
        let shown = Visitor::nobody(&api).get(&asset).await;
        assert_eq!(shown.status, 200, "{asset}");
        assert!(shown.header("cache-control").contains("immutable"));
    }
}
