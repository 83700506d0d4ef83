//! Connections that are kept between transactions are kept from nobody.

use std::time::Duration;

use store::Store;
use store::api::{Actor, ActorRole};

use crate::support::Rig;

/// Time for a task to get into the queue. Were it too short, the test would see less.
const MOMENT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn who_waits_for_a_connection_gets_the_next_one() {
    let rig = Rig::new().await;
    // One of the two may be kept.
    let store = Store::for_api(&rig.database_url, 2).expect("an URL");
    let actor = Actor {
        account: String::new(),
        role: ActorRole::Service,
        subject: "shop".to_owned(),
    };
    let first = store.begin_as(&actor).await.expect("a transaction");
    let second = store.begin_as(&actor).await.expect("a transaction");
    let (waiting, waiter) = (store.clone(), actor.clone());
    let third = tokio::spawn(async move { waiting.begin_as(&waiter).await });
    tokio::time::sleep(MOMENT).await;
    first.commit().await.expect("committed");
    let third = third.await.expect("no panic").expect("it was given back");
    third.commit().await.expect("committed");
    second.commit().await.expect("committed");
}

#[tokio::test]
async fn a_kept_connection_that_died_costs_no_transaction() {
    let rig = Rig::new().await;
    let store = Store::for_api(&rig.database_url, 4).expect("an URL");
    let actor = Actor {
        account: String::new(),
        role: ActorRole::Service,
        subject: "shop".to_owned(),
    };
    for _ in 0..3 {
        let kept = store.begin_as(&actor).await.expect("a transaction");
        kept.commit().await.expect("committed");
        rig.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = 'tollgate-api'",
        )
        .await;
        // A transaction has done nothing yet when it is found out, and begins on another one.
        let next = store.begin_as(&actor).await.expect("another connection");
        next.commit().await.expect("committed");
    }
}
