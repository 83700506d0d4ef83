//! Payments that failed, for staff.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use store::api::{Failure, FailureFilter};
use utoipa::{IntoParams, ToSchema};

use super::credits::limit;
use super::paging::{cursor, page};
use super::spans::span;
use crate::app::App;
use crate::caller::{Caller, checked_id};
use crate::extract::Query;
use crate::problem::Problem;

/// Which failures.
#[derive(Debug, Deserialize, IntoParams)]
pub(crate) struct FailuresQuery {
    /// Told of from then on, unix seconds; 30 days before `until` when absent.
    #[param(minimum = 0)]
    since: Option<i64>,
    /// Told of before then, unix seconds, at most 366 days after `since`; now when absent.
    #[param(minimum = 0)]
    until: Option<i64>,
    /// Only this user's.
    user: Option<String>,
    /// Only with this code, Stripe's or the bank's.
    #[param(example = "insufficient_funds")]
    code: Option<String>,
    /// Where an earlier page ended.
    after: Option<String>,
    /// Entries, 1 to 200; 50 when absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// Failures, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PaymentFailures {
    /// The newest first.
    failures: Vec<PaymentFailure>,
    /// Hand it back as `after` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A payment that failed, as it stands. Times are unix seconds.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PaymentFailure {
    /// `pi_...`; absent where Stripe told of the invoice alone.
    payment_id: Option<String>,
    /// What it was to pay. Where Stripe has not said so, the customer's open invoice over the same amount.
    invoice_id: Option<String>,
    /// Whose it is, when anything says so.
    user_id: Option<String>,
    /// `cus_...`.
    customer_id: Option<String>,
    /// Minor units.
    amount: Option<i64>,
    /// Of what.
    currency: Option<String>,
    /// Why, Stripe's word.
    code: Option<String>,
    /// Why, the bank's word.
    decline_code: Option<String>,
    /// Stripe's status of the payment, or of the invoice where there is only that.
    status: Option<String>,
    /// How often the invoice was tried.
    attempt_count: Option<i64>,
    /// When Stripe tries again by itself.
    next_attempt_at: Option<i64>,
    /// When Stripe told of it last.
    told_at: i64,
}

impl From<Failure> for PaymentFailure {
    fn from(it: Failure) -> Self {
        Self {
            payment_id: it.payment_id,
            invoice_id: it.invoice_id,
            user_id: it.user,
            customer_id: it.customer_id,
            amount: it.amount,
            currency: it.currency,
            code: it.code,
            decline_code: it.decline_code,
            status: it.status,
            attempt_count: it.attempt_count,
            next_attempt_at: it.next_attempt_at,
            told_at: it.told_at,
        }
    }
}

/// Payments that failed and have not been made since, the newest first
///
/// As they stand: one that is tried again moves to the top, and one that is made leaves the list. Open invoices that were
/// tried are in it also where Stripe told of no payment.
#[utoipa::path(
    get, path = "/v1/admin/payment-failures", tag = "admin", params(FailuresQuery),
    responses((status = OK, body = PaymentFailures))
)]
pub(crate) async fn payment_failures(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<FailuresQuery>,
) -> Result<Json<PaymentFailures>, Problem> {
    caller.require_admin()?;
    let limit = limit(query.limit)?;
    let (since, until) = span(query.since, query.until)?;
    let filter = FailureFilter {
        since,
        until,
        user: query.user.as_deref().map(checked_id).transpose()?,
        code: query.code.as_deref().map(checked_id).transpose()?,
        after: cursor(query.after.as_deref())?,
    };
    let mut tx = app.store.begin_as(&caller.0).await?;
    let rows = tx.failures(&filter, limit + 1).await?;
    tx.commit().await?;
    let (rows, next) = page(rows, limit, |row| (row.told_at, &row.id));
    let failures = rows.into_iter().map(PaymentFailure::from).collect();
    Ok(Json(PaymentFailures { failures, next }))
}
