//! Credits: what there is, what happened, and spending.

use axum::extract::State;
use axum::{Extension, Json};
use domain::credits::Owner;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::api::Actor;
use store::{Balance, History, HistoryCursor, Spend};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::caller::Caller;
use crate::deeds::{Deed, by_staff};
use crate::extract::{Body, Path, Query, whole};
use crate::idempotency::IdempotencyKey;
use crate::meters;
use crate::problem::{Kind, Problem};

/// Most credits spent at once.
pub(crate) const SPEND_MAX: i64 = 1_000_000_000;
/// Longest reason, characters.
const REASON_CHARS_MAX: usize = 500;
/// Entries of a page, unless asked for otherwise.
pub(crate) const PAGE_DEFAULT: u32 = 50;
/// Most entries of a page.
const PAGE_MAX: u32 = 200;

/// What a user can spend.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Credits {
    /// Whose it is.
    pub user_id: String,
    /// What can be spent now; 0 while the user's own balance is below zero.
    pub available: i64,
    /// The user's own credits; below zero when some were taken back after they were spent.
    pub balance: i64,
    /// Credits of the user's teams.
    pub teams: Vec<TeamCredits>,
}

/// A team's credits.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TeamCredits {
    /// The team.
    pub team_id: String,
    /// What it has.
    pub balance: i64,
}

/// A page of what happened to credits, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CreditHistory {
    /// The newest first.
    pub entries: Vec<CreditEntry>,
    /// Hand it back as `after` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Something that happened to credits.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CreditEntry {
    /// Names it.
    pub id: i64,
    /// `grant`, `topup`, `free`, `refund`, `dispute`, `spend`, `expire` or `adjust`.
    pub kind: String,
    /// Credits that came, or went when below zero.
    pub credits: i64,
    /// The balance after it.
    pub balance: i64,
    /// What was paid: `invoice`, `checkout.session` or `payment_intent`.
    pub source_kind: Option<String>,
    /// Its id at Stripe.
    pub source_id: Option<String>,
    /// What was said about it.
    pub reason: Option<String>,
    /// Until when credits that came can be spent, unix seconds.
    pub expires_at: Option<i64>,
    /// Unix seconds.
    pub created_at: i64,
}

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
pub(crate) struct Page {
    /// Where an earlier page ended.
    pub(super) after: Option<String>,
    /// Entries, 1 to 200; 50 when absent.
    #[param(minimum = 1, maximum = 200)]
    pub(super) limit: Option<u32>,
}

/// Credits to spend.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SpendRequest {
    /// How many.
    #[serde(deserialize_with = "whole")]
    #[schema(minimum = 1, maximum = 1_000_000_000)]
    credits: i64,
    /// What for; shown in the history.
    #[schema(max_length = 500)]
    reason: Option<String>,
}

/// What is left.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SpendAnswer {
    /// How many were spent.
    pub spent: i64,
    /// What can be spent now.
    pub available: i64,
}

/// What a user can spend
#[utoipa::path(
    get, path = "/v1/users/{user}/credits", tag = "credits",
    params(("user" = String, Path, description = "The user's id, or `me`")),
    responses((status = OK, body = Credits))
)]
pub(crate) async fn credits(
    State(app): State<App>,
    caller: Caller,
    Path(user): Path<String>,
) -> Result<Json<Credits>, Problem> {
    let user = caller.user(&user)?;
    let mut tx = app.store.begin_as(&caller.0).await?;
    let balance = tx.balance_of(user).await?;
    tx.commit().await?;
    Ok(Json(shown(user, balance)))
}

fn shown(user: &str, balance: Balance) -> Credits {
    Credits {
        user_id: user.to_owned(),
        available: balance.available(),
        balance: balance.own,
        teams: balance
            .teams
            .into_iter()
            .map(|(team_id, balance)| TeamCredits { team_id, balance })
            .collect(),
    }
}

/// What happened to a user's own credits
#[utoipa::path(
    get, path = "/v1/users/{user}/credits/history", tag = "credits",
    params(("user" = String, Path, description = "The user's id, or `me`"), Page),
    responses((status = OK, body = CreditHistory))
)]
pub(crate) async fn credit_history(
    State(app): State<App>,
    caller: Caller,
    Path(user): Path<String>,
    Query(page): Query<Page>,
) -> Result<Json<CreditHistory>, Problem> {
    let user = caller.user(&user)?;
    let owner = Owner::User(user.to_owned());
    history_page(&app, &caller.0, &owner, page).await
}

/// A page of an owner's history, as far as the actor may see it.
pub(crate) async fn history_page(
    app: &App,
    actor: &Actor,
    owner: &Owner,
    page: Page,
) -> Result<Json<CreditHistory>, Problem> {
    let after: Option<HistoryCursor> = match page.after.map(|text| text.parse()) {
        None => None,
        Some(Ok(cursor)) => Some(cursor),
        Some(Err(reason)) => return Err(Kind::INVALID.because(format!("after: {reason}"))),
    };
    let limit = limit(page.limit)?;
    let mut tx = app.store.begin_as(actor).await?;
    let history = tx.history(owner, after, limit).await?;
    tx.commit().await?;
    Ok(Json(history_shown(history)))
}

/// Entries of a page.
pub(crate) fn limit(asked: Option<u32>) -> Result<u32, Problem> {
    let limit = asked.unwrap_or(PAGE_DEFAULT);
    if (1..=PAGE_MAX).contains(&limit) {
        return Ok(limit);
    }
    Err(Kind::INVALID.because(format!("limit: 1 to {PAGE_MAX}")))
}

fn history_shown(history: History) -> CreditHistory {
    CreditHistory {
        next: history.next.map(|cursor| cursor.to_string()),
        entries: history
            .entries
            .into_iter()
            .map(|entry| CreditEntry {
                id: entry.transfer_id,
                kind: entry.kind,
                credits: entry.credits,
                balance: entry.balance,
                source_kind: entry.source_kind,
                source_id: entry.source_id,
                reason: entry.reason,
                expires_at: entry.expires_at,
                created_at: entry.created_at,
            })
            .collect(),
    }
}

/// Spends credits of a user
///
/// The user's own first, then their teams': all or nothing, and once for each `Idempotency-Key`, for ever. For the
/// application; users cannot spend by themselves.
#[utoipa::path(
    post, path = "/v1/users/{user}/credits/spend", tag = "credits",
    params(("user" = String, Path, description = "The user's id")),
    request_body = SpendRequest,
    responses((status = OK, body = SpendAnswer), (status = PAYMENT_REQUIRED, body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn spend(
    State(app): State<App>,
    caller: Caller,
    Extension(key): Extension<IdempotencyKey>,
    Path(user): Path<String>,
    Body(request): Body<SpendRequest>,
) -> Result<Json<SpendAnswer>, Problem> {
    caller.require_service()?;
    let user = caller.user(&user)?;
    if !(1..=SPEND_MAX).contains(&request.credits) {
        return Err(Kind::INVALID.because(format!("credits: 1 to {SPEND_MAX}")));
    }
    let reason = reason(request.reason.as_deref())?;
    let mut tx = app.store.begin_as(&caller.0).await?;
    let key = spend_key(&caller.0, &key);
    let outcome = tx.spend(user, request.credits, &key, reason).await?;
    if matches!(outcome, Spend::Spent { .. }) {
        let deed = Deed {
            action: "credits.spend",
            user: Some(user),
            subject: None,
            why: reason,
            detail: &json!({"credits": request.credits}),
        };
        by_staff(&mut tx, deed).await?;
    }
    tx.commit().await?;
    let available = refused(outcome, request.credits)?;
    Ok(Json(SpendAnswer {
        spent: request.credits,
        available,
    }))
}

/// Two applications may choose the same key.
fn spend_key(actor: &Actor, key: &IdempotencyKey) -> String {
    format!("{}:{}", actor.subject, key.0)
}

/// A reason people gave, when it is one that can be kept.
pub(crate) fn reason(text: Option<&str>) -> Result<Option<&str>, Problem> {
    match text.map(str::trim) {
        Some(text) if text.chars().count() > REASON_CHARS_MAX || text.contains('\0') => Err(Kind::INVALID
            .because(format!(
                "reason: at most {REASON_CHARS_MAX} characters, and no NUL"
            ))),
        Some("") | None => Ok(None),
        Some(text) => Ok(Some(text)),
    }
}

/// What can be spent now, or why nothing was taken; either is counted.
pub(crate) fn refused(outcome: Spend, credits: i64) -> Result<i64, Problem> {
    match outcome {
        Spend::Spent { available } => {
            meters::consumed(credits);
            Ok(available)
        }
        Spend::Repeated { available } => Ok(available),
        Spend::Conflict => {
            Err(Kind::KEY_REUSED.because("this key has taken another amount, or from another user"))
        }
        Spend::Insufficient { available } => {
            meters::rejected("insufficient", credits);
            Err(Kind::INSUFFICIENT
                .because("buy credits, or spend fewer")
                .with("available", available)
                .with("missing", credits - available))
        }
        Spend::Owing { balance } => {
            meters::rejected("owing", credits);
            Err(Kind::OWING
                .because("credits were refunded after they were spent")
                .with("balance", balance)
                .with("missing", credits.saturating_sub(balance)))
        }
    }
}
