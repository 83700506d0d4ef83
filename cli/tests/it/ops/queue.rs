//! The queue is paused and resumed, and it is seen who works.

use super::{Visitor, start};
use crate::support::{Rig, customer, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_pauses_the_queue_and_resumes_it() {
    let rig = Rig::new().await;
    let api = start(&rig).await;
    let operator = Visitor::new(&api, "operator").await;
    assert!(operator.see("/ops/queue").await.contains(">running<"));
    let silent = operator.submit("/ops/queue/pause", &[]).await;
    assert_eq!(silent.status, 400, "nobody says why");
    let paused = operator
        .submit("/ops/queue/pause", &[("why", "a migration")])
        .await;
    assert_eq!(paused.to(), "/ops/queue", "{paused:?}");
    let page = operator.see("/ops/queue").await;
    assert!(
        page.contains(">paused<") && page.contains("ops:operator") && page.contains("a migration"),
        "{page}"
    );
    rig.enqueue(&[customer(1, 1)]).await;
    let worker = rig.worker();
    let rests = async || operator.see("/ops/workers").await.contains(">resting<");
    assert!(wait_for(rests).await, "{}", operator.see("/ops/workers").await);
    assert_eq!(rig.count("SELECT count(*) FROM events").await, 0);
    operator
        .submit("/ops/queue/resume", &[("why", "it is over")])
        .await;
    rig.wait_until_drained().await;
    assert!(operator.see("/ops/queue").await.contains(">running<"));
    let works = async || operator.see("/ops/workers").await.contains(">working<");
    assert!(wait_for(works).await, "{}", operator.see("/ops/workers").await);
    let log = operator.see("/ops/audit-log").await;
    assert!(
        log.contains("queue.pause") && log.contains("queue.resume"),
        "{log}"
    );
    // Written by the page, which has Postgres; workers have nothing to add.
    assert_eq!(rig.probe().deeds().await.expect("Redis answers"), []);
    let rows = "SELECT count(*) FROM audit_log WHERE action LIKE 'queue.%'";
    assert_eq!(rig.count(rows).await, 2);
    worker.stop().await.expect("a clean end");
}
