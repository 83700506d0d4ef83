//! What can be done, by whom, and that nobody does it in another's name.

use hyper::Method;

use super::{Visitor, fingerprint, mend, set_aside, start};
use crate::support::{Rig, wait_for};

/// Everything a form can do, with what it would need.
const DEEDS: [(&str, &[(&str, &str)]); 8] = [
    ("/ops/replays", &[("scope", "all"), ("why", "a test")]),
    ("/ops/jobs/stop", &[("id", "1")]),
    ("/ops/queue/pause", &[("why", "a test")]),
    ("/ops/queue/resume", &[("why", "a test")]),
    ("/ops/discards", &[("scope", "all"), ("why", "a test")]),
    (
        "/ops/resyncs",
        &[("customer", "cus_3"), ("why", "a test"), ("key", "one")],
    ),
    (
        "/ops/corrections/confirm",
        &[("user", "ann"), ("credits", "1"), ("why", "a test")],
    ),
    (
        "/ops/corrections",
        &[
            ("user", "ann"),
            ("credits", "1"),
            ("why", "a test"),
            ("key", "one"),
        ],
    ),
];

#[tokio::test]
async fn whoever_may_only_look_changes_nothing() {
    let rig = Rig::new().await;
    set_aside(&rig).await;
    let api = start(&rig).await;
    let reader = Visitor::new(&api, "reader").await;
    for (path, fields) in DEEDS {
        let shown = reader.submit(path, fields).await;
        assert_eq!(shown.status, 403, "{path}: {shown:?}");
        assert!(shown.body.contains("this is for the role"), "{shown:?}");
    }
    let page = reader.see("/ops/dead-letters").await;
    assert!(!page.contains("Replay all") && !page.contains("checkbox\" name=\"letter"));
    let body = reader.see("/ops/event?id=evt_bad").await;
    assert!(!body.contains("&quot;amount&quot;"), "bodies are for operators");
    let operator = Visitor::new(&api, "operator").await;
    for (path, fields) in DEEDS {
        if ["/ops/discards", "/ops/corrections"]
            .iter()
            .any(|of_admins| path.starts_with(of_admins))
        {
            assert_eq!(operator.submit(path, fields).await.status, 403, "{path}");
        }
    }
    assert!(
        operator
            .see("/ops/event?id=evt_bad")
            .await
            .contains("&quot;amount&quot;")
    );
    assert_eq!(rig.count("SELECT count(*) FROM dead_jobs").await, 0);
    assert_eq!(rig.count("SELECT count(*) FROM audit_log").await, 0);
}

#[tokio::test]
async fn a_form_from_elsewhere_or_of_another_session_does_nothing() {
    let rig = Rig::new().await;
    set_aside(&rig).await;
    let api = start(&rig).await;
    let admin = Visitor::new(&api, "admin").await;
    let other = Visitor::new(&api, "admin").await;
    let (own, others) = (admin.get("/ops").await, other.get("/ops").await);
    for (path, fields) in DEEDS {
        let with = |token: &'static str| -> Vec<(&str, &str)> {
            fields.iter().copied().chain([("form_token", token)]).collect()
        };
        let good: String = own.form_token().to_owned();
        let good = with(good.leak());
        let strange = with(others.form_token().to_owned().leak());
        for origin in [None, Some("null"), Some("https://evil.test")] {
            let shown = admin.send(Method::POST, path, &good, origin).await;
            assert_eq!(shown.status, 403, "{path} from {origin:?}");
        }
        for fields in [fields, &strange, &with("")] {
            let shown = admin.post(path, fields).await;
            assert_eq!(shown.status, 403, "{path}: {shown:?}");
        }
        let stranger = Visitor::nobody(&api).post(path, &good).await;
        assert_eq!(stranger.status, 303, "{path}: to the sign-in page");
    }
    assert_eq!(rig.count("SELECT count(*) FROM dead_jobs").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_replays_a_group_and_sees_it_done() {
    let rig = Rig::new().await;
    set_aside(&rig).await;
    mend(&rig).await;
    let api = start(&rig).await;
    let operator = Visitor::new(&api, "operator").await;
    let cause = fingerprint(&rig).await;
    let fields = [
        ("fingerprint", &*cause),
        ("scope", "all"),
        ("rate", "100"),
        ("why", "it is mended"),
    ];
    let begun = operator.submit("/ops/replays", &fields).await;
    assert_eq!(begun.status, 303, "{begun:?}");
    let worker = rig.worker();
    let is_done = async || operator.see(begun.to()).await.contains("2 of 2");
    assert!(wait_for(is_done).await, "{}", operator.see(begun.to()).await);
    worker.stop().await.expect("a clean end");
    assert_eq!(rig.count("SELECT count(*) FROM customers").await, 3);
    let story = operator.see("/ops/event?id=evt_1_1").await;
    assert!(
        story.contains("replayed") && story.contains("it is mended"),
        "{story}"
    );
    let log = operator.see("/ops/audit-log").await;
    assert!(
        log.contains("ops:operator") && log.contains("dead_letters.replay"),
        "{log}"
    );
    // The other cause's letter waits as before.
    let left = operator.see("/ops/dead-letters").await;
    assert!(left.contains("evt_bad") && !left.contains("evt_1_1"));
}

#[tokio::test]
async fn a_few_are_chosen_discarded_and_a_job_is_stopped() {
    let rig = Rig::new().await;
    set_aside(&rig).await;
    let api = start(&rig).await;
    let admin = Visitor::new(&api, "admin").await;
    let none = admin
        .submit("/ops/replays", &[("scope", "chosen"), ("why", "x")])
        .await;
    assert_eq!(none.status, 400, "nothing is chosen");
    let silent = admin.submit("/ops/replays", &[("scope", "all")]).await;
    assert_eq!(silent.status, 400, "nobody says why");
    let chosen = [
        ("letter", "evt_1_1"),
        ("letter", "evt_bad"),
        ("scope", "chosen"),
        ("why", "noise"),
    ];
    let begun = admin.submit("/ops/discards", &chosen).await;
    assert!(begun.to().starts_with("/ops/job?id="), "{begun:?}");
    assert!(admin.see(begun.to()).await.contains("2 chosen"));
    let id = begun.to().rsplit_once('=').expect("an id").1;
    admin.submit("/ops/jobs/stop", &[("id", id)]).await;
    assert!(admin.see(begun.to()).await.contains("stopped"));
    let log = admin.see("/ops/audit-log").await;
    assert!(log.contains("dead_letters.stop") && log.contains("dead_letters.discard"));
}
