//! An event that is run again: a trace of its own, which points at the one that it came with.

use super::{ENDPOINT, Roles, Seen};
use crate::support::wait_for;

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_run_again_points_at_where_it_came_from() {
    let (collector, url) = super::Collector::listen().await;
    let roles = Roles::start(&[(ENDPOINT, &url)]).await;
    let store = roles.rig.store();
    store.refuse(&["customers"]).await.expect("refused from now on");
    roles.deliver(1, None).await;
    let waiting = "SELECT count(*) FROM parked_events WHERE state = 'waiting'";
    roles.rig.wait_for_count(waiting, 1).await;
    store.accept(&["customers"]).await.expect("mended");
    roles
        .rig
        .execute(
            "INSERT INTO dead_jobs (account, deed, of_state, ids, until, why, actor, counted)
             VALUES ('', 'replay', 'waiting', '{}', clock_timestamp(), 'a test', 'test', 1)",
        )
        .await;
    roles.applied(1).await;
    let replays = || -> Vec<Seen> {
        let spans = collector.spans().into_iter();
        spans.filter(|it| it.span.name == "replay events").collect()
    };
    assert!(wait_for(async || !replays().is_empty()).await);
    let spans = collector.spans();
    let of = |name: &str| spans.iter().find(|it| it.span.name == name).expect("a span");
    let (message, replay) = (of("send events"), of("replay events"));
    assert_eq!(of("process events").text("tollgate.outcome"), Some("parked"));
    assert_eq!(replay.text("tollgate.outcome"), Some("applied"));
    assert_eq!(replay.text("messaging.message.id"), Some("evt_1_1"));
    assert_ne!(replay.span.trace_id, message.span.trace_id, "a trace of its own");
    assert_eq!(replay.span.links.len(), 1);
    assert_eq!(replay.span.links[0].trace_id, message.span.trace_id);
    assert_eq!(replay.span.links[0].span_id, message.span.span_id);
    roles.end().await;
}
