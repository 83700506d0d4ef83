//! Checkout on Stripe's page.

use axum::extract::State;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::clock::Clock;
use store::api::{IntentKind, SessionTold};
use utoipa::ToSchema;

use crate::app::App;
use crate::buying::{Buying, TopUpWish, Wish, begin, subscribe, wish};
use crate::caller::{Caller, ID_CHARS_MAX};
use crate::extract::{Body, Path};
use crate::idempotency::IdempotencyKey;
use crate::intents::Done;
use crate::problem::{Kind, Problem};

/// What to buy: one of the three.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckoutRequest {
    /// A plan, by its name in the catalogue.
    #[schema(max_length = 100, example = "pro_monthly")]
    plan: Option<String>,
    /// A package of credits, by its name in the catalogue.
    #[schema(max_length = 100)]
    package: Option<String>,
    /// Credits for any amount.
    topup: Option<TopUpWish>,
}

/// A session on Stripe's page.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CheckoutSession {
    /// `cs_...`.
    pub id: String,
    /// `open`, `complete` or `expired`.
    #[schema(example = "open")]
    pub status: String,
    /// `unpaid`, `paid` or `no_payment_required`.
    pub payment_status: Option<String>,
    /// Where to send the browser, while it is open.
    pub url: Option<String>,
    /// Until when it can be paid, unix seconds.
    pub expires_at: Option<i64>,
    /// `pi_...`, once it is paid.
    pub payment_id: Option<String>,
    /// `sub_...`, once it is paid.
    pub subscription_id: Option<String>,
}

impl CheckoutSession {
    fn of(done: Done, told: Option<SessionTold>, now: i64) -> Self {
        let text = |name: &str| done.answer[name].as_str().map(str::to_owned);
        let expires_at = done.answer["expires_at"].as_i64();
        let answered = match expires_at {
            Some(until) if until <= now => Some("expired".to_owned()),
            _ => text("status"),
        };
        let (status, payment_status, payment_id, subscription_id) = match told {
            Some(told) => (
                told.status,
                told.payment_status,
                told.payment_intent_id,
                told.subscription_id,
            ),
            None => (answered, text("payment_status"), None, None),
        };
        let status = status.unwrap_or_default();
        Self {
            url: text("url").filter(|_| status == "open"),
            id: done.object_id,
            status,
            payment_status,
            expires_at,
            payment_id,
            subscription_id,
        }
    }
}

/// Begins a checkout
///
/// Of a subscription a user has one open checkout: for the same plan it is answered again, for another plan the older one
/// is ended first. The redirect afterwards proves nothing; what was paid shows in the user's state and credits.
#[utoipa::path(
    post, path = "/v1/users/{user}/checkout-sessions", tag = "buying",
    params(("user" = String, Path, description = "The user's id, or `me`")),
    request_body = CheckoutRequest,
    responses(
        (status = OK, body = CheckoutSession),
        (status = NOT_FOUND, body = Problem, content_type = "application/problem+json",
            description = "`unknown_offer`"),
        (status = CONFLICT, body = Problem, content_type = "application/problem+json",
            description = "`has_subscription`, `payment_overdue`, `capacity_used_up`, `checkout_completed`, or the same \
                           request is being carried out"),
        (status = BAD_GATEWAY, body = Problem, content_type = "application/problem+json",
            description = "`stripe_refused`: nothing was done"),
    )
)]
pub(crate) async fn begin_checkout(
    State(app): State<App>,
    caller: Caller,
    Extension(key): Extension<IdempotencyKey>,
    Path(user): Path<String>,
    Body(request): Body<CheckoutRequest>,
) -> Result<Json<CheckoutSession>, Problem> {
    let user = caller.user(&user)?;
    let wish = wish(request.plan, request.package, request.topup)?;
    app.stripe.require()?;
    app.switches.require_billing().await?;
    let done = if matches!(wish, Wish::Plan(_)) {
        subscribe(&app, &caller.0, user, &wish).await?
    } else {
        let buying = Buying {
            kind: IntentKind::Buy,
            user,
            purpose: &key.of(&caller.0),
            wish: &wish,
        };
        begin(&app, &caller.0, &buying).await?
    };
    Ok(Json(CheckoutSession::of(
        done,
        None,
        Clock::system().unix_seconds(),
    )))
}

/// A checkout, as far as Stripe has told
#[utoipa::path(
    get, path = "/v1/users/{user}/checkout-sessions/{session}", tag = "buying",
    params(
        ("user" = String, Path, description = "The user's id, or `me`"),
        ("session" = String, Path, description = "`cs_...`"),
    ),
    responses(
        (status = OK, body = CheckoutSession),
        (status = NOT_FOUND, body = Problem, content_type = "application/problem+json",
            description = "Not begun here, or not this user's"),
    )
)]
pub(crate) async fn checkout_session(
    State(app): State<App>,
    caller: Caller,
    Path((user, session)): Path<(String, String)>,
) -> Result<Json<CheckoutSession>, Problem> {
    let user = caller.user(&user)?;
    let session = stripe_id(&session)?;
    let mut tx = app.store.begin_as(&caller.0).await?;
    let intent = tx.intent_that_made(user, session).await?;
    let told = tx.session_told(session).await?;
    let ended = tx.intent_for(IntentKind::Expire, session).await?;
    tx.commit().await?;
    let is_session = |kind| matches!(kind, IntentKind::Subscribe | IntentKind::Buy);
    let done = intent.filter(|intent| is_session(intent.kind)).and_then(Done::of);
    let mut done = done.ok_or(Kind::NOT_FOUND)?;
    if ended.and_then(Done::of).is_some() {
        done.answer["status"] = Value::from("expired");
    }
    Ok(Json(CheckoutSession::of(
        done,
        told,
        Clock::system().unix_seconds(),
    )))
}

/// Something that can be an id of Stripe.
pub(super) fn stripe_id(text: &str) -> Result<&str, Problem> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if text.len() <= ID_CHARS_MAX && text.bytes().all(plain) {
        return Ok(text);
    }
    Err(Kind::NOT_FOUND.into())
}
