//! Redis in trouble: never a 200 for what is not there, and back in business without a restart.

use std::time::{Duration, Instant};

use stack::{RedisOptions, RedisServer};

use crate::client::{self, Answer, send, signed};
use crate::harness::{DEFAULT, Ingest, NOW, env, event, own_redis, tell, wait_until};

fn ingest(redis: &RedisServer) -> Ingest {
    Ingest::start(&env(redis), |_| {})
}

fn is_sent_away(answer: &Answer) -> bool {
    answer.status == 503 && answer.has("retry-after: 5")
}

#[test]
fn a_dead_redis_is_a_503_until_it_is_back() {
    let mut redis = own_redis();
    let ingest = ingest(&redis);
    ingest.wait_ready();
    let body = event("evt_1", "");
    assert_eq!(ingest.deliver(&body).status, 200);

    redis.kill().expect("killed");
    assert!(is_sent_away(&ingest.deliver(&body)));
    wait_until("not ready", || !ingest.is_ready());
    assert!(is_sent_away(&ingest.deliver(&body)));
    assert_eq!(client::get(ingest.admin, "/livez").status, 200);
    // Still 400: a 503 stands for a real event.
    let forged = signed(DEFAULT, "whsec_wrong", NOW, &body);
    assert_eq!(send(ingest.address, &forged).status, 400);

    redis.restart().expect("restarted");
    ingest.wait_ready();
    // What looks at Redis and what writes to it are two connections, so ready can be a moment early.
    wait_until("accepted again", || ingest.deliver(&body).status == 200);
    assert!(ingest.entries().len() >= 2, "what was answered 200 is there");
}

#[test]
fn a_redis_that_does_not_answer_is_given_up_in_time() {
    let mut redis = own_redis();
    let ingest = ingest(&redis);
    ingest.wait_ready();
    redis.pause().expect("paused");
    let start = Instant::now();
    assert!(is_sent_away(&ingest.deliver(&event("evt_1", ""))));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    redis.resume().expect("resumed");
    ingest.wait_ready();
}

#[test]
fn a_redis_that_forgets_is_not_good_enough() {
    let redis = RedisServer::start(RedisOptions {
        extra_args: vec!["--appendonly".into(), "no".into()],
        ..RedisOptions::default()
    })
    .expect("a private Redis");
    let ingest = ingest(&redis);
    wait_until("its durability is known", || {
        client::get(ingest.admin, "/readyz")
            .text()
            .contains("appendonly yes")
    });
    let body = event("evt_1", "");
    assert!(is_sent_away(&ingest.deliver(&body)));
    assert!(ingest.entries().is_empty());

    tell(&redis, "CONFIG SET appendonly yes");
    ingest.wait_ready();
    assert_eq!(ingest.deliver(&body).status, 200);

    tell(&redis, "CONFIG SET maxmemory-policy allkeys-lru");
    wait_until("not ready", || !ingest.is_ready());
    assert!(is_sent_away(&ingest.deliver(&body)));
}

#[test]
fn a_full_redis_is_a_503() {
    let redis = own_redis();
    let ingest = ingest(&redis);
    ingest.wait_ready();
    let body = event("evt_1", "");
    tell(&redis, "CONFIG SET maxmemory 1");
    assert!(is_sent_away(&ingest.deliver(&body)));
    wait_until("not ready", || !ingest.is_ready());
    assert!(is_sent_away(&ingest.deliver(&body)));
    tell(&redis, "CONFIG SET maxmemory 0");
    ingest.wait_ready();
    assert_eq!(ingest.deliver(&body).status, 200);
}

#[test]
fn a_backlog_over_the_limit_is_a_503() {
    let redis = own_redis();
    let ingest = Ingest::start(&env(&redis).with("TOLLGATE_BACKLOG_MAX", "3"), |_| {});
    ingest.wait_ready();
    let body = event("evt_1", "");
    let mut answer = ingest.deliver(&body);
    wait_until("too many wait", || {
        answer = ingest.deliver(&body);
        answer.status != 200
    });
    assert!(is_sent_away(&answer));
    assert!(ingest.refused("backlog") >= 1.0);
    wait_until("not ready", || !ingest.is_ready());
    tell(&redis, "FLUSHALL");
    ingest.wait_ready();
    assert_eq!(ingest.deliver(&body).status, 200);
}

#[test]
fn it_starts_before_redis_does() {
    let mut redis = own_redis();
    redis.stop().expect("stopped");
    let ingest = ingest(&redis);
    assert!(!ingest.is_ready());
    assert!(is_sent_away(&ingest.deliver(&event("evt_1", ""))));
    redis.restart().expect("started");
    ingest.wait_ready();
}
