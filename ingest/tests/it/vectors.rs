//! Every recorded signature, over HTTP where HTTP can carry it.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use ingest::IngestConfig;
use serde_json::Value;
use shared::signature::{Secret, verify};

use crate::client::{Client, post};
use crate::harness::{DEFAULT, Ingest, env, redis};

fn vectors() -> Option<Vec<Value>> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/stripe/signature_vectors.json");
    let text = std::fs::read(&file).ok()?;
    let mut document: Value = serde_json::from_slice(&text).expect("JSON");
    let Value::Array(vectors) = document["vectors"].take() else {
        panic!("no list of vectors")
    };
    Some(vectors)
}

fn text<'a>(vector: &'a Value, member: &str) -> &'a str {
    vector[member]
        .as_str()
        .unwrap_or_else(|| panic!("{member} is no text in {vector}"))
}

fn secrets(vector: &Value) -> String {
    match &vector["secrets"] {
        Value::Array(list) => {
            let words: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
            words.join(",")
        }
        _ => text(vector, "secret").to_owned(),
    }
}

/// The header lines: none, one, or several.
fn lines(vector: &Value) -> Vec<Vec<u8>> {
    let generated = &vector["header_gen"];
    if generated.is_object() {
        let count = usize::try_from(generated["count"].as_u64().expect("a count")).expect("fits");
        let long = text(generated, "repeat").repeat(count);
        return vec![
            [text(generated, "prefix"), &long, text(generated, "suffix")]
                .concat()
                .into_bytes(),
        ];
    }
    match (&vector["header_lines"], &vector["header"]) {
        (Value::Array(lines), _) => {
            let bytes = |line: &Value| line.as_str().expect("text").as_bytes().to_vec();
            lines.iter().map(bytes).collect()
        }
        (_, Value::String(line)) => vec![line.as_bytes().to_vec()],
        _ => vec![],
    }
}

fn base64(text: &str) -> Vec<u8> {
    let digit = |b: u8| match b {
        b'A'..=b'Z' => b - b'A',
        b'a'..=b'z' => b - b'a' + 26,
        b'0'..=b'9' => b - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => panic!("no base 64 digit"),
    };
    let digits: Vec<u8> = text.trim_end_matches('=').bytes().map(digit).collect();
    let bits = digits.chunks(4).flat_map(|chunk| {
        let word = chunk
            .iter()
            .fold(0_u32, |word, digit| word << 6 | u32::from(*digit));
        let word = word << (6 * (4 - chunk.len()));
        word.to_be_bytes()[1..chunk.len()].to_vec()
    });
    bits.collect()
}

/// What HTTP cannot carry as it stands: it forbids these bytes, or trims them away.
fn fits_http(vector: &Value) -> bool {
    let padded = |line: &Vec<u8>| line.trim_ascii() != line;
    text(vector, "transport") != "unit-only" && !lines(vector).iter().any(padded)
}

fn verifies(vector: &Value, body: &[u8]) -> bool {
    let secrets: Vec<Secret> = secrets(vector)
        .split(',')
        .map(|secret| Secret::new(secret).expect("a secret"))
        .collect();
    let lines = lines(vector);
    verify(&secrets, &lines[0], body, now(vector)).is_ok()
}

fn now(vector: &Value) -> i64 {
    vector["now"].as_i64().expect("a time")
}

fn status_is_expected(vector: &Value, status: u16) -> bool {
    match &vector["expected_http"] {
        Value::Array(several) => several.contains(&status.into()),
        one => one.as_u64() == Some(status.into()),
    }
}

/// Sends the vector, and checks status and queue.
fn deliver(vector: &Value, body: &[u8], ingest: &Ingest) {
    let lines = lines(vector);
    let headers: Vec<(&str, &[u8])> = lines.iter().map(|l| ("Stripe-Signature", l.as_slice())).collect();
    let answer = Client::connect(ingest.address)
        .send(&post(DEFAULT, &headers, body))
        .answer();
    assert!(status_is_expected(vector, answer.status), "{answer:?}");
    let queued: Vec<_> = ingest.entries().into_iter().map(|entry| entry.body).collect();
    if text(vector, "expected") == "accept" {
        assert_eq!(queued, [body], "queued as sent");
        assert_eq!(answer.body, b"");
    } else {
        assert!(queued.is_empty(), "a refused body is queued");
    }
}

#[test]
fn every_vector_gets_its_verdict() {
    let Some(vectors) = vectors() else {
        // Not eprintln!, which the test runner keeps to itself.
        writeln!(std::io::stderr(), "NOT RUN: signature_vectors.json is not there").ok();
        return;
    };
    let mut servers: BTreeMap<(i64, String), Ingest> = BTreeMap::new();
    let mut over_http = 0;
    for vector in &vectors {
        eprintln!("{} {}", text(vector, "id"), text(vector, "name"));
        let accept = text(vector, "expected") == "accept";
        let body = base64(text(vector, "body_b64"));
        let secrets = secrets(vector);
        let env = env(redis()).with("STRIPE_WEBHOOK_SECRET", &secrets);
        if let Err(error) = IngestConfig::from_env(&env) {
            assert!(
                !accept && error.to_string().contains("STRIPE_WEBHOOK_SECRET"),
                "{error}"
            );
        } else if fits_http(vector) {
            let ingest = servers.entry((now(vector), secrets)).or_insert_with(|| {
                let ingest = Ingest::start_at(&env, now(vector), |_| {});
                ingest.wait_ready();
                ingest
            });
            deliver(vector, &body, ingest);
            over_http += 1;
        } else {
            assert_eq!(verifies(vector, &body), accept);
        }
    }
    assert!(
        over_http * 10 > vectors.len() * 9,
        "only {over_http} went over HTTP"
    );
}

#[test]
fn an_empty_or_padded_secret_is_a_start_up_error() {
    for secret in ["", " ", "whsec_a\n"] {
        let env = env(redis()).with("STRIPE_WEBHOOK_SECRET", secret);
        assert!(IngestConfig::from_env(&env).is_err(), "{secret:?}");
    }
}
