//! The client under the budget.

use std::time::Duration;

use stripe_api::{
    Budgeted, Endpoint, FetchError, IdempotencyKey, Limit, Mode, Pause, Priority, Request, Retrievable, Turn,
};

use crate::server::{FakeStripe, Reply};
use crate::support::{PATIENCE, budget, client, customer, object, prefix};

const CUSTOMER: Endpoint = Endpoint::Retrieve(Retrievable::Customer);
const INVOICE: Endpoint = Endpoint::Retrieve(Retrievable::Invoice);
const SHORT: Duration = Duration::from_millis(100);

fn budgeted(stripe: &FakeStripe, prefix: &str) -> Budgeted {
    Budgeted::new(
        client(&stripe.url),
        budget(prefix, Mode::Sandbox),
        Priority::Live,
        PATIENCE,
    )
}

fn limited(reason: &str, retry_after: &str) -> Reply {
    Reply::error(429, "rate_limit")
        .header("stripe-rate-limited-reason", reason)
        .header("retry-after", retry_after)
}

/// Whether others would have to wait for longer than a token takes to come.
async fn is_paused(prefix: &str, endpoint: Endpoint) -> bool {
    let budget = budget(prefix, Mode::Sandbox);
    matches!(budget.take(None, endpoint, Priority::Live).await, Turn::Wait(wait) if wait > SHORT)
}

#[tokio::test]
async fn a_retry_after_is_obeyed_by_all_replicas() {
    let prefix = prefix();
    let stripe = FakeStripe::start([limited("endpoint-rate", "2")]).await;
    let (one, patient) = (budgeted(&stripe, &prefix), budgeted(&stripe, &prefix));
    let other = patient.with(Priority::Live, SHORT);
    let error = one.retrieve(&customer()).await.expect_err("limited");
    assert!(
        matches!(
            error,
            FetchError::RateLimited {
                limit: Limit::Endpoint,
                ..
            }
        ),
        "{error}"
    );

    let error = other.retrieve(&customer()).await.expect_err("paused");
    match error {
        FetchError::RateLimited {
            limit, retry_after, ..
        } => {
            assert_eq!(limit, Limit::Budget);
            assert!(retry_after.is_some_and(|wait| wait > SHORT), "{retry_after:?}");
        }
        error => panic!("{error}"),
    }
    assert_eq!(stripe.seen().len(), 1, "Stripe was not asked again");
    assert!(!is_paused(&prefix, INVOICE).await, "other endpoints go on");

    patient.retrieve(&customer()).await.expect("after the pause");
    let seen = stripe.seen();
    let between = seen[1].at - seen[0].at;
    assert!(between >= Duration::from_millis(1900), "{between:?}");
}

#[tokio::test]
async fn an_accounts_limit_pauses_the_account() {
    let prefix = prefix();
    let stripe = FakeStripe::start([limited("global-rate", "100")]).await;
    drop(budgeted(&stripe, &prefix).retrieve(&customer()).await);
    assert!(is_paused(&prefix, INVOICE).await);
}

#[tokio::test]
async fn an_objects_limit_pauses_nobody() {
    let prefix = prefix();
    let lock = Reply::error(429, "lock_timeout").header("retry-after", "100");
    let stripe = FakeStripe::start([limited("resource-specific", "100"), lock]).await;
    let budgeted = budgeted(&stripe, &prefix);
    let error = budgeted.retrieve(&customer()).await.expect_err("limited");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(100)));
    let error = budgeted.retrieve(&customer()).await.expect_err("locked");
    assert!(matches!(error, FetchError::Transient { .. }), "{error}");
    budgeted.retrieve(&customer()).await.expect("nobody waits");
}

#[tokio::test]
async fn a_failing_endpoint_that_names_a_time_is_left_alone() {
    let prefix = prefix();
    let overloaded = Reply::error(503, "").header("retry-after", "100");
    let stripe = FakeStripe::start([overloaded, Reply::error(503, "")]).await;
    drop(budgeted(&stripe, &prefix).retrieve(&customer()).await);
    assert!(is_paused(&prefix, CUSTOMER).await);
    drop(
        budgeted(&stripe, &prefix)
            .retrieve(&object(Retrievable::Invoice, "in_1"))
            .await,
    );
    assert!(!is_paused(&prefix, INVOICE).await, "no time named, no pause");
}

#[tokio::test]
async fn every_attempt_needs_a_grant() {
    let prefix = prefix();
    let stripe = FakeStripe::start([Reply::error(503, "").header("retry-after", "1")]).await;
    let key = IdempotencyKey::new("k").expect("a key");
    let request = Request::retrieve(&customer()).and_then(|request| request.idempotent(key));
    let patient = budgeted(&stripe, &prefix);
    patient
        .ask(&request.expect("fit to be sent"))
        .await
        .expect("the second time");
    let seen = stripe.seen();
    assert_eq!(seen.len(), 2);
    assert!(seen[1].at - seen[0].at >= Duration::from_millis(900));
}

#[tokio::test]
async fn a_paused_account_is_not_asked() {
    let prefix = prefix();
    let stripe = FakeStripe::start([]).await;
    assert!(
        budget(&prefix, Mode::Sandbox)
            .pause(None, Pause::Account, Duration::from_secs(100))
            .await
    );
    let error = budgeted(&stripe, &prefix)
        .retrieve(&customer())
        .await
        .expect_err("paused");
    assert!(
        matches!(
            error,
            FetchError::RateLimited {
                limit: Limit::Budget,
                ..
            }
        ),
        "{error}"
    );
    assert!(stripe.seen().is_empty());
}

#[tokio::test]
async fn metrics_are_there_from_the_start_and_count() {
    let metrics = shared::telemetry::init_metrics("test", &[stripe_api::METRICS]).expect("the only recorder");
    let value = |series: &str| {
        let page = metrics.render();
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix(series).map(str::to_owned));
        line.and_then(|rest| rest.trim().parse::<f64>().ok())
    };
    for endpoint in Endpoint::all() {
        for outcome in ["ok", "gone", "rate_limited", "transient", "refused", "permanent"] {
            let series = format!(
                r#"{}{{kind="{}",outcome="{outcome}"}}"#,
                stripe_api::REQUESTS,
                endpoint.as_str()
            );
            assert!(value(&series).is_some(), "{series}");
        }
    }
    for reason in ["account", "endpoint", "paused", "unavailable"] {
        let series = format!(r#"{}{{reason="{reason}"}}"#, stripe_api::BUDGET_WAITS);
        assert!(value(&series).is_some(), "{series}");
    }
    assert_eq!(value("tollgate_stripe_retries_total"), Some(0.0));
    // No other test asks for this kind while this one looks.
    let stripe = FakeStripe::start([Reply::error(404, "resource_missing")]).await;
    let dispute = object(Retrievable::Dispute, "du_1");
    drop(budgeted(&stripe, &prefix()).retrieve(&dispute).await);
    assert_eq!(
        value(r#"tollgate_stripe_requests_total{kind="dispute",outcome="gone"}"#),
        Some(1.0)
    );
    assert!(value("tollgate_stripe_request_duration_seconds_count").is_some_and(|count| count >= 1.0));
}
