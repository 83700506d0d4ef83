//! What staff say a user's plan is, whatever Stripe says. See ADR 18.

use axum::extract::State;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::clock::Clock;
use shared::unique;
use store::api::{AuditRow, Corrected, NewCorrection, OfferKind, PlanCorrection, Withdrawn};
use utoipa::ToSchema;

use super::credits::{Page, limit, reason};
use super::paging::{TIME_MAX, cursor, page};
use crate::app::App;
use crate::caller::{Caller, checked_id};
use crate::extract::{Body, Path, Query, whole_or_none};
use crate::idempotency::IdempotencyKey;
use crate::problem::{Kind, Problem};

/// A plan, or that there is none: one of the two.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CorrectionRequest {
    /// A plan, by its name in the catalogue.
    #[schema(max_length = 100)]
    plan: Option<String>,
    /// `true`: no plan at all.
    #[serde(default)]
    no_plan: bool,
    /// When it is over, unix seconds, to the hour or so; without it, when it is withdrawn.
    #[serde(default, deserialize_with = "whole_or_none")]
    #[schema(minimum = 0, maximum = 253_402_300_799_i64)]
    until: Option<i64>,
    /// Why; kept with it and in the audit log.
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
}

/// Why a correction is withdrawn.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WithdrawalRequest {
    /// Why; kept with it and in the audit log.
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
}

/// A correction that was made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CorrectionMade {
    /// `cor_...`. The user's state names it as soon as it follows from it.
    id: String,
}

/// A correction that was withdrawn.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CorrectionWithdrawn {
    /// `cor_...`.
    id: String,
}

/// A user's corrections, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Corrections {
    /// The newest first.
    corrections: Vec<CorrectionLine>,
    /// Hand it back as `after` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// What somebody said a user's plan is. Times are unix seconds.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CorrectionLine {
    /// `cor_...`.
    id: String,
    /// The plan, by its name in the catalogue; absent: none at all.
    plan: Option<String>,
    /// What the catalogue named so then.
    price_id: Option<String>,
    /// When it is over; absent: when it is withdrawn.
    until: Option<i64>,
    /// Why.
    reason: String,
    /// Who said so.
    made_by: String,
    /// When.
    made_at: i64,
    /// Whether the user's state follows from it now.
    in_force: bool,
    /// When it ended, if it did.
    ended_at: Option<i64>,
    /// `withdrawn`, `replaced` or `over`.
    ended_how: Option<String>,
    /// Who withdrew or replaced it.
    ended_by: Option<String>,
    /// Why it was withdrawn.
    end_reason: Option<String>,
}

impl From<PlanCorrection> for CorrectionLine {
    fn from(it: PlanCorrection) -> Self {
        Self {
            id: it.id,
            plan: it.plan,
            price_id: it.price_id,
            until: it.until,
            reason: it.reason,
            made_by: it.made_by,
            made_at: it.made_at,
            in_force: it.in_force,
            ended_at: it.ended_at,
            ended_how: it.ended_how,
            ended_by: it.ended_by,
            end_reason: it.end_reason,
        }
    }
}

/// Corrects a user's plan
///
/// In place of what Stripe says, and of an earlier correction, until it is withdrawn or over; whatever events come.
/// Nothing changes at Stripe, and no credits come or go: those have adjustments. Once for each `Idempotency-Key`.
#[utoipa::path(
    post, path = "/v1/admin/users/{user}/plan-corrections", tag = "admin",
    params(("user" = String, Path, description = "The user's id")),
    request_body = CorrectionRequest,
    responses(
        (status = OK, body = CorrectionMade),
        (status = NOT_FOUND, body = Problem, content_type = "application/problem+json",
            description = "`unknown_offer`: the catalogue has no such plan"),
    )
)]
pub(crate) async fn correct_plan(
    State(app): State<App>,
    caller: Caller,
    Extension(key): Extension<IdempotencyKey>,
    Path(user): Path<String>,
    Body(request): Body<CorrectionRequest>,
) -> Result<Json<CorrectionMade>, Problem> {
    caller.require_admin()?;
    let user = caller.user(&user)?;
    let reason = required(&request.reason)?;
    let plan = wanted(&request)?;
    checked_until(request.until, Clock::system().unix_seconds())?;
    let mut tx = app.store.begin_as(&caller.0).await?;
    let sold = match plan {
        Some(name) => tx.sold(name).await?.filter(|sold| sold.kind == OfferKind::Plan),
        None => None,
    };
    if plan.is_some() && sold.is_none() {
        return Err(Kind::UNKNOWN_OFFER.because("the catalogue has no plan of that name"));
    }
    let id = format!("cor_{}", unique::word());
    let made = tx
        .correct_plan(NewCorrection {
            id: &id,
            key: &key.of(&caller.0),
            user,
            plan: sold
                .as_ref()
                .map(|sold| (sold.name.as_str(), sold.price_id.as_str())),
            until: request.until,
            reason,
        })
        .await?;
    if let Corrected::Repeated(id) = made {
        return Ok(Json(CorrectionMade { id }));
    }
    tx.audit(AuditRow {
        action: "plan.correct",
        user: Some(user),
        subject: Some(&id),
        reason,
        detail: &json!({"plan": plan, "until": request.until}),
    })
    .await?;
    tx.commit().await?;
    Ok(Json(CorrectionMade { id }))
}

/// Withdraws a correction: what Stripe says counts again
#[utoipa::path(
    post, path = "/v1/admin/users/{user}/plan-corrections/{correction}/withdraw", tag = "admin",
    params(
        ("user" = String, Path, description = "The user's id"),
        ("correction" = String, Path, description = "`cor_...`"),
    ),
    request_body = WithdrawalRequest,
    responses(
        (status = OK, body = CorrectionWithdrawn),
        (status = NOT_FOUND, body = Problem, content_type = "application/problem+json",
            description = "This user has no such correction"),
        (status = CONFLICT, body = Problem, content_type = "application/problem+json",
            description = "`conflict`: it is over; or the same request is being carried out"),
    )
)]
pub(crate) async fn withdraw_correction(
    State(app): State<App>,
    caller: Caller,
    Path((user, correction)): Path<(String, String)>,
    Body(request): Body<WithdrawalRequest>,
) -> Result<Json<CorrectionWithdrawn>, Problem> {
    caller.require_admin()?;
    let user = caller.user(&user)?;
    let id = checked_id(&correction)?;
    let reason = required(&request.reason)?;
    let mut tx = app.store.begin_as(&caller.0).await?;
    match tx.withdraw_correction(user, id, reason).await? {
        Withdrawn::Done => {
            tx.audit(AuditRow {
                action: "plan.withdraw",
                user: Some(user),
                subject: Some(id),
                reason,
                detail: &json!({}),
            })
            .await?;
            tx.commit().await?;
        }
        Withdrawn::Repeated => {}
        Withdrawn::Over => return Err(Kind::CONFLICT.because("it is over, or another took its place")),
        Withdrawn::Unknown => return Err(Kind::NOT_FOUND.into()),
    }
    Ok(Json(CorrectionWithdrawn { id: id.to_owned() }))
}

/// A user's corrections, the newest first
#[utoipa::path(
    get, path = "/v1/admin/users/{user}/plan-corrections", tag = "admin",
    params(("user" = String, Path, description = "The user's id"), Page),
    responses((status = OK, body = Corrections))
)]
pub(crate) async fn corrections(
    State(app): State<App>,
    caller: Caller,
    Path(user): Path<String>,
    Query(asked): Query<Page>,
) -> Result<Json<Corrections>, Problem> {
    caller.require_admin()?;
    let user = caller.user(&user)?;
    let limit = limit(asked.limit)?;
    let after = cursor(asked.after.as_deref())?;
    let mut tx = app.store.begin_as(&caller.0).await?;
    let rows = tx.corrections_of(user, after, limit + 1).await?;
    tx.commit().await?;
    let (rows, next) = page(rows, limit, |row| (row.made_at, &row.id));
    let corrections = rows.into_iter().map(CorrectionLine::from).collect();
    Ok(Json(Corrections { corrections, next }))
}

/// A reason that has to be there.
pub(crate) fn required(text: &str) -> Result<&str, Problem> {
    reason(Some(text))?.ok_or_else(|| Kind::INVALID.because("reason: say why"))
}

/// The plan's name, or that there is none.
fn wanted(request: &CorrectionRequest) -> Result<Option<&str>, Problem> {
    match (&request.plan, request.no_plan) {
        (Some(name), false) if !name.contains('\0') => Ok(Some(name)),
        (None, true) => Ok(None),
        _ => Err(Kind::INVALID.because("say a plan, or no_plan: true")),
    }
}

fn checked_until(until: Option<i64>, now: i64) -> Result<(), Problem> {
    match until {
        Some(at) if at <= now || at > TIME_MAX => {
            Err(Kind::INVALID.because("until: unix seconds, and in the future"))
        }
        _ => Ok(()),
    }
}
