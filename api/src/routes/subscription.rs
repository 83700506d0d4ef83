//! Changing a subscription without a page of Stripe's.

use axum::extract::State;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::buying::{Change, change};
use crate::caller::Caller;
use crate::extract::{Body, Path};
use crate::idempotency::IdempotencyKey;
use crate::intents::Done;
use crate::problem::{Kind, Problem};

/// Another plan.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeRequest {
    /// By its name in the catalogue.
    #[schema(max_length = 100)]
    plan: String,
}

/// A subscription, as Stripe answered. State and credits follow when it has told of it, a moment later.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChangedSubscription {
    /// `sub_...`.
    id: String,
    /// Stripe's own status.
    status: Option<String>,
    /// Whether it ends when its period ends.
    cancel_at_period_end: Option<bool>,
    /// When it ends, where that is planned, unix seconds.
    cancel_at: Option<i64>,
}

impl From<Done> for ChangedSubscription {
    fn from(done: Done) -> Self {
        Self {
            status: done.answer["status"].as_str().map(str::to_owned),
            cancel_at_period_end: done.answer["cancel_at_period_end"].as_bool(),
            cancel_at: done.answer["cancel_at"].as_i64(),
            id: done.object_id,
        }
    }
}

/// Changes to another plan, now
///
/// What differs for the rest of the period is billed and paid at once, or credited to the customer at Stripe. A payment
/// that is declined leaves everything as it was. Once for each `Idempotency-Key`.
#[utoipa::path(
    post, path = "/v1/users/{user}/subscription/change", tag = "buying",
    params(("user" = String, Path, description = "The user's id, or `me`")),
    request_body = ChangeRequest,
    responses(
        (status = OK, body = ChangedSubscription),
        (status = PAYMENT_REQUIRED, body = Problem, content_type = "application/problem+json",
            description = "`payment_declined`: nothing was changed"),
        (status = NOT_FOUND, body = Problem, content_type = "application/problem+json",
            description = "`unknown_offer`"),
        (status = CONFLICT, body = Problem, content_type = "application/problem+json",
            description = "`no_subscription`, `payment_overdue`, `capacity_used_up`, `conflict`: it bills several things; \
                           or the same request is being carried out"),
        (status = BAD_GATEWAY, body = Problem, content_type = "application/problem+json",
            description = "`stripe_refused`: nothing was done"),
    )
)]
pub(crate) async fn change_plan(
    State(app): State<App>,
    caller: Caller,
    Extension(key): Extension<IdempotencyKey>,
    Path(user): Path<String>,
    Body(request): Body<ChangeRequest>,
) -> Result<Json<ChangedSubscription>, Problem> {
    carry_out(&app, &caller, &key, &user, &Change::Plan(request.plan)).await
}

/// Lets the subscription end when its period ends
///
/// Until then it goes on, and the end can be taken back. Also while billing is off. Once for each `Idempotency-Key`.
#[utoipa::path(
    post, path = "/v1/users/{user}/subscription/cancel", tag = "buying",
    params(("user" = String, Path, description = "The user's id, or `me`")),
    responses(
        (status = OK, body = ChangedSubscription),
        (status = CONFLICT, body = Problem, content_type = "application/problem+json",
            description = "`no_subscription`; or the same request is being carried out"),
        (status = BAD_GATEWAY, body = Problem, content_type = "application/problem+json",
            description = "`stripe_refused`: nothing was done"),
    )
)]
pub(crate) async fn cancel(
    State(app): State<App>,
    caller: Caller,
    Extension(key): Extension<IdempotencyKey>,
    Path(user): Path<String>,
) -> Result<Json<ChangedSubscription>, Problem> {
    carry_out(&app, &caller, &key, &user, &Change::Cancel).await
}

/// Takes a planned end back
///
/// Once for each `Idempotency-Key`.
#[utoipa::path(
    post, path = "/v1/users/{user}/subscription/resume", tag = "buying",
    params(("user" = String, Path, description = "The user's id, or `me`")),
    responses(
        (status = OK, body = ChangedSubscription),
        (status = CONFLICT, body = Problem, content_type = "application/problem+json",
            description = "`no_subscription`; or the same request is being carried out"),
        (status = BAD_GATEWAY, body = Problem, content_type = "application/problem+json",
            description = "`stripe_refused`: nothing was done"),
    )
)]
pub(crate) async fn resume(
    State(app): State<App>,
    caller: Caller,
    Extension(key): Extension<IdempotencyKey>,
    Path(user): Path<String>,
) -> Result<Json<ChangedSubscription>, Problem> {
    carry_out(&app, &caller, &key, &user, &Change::Resume).await
}

async fn carry_out(
    app: &App,
    caller: &Caller,
    key: &IdempotencyKey,
    user: &str,
    wanted: &Change,
) -> Result<Json<ChangedSubscription>, Problem> {
    let user = caller.user(user)?;
    if let Change::Plan(name) = wanted
        && name.is_empty()
    {
        return Err(Kind::INVALID.because("plan: name one"));
    }
    app.stripe.require()?;
    // Whoever wants to go may, whatever is off.
    if *wanted != Change::Cancel {
        app.switches.require_billing().await?;
    }
    let done = change(app, &caller.0, user, &key.of(&caller.0), wanted).await?;
    Ok(Json(done.into()))
}
