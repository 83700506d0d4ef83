//! The worker's promises: once in effect, one bad event alone, nothing lost while something is away.

use bytes::Bytes;
use serde_json::json;
use shared::entry::Mismatch;
use shared::queue::{Claimed, DELIVERIES_MAX, StreamId};
use stack::{Options, Stack};
use worker::breaker::REFUSED_MAX;
use worker::item::Item;
use worker::transact::transact;

use crate::queue::{claim, let_leases_run_out};
use crate::support::{Rig, customer, entry, event, wait_for};

const ALL: &str = "SELECT count(*) FROM events";

#[tokio::test(flavor = "multi_thread")]
async fn an_event_delivered_often_takes_effect_once() {
    let rig = Rig::new().await;
    let bodies: Vec<Bytes> = (0..50).map(|n| customer(n, 1)).collect();
    for _ in 0..3 {
        rig.enqueue(&bodies).await;
    }
    let workers = [rig.worker(), rig.worker()];
    rig.wait_until_drained().await;
    assert_eq!(rig.count(ALL).await, 50);
    assert_eq!(rig.count("SELECT count(*) FROM customers").await, 50);
    for worker in workers {
        worker.stop().await.expect("a clean end");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_snapshot_stands_whatever_the_order_and_however_many_workers() {
    let rig = Rig::new().await;
    let mut bodies: Vec<Bytes> = (1..=400)
        .map(|created| customer(created % 5, created as i64))
        .collect();
    bodies.reverse();
    bodies.rotate_left(137);
    rig.enqueue(&bodies).await;
    let workers = [rig.worker(), rig.worker(), rig.worker()];
    rig.wait_until_drained().await;
    assert_eq!(
        rig.count("SELECT count(*) FROM events WHERE status = 'applied'")
            .await,
        400
    );
    assert_eq!(
        rig.text("SELECT string_agg(email, ' ' ORDER BY id) FROM customers")
            .await
            .as_deref(),
        Some("400@example.com 396@example.com 397@example.com 398@example.com 399@example.com")
    );
    for worker in workers {
        worker.stop().await.expect("a clean end");
    }
}

/// Without statistics, plans read all rows of an account to find one. `last_analyze` is not autovacuum's.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_gets_to_know_new_tables_before_autovacuum_looks() {
    const KNOWN: &str = "SELECT count(*) FROM pg_stat_user_tables
        WHERE relname IN ('events', 'objects', 'customers') AND last_analyze IS NOT NULL";
    let rig = Rig::new().await;
    let bodies: Vec<Bytes> = (0..600).map(|n| customer(n, 1)).collect();
    rig.enqueue(&bodies).await;
    let worker = rig.worker();
    rig.wait_for_count(KNOWN, 3).await;
    worker.stop().await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_set_of_items_is_that_of_the_newest_snapshot() {
    let rig = Rig::new().await;
    let subscription = |created: i64, items: &[&str], has_more: bool| {
        let items: Vec<_> = items
            .iter()
            .map(|id| json!({"id": id, "price": "price_1", "quantity": 1}))
            .collect();
        let object = json!({"id": "sub_1", "object": "subscription", "status": "active",
            "items": {"data": items, "has_more": has_more}});
        event(
            &format!("evt_{created}"),
            "customer.subscription.updated",
            created,
            &object,
        )
    };
    rig.enqueue(&[
        subscription(3, &["si_2"], false),
        subscription(1, &["si_1", "si_2"], false),
    ])
    .await;
    let worker = rig.worker();
    rig.wait_for_count(ALL, 2).await;
    let items = "SELECT string_agg(id, ' ' ORDER BY id) FROM subscription_items";
    assert_eq!(rig.text(items).await.as_deref(), Some("si_2"));
    // A first page is what stands, and says that there is more.
    rig.enqueue(&[subscription(5, &["si_9"], true)]).await;
    rig.wait_for_count(ALL, 3).await;
    assert_eq!(rig.text(items).await.as_deref(), Some("si_9"));
    worker.stop().await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_postgres_refuses_is_set_aside_alone() {
    let rig = Rig::new().await;
    rig.execute("ALTER TABLE customers ADD CONSTRAINT no_seventh CHECK (email <> '7@example.com')")
        .await;
    let bodies: Vec<Bytes> = (1..=300).map(|n| customer(n, n as i64)).collect();
    rig.enqueue(&bodies).await;
    let worker = rig.worker();
    rig.wait_until_drained().await;
    assert_eq!(
        rig.count("SELECT count(*) FROM events WHERE status = 'applied'")
            .await,
        299
    );
    assert_eq!(rig.count("SELECT count(*) FROM customers").await, 299);
    let parked = rig
        .text(
            "SELECT concat_ws(' ', event_id, class, parked_events.reason, events.status, detail)
             FROM parked_events JOIN events ON events.id = event_id",
        )
        .await
        .expect("one");
    assert!(
        parked.starts_with("evt_7_7 permanent rejected_by_database parked"),
        "{parked}"
    );
    assert!(
        parked.contains("no_seventh") && !parked.contains("7@example.com"),
        "{parked}"
    );
    worker.stop().await.expect("a clean end");
}

/// Whoever adds a constraint that nothing satisfies shall not find everything set aside.
#[tokio::test(flavor = "multi_thread")]
async fn when_everything_is_refused_events_wait_until_it_is_mended() {
    let rig = Rig::new().await;
    rig.execute("ALTER TABLE customers ADD CONSTRAINT nobody CHECK (email NOT LIKE '%@example.com')")
        .await;
    let few = 40;
    let bodies: Vec<Bytes> = (0..REFUSED_MAX as usize + few).map(|n| customer(n, 1)).collect();
    rig.enqueue(&bodies).await;
    let worker = rig.worker();
    let parked = "SELECT count(*) FROM parked_events";
    rig.wait_for_count(parked, i64::from(REFUSED_MAX)).await;
    rig.execute("ALTER TABLE customers DROP CONSTRAINT nobody").await;
    rig.wait_until_drained().await;
    assert_eq!(
        rig.count(parked).await,
        i64::from(REFUSED_MAX),
        "the others waited"
    );
    assert_eq!(rig.count("SELECT count(*) FROM customers").await, few as i64);
    worker.stop().await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_whose_own_row_is_refused_is_kept_as_bytes() {
    let rig = Rig::new().await;
    rig.execute("ALTER TABLE events ADD CONSTRAINT no_second CHECK (id <> 'evt_2_2')")
        .await;
    let bodies: Vec<Bytes> = (1..=3).map(|n| customer(n, n as i64)).collect();
    rig.enqueue(&bodies).await;
    let worker = rig.worker();
    rig.wait_until_drained().await;
    assert_eq!(rig.count(ALL).await, 2);
    let kept: Vec<u8> = sqlx::query_scalar("SELECT entry FROM parked_events WHERE event_id = 'evt_2_2'")
        .fetch_one(&rig.pool)
        .await
        .expect("kept");
    assert_eq!(kept, bodies[1]);
    worker.stop().await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_cannot_be_read_is_set_aside_with_its_place() {
    let rig = Rig::new().await;
    let unreadable = |n: usize| {
        let object = json!({"id": format!("ch_{n}"), "object": "charge", "amount": "ten"});
        event(&format!("evt_{n}"), "charge.succeeded", 1, &object)
    };
    rig.enqueue(&[unreadable(1), customer(1, 1), unreadable(2)]).await;
    let worker = rig.worker();
    rig.wait_until_drained().await;
    assert_eq!(rig.count("SELECT count(*) FROM customers").await, 1);
    assert_eq!(
        rig.count("SELECT count(*) FROM events WHERE status = 'parked'")
            .await,
        2
    );
    assert_eq!(
        rig.count("SELECT count(DISTINCT fingerprint) FROM parked_events")
            .await,
        1,
        "one cause"
    );
    assert_eq!(
        rig.text("SELECT max(detail) FROM parked_events").await.as_deref(),
        Some("amount: expected a whole number of 64 bits, found a text")
    );
    worker.stop().await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_ingest_did_not_write_are_set_aside_whole() {
    let rig = Rig::new().await;
    rig.xadd(&[("hello", b"world")]).await;
    rig.xadd(&[("v", b"one"), ("meta", b"{}"), ("body", b"\xff")])
        .await;
    rig.enqueue(&[customer(1, 1)]).await;
    let worker = rig.worker();
    rig.wait_until_drained().await;
    assert_eq!(rig.count("SELECT count(*) FROM customers").await, 1);
    assert_eq!(
        rig.count("SELECT count(*) FROM parked_events WHERE reason = 'malformed_entry'")
            .await,
        2
    );
    let kept = "SELECT convert_from(entry, 'UTF8') FROM parked_events ORDER BY entry_id LIMIT 1";
    assert_eq!(rig.text(kept).await.as_deref(), Some(r#"{"hello":"world"}"#));
    worker.stop().await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_keeps_killing_its_worker_is_set_aside_unread() {
    let rig = Rig::new().await;
    rig.enqueue(&[customer(1, 1), customer(2, 1)]).await;
    let dead = rig.consumer("dead");
    let claimed = claim(&dead, 2).await;
    for (claimed, deliveries) in claimed.iter().zip([DELIVERIES_MAX, 1]) {
        let_leases_run_out(&rig, &dead, &[claimed.id], deliveries).await;
    }
    let worker = rig.worker();
    rig.wait_until_drained().await;
    assert_eq!(
        rig.text("SELECT string_agg(concat_ws(' ', id, status, reason), ', ' ORDER BY id) FROM events")
            .await,
        Some("evt_1_1 parked crash_loop, evt_2_1 applied".to_owned())
    );
    assert_eq!(
        rig.text("SELECT class FROM parked_events").await.as_deref(),
        Some("bug")
    );
    worker.stop().await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_was_committed_before_changes_nothing() {
    let rig = Rig::new().await;
    rig.enqueue(&[customer(1, 1), customer(2, 1)]).await;
    let late = rig.consumer("late");
    let claimed = claim(&late, 2).await;
    let items: Vec<_> = claimed.into_iter().map(worker::item::Item::new).collect();
    let store = rig.store();
    let (first, second) = tokio::join!(
        worker::transact::transact(&store, &items),
        worker::transact::transact(&store, &items)
    );
    let fates: Vec<_> = [first.expect("committed"), second.expect("committed")].concat();
    let duplicates = fates
        .iter()
        .filter(|fate| **fate == worker::item::Fate::Duplicate)
        .count();
    assert_eq!(duplicates, 2, "{fates:?}");
    assert_eq!(rig.count(ALL).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_deleted_is_made_again() {
    let rig = Rig::new().await;
    let worker = rig.worker();
    rig.enqueue(&[customer(1, 1)]).await;
    rig.wait_for_count(ALL, 1).await;
    redis::cmd("DEL")
        .arg(rig.keys().events)
        .query_async::<()>(&mut rig.redis().await)
        .await
        .expect("deleted");
    rig.enqueue(&[customer(2, 1)]).await;
    rig.wait_for_count(ALL, 2).await;
    worker.stop().await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_refuses_a_schema_that_does_not_suit_it() {
    let rig = Rig::new().await;
    rig.execute("UPDATE schema_compatibility SET oldest_migration = 9999")
        .await;
    let error = rig.worker().task.await.expect("no panic").expect_err("too new");
    assert!(error.contains("deploy a newer build"), "{error}");

    rig.execute("DELETE FROM _sqlx_migrations WHERE version > 1")
        .await;
    let error = rig.worker().task.await.expect("no panic").expect_err("behind");
    assert!(error.contains("run `tollgate migrate`"), "{error}");

    rig.execute("UPDATE _sqlx_migrations SET checksum = 'x'").await;
    let error = rig.worker().task.await.expect("no panic").expect_err("changed");
    assert!(error.contains("migration 1"), "{error}");
}

/// Servers of its own: this one takes them away.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_blamed_while_postgres_or_redis_is_away() {
    // Durable ones: a throwaway Postgres forgets its last commits when killed, by design.
    let mut stack = Stack::start(Options::durable()).expect("servers");
    let urls = (
        stack.database_url().expect("asked for"),
        stack.redis_url().expect("asked for"),
    );
    let rig = Rig::on(urls.0, urls.1).await;
    rig.store().migrate().await.expect("migrated");
    let worker = rig.worker();
    rig.enqueue(&[customer(1, 1)]).await;
    rig.wait_for_count(ALL, 1).await;

    stack.postgres_mut().expect("asked for").kill().expect("killed");
    let bodies: Vec<Bytes> = (2..=500).map(|n| customer(n, 1)).collect();
    rig.enqueue(&bodies).await;
    let claimed = wait_for(async || {
        let mut probe = rig.probe();
        probe.depth(0).await.is_ok_and(|depth| depth.in_flight > 0)
    });
    assert!(claimed.await, "the worker holds entries while Postgres is away");
    stack
        .postgres_mut()
        .expect("asked for")
        .restart()
        .expect("restarted");
    rig.wait_for_count(ALL, 500).await;

    // Entries that are committed and cannot be acknowledged come back, and are absorbed.
    stack.redis_mut().expect("asked for").kill().expect("killed");
    stack
        .redis_mut()
        .expect("asked for")
        .restart()
        .expect("restarted");
    rig.enqueue(&[customer(501, 1)]).await;
    rig.wait_for_count(ALL, 501).await;
    assert_eq!(
        rig.count("SELECT count(*) FROM events WHERE status = 'applied'")
            .await,
        501
    );
    worker.stop().await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_postgres_cannot_hold_stops_nobody() {
    let rig = Rig::new().await;
    let meta = r#"{"id":"evt_\u0000","type":"a","created":1,"rendering":"snapshot","livemode":false,
        "endpoint":"default","received_at_ms":-9223372036854775808}"#;
    rig.xadd(&[("v", b"1"), ("meta", meta.as_bytes()), ("body", b"{}")])
        .await;
    rig.enqueue(&[customer(1, 1)]).await;
    let worker = rig.worker();
    rig.wait_until_drained().await;
    assert_eq!(rig.count(ALL).await, 1);
    let parked = "SELECT event_id || ' ' || convert_from(entry, 'UTF8') FROM parked_events";
    assert_eq!(rig.text(parked).await.as_deref(), Some("evt_\u{fffd} {}"));
    worker.stop().await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_is_one_snapshot_even_of_a_list_with_a_second_page() {
    let items = |created: i64, id: &str, has_more: bool| {
        let object = json!({"id": "sub_1", "object": "subscription", "status": "active",
            "items": {"data": [{"id": id}], "has_more": has_more}});
        event(
            &format!("evt_{created}"),
            "customer.subscription.updated",
            created,
            &object,
        )
    };
    let (whole, page) = (items(1, "si_2", false), items(5, "si_9", true));
    for order in [[&whole, &page], [&page, &whole]] {
        let rig = Rig::new().await;
        let worker = rig.worker();
        for (number, body) in (1..).zip(order) {
            rig.enqueue([body]).await;
            rig.wait_for_count(ALL, number).await;
        }
        let ids = "SELECT string_agg(id, ' ' ORDER BY id) FROM subscription_items";
        assert_eq!(rig.text(ids).await.as_deref(), Some("si_9"));
        worker.stop().await.expect("a clean end");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_one_endpoint_is_not_meant_to_receive_counts_at_the_one_that_is() {
    let rig = Rig::new().await;
    let stranger = |body: &Bytes| {
        let mut entry = entry(body);
        entry.meta.mismatch = Some(Mismatch::Livemode);
        entry
    };
    let deliveries = [
        // In batches of their own, in either order, and in one.
        vec![stranger(&customer(1, 1))],
        vec![entry(&customer(1, 1))],
        vec![entry(&customer(2, 1))],
        vec![stranger(&customer(2, 1))],
        vec![stranger(&customer(3, 1)), entry(&customer(3, 1))],
        vec![stranger(&customer(4, 1))],
    ];
    let store = rig.store();
    for (ms, entries) in (1..).zip(deliveries) {
        let item = |(seq, entry)| {
            Item::new(Claimed {
                id: StreamId { shard: 0, ms, seq },
                deliveries: 1,
                entry: Ok(entry),
                fields: Vec::new(),
            })
        };
        let items: Vec<Item> = (1..).zip(entries).map(item).collect();
        transact(&store, &items).await.expect("committed");
    }
    let applied = "SELECT string_agg(id, ' ' ORDER BY id) FROM events WHERE status = 'applied'";
    assert_eq!(
        rig.text(applied).await.as_deref(),
        Some("evt_1_1 evt_2_1 evt_3_1")
    );
    let known = "SELECT string_agg(id, ' ' ORDER BY id) FROM customers";
    assert_eq!(rig.text(known).await.as_deref(), Some("cus_1 cus_2 cus_3"));
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entitlements_of_one_second_follow_their_chain() {
    let summary = |id: &str, keys: &[&str], before: &[&str]| {
        let list = |keys: &[&str]| {
            let data: Vec<_> = keys
                .iter()
                .map(|key| json!({"id": format!("ent_{key}"), "lookup_key": key}))
                .collect();
            json!({"data": data, "has_more": false})
        };
        let body = json!({
            "id": id, "object": "event", "type": "entitlements.active_entitlement_summary.updated", "created": 5,
            "livemode": false,
            "data": {
                "object": {"object": "entitlements.active_entitlement_summary", "customer": "cus_1",
                    "entitlements": list(keys)},
                "previous_attributes": {"entitlements": list(before)},
            },
        });
        Bytes::from(body.to_string())
    };
    // The ids say the opposite of the chain.
    let events = [
        summary("evt_c", &["a"], &[]),
        summary("evt_b", &["a", "b"], &["a"]),
        summary("evt_a", &["b"], &["a", "b"]),
    ];
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let rig = Rig::new().await;
        for at in order {
            rig.enqueue(std::slice::from_ref(&events[at])).await;
        }
        let worker = rig.worker();
        rig.wait_until_drained().await;
        let entitled = "SELECT string_agg(lookup_key, ' ') FROM entitlements";
        assert_eq!(rig.text(entitled).await.as_deref(), Some("b"), "{order:?}");
        worker.stop().await.expect("a clean end");
    }
}
