//! Payments: in a page of the client's own, and what became of them.

use axum::extract::State;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use store::api::{IntentKind, PaymentTold};
use utoipa::ToSchema;

use super::checkout::stripe_id;
use crate::app::App;
use crate::buying::{Buying, TopUpWish, begin, wish};
use crate::caller::Caller;
use crate::extract::{Body, Path};
use crate::idempotency::IdempotencyKey;
use crate::intents::Done;
use crate::problem::{Kind, Problem};

/// What to pay for: one of the two.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PaymentRequest {
    /// A package of credits, by its name in the catalogue.
    #[schema(max_length = 100)]
    package: Option<String>,
    /// Credits for any amount.
    topup: Option<TopUpWish>,
}

/// A payment to be confirmed in the browser.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PaymentIntent {
    /// `pi_...`.
    pub id: String,
    /// For Stripe.js; whoever has it can pay this.
    pub client_secret: Option<String>,
    /// Stripe's status.
    pub status: Option<String>,
    /// Minor units.
    pub amount: Option<i64>,
    /// Of what.
    pub currency: Option<String>,
}

/// What became of a payment.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Payment {
    /// `pi_...`.
    pub id: String,
    /// Stripe's status.
    #[schema(example = "succeeded")]
    pub status: Option<String>,
    /// Minor units.
    pub amount: Option<i64>,
    /// Minor units that were paid.
    pub amount_received: i64,
    /// Minor units that went back.
    pub amount_refunded: i64,
    /// Of what.
    pub currency: Option<String>,
    /// Why the last attempt failed, Stripe's word.
    pub error_code: Option<String>,
    /// Why the last attempt failed, the bank's word.
    pub decline_code: Option<String>,
}

/// Begins a payment in a page of the client's own
#[utoipa::path(
    post, path = "/v1/users/{user}/payment-intents", tag = "buying",
    params(("user" = String, Path, description = "The user's id, or `me`")),
    request_body = PaymentRequest,
    responses(
        (status = OK, body = PaymentIntent),
        (status = PAYMENT_REQUIRED, body = Problem, content_type = "application/problem+json",
            description = "`payment_declined`"),
        (status = NOT_FOUND, body = Problem, content_type = "application/problem+json",
            description = "`unknown_offer`"),
        (status = CONFLICT, body = Problem, content_type = "application/problem+json",
            description = "`payment_overdue`, `capacity_used_up`, `offer_without_price`, or the same request is being \
                           carried out"),
        (status = BAD_GATEWAY, body = Problem, content_type = "application/problem+json",
            description = "`stripe_refused`: nothing was done"),
    )
)]
pub(crate) async fn begin_payment(
    State(app): State<App>,
    caller: Caller,
    Extension(key): Extension<IdempotencyKey>,
    Path(user): Path<String>,
    Body(request): Body<PaymentRequest>,
) -> Result<Json<PaymentIntent>, Problem> {
    let user = caller.user(&user)?;
    let wish = wish(None, request.package, request.topup)?;
    app.stripe.require()?;
    app.switches.require_billing().await?;
    let buying = Buying {
        kind: IntentKind::Payment,
        user,
        purpose: &key.of(&caller.0),
        wish: &wish,
    };
    let done = begin(&app, &caller.0, &buying).await?;
    let text = |name: &str| done.answer[name].as_str().map(str::to_owned);
    Ok(Json(PaymentIntent {
        client_secret: text("client_secret"),
        status: text("status"),
        amount: done.answer["amount"].as_i64(),
        currency: text("currency"),
        id: done.object_id,
    }))
}

/// What became of a payment, as far as Stripe has told
#[utoipa::path(
    get, path = "/v1/users/{user}/payments/{payment}", tag = "buying",
    params(
        ("user" = String, Path, description = "The user's id, or `me`"),
        ("payment" = String, Path, description = "`pi_...`"),
    ),
    responses(
        (status = OK, body = Payment),
        (status = NOT_FOUND, body = Problem, content_type = "application/problem+json",
            description = "Nobody told of it, or it is not this user's"),
    )
)]
pub(crate) async fn payment(
    State(app): State<App>,
    caller: Caller,
    Path((user, payment)): Path<(String, String)>,
) -> Result<Json<Payment>, Problem> {
    let user = caller.user(&user)?;
    let id = stripe_id(&payment)?;
    let mut tx = app.store.begin_as(&caller.0).await?;
    let told = tx.payment_told(id).await?;
    let told = told.filter(|told| told.user.as_deref() == Some(user));
    let money = tx.money_of(id).await?;
    let intent = tx.intent_that_made(user, id).await?;
    tx.commit().await?;
    let shown = match told {
        Some(told) => Payment::told(id, told, money.facts.refunded()),
        None => {
            let intent = intent.filter(|intent| intent.kind == IntentKind::Payment);
            Payment::answered(intent.and_then(Done::of).ok_or(Kind::NOT_FOUND)?)
        }
    };
    Ok(Json(shown))
}

impl Payment {
    fn told(id: &str, told: PaymentTold, amount_refunded: i64) -> Self {
        let (error_code, decline_code) = told.error;
        Self {
            id: id.to_owned(),
            status: told.status,
            amount: told.amount,
            amount_received: told.amount_received,
            amount_refunded,
            currency: told.currency,
            error_code,
            decline_code,
        }
    }

    /// Before Stripe told anything.
    fn answered(done: Done) -> Self {
        let text = |name: &str| done.answer[name].as_str().map(str::to_owned);
        Self {
            status: text("status"),
            amount: done.answer["amount"].as_i64(),
            amount_received: 0,
            amount_refunded: 0,
            currency: text("currency"),
            error_code: None,
            decline_code: None,
            id: done.object_id,
        }
    }
}
