//! How far Stripe's list of events is covered, for staff.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use store::coverage::{HoleFilter, HoleState};
use store::samples::{Differing, Sampled};
use utoipa::{IntoParams, ToSchema};

use super::credits::limit;
use super::paging::{cursor, page};
use crate::app::App;
use crate::caller::Caller;
use crate::extract::Query;
use crate::problem::{Kind, Problem};

/// How far Stripe's list of events is covered. Times are unix seconds.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Coverage {
    /// Every event that happened up to then is settled here: applied, ignored with a reason, or set aside.
    covered_until: Option<i64>,
    /// Up to then Stripe's list was compared; what is missing is among the holes.
    looked_until: Option<i64>,
    /// Events that are missing and to be filled in.
    holes: i64,
    /// Events that are missing and that Stripe does not have any more.
    gone: i64,
    /// Why events arrive or do not: `quiet`, `flowing`, `endpoint_disabled`, `no_endpoint`, `answered_elsewhere`,
    /// `not_arriving`, `wrong_account`.
    #[schema(example = "flowing")]
    verdict: Option<String>,
    /// Since when that is so.
    verdict_since: Option<i64>,
    /// When the first event happened of those that did not arrive lately, while nothing else did.
    silent_since: Option<i64>,
    /// When the last of them happened.
    silent_until: Option<i64>,
    /// Stripe's account that is compared.
    stripe_account: Option<String>,
    /// When the last round ended well.
    compared_at: Option<i64>,
    /// Events that Stripe listed in it.
    listed: i64,
    /// Of these, those that waited for a worker.
    queued: i64,
    /// Of these, those that were set aside.
    parked: i64,
    /// Why the last round did not end well.
    last_error: Option<String>,
    /// When a sample of our objects was last compared with Stripe's.
    objects_compared_at: Option<i64>,
    /// Objects in that sample.
    objects_compared: i64,
    /// When every subscription that has not ended had had its turn.
    subscriptions_compared_at: Option<i64>,
    /// Objects that are not as Stripe has them though no event says so, and not mended.
    differing: i64,
}

impl Coverage {
    fn new(it: store::coverage::Coverage, sampled: Sampled) -> Self {
        Self {
            covered_until: it.covered_until,
            looked_until: it.looked_until,
            holes: it.holes,
            gone: it.gone,
            verdict: it.verdict,
            verdict_since: it.verdict_since,
            silent_since: it.silence.map(|silence| silence.since),
            silent_until: it.silence.map(|silence| silence.until),
            stripe_account: it.identity.map(|identity| identity.stripe_account),
            compared_at: it.round_at,
            listed: it.listed,
            queued: it.queued,
            parked: it.parked,
            last_error: it.last_error,
            objects_compared_at: sampled.sampled_at,
            objects_compared: sampled.compared,
            subscriptions_compared_at: sampled.living_lap_at,
            differing: sampled.differing,
        }
    }
}

/// Which holes.
#[derive(Debug, Deserialize, IntoParams)]
pub(crate) struct HolesQuery {
    /// Only those that are not filled.
    open: Option<bool>,
    /// Where an earlier page ended.
    after: Option<String>,
    /// Entries, 1 to 200; 50 when absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// Holes, those found last first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Holes {
    /// Those found last first.
    holes: Vec<Hole>,
    /// Hand it back as `after` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// An event that Stripe had and we had not. Times are unix seconds.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Hole {
    /// `evt_...`.
    event_id: String,
    /// Such as `invoice.paid`.
    r#type: String,
    /// When it happened.
    created: i64,
    /// When it was found missing.
    found_at: i64,
    /// How often it was put into the queue.
    tries: i32,
    /// Why it is still missing.
    last_error: Option<String>,
    /// Since when it is here.
    filled_at: Option<i64>,
    /// When Stripe did not have it any more.
    gone_at: Option<i64>,
}

impl From<store::coverage::Hole> for Hole {
    fn from(it: store::coverage::Hole) -> Self {
        Self {
            event_id: it.event_id,
            r#type: it.event_type,
            created: it.created,
            found_at: it.found_at,
            tries: it.tries,
            last_error: it.last_error,
            filled_at: it.filled_at,
            gone_at: it.gone_at,
        }
    }
}

/// Up to when every event of Stripe's is here
///
/// A worker with a key compares Stripe's list of events with what is here, and says why events arrive or do not.
#[utoipa::path(
    get, path = "/v1/admin/coverage", tag = "admin",
    responses(
        (status = OK, body = Coverage),
        (status = NOT_FOUND, body = Problem, content_type = "application/problem+json",
            description = "Nobody has compared anything yet"),
    )
)]
pub(crate) async fn coverage(State(app): State<App>, caller: Caller) -> Result<Json<Coverage>, Problem> {
    caller.require_admin()?;
    let mut tx = app.store.begin_as(&caller.0).await?;
    let found = tx.coverage().await?;
    let sampled = tx.sampled().await?;
    tx.commit().await?;
    Ok(Json(Coverage::new(found.ok_or(Kind::NOT_FOUND)?, sampled)))
}

/// Events that Stripe had and we had not, those found last first
///
/// Also those that were filled in since: what was ever missing stays known.
#[utoipa::path(
    get, path = "/v1/admin/coverage/holes", tag = "admin", params(HolesQuery),
    responses((status = OK, body = Holes))
)]
pub(crate) async fn holes(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<HolesQuery>,
) -> Result<Json<Holes>, Problem> {
    caller.require_admin()?;
    let limit = limit(query.limit)?;
    let filter = HoleFilter {
        account: &caller.0.account,
        states: match query.open {
            Some(true) => &HoleState::UNFILLED,
            Some(false) | None => &[],
        },
        after: cursor(query.after.as_deref())?,
        ..HoleFilter::default()
    };
    let mut tx = app.store.begin_as(&caller.0).await?;
    let rows = tx.holes(filter, limit + 1).await?;
    tx.commit().await?;
    let (rows, next) = page(rows, limit, |row| (row.found_at, &row.event_id));
    let holes = rows.into_iter().map(Hole::from).collect();
    Ok(Json(Holes { holes, next }))
}

/// Which differences.
#[derive(Debug, Deserialize, IntoParams)]
pub(crate) struct DifferencesQuery {
    /// Where an earlier page ended.
    after: Option<String>,
    /// Entries, 1 to 200; 50 when absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// Differences, those found last first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Differences {
    /// Those found last first.
    differences: Vec<Difference>,
    /// Hand it back as `after` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// An object that was not as Stripe had it though no event said so. Times are unix seconds.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Difference {
    /// Such as `subscription`.
    kind: String,
    /// The object's id.
    object_id: String,
    /// Whether Stripe does not have it any more.
    gone: bool,
    /// What differed, by name: columns of its table, and tables of its parts.
    #[schema(example = json!(["status"]))]
    members: Vec<String>,
    /// When it was found.
    found_at: i64,
    /// Since when it is as Stripe has it.
    settled_at: Option<i64>,
}

impl From<Differing> for Difference {
    fn from(it: Differing) -> Self {
        Self {
            kind: it.kind,
            object_id: it.object_id,
            gone: it.is_gone,
            members: it.members,
            found_at: it.found_at,
            settled_at: it.settled_at,
        }
    }
}

/// Objects that were not as Stripe had them though no event said so, those found last first
///
/// A worker compares a sample of all objects again and again. Also those that were mended since.
#[utoipa::path(
    get, path = "/v1/admin/coverage/differences", tag = "admin", params(DifferencesQuery),
    responses((status = OK, body = Differences))
)]
pub(crate) async fn differences(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<DifferencesQuery>,
) -> Result<Json<Differences>, Problem> {
    caller.require_admin()?;
    let limit = limit(query.limit)?;
    let before = cursor(query.after.as_deref())?.map(|(id, _)| id);
    let mut tx = app.store.begin_as(&caller.0).await?;
    let rows = tx.differences(before, limit + 1).await?;
    tx.commit().await?;
    let (rows, next) = page(rows, limit, |row| (row.id, &row.object_id));
    let differences = rows.into_iter().map(Difference::from).collect();
    Ok(Json(Differences { differences, next }))
}
