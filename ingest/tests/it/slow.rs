//! Too slow. Time is the subject here, so these are the only tests that let some pass; their limits are
//! short, and what is waited for is always an answer or the end of a connection.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::client::{Client, head, signed};
use crate::harness::{DEFAULT, Ingest, NOW, SECRET, event, wait_until};

const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(60);

fn good() -> Vec<u8> {
    signed(DEFAULT, SECRET, NOW, &event("evt_1", ""))
}

#[test]
fn a_connection_that_says_nothing_is_closed() {
    let ingest = Ingest::ready_with(|config| {
        config.limits.head = SHORT;
        config.limits.idle = LONG;
    });
    assert_eq!(Client::connect(ingest.address).end(), b"");
}

#[test]
fn dripping_headers_do_not_buy_time() {
    let ingest = Ingest::ready_with(|config| {
        config.limits.head = SHORT;
        config.limits.idle = LONG;
    });
    let before = ingest.refused("headers_timeout");
    let start = Instant::now();
    let mut client = Client::connect(ingest.address);
    client.send(b"POST /webhooks/stripe HTTP/1.1\r\n");
    // Until the connection breaks.
    while client.stream.write_all(b"x: y\r\n").is_ok() {
        assert!(start.elapsed() < LONG, "never cut off");
        std::thread::sleep(SHORT / 10);
    }
    assert!(start.elapsed() >= SHORT);
    wait_until("counted", || ingest.refused("headers_timeout") > before);
}

#[test]
fn slow_headers_of_a_second_request_are_cut_off_too() {
    let ingest = Ingest::ready_with(|config| {
        config.limits.head = SHORT;
        config.limits.idle = LONG;
    });
    let mut client = Client::connect(ingest.address);
    assert_eq!(client.send(&good()).answer().status, 200);
    let start = Instant::now();
    client.send(b"POST");
    assert_eq!(client.end(), b"");
    assert!(start.elapsed() < LONG / 2);
}

#[test]
fn an_idle_connection_outlives_the_limit_for_headers() {
    let ingest = Ingest::ready_with(|config| {
        config.limits.head = SHORT;
        config.limits.idle = LONG;
    });
    let mut client = Client::connect(ingest.address);
    assert_eq!(client.send(&good()).answer().status, 200);
    std::thread::sleep(SHORT * 2);
    assert_eq!(client.send(&good()).answer().status, 200);
}

#[test]
fn an_idle_connection_is_closed_in_the_end() {
    let ingest = Ingest::ready_with(|config| config.limits.idle = SHORT);
    let mut client = Client::connect(ingest.address);
    assert_eq!(client.send(&good()).answer().status, 200);
    let start = Instant::now();
    assert_eq!(client.end(), b"");
    assert!(start.elapsed() >= SHORT - SHORT / 10, "{:?}", start.elapsed());
}

#[test]
fn at_the_cap_of_connections_who_only_keeps_one_for_later_makes_room() {
    let ingest = Ingest::ready_with(|config| {
        config.connections_max = 1;
        config.limits.idle = LONG;
    });
    let mut keeper = Client::connect(ingest.address);
    assert_eq!(keeper.send(&good()).answer().status, 200);
    let start = Instant::now();
    let mut next = Client::connect(ingest.address);
    assert_eq!(next.send(&good()).answer().status, 200);
    assert_eq!(keeper.end(), b"");
    assert!(start.elapsed() < LONG / 2);
}

#[test]
fn a_slow_body_is_a_408() {
    let ingest = Ingest::ready_with(|config| config.limits.body = SHORT);
    let headers: [(&str, &[u8]); 2] = [("stripe-signature", b"t=1"), ("content-length", b"100")];
    let mut client = Client::connect(ingest.address);
    let answer = client.send(&head(DEFAULT, &headers)).send(b"{").answer();
    assert_eq!(answer.status, 408);
    assert!(answer.has("connection: close"));
}

#[test]
fn a_client_that_never_stops_sending_is_let_go() {
    let ingest = Ingest::ready_with(|config| config.limits.linger = SHORT);
    let headers: [(&str, &[u8]); 2] = [("stripe-signature", b"t=1"), ("content-length", b"99999999999")];
    let mut client = Client::connect(ingest.address);
    assert_eq!(client.send(&head(DEFAULT, &headers)).answer().status, 413);
    let start = Instant::now();
    while client.stream.write_all(b"x").is_ok() {
        assert!(start.elapsed() < LONG, "never let go");
        std::thread::sleep(SHORT / 10);
    }
}

#[test]
fn stopping_does_not_wait_for_idle_connections() {
    let ingest = Ingest::ready_with(|config| config.limits.idle = LONG);
    let mut client = Client::connect(ingest.address);
    assert_eq!(client.send(&good()).answer().status, 200);
    let start = Instant::now();
    ingest.stop();
    assert_eq!(client.end(), b"");
    drop(client);
    ingest.join();
    assert!(start.elapsed() < LONG / 2);
}
