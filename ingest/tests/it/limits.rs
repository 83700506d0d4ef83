//! Too much: sizes, counts, memory. Each client here is a plain one that first sends all it has, and must
//! get its answer all the same.

use crate::client::{Client, head, post, send, signature, signed};
use crate::harness::{DEFAULT, Ingest, NOW, SECRET, event, event_of, wait_until};

const MIB: usize = 1024 * 1024;

#[test]
fn four_mebibytes_are_taken_and_one_byte_more_is_not() {
    let ingest = Ingest::ready();
    let body = event_of("evt_1", 4 * MIB);
    assert_eq!(ingest.deliver(&body).status, 200);
    assert!(ingest.entries()[0].body == body, "unchanged");
    assert_eq!(ingest.deliver(&event_of("evt_1", 4 * MIB + 1)).status, 413);
}

#[test]
fn six_mebibytes_see_their_413() {
    let ingest = Ingest::ready();
    let answer = ingest.deliver(&event_of("evt_1", 6 * MIB));
    assert_eq!(answer.status, 413);
    assert!(answer.has("connection: close"));
    assert!(ingest.entries().is_empty());
}

#[test]
fn a_body_that_is_only_announced_too_large_is_refused_at_once() {
    let ingest = Ingest::ready();
    let headers: [(&str, &[u8]); 2] = [("stripe-signature", b"t=1"), ("content-length", b"4194305")];
    assert_eq!(send(ingest.address, &head(DEFAULT, &headers)).status, 413);
}

#[test]
fn a_chunked_body_is_cut_at_the_limit() {
    let ingest = Ingest::ready();
    let headers: [(&str, &[u8]); 2] = [("stripe-signature", b"t=1"), ("transfer-encoding", b"chunked")];
    let mut request = head(DEFAULT, &headers);
    for _ in 0..6 {
        request.extend_from_slice(format!("{MIB:x}\r\n").as_bytes());
        request.extend_from_slice(&vec![b' '; MIB]);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    assert_eq!(send(ingest.address, &request).status, 413);
}

#[test]
fn a_chunked_body_is_taken() {
    let ingest = Ingest::ready();
    let body = event("evt_1", "");
    let signature = signature(SECRET, NOW, &body);
    let headers: [(&str, &[u8]); 2] = [
        ("stripe-signature", signature.as_bytes()),
        ("transfer-encoding", b"chunked"),
    ];
    let mut request = head(DEFAULT, &headers);
    for piece in body.chunks(7) {
        request.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        request.extend_from_slice(piece);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    assert_eq!(send(ingest.address, &request).status, 200);
    assert_eq!(ingest.entries()[0].body, body);
}

#[test]
fn a_mebibyte_of_header_sees_its_431() {
    let ingest = Ingest::ready();
    let long = vec![b'a'; MIB];
    let before = ingest.refused("headers_too_large");
    let answer = send(
        ingest.address,
        &post(DEFAULT, &[("stripe-signature", &long)], b"{}"),
    );
    assert_eq!(answer.status, 431);
    wait_until("counted", || ingest.refused("headers_too_large") > before);
}

#[test]
fn headers_have_sixteen_kibibytes() {
    let ingest = Ingest::ready();
    for (bytes, status) in [(15 * 1024, 400), (16 * 1024, 431)] {
        let long = vec![b'a'; bytes];
        let request = post(DEFAULT, &[("stripe-signature", &long)], b"{}");
        assert_eq!(send(ingest.address, &request).status, status, "{bytes}");
    }
}

#[test]
fn a_hundred_and_one_headers_are_too_many() {
    let ingest = Ingest::ready();
    let headers: Vec<(&str, &[u8])> = (0..100).map(|_| ("x", &b"y"[..])).collect();
    assert_eq!(send(ingest.address, &head(DEFAULT, &headers)).status, 431);
}

#[test]
fn what_is_no_http_is_a_400() {
    let ingest = Ingest::ready();
    for nonsense in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"[..],
        b"hello\r\n\r\n",
    ] {
        assert_eq!(send(ingest.address, nonsense).status, 400);
    }
    let smuggled = post(
        DEFAULT,
        &[("content-length", b"1"), ("stripe-signature", b"x")],
        b"{}",
    );
    assert_eq!(send(ingest.address, &smuggled).status, 400);
}

#[test]
fn strangers_are_disconnected_and_stripe_is_not() {
    let ingest = Ingest::ready();
    let good = signed(DEFAULT, SECRET, NOW, &event("evt_1", ""));
    let mut client = Client::connect(ingest.address);
    for _ in 0..3 {
        assert_eq!(client.send(&good).answer().status, 200);
    }
    let twice = [good.clone(), good].concat();
    client.send(&twice);
    assert_eq!([client.answer().status, client.answer().status], [200, 200]);
    let bad = post(DEFAULT, &[("stripe-signature", b"t=1")], b"{}");
    assert!(client.send(&bad).answer().has("connection: close"));
    assert_eq!(client.end(), b"");
}

#[test]
fn at_the_cap_of_connections_the_next_one_waits_for_one_answer() {
    let ingest = Ingest::ready_with(|config| config.connections_max = 1);
    let good = signed(DEFAULT, SECRET, NOW, &event("evt_1", ""));
    let mut first = Client::connect(ingest.address);
    assert_eq!(first.send(&good).answer().status, 200);
    let mut second = Client::connect(ingest.address);
    second.send(&good);
    // The first goes on until the second is seen to wait; and then no longer, however much more it has to send.
    while !first.send(&good).answer().has("connection: close") {}
    assert_eq!(first.end(), b"");
    assert_eq!(second.answer().status, 200);
    assert!(
        !second.send(&good).answer().has("connection: close"),
        "nobody waits"
    );
}

#[test]
fn bodies_share_a_budget_of_memory() {
    let ingest = Ingest::ready_with(|config| config.limits.bodies_bytes_max = 64 * 1024);
    let large = signed(DEFAULT, SECRET, NOW, &event_of("evt_1", 64 * 1024));
    let (start, rest) = large.split_at(large.len() - 1024);
    let mut first = Client::connect(ingest.address);
    first.send(start);
    let held = (64 * 1024 - 1024) as f64;
    wait_until("most of the budget is used", || {
        ingest.metric("tollgate_ingest_bodies_bytes") == Some(held)
    });
    let medium = event_of("evt_2", 10 * 1024);
    let answer = ingest.deliver(&medium);
    assert_eq!(answer.status, 503);
    assert!(answer.has("retry-after: 5"), "{}", answer.head);
    assert!(ingest.refused("bodies_budget") >= 1.0);
    assert_eq!(first.send(rest).answer().status, 200);
    assert_eq!(ingest.deliver(&medium).status, 200);
}
