//! One delivery as a command line, to be pasted into a shell.

use bytes::Bytes;
use serde_json::json;
use shared::signature::{SIGNATURE_HEADER, Secret, sign};

use crate::{ApiVersion, dice::Dice, mint::Mint};

/// A small event in one line: a customer was created. `now` is in unix seconds.
#[must_use]
pub fn example_event(seed: u64, now: i64) -> Bytes {
    let mut dice = Dice::new(seed);
    let suffix = Mint::draw_suffix(&mut dice);
    let mut mint = Mint::new(dice, suffix);
    let customer = json!({
        "id": mint.short("cus"), "object": "customer", "created": now, "email": "ada@example.com",
        "livemode": false, "metadata": {"user_id": "usr_example"}, "name": "Ada Abel"
    });
    let event = json!({
        "id": mint.id("evt", now), "object": "event",
        "api_version": ApiVersion::V2026_10_28Endive.as_str(), "created": now, "data": {"object": customer},
        "livemode": false, "pending_webhooks": 1, "request": {"id": null, "idempotency_key": null},
        "type": "customer.created"
    });
    event.to_string().into()
}

/// A `curl` command that posts `body` to `url` with a signature made at `timestamp` (unix seconds).
/// It is valid for [`shared::signature::TOLERANCE_SECONDS`]. `body` must be UTF-8, as every event is;
/// other bytes would be replaced and the signature would not match.
#[must_use]
pub fn curl(url: &str, secret: &Secret, body: &[u8], timestamp: i64) -> String {
    let signature = sign(secret, timestamp, body);
    let text = String::from_utf8_lossy(body);
    format!(
        "curl -i {} -H 'content-type: application/json; charset=utf-8' -H '{SIGNATURE_HEADER}: {signature}' \
         --data-binary {}",
        quoted(url),
        quoted(&text)
    )
}

/// A shell word in single quotes, in which nothing is special but the quote itself.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use shared::signature::verify;

    use super::*;

    #[test]
    fn the_command_carries_the_body_and_a_valid_signature() {
        let secret = Secret::new("whsec_test").expect("usable");
        let body = example_event(1, 1_793_613_600);
        let command = curl(
            "http://127.0.0.1:8080/webhooks/stripe",
            &secret,
            &body,
            1_793_613_601,
        );
        assert!(!command.contains('\n'));
        assert!(command.contains(std::str::from_utf8(&body).expect("text")));
        let header = command
            .split("stripe-signature: ")
            .nth(1)
            .and_then(|rest| rest.split('\'').next());
        let header = header.expect("a signature");
        assert_eq!(verify(&[secret], header.as_bytes(), &body, 1_793_613_601), Ok(0));
    }

    #[test]
    fn quotes_survive_the_shell() {
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
