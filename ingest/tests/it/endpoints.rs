//! Addresses, modes, accounts, renderings.

use shared::entry::{Entry, Mismatch};
use shared::envelope::Rendering;

use crate::client::{self, post, send, signature, signed};
use crate::harness::{DEFAULT, Ingest, NOW, SECRET, env, event, redis};

const TOKEN: &str = "0123456789abcdefghijkl";

fn ingest(settings: &[(&str, &str)]) -> Ingest {
    let env = settings
        .iter()
        .fold(env(redis()), |env, (name, value)| env.with(name, value));
    let ingest = Ingest::start(&env, |_| {});
    ingest.wait_ready();
    ingest
}

fn deliver(ingest: &Ingest, path: &str, secret: &str, body: &[u8]) -> u16 {
    send(ingest.address, &signed(path, secret, NOW, body)).status
}

fn only(ingest: &Ingest) -> Entry {
    let mut entries = ingest.entries();
    assert_eq!(entries.len(), 1);
    entries.remove(0)
}

#[test]
fn each_endpoint_has_its_own_secrets_and_name() {
    let ingest = ingest(&[
        ("STRIPE_WEBHOOK_SECRET", "whsec_new,whsec_old"),
        ("TOLLGATE_ENDPOINT_CONNECT_EU_SECRET", "whsec_c"),
        ("TOLLGATE_ENDPOINT_CONNECT_EU_ACCOUNTS", "any"),
    ]);
    let body = event("evt_1", "");
    let connect = "/webhooks/stripe/connect-eu";
    let cases = [
        (DEFAULT, "whsec_new", 200),
        (DEFAULT, "whsec_old", 200),
        ("/webhooks/stripe/default", "whsec_old", 200),
        (connect, "whsec_c", 200),
        (DEFAULT, "whsec_c", 400),
        (connect, "whsec_new", 400),
        ("/webhooks/stripe/other", "whsec_new", 404),
        ("/webhooks/stripe/connect_eu", "whsec_c", 404),
        ("/webhooks/stripe/", "whsec_new", 404),
        ("/webhooks", "whsec_new", 404),
    ];
    for (path, secret, status) in cases {
        assert_eq!(deliver(&ingest, path, secret, &body), status, "{path} {secret}");
    }
    let endpoints: Vec<String> = ingest
        .entries()
        .into_iter()
        .map(|entry| entry.meta.endpoint)
        .collect();
    assert_eq!(endpoints, ["default", "default", "default", "connect-eu"]);
    let used = ingest.metric(r#"tollgate_ingest_secret_used_total{endpoint="connect-eu",index="0"}"#);
    assert_eq!(used, Some(1.0));
}

#[test]
fn without_its_token_an_endpoint_looks_like_none() {
    let ingest = ingest(&[("TOLLGATE_ENDPOINT_DEFAULT_TOKEN", TOKEN)]);
    let body = event("evt_1", "");
    let right = format!("{DEFAULT}/default/{TOKEN}");
    assert_eq!(deliver(&ingest, &right, SECRET, &body), 200);
    let looks = |path: &str| {
        let answer = send(ingest.address, &signed(path, SECRET, NOW, &body));
        let head = answer.head.lines().filter(|line| !line.starts_with("date:"));
        (head.map(str::to_owned).collect::<Vec<_>>(), answer.body)
    };
    let unknown = looks("/webhooks/stripe/unknown");
    for path in [
        DEFAULT.to_owned(),
        format!("{DEFAULT}/default"),
        format!("{DEFAULT}/default/{}", TOKEN.replace('l', "m")),
        format!("{right}/"),
    ] {
        assert_eq!(looks(&path), unknown, "{path}");
    }
    assert!(unknown.0[0].contains("404"));
    assert_eq!(ingest.entries().len(), 1);
}

#[test]
fn another_mode_or_account_is_kept_and_marked() {
    let ingest = ingest(&[
        ("TOLLGATE_ENDPOINT_DEFAULT_LIVEMODE", "true"),
        ("TOLLGATE_ENDPOINT_DEFAULT_ACCOUNTS", "platform,acct_1"),
    ]);
    let cases = [
        (r#""livemode":true,"#, None),
        (r#""livemode":false,"#, Some(Mismatch::Livemode)),
        ("", Some(Mismatch::Livemode)),
        (r#""livemode":true,"account":"acct_1","#, None),
        (r#""livemode":true,"account":"acct_2","#, Some(Mismatch::Account)),
    ];
    for (members, mismatch) in cases {
        assert_eq!(
            deliver(&ingest, DEFAULT, SECRET, &event("evt_1", members)),
            200,
            "{members}"
        );
        assert_eq!(only(&ingest).meta.mismatch, mismatch, "{members}");
    }
}

#[test]
fn connected_accounts_are_a_mismatch_unless_configured() {
    let ingest = Ingest::ready();
    let body = event("evt_1", r#""account":"acct_1","#);
    assert_eq!(ingest.deliver(&body).status, 200);
    let meta = only(&ingest).meta;
    assert_eq!(meta.mismatch, Some(Mismatch::Account));
    assert_eq!(meta.envelope.account.as_deref(), Some("acct_1"));
}

#[test]
fn thin_and_unknown_events_are_accepted() {
    let ingest = Ingest::ready();
    let thin = br#"{"id":"evt_t","object":"v2.core.event","type":"v1.invoice.paid","livemode":true,
        "created":"2027-01-15T08:00:00.000Z","related_object":{"id":"in_1","type":"invoice","url":"/x"}}"#;
    assert_eq!(ingest.deliver(thin).status, 200);
    let entry = only(&ingest);
    assert_eq!(entry.meta.envelope.rendering, Rendering::Thin);
    assert_eq!(entry.body, &thin[..]);

    let unknown =
        br#"{"id":"evt_u","object":"event","type":"never.heard.of","created":1,"data":{"object":{}}}"#;
    assert_eq!(ingest.deliver(unknown).status, 200);
    assert_eq!(only(&ingest).meta.envelope.event_type, "never.heard.of");
}

#[test]
fn the_body_and_what_ingest_knows_arrive_unchanged() {
    let ingest = Ingest::ready();
    let body = "{\r\n\t\"id\":\"evt_1\" , \"object\":\"event\",\"type\":\"a.b\",\"created\":1800000000,\"data\":{\"object\":{\"n\":1.0e2,\"s\":\"\\u00e9é\"}}}\n"
        .as_bytes();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let header = signature(SECRET, NOW, body);
    let headers: [(&str, &[u8]); 4] = [
        ("Stripe-Signature", header.as_bytes()),
        ("Content-Encoding", b"gzip"),
        ("Content-Type", b"text/plain"),
        ("traceparent", trace.as_bytes()),
    ];
    assert_eq!(send(ingest.address, &post(DEFAULT, &headers, body)).status, 200);
    let entry = only(&ingest);
    assert_eq!(entry.body, body);
    assert_eq!(entry.meta.received_at_ms, NOW * 1000);
    assert_eq!(entry.meta.traceparent.as_deref(), Some(trace));
}

#[test]
fn two_signature_lines_are_refused() {
    let ingest = Ingest::ready();
    let body = event("evt_1", "");
    let good = signature(SECRET, NOW, &body);
    for second in [good.as_bytes(), b"", b"t=1"] {
        let headers: [(&str, &[u8]); 2] = [
            ("Stripe-Signature", good.as_bytes()),
            ("stripe-signature", second),
        ];
        assert_eq!(send(ingest.address, &post(DEFAULT, &headers, &body)).status, 400);
    }
    assert!(ingest.entries().is_empty());
}

#[test]
fn only_post_is_taken_and_nothing_redirects() {
    let ingest = Ingest::ready();
    for method in ["GET", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"] {
        let request = format!("{method} {DEFAULT} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n");
        let answer = send(ingest.address, request.as_bytes());
        assert_eq!(answer.status, 405, "{method}");
        assert!(answer.has("allow: post"), "{}", answer.head);
    }
    for path in [
        "/",
        "/livez",
        "/metrics",
        "/webhooks/stripe//",
        "/webhooks/stripe/../stripe",
    ] {
        assert_eq!(client::get(ingest.address, path).status, 404, "{path}");
    }
}

#[test]
fn refusals_of_signature_and_payload_cannot_be_told_apart() {
    let ingest = Ingest::ready();
    let body = event("evt_1", "");
    let old = signature(SECRET, NOW - 301, &body);
    let future = signature(SECRET, NOW + 301, &body);
    let not_json = signature(SECRET, NOW, b"[]");
    let requests = [
        post(DEFAULT, &[], &body),
        post(DEFAULT, &[("stripe-signature", b"nonsense")], &body),
        post(DEFAULT, &[("stripe-signature", b"t=1,v1=\xff\xfe")], &body),
        post(DEFAULT, &[("stripe-signature", old.as_bytes())], &body),
        post(DEFAULT, &[("stripe-signature", future.as_bytes())], &body),
        post(DEFAULT, &[("stripe-signature", not_json.as_bytes())], b"[]"),
    ];
    let looks: Vec<(Vec<String>, Vec<u8>)> = requests
        .iter()
        .map(|request| {
            let answer = send(ingest.address, request);
            let head = answer.head.lines().filter(|line| !line.starts_with("date:"));
            (head.map(str::to_owned).collect(), answer.body)
        })
        .collect();
    assert!(looks[0].0[0].contains("400"), "{looks:?}");
    assert!(looks.iter().all(|look| *look == looks[0]), "{looks:#?}");
    for reason in [
        "no_signature",
        "malformed_header",
        "too_old",
        "in_future",
        "not_an_event",
    ] {
        assert!(ingest.refused(reason) >= 1.0, "{reason}");
    }
    assert!(ingest.entries().is_empty());
}
