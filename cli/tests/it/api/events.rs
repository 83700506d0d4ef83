//! Events and dead letters, for staff and the application.

use serde_json::json;

use super::{Service, admin, service, user};
use crate::support::{Rig, customer, event};

const REPLAYS: &str = "/v1/dead-letters/replays";

/// A customer with an event that is set aside, and one that is not.
async fn set_aside(rig: &Rig) {
    rig.execute("ALTER TABLE customers ADD CONSTRAINT no_first CHECK (id <> 'cus_1')")
        .await;
    let charge = json!({"id": "ch_1", "object": "charge", "amount": "ten"});
    rig.enqueue(&[
        customer(1, 1),
        customer(2, 1),
        event("evt_bad", "charge.succeeded", 1, &charge),
    ])
    .await;
    rig.xadd(&[("hello", b"world")]).await;
    let worker = rig.worker();
    rig.wait_until_drained().await;
    worker.stop().await.expect("a clean end");
}

/// The ids in a list of an answer, in order.
async fn ids(api: &Service, token: &str, path: &str, list: &str) -> Vec<String> {
    let answer = api.get(token, path).await;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    let listed = answer.body[list].as_array().expect("a list");
    let mut ids: Vec<String> = listed
        .iter()
        .map(|it| it["id"].as_str().unwrap_or("").to_owned())
        .collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn staff_and_the_application_see_what_became_of_events() {
    let rig = Rig::new().await;
    set_aside(&rig).await;
    let api = Service::start(&rig).await;
    let ids = async |token: &str, path: &str, list: &str| ids(&api, token, path, list).await;
    assert_eq!(
        ids(&service(), "/v1/events", "events").await,
        ["evt_1_1", "evt_2_1", "evt_bad"]
    );
    assert_eq!(
        ids(&service(), "/v1/events?status=parked", "events").await,
        ["evt_1_1", "evt_bad"]
    );
    assert_eq!(
        ids(&service(), "/v1/events?type=charge.*", "events").await,
        ["evt_bad"]
    );
    assert_eq!(
        ids(&admin(), "/v1/events?customer=cus_2&since=1", "events").await,
        ["evt_2_1"]
    );
    let story = api.get(&admin(), "/v1/events/evt_bad").await;
    let moments = story.body["moments"].as_array().expect("moments");
    assert!(moments.iter().any(|it| it["what"] == "parked"), "{story:?}");
    assert_eq!(api.get(&admin(), "/v1/events/evt_none").await.status, 404);
}

#[tokio::test]
async fn what_could_not_even_be_read_is_for_staff() {
    let rig = Rig::new().await;
    set_aside(&rig).await;
    let api = Service::start(&rig).await;
    let ids = async |token: &str, path: &str, list: &str| ids(&api, token, path, list).await;
    assert_eq!(
        ids(&service(), "/v1/dead-letters", "letters").await,
        ["evt_1_1", "evt_bad"]
    );
    assert_eq!(ids(&admin(), "/v1/dead-letters", "letters").await.len(), 3);
    assert_eq!(
        ids(&admin(), "/v1/dead-letters?reason=unreadable_object", "letters").await,
        ["evt_bad"]
    );
    assert_eq!(ids(&admin(), "/v1/dead-letters/groups", "groups").await.len(), 3);
    let page = api.get(&admin(), "/v1/dead-letters?limit=2").await;
    let next = page.body["next"].as_str().expect("another page");
    assert_eq!(
        ids(
            &admin(),
            &format!("/v1/dead-letters?limit=2&after={next}"),
            "letters"
        )
        .await
        .len(),
        1
    );
}

#[tokio::test]
async fn users_see_no_events_and_nonsense_is_refused() {
    let rig = Rig::new().await;
    let api = Service::start(&rig).await;
    for path in [
        "/v1/events",
        "/v1/events/evt_bad",
        "/v1/dead-letters",
        "/v1/dead-letters/groups",
        "/v1/dead-letters/jobs/1",
    ] {
        assert_eq!(api.get(&user("ann"), path).await.status, 403, "{path}");
    }
    for path in [
        "/v1/events?since=-1",
        "/v1/events?after=x",
        "/v1/dead-letters?until=999999999999",
        "/v1/events?status=x",
    ] {
        assert_eq!(api.get(&admin(), path).await.status, 400, "{path}");
    }
}

#[tokio::test]
async fn nobody_but_staff_replays_or_discards_and_they_say_why() {
    let rig = Rig::new().await;
    let api = Service::start(&rig).await;
    let all = json!({"all": true, "reason": "mended"});
    for path in [REPLAYS, "/v1/dead-letters/discards"] {
        for token in [service(), user("ann")] {
            assert_eq!(api.post(&token, path, &all).await.status, 403, "{path}");
        }
        for body in [
            json!({"all": true}),
            json!({"reason": "x"}),
            json!({"all": true, "reason": "x", "rate": 0}),
        ] {
            assert_eq!(api.post(&admin(), path, &body).await.status, 400, "{body}");
        }
    }
}

#[tokio::test]
async fn staff_replay_and_discard() {
    let rig = Rig::new().await;
    set_aside(&rig).await;
    rig.execute("ALTER TABLE customers DROP CONSTRAINT no_first")
        .await;
    let api = Service::start(&rig).await;
    let all = json!({"all": true, "reason": "mended"});
    let counted = api
        .post(
            &admin(),
            REPLAYS,
            &json!({"all": true, "dry_run": true, "reason": "a look"}),
        )
        .await;
    assert_eq!(
        (counted.status, &counted.body["counted"]),
        (200, &json!(3)),
        "{counted:?}"
    );
    assert_eq!(rig.count("SELECT count(*) FROM dead_jobs").await, 0);

    let asked = api.post_with_key(&admin(), REPLAYS, "one", &all).await;
    assert_eq!(asked.status, 202, "{asked:?}");
    let again = api.post_with_key(&admin(), REPLAYS, "one", &all).await;
    assert_eq!(again.body["id"], asked.body["id"], "once");
    let worker = rig.worker();
    rig.wait_for_count("SELECT count(*) FROM dead_jobs WHERE state = 'done'", 1)
        .await;
    let job = api
        .get(&service(), &format!("/v1/dead-letters/jobs/{}", asked.body["id"]))
        .await;
    assert_eq!(
        (&job.body["done"], &job.body["failed"]),
        (&json!(1), &json!(2)),
        "{job:?}"
    );
    assert_eq!(rig.count("SELECT count(*) FROM customers").await, 2);

    let ids = json!({"ids": ["evt_bad"], "reason": "a load test"});
    assert_eq!(
        api.post(&admin(), "/v1/dead-letters/discards", &ids).await.status,
        202
    );
    rig.wait_for_count("SELECT count(*) FROM parked_events WHERE state = 'discarded'", 1)
        .await;
    worker.stop().await.expect("a clean end");
    let log = api.get(&admin(), "/v1/admin/audit-log").await;
    let deeds: Vec<_> = log.body["deeds"]
        .as_array()
        .expect("deeds")
        .iter()
        .map(|it| it["action"].as_str())
        .collect();
    assert_eq!(deeds, [Some("dead_letters.discard"), Some("dead_letters.replay")]);
    assert_eq!(api.get(&admin(), "/v1/dead-letters/jobs/999").await.status, 404);
}
