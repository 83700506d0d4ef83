//! Credits for work that may fail: reserved before it begins, committed or released after it.

use axum::extract::State;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use store::Spend;
use store::api::{Actor, Reservation, Reserve, Settled, Settlement};
use utoipa::ToSchema;

use super::credits::{SPEND_MAX, reason, refused};
use crate::app::App;
use crate::caller::Caller;
use crate::deeds::{Deed, by_staff};
use crate::extract::{Body, Path, whole, whole_or_none};
use crate::idempotency::IdempotencyKey;
use crate::problem::{Kind, Problem};

/// How long a reservation stays open unless said otherwise, seconds.
const OPEN_FOR: i64 = 15 * 60;
/// Longest it may, seconds.
const OPEN_MAX: i64 = 7 * 24 * 60 * 60;
/// Letters of a hash in an id: as many as make two of them differ.
const ID_LETTERS: usize = 32;

/// Credits to reserve.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReservationRequest {
    /// How many.
    #[serde(deserialize_with = "whole")]
    #[schema(minimum = 1, maximum = 1_000_000_000)]
    credits: i64,
    /// What for; shown in the history.
    #[schema(max_length = 500)]
    reason: Option<String>,
    /// After so many seconds everything goes back; 900 when absent.
    #[serde(default, deserialize_with = "whole_or_none")]
    #[schema(minimum = 1, maximum = 604_800)]
    expires_in_seconds: Option<i64>,
}

/// What was used of a reservation.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CommitRequest {
    /// Credits that were used; all when absent. The others go back.
    #[serde(default, deserialize_with = "whole_or_none")]
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    credits: Option<i64>,
}

/// Nothing more is needed.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReleaseRequest {}

/// A reservation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReservationAnswer {
    /// `rsv_...`.
    id: String,
    /// Whose credits.
    user_id: String,
    /// `open`, `committed`, `released` or `expired`.
    status: String,
    /// Credits that were taken.
    credits: i64,
    /// Credits that were used, once it is settled; the others went back.
    used: Option<i64>,
    /// What for.
    reason: Option<String>,
    /// Until when it may be settled, unix seconds.
    expires_at: i64,
    /// Unix seconds.
    created_at: i64,
}

impl From<Reservation> for ReservationAnswer {
    fn from(it: Reservation) -> Self {
        Self {
            id: it.id,
            user_id: it.user,
            status: it.status,
            credits: it.credits,
            used: it.used,
            reason: it.reason,
            expires_at: it.expires_at,
            created_at: it.created_at,
        }
    }
}

/// Reserves credits of a user
///
/// They are taken at once, the user's own first, then their teams'; nobody else can spend them. Commit or release the
/// reservation; after its time everything goes back by itself. For the application.
#[utoipa::path(
    post, path = "/v1/users/{user}/credits/reservations", tag = "credits",
    params(("user" = String, Path, description = "The user's id")),
    request_body = ReservationRequest,
    responses((status = OK, body = ReservationAnswer), (status = PAYMENT_REQUIRED, body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn reserve(
    State(app): State<App>,
    caller: Caller,
    Extension(key): Extension<IdempotencyKey>,
    Path(user): Path<String>,
    Body(request): Body<ReservationRequest>,
) -> Result<Json<ReservationAnswer>, Problem> {
    caller.require_service()?;
    let user = caller.user(&user)?;
    let seconds = request.expires_in_seconds.unwrap_or(OPEN_FOR);
    if !(1..=SPEND_MAX).contains(&request.credits) {
        return Err(Kind::INVALID.because(format!("credits: 1 to {SPEND_MAX}")));
    }
    if !(1..=OPEN_MAX).contains(&seconds) {
        return Err(Kind::INVALID.because(format!("expires_in_seconds: 1 to {OPEN_MAX}")));
    }
    let id = id_for(&caller.0, &key);
    let reserve = Reserve {
        id: &id,
        user,
        credits: request.credits,
        reason: reason(request.reason.as_deref())?,
        seconds,
    };
    let mut tx = app.store.begin_as(&caller.0).await?;
    let outcome = tx.reserve(reserve).await?;
    refused(outcome, request.credits)?;
    if matches!(outcome, Spend::Spent { .. }) {
        let deed = Deed {
            action: "credits.reserve",
            user: Some(user),
            subject: Some(&id),
            why: reserve.reason,
            detail: &json!({"credits": request.credits}),
        };
        by_staff(&mut tx, deed).await?;
    }
    let reservation = tx.reservation(user, &id).await?;
    tx.commit().await?;
    found(reservation)
}

/// A reservation
#[utoipa::path(
    get, path = "/v1/users/{user}/credits/reservations/{id}", tag = "credits",
    params(("user" = String, Path, description = "The user's id, or `me`"), ("id" = String, Path, description = "`rsv_...`")),
    responses((status = OK, body = ReservationAnswer), (status = NOT_FOUND, body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn reservation(
    State(app): State<App>,
    caller: Caller,
    Path((user, id)): Path<(String, String)>,
) -> Result<Json<ReservationAnswer>, Problem> {
    let user = caller.user(&user)?;
    let mut tx = app.store.begin_as(&caller.0).await?;
    let reservation = tx.reservation(user, &named(&id)?).await?;
    tx.commit().await?;
    found(reservation)
}

/// Commits a reservation
///
/// The work was done. What was reserved and not used goes back. Once; the same again answers the same.
#[utoipa::path(
    post, path = "/v1/users/{user}/credits/reservations/{id}/commit", tag = "credits",
    params(("user" = String, Path, description = "The user's id"), ("id" = String, Path, description = "`rsv_...`")),
    request_body = CommitRequest,
    responses((status = OK, body = ReservationAnswer), (status = NOT_FOUND, body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn commit(
    State(app): State<App>,
    caller: Caller,
    Path((user, id)): Path<(String, String)>,
    Body(request): Body<CommitRequest>,
) -> Result<Json<ReservationAnswer>, Problem> {
    settle(&app, &caller, &user, &id, |it| {
        let used = request.credits.unwrap_or(it.credits);
        if !(0..=it.credits).contains(&used) {
            return Err(Kind::INVALID.because(format!("credits: 0 to {}, which were reserved", it.credits)));
        }
        Ok(Settlement::Committed(used))
    })
    .await
}

/// Releases a reservation
///
/// The work was not done: everything goes back. Once; the same again answers the same.
#[utoipa::path(
    post, path = "/v1/users/{user}/credits/reservations/{id}/release", tag = "credits",
    params(("user" = String, Path, description = "The user's id"), ("id" = String, Path, description = "`rsv_...`")),
    request_body = ReleaseRequest,
    responses((status = OK, body = ReservationAnswer), (status = NOT_FOUND, body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn release(
    State(app): State<App>,
    caller: Caller,
    Path((user, id)): Path<(String, String)>,
    Body(request): Body<ReleaseRequest>,
) -> Result<Json<ReservationAnswer>, Problem> {
    let ReleaseRequest {} = request;
    settle(&app, &caller, &user, &id, |_| Ok(Settlement::Released)).await
}

/// Ends a reservation as `how` says of it.
async fn settle(
    app: &App,
    caller: &Caller,
    user: &str,
    id: &str,
    how: impl FnOnce(&Reservation) -> Result<Settlement, Problem>,
) -> Result<Json<ReservationAnswer>, Problem> {
    caller.require_service()?;
    let (user, id) = (caller.user(user)?, named(id)?);
    let mut tx = app.store.begin_as(&caller.0).await?;
    let Some(it) = tx.reservation(user, &id).await? else {
        return Err(Kind::NOT_FOUND.into());
    };
    let settled = tx.settle(user, &id, how(&it)?).await?;
    let reservation = tx.reservation(user, &id).await?;
    if settled == Settled::Done {
        let deed = Deed {
            action: "credits.settle",
            user: Some(user),
            subject: Some(&id),
            why: None,
            detail: &json!({"status": reservation.as_ref().map(|it| &it.status)}),
        };
        by_staff(&mut tx, deed).await?;
    }
    tx.commit().await?;
    match settled {
        Settled::Done | Settled::Repeated => found(reservation),
        Settled::Unknown => Err(Kind::NOT_FOUND.into()),
        Settled::TooMany => Err(Kind::INVALID.because("more than were reserved")),
        Settled::Conflict => {
            let status = reservation.map_or_else(String::new, |it| it.status);
            Err(Kind::CONFLICT
                .because(format!("the reservation is {status} already"))
                .with("reservation_status", status))
        }
    }
}

fn found(reservation: Option<Reservation>) -> Result<Json<ReservationAnswer>, Problem> {
    reservation
        .map(|it| Json(it.into()))
        .ok_or_else(|| Kind::NOT_FOUND.into())
}

/// The same request always makes the same reservation.
fn id_for(actor: &Actor, key: &IdempotencyKey) -> String {
    let hash = Sha256::digest(format!("{}:{}:{}", actor.role.as_str(), actor.subject, key.0));
    let letters: String = hash
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .take(ID_LETTERS / 2)
        .collect();
    format!("rsv_{letters}")
}

/// What cannot be an id is none of ours.
fn named(id: &str) -> Result<String, Problem> {
    let is_usable = id.len() <= 4 + ID_LETTERS
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_usable {
        Ok(id.to_owned())
    } else {
        Err(Kind::NOT_FOUND.into())
    }
}
