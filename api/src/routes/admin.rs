//! What staff see and correct.

use axum::extract::State;
use axum::{Extension, Json};
use domain::credits::Owner;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::api::{Actor, Adjusted, AuditRow, Deed, UserEvent, UserFilter, UserLine};
use utoipa::{IntoParams, ToSchema};

use super::corrections::required;
use super::credits::{CreditHistory, Page, SPEND_MAX, history_page, limit};
use super::paging::{cursor, cut, page};
use super::state::SubscriptionState;
use crate::app::App;
use crate::caller::{Caller, checked_id};
use crate::extract::{Body, Path, Query, whole};
use crate::idempotency::IdempotencyKey;
use crate::problem::{Kind, Problem};
use crate::state::state_of;

/// Which users.
#[derive(Debug, Deserialize, IntoParams)]
pub(crate) struct UsersQuery {
    /// Only those in this state.
    state: Option<String>,
    /// Only the one with this id, or those with this email address.
    search: Option<String>,
    /// The last id of an earlier page.
    after: Option<String>,
    /// Entries, 1 to 200; 50 when absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// Users, by id.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Users {
    users: Vec<User>,
    /// Hand it back as `after` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A user.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct User {
    /// Their id.
    id: String,
    /// The newest known.
    email: Option<String>,
    /// Best of all subscriptions.
    state: String,
    /// Whether a subscription includes credits now.
    entitled: bool,
    /// Their own credits.
    balance: i64,
}

impl From<UserLine> for User {
    fn from(it: UserLine) -> Self {
        Self {
            id: it.id,
            email: it.email,
            state: it.state,
            entitled: it.entitled,
            balance: it.balance,
        }
    }
}

/// A correction.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdjustmentRequest {
    /// Credits to give, or to take when below zero; never 0.
    #[serde(deserialize_with = "whole")]
    #[schema(minimum = -1_000_000_000, maximum = 1_000_000_000)]
    credits: i64,
    /// Why; kept in the ledger and in the audit log.
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
}

/// What came of a correction.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Adjustment {
    /// The user's own credits now.
    balance: i64,
}

/// Which events of a user.
#[derive(Debug, Deserialize, IntoParams)]
pub(crate) struct EventsQuery {
    /// Where an earlier page ended.
    after: Option<String>,
    /// Entries, 1 to 200; 50 when absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// Events, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserEvents {
    events: Vec<EventLine>,
    /// Hand it back as `after` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// An event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventLine {
    /// `evt_...`.
    id: String,
    /// Stripe's type.
    #[serde(rename = "type")]
    event_type: String,
    /// What it is about.
    object_id: Option<String>,
    /// When it happened, unix seconds.
    created: i64,
    /// When it was accepted, unix milliseconds.
    received_at_ms: i64,
    /// `applied`, `ignored` or `parked`.
    status: String,
    /// Why ignored or parked.
    reason: Option<String>,
}

impl From<UserEvent> for EventLine {
    fn from(it: UserEvent) -> Self {
        Self {
            id: it.id,
            event_type: it.event_type,
            object_id: it.object_id,
            created: it.created,
            received_at_ms: it.received_at_ms,
            status: it.status,
            reason: it.reason,
        }
    }
}

/// Which deeds.
#[derive(Debug, Deserialize, IntoParams)]
pub(crate) struct AuditQuery {
    /// Only those that concern this user.
    user: Option<String>,
    /// The last id of an earlier page.
    before: Option<i64>,
    /// Entries, 1 to 200; 50 when absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// Deeds, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditLog {
    deeds: Vec<DeedLine>,
}

/// What somebody did with their power, and why.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeedLine {
    /// Names it; later ones are larger.
    id: i64,
    /// Who did it.
    actor: String,
    /// What they were.
    role: String,
    /// What they did.
    action: String,
    /// Whom it concerns.
    user_id: Option<String>,
    /// What it concerns.
    subject: Option<String>,
    /// Why.
    reason: String,
    /// More.
    #[schema(value_type = Object)]
    detail: Value,
    /// Unix seconds.
    created_at: i64,
}

impl From<Deed> for DeedLine {
    fn from(it: Deed) -> Self {
        Self {
            id: it.id,
            actor: it.actor,
            role: it.role,
            action: it.action,
            user_id: it.user,
            subject: it.subject,
            reason: it.reason,
            detail: serde_json::from_str(&it.detail).unwrap_or(Value::Null),
            created_at: it.created_at,
        }
    }
}

/// Users with their billing state
#[utoipa::path(get, path = "/v1/admin/users", tag = "admin", params(UsersQuery), responses((status = OK, body = Users)))]
pub(crate) async fn users(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<UsersQuery>,
) -> Result<Json<Users>, Problem> {
    caller.require_admin()?;
    let limit = limit(query.limit)?;
    for text in [&query.state, &query.search, &query.after].into_iter().flatten() {
        checked_id(text)?;
    }
    let filter = UserFilter {
        state: query.state.as_deref(),
        search: query.search.as_deref(),
        after: query.after.as_deref(),
    };
    let mut tx = app.store.begin_as(&caller.0).await?;
    let lines = tx.users(&filter, limit + 1).await?;
    tx.commit().await?;
    let (lines, next) = cut(lines, limit, |line| line.id.clone());
    Ok(Json(Users {
        next,
        users: lines.into_iter().map(User::from).collect(),
    }))
}

/// A user's subscription state
#[utoipa::path(
    get, path = "/v1/admin/users/{user}", tag = "admin",
    params(("user" = String, Path, description = "The user's id")),
    responses((status = OK, body = SubscriptionState))
)]
pub(crate) async fn user(
    State(app): State<App>,
    caller: Caller,
    Path(user): Path<String>,
) -> Result<Json<SubscriptionState>, Problem> {
    caller.require_admin()?;
    Ok(Json(state_of(&app, &caller.0, caller.user(&user)?).await?))
}

/// What happened to a user's credits
#[utoipa::path(
    get, path = "/v1/admin/users/{user}/ledger", tag = "admin",
    params(("user" = String, Path, description = "The user's id"), Page),
    responses((status = OK, body = CreditHistory))
)]
pub(crate) async fn user_ledger(
    State(app): State<App>,
    caller: Caller,
    Path(user): Path<String>,
    Query(page): Query<Page>,
) -> Result<Json<CreditHistory>, Problem> {
    caller.require_admin()?;
    let owner = Owner::User(caller.user(&user)?.to_owned());
    history_page(&app, &caller.0, &owner, page).await
}

/// Events about anything of a user's, the newest first
#[utoipa::path(
    get, path = "/v1/admin/users/{user}/events", tag = "admin",
    params(("user" = String, Path, description = "The user's id"), EventsQuery),
    responses((status = OK, body = UserEvents))
)]
pub(crate) async fn user_events(
    State(app): State<App>,
    caller: Caller,
    Path(user): Path<String>,
    Query(query): Query<EventsQuery>,
) -> Result<Json<UserEvents>, Problem> {
    caller.require_admin()?;
    let user = caller.user(&user)?;
    let limit = limit(query.limit)?;
    let after = cursor(query.after.as_deref())?;
    let mut tx = app.store.begin_as(&caller.0).await?;
    let events = tx.events_of(user, after, limit + 1).await?;
    tx.commit().await?;
    let (events, next) = page(events, limit, |event| (event.created, &event.id));
    Ok(Json(UserEvents {
        next,
        events: events.into_iter().map(EventLine::from).collect(),
    }))
}

/// Corrects a user's credits
///
/// Once for each `Idempotency-Key`, for ever. Never takes a balance below zero.
#[utoipa::path(
    post, path = "/v1/admin/users/{user}/adjustments", tag = "admin",
    params(("user" = String, Path, description = "The user's id")),
    request_body = AdjustmentRequest,
    responses((status = OK, body = Adjustment))
)]
pub(crate) async fn adjust(
    State(app): State<App>,
    caller: Caller,
    Extension(key): Extension<IdempotencyKey>,
    Path(user): Path<String>,
    Body(request): Body<AdjustmentRequest>,
) -> Result<Json<Adjustment>, Problem> {
    caller.require_admin()?;
    let user = caller.user(&user)?;
    let wanted = Adjust {
        user,
        credits: checked_credits(request.credits)?,
        reason: required(&request.reason)?,
        key: &key.0,
    };
    let balance = adjust_credits(&app, &caller.0, &wanted).await?;
    Ok(Json(Adjustment { balance }))
}

/// A correction of a user's credits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Adjust<'a> {
    /// Whose.
    pub user: &'a str,
    /// See [`checked_credits`].
    pub credits: i64,
    /// Why.
    pub reason: &'a str,
    /// Of the actor's own: the same again corrects nothing.
    pub key: &'a str,
}

/// Credits that a correction may give or take.
pub(crate) fn checked_credits(credits: i64) -> Result<i64, Problem> {
    if credits == 0 || !(-SPEND_MAX..=SPEND_MAX).contains(&credits) {
        return Err(Kind::INVALID.because(format!("credits: {} to {SPEND_MAX}, and not 0", -SPEND_MAX)));
    }
    Ok(credits)
}

/// Corrects a user's credits, and says so in the audit log. Returns the balance.
pub(crate) async fn adjust_credits(app: &App, actor: &Actor, wanted: &Adjust<'_>) -> Result<i64, Problem> {
    let Adjust {
        user,
        credits,
        reason,
        ..
    } = *wanted;
    let key = format!("{}:{}", actor.subject, wanted.key);
    let mut tx = app.store.begin_as(actor).await?;
    let balance = match tx.adjust(user, credits, &key, reason).await? {
        Adjusted::Done { balance } => balance,
        Adjusted::Repeated { balance } => return Ok(balance),
        Adjusted::Conflict => return Err(Kind::KEY_REUSED.because("this key has made another correction")),
        Adjusted::BelowZero { balance } => {
            return Err(Kind::CONFLICT
                .because("it would take the balance below zero")
                .with("balance", balance));
        }
    };
    tx.audit(AuditRow {
        action: "credits.adjust",
        user: Some(user),
        subject: None,
        reason,
        detail: &json!({"credits": credits}),
    })
    .await?;
    tx.commit().await?;
    Ok(balance)
}

/// What people did with their power, the newest first
#[utoipa::path(get, path = "/v1/admin/audit-log", tag = "admin", params(AuditQuery), responses((status = OK, body = AuditLog)))]
pub(crate) async fn audit_log(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<AuditQuery>,
) -> Result<Json<AuditLog>, Problem> {
    caller.require_admin()?;
    let limit = limit(query.limit)?;
    let user = query.user.as_deref().map(checked_id).transpose()?;
    let mut tx = app.store.begin_as(&caller.0).await?;
    let deeds = tx.deeds(user, query.before, limit).await?;
    tx.commit().await?;
    Ok(Json(AuditLog {
        deeds: deeds.into_iter().map(DeedLine::from).collect(),
    }))
}
