//! Changes: what is sent, and that it is sent the same again.

use std::time::Duration;

use stripe_api::{
    Budgeted, CreateCustomer, Deed, Endpoint, Metadata, Mode, Priority, STRIPE_VERSION, Write, WriteError,
};

use crate::server::{FakeStripe, Reply};
use crate::support::{PATIENCE, budget, client, client_with, prefix};

fn stripe(fake: &FakeStripe) -> Budgeted {
    Budgeted::new(
        client(&fake.url),
        budget(&prefix(), Mode::Sandbox),
        Priority::Live,
        PATIENCE,
    )
}

fn customer() -> Write {
    Write::from(&CreateCustomer {
        metadata: Metadata::from([("user_id", "ann".to_owned())]),
    })
}

#[tokio::test]
async fn a_change_carries_its_key_and_its_form() {
    let fake = FakeStripe::start([Reply::customer("cus_1")]).await;
    let made = stripe(&fake).write(Some("acct_1"), &customer(), "ours-1").await;
    assert_eq!(made.expect("made").body, r#"{"id":"cus_1","object":"customer"}"#);
    let seen = fake.only();
    assert_eq!(
        (seen.method.as_str(), seen.path.as_str()),
        ("POST", "/v1/customers")
    );
    assert_eq!(seen.body, "metadata[user_id]=ann");
    for (name, value) in [
        ("idempotency-key", "ours-1"),
        ("content-type", "application/x-www-form-urlencoded"),
        ("stripe-version", STRIPE_VERSION),
        ("stripe-account", "acct_1"),
    ] {
        assert_eq!(seen.header(name), Some(value), "{name}");
    }
}

#[tokio::test]
async fn what_nobody_answered_is_asked_again_word_for_word() {
    let replies = [
        Reply::customer("cus_1").broken(),
        Reply::error(409, "idempotency_key_in_use"),
        Reply::customer("cus_1"),
    ];
    let fake = FakeStripe::start(replies).await;
    stripe(&fake)
        .write(None, &customer(), "ours-1")
        .await
        .expect("made");
    let seen = fake.seen();
    assert_eq!(seen.len(), 3);
    for again in &seen {
        assert_eq!(again.header("idempotency-key"), Some("ours-1"));
        assert_eq!(again.body, seen[0].body);
    }
}

#[tokio::test]
async fn a_failure_that_stripe_keeps_is_told_apart() {
    let replies = [
        Reply::error(500, "api_error"),
        Reply::error(500, "api_error").header("idempotent-replayed", "true"),
    ];
    let fake = FakeStripe::start(replies).await;
    let error = stripe(&fake)
        .write(None, &customer(), "ours-1")
        .await
        .expect_err("kept");
    assert!(matches!(error, WriteError::Kept(_)), "{error}");
    assert_eq!(fake.seen().len(), 2, "asking once more brings nothing else");
}

#[tokio::test]
async fn silence_tells_nothing() {
    let fake = FakeStripe::start([Reply::never(), Reply::never(), Reply::never()]).await;
    let client = client_with(&fake.url, Duration::from_millis(50));
    let stripe = Budgeted::new(client, budget(&prefix(), Mode::Sandbox), Priority::Live, PATIENCE);
    let error = stripe
        .write(None, &customer(), "ours-1")
        .await
        .expect_err("silence");
    assert!(matches!(error, WriteError::Unknown { .. }), "{error}");
}

#[tokio::test]
async fn a_no_is_a_no() {
    let card =
        r#"{"error":{"type":"card_error","code":"card_declined","decline_code":"insufficient_funds"}}"#;
    let fake = FakeStripe::start([Reply::new(402, card), Reply::error(400, "parameter_missing")]).await;
    let stripe = stripe(&fake);
    let declined = stripe
        .write(None, &customer(), "ours-1")
        .await
        .expect_err("declined");
    assert_eq!(
        declined.detail().decline_code.as_deref(),
        Some("insufficient_funds")
    );
    assert!(matches!(declined, WriteError::Declined(_)), "{declined}");
    let refused = stripe
        .write(None, &customer(), "ours-2")
        .await
        .expect_err("refused");
    assert!(
        matches!(refused, WriteError::Refused(_)) && refused.is_final(),
        "{refused}"
    );
}

#[tokio::test]
async fn what_cannot_be_sent_is_not() {
    let fake = FakeStripe::start([]).await;
    let stripe = stripe(&fake);
    for (write, key) in [
        (customer(), "a\nb"),
        (Write::expire_checkout_session(""), "ours-1"),
    ] {
        let refused = stripe.write(None, &write, key).await.expect_err("refused");
        assert!(matches!(refused, WriteError::Refused(_)), "{refused}");
    }
    assert!(fake.seen().is_empty());
    assert_eq!(Endpoint::Write(Deed::CreateRefund).as_str(), "create_refund");
}
