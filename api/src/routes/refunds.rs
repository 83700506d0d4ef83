//! Giving money back.

use axum::extract::State;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::api::{ActingTx, AuditRow, IntentKind, PaymentTold};
use stripe_api::{CreateRefund, Metadata, Write};
use utoipa::ToSchema;

use super::checkout::stripe_id;
use crate::app::App;
use crate::caller::Caller;
use crate::extract::{Body, Path, whole_or_none};
use crate::idempotency::IdempotencyKey;
use crate::intents::{INTENT, Plan, Written, intend, settle};
use crate::problem::{Kind, Problem};

/// Longest note, characters.
const NOTE_CHARS_MAX: usize = 500;

/// What to give back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefundRequest {
    /// Minor units; all that is left when absent.
    #[serde(default, deserialize_with = "whole_or_none")]
    #[schema(minimum = 1)]
    amount: Option<i64>,
    /// Why, for Stripe.
    reason: RefundReason,
    /// Why, for the audit log.
    #[schema(min_length = 1, max_length = 500)]
    note: String,
}

/// Stripe's words.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RefundReason {
    /// It was paid twice.
    Duplicate,
    /// It was not the owner of the card.
    Fraudulent,
    /// They asked for it.
    RequestedByCustomer,
}

impl RefundReason {
    fn as_str(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::Fraudulent => "fraudulent",
            Self::RequestedByCustomer => "requested_by_customer",
        }
    }
}

/// A refund.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Refund {
    /// `re_...`.
    pub id: String,
    /// `pi_...`.
    pub payment_id: String,
    /// Stripe's status.
    pub status: Option<String>,
    /// Minor units.
    pub amount: i64,
    /// Of what.
    pub currency: Option<String>,
}

/// Gives money back, in full or in part
///
/// For the application and its staff. The credits go when Stripe has told of it. Once for each `Idempotency-Key`.
#[utoipa::path(
    post, path = "/v1/payments/{payment}/refunds", tag = "buying",
    params(("payment" = String, Path, description = "`pi_...`")),
    request_body = RefundRequest,
    responses(
        (status = OK, body = Refund),
        (status = PAYMENT_REQUIRED, body = Problem, content_type = "application/problem+json",
            description = "`payment_declined`: the bank does not take it back"),
        (status = NOT_FOUND, body = Problem, content_type = "application/problem+json",
            description = "Stripe told of no such payment"),
        (status = CONFLICT, body = Problem, content_type = "application/problem+json",
            description = "`not_refundable`, with `refundable`: what could be given back; or the same request is being \
                           carried out"),
        (status = BAD_GATEWAY, body = Problem, content_type = "application/problem+json",
            description = "`stripe_refused`: nothing was done"),
    )
)]
pub(crate) async fn refund(
    State(app): State<App>,
    caller: Caller,
    Extension(key): Extension<IdempotencyKey>,
    Path(payment): Path<String>,
    Body(request): Body<RefundRequest>,
) -> Result<Json<Refund>, Problem> {
    caller.require_service()?;
    let payment = stripe_id(&payment)?;
    let note = note(&request.note)?;
    app.stripe.require()?;
    let mut tx = app.store.begin_as(&caller.0).await?;
    tx.lock_payment(payment).await?;
    let asked = Asked {
        payment,
        amount: request.amount,
        reason: request.reason.as_str(),
        note,
    };
    let (intent, amount) = match tx.intent_for(IntentKind::Refund, &key.of(&caller.0)).await? {
        Some(begun) => {
            let amount = asked.same(&begun.wish)?;
            (Written::Before(begun.id), amount)
        }
        None => asked.begin(&mut tx, &key.of(&caller.0)).await?,
    };
    tx.commit().await?;
    let done = settle(&app, &caller.0, intent).await?;
    let text = |name: &str| done.answer[name].as_str().map(str::to_owned);
    Ok(Json(Refund {
        payment_id: payment.to_owned(),
        status: text("status"),
        amount,
        currency: text("currency"),
        id: done.object_id,
    }))
}

/// What was asked for.
struct Asked<'a> {
    payment: &'a str,
    amount: Option<i64>,
    reason: &'a str,
    note: &'a str,
}

impl Asked<'_> {
    /// The amount that goes back, when an earlier request with the key asked for the same.
    fn same(&self, begun: &Value) -> Result<i64, Problem> {
        let is_same = begun["payment"] == self.payment
            && begun["asked"] == json!(self.amount)
            && begun["reason"] == self.reason;
        match begun["amount"].as_i64().filter(|_| is_same) {
            Some(amount) => Ok(amount),
            None => Err(Kind::KEY_REUSED.because("this key has begun another refund")),
        }
    }

    async fn begin(&self, tx: &mut ActingTx, purpose: &str) -> Result<(Written, i64), Problem> {
        let told = tx.payment_told(self.payment).await?.ok_or(Kind::NOT_FOUND)?;
        let money = tx.money_of(self.payment).await?;
        let left = told.amount_received - money.facts.refunded() - money.untold;
        let amount = refundable(&told, left, money.facts.is_disputed(), self.amount)?;
        let user = told.user.unwrap_or_default();
        let wish = json!({
            "payment": self.payment, "asked": self.amount, "amount": amount, "reason": self.reason,
        });
        let plan = Plan {
            kind: IntentKind::Refund,
            user: &user,
            purpose,
            wish: &wish,
        };
        let write = |intent: &str| {
            Ok(Write::from(&CreateRefund {
                payment_intent: self.payment,
                amount,
                reason: self.reason,
                metadata: Metadata::from([(INTENT, intent.to_owned())]),
            }))
        };
        let intent = intend(tx, &plan, write).await?;
        tx.audit(AuditRow {
            action: "payment.refund",
            user: Some(&user).filter(|user| !user.is_empty()).map(String::as_str),
            subject: Some(self.payment),
            reason: self.note,
            detail: &json!({"amount": amount, "currency": told.currency, "reason": self.reason, "intent": intent.id()}),
        })
        .await?;
        Ok((intent, amount))
    }
}

/// What goes back: never more than is left.
fn refundable(told: &PaymentTold, left: i64, is_disputed: bool, asked: Option<i64>) -> Result<i64, Problem> {
    let refuse = |why: &str| Err(Kind::NOT_REFUNDABLE.because(why).with("refundable", left.max(0)));
    if told.status.as_deref() != Some("succeeded") {
        return refuse("it was not paid");
    }
    if is_disputed {
        return refuse("it is disputed: the bank decides whose money it is");
    }
    match asked {
        Some(amount) if amount < 1 => Err(Kind::INVALID.because("amount: 1 or more minor units")),
        _ if left < 1 => refuse("all of it was given back"),
        Some(amount) if amount > left => refuse("that is more than is left"),
        Some(amount) => Ok(amount),
        None => Ok(left),
    }
}

fn note(text: &str) -> Result<&str, Problem> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > NOTE_CHARS_MAX || text.contains('\0') {
        return Err(Kind::INVALID.because(format!("note: say why, in at most {NOTE_CHARS_MAX} characters")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_goes_back_than_is_left() {
        let told = |status: &str| PaymentTold {
            user: None,
            status: Some(status.to_owned()),
            amount: Some(1000),
            amount_received: 1000,
            currency: None,
            error: (None, None),
        };
        let paid = told("succeeded");
        let code = |told, left, disputed, asked| {
            refundable(told, left, disputed, asked).map_err(|problem| problem.code)
        };
        assert_eq!(code(&paid, 1000, false, None), Ok(1000));
        assert_eq!(code(&paid, 400, false, None), Ok(400));
        assert_eq!(code(&paid, 400, false, Some(400)), Ok(400));
        assert_eq!(code(&paid, 400, false, Some(401)), Err("not_refundable"));
        assert_eq!(code(&paid, 0, false, None), Err("not_refundable"));
        assert_eq!(code(&paid, -5, false, None), Err("not_refundable"));
        assert_eq!(code(&paid, 1000, true, None), Err("not_refundable"));
        assert_eq!(code(&paid, 1000, false, Some(0)), Err("invalid_request"));
        assert_eq!(
            code(&told("requires_payment_method"), 1000, false, None),
            Err("not_refundable")
        );
    }
}
