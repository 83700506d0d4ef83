//! One customer, asked of Stripe anew. The API writes down that somebody wants it; workers ask.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::unique;
use store::NewResync;
use store::api::Actor;
use utoipa::ToSchema;

use super::checkout::stripe_id;
use super::corrections::required;
use crate::app::App;
use crate::caller::{Caller, checked_id};
use crate::extract::{Body, Path};
use crate::idempotency::IdempotencyKey;
use crate::problem::{Kind, Problem};

/// Why a customer is to be asked for anew.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResyncRequest {
    /// Why; kept with it and in the audit log.
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
}

/// A resync that was begun.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ResyncBegun {
    /// `rsy_...`. `/v1/admin/resyncs/` and this says how far it is.
    id: String,
}

/// How far a resync is. Times are unix seconds.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Resync {
    /// `rsy_...`.
    id: String,
    /// `cus_...`.
    customer_id: String,
    /// Why.
    reason: String,
    /// Who wanted it.
    made_by: String,
    /// When.
    made_at: i64,
    /// `waiting`: for a worker with a key of Stripe's API; `running`; `over`.
    #[schema(example = "running")]
    state: String,
    /// Questions to Stripe so far; answers raise more of them.
    asked: i64,
    /// Of these, answered.
    done: i64,
    /// Of these, those that nobody asks any more; `trouble` says why.
    given_up: i64,
    /// Objects that Stripe showed.
    objects: i64,
    /// Of these, those that were not as we had them.
    changed: i64,
    /// When the last question was settled, once it is over.
    over_at: Option<i64>,
    /// Why questions were given up; a few of them.
    trouble: Vec<ResyncTrouble>,
}

/// A question that nobody asks any more.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ResyncTrouble {
    /// Stripe's name of what was asked for.
    kind: String,
    /// Its id, or whose it is.
    id: String,
    /// What went wrong.
    error: String,
}

impl From<store::Resync> for Resync {
    fn from(it: store::Resync) -> Self {
        let state = state_of(&it);
        let is_over = it.is_over();
        let trouble = |(kind, id, error)| ResyncTrouble { kind, id, error };
        Self {
            id: it.id,
            customer_id: it.customer,
            reason: it.reason,
            made_by: it.made_by,
            made_at: it.made_at,
            state: state.to_owned(),
            asked: it.asked,
            done: it.done,
            given_up: it.given_up,
            objects: it.objects,
            changed: it.changed,
            over_at: it.settled_at.filter(|_| is_over),
            trouble: it.trouble.into_iter().map(trouble).collect(),
        }
    }
}

/// Where a resync is, in a word.
pub(crate) fn state_of(it: &store::Resync) -> &'static str {
    match (it.is_planned, it.is_over()) {
        (false, _) => "waiting",
        (true, false) => "running",
        (true, true) => "over",
    }
}

/// Asks Stripe anew for a customer and all they have
///
/// Subscriptions, invoices, payments, charges, checkouts, refunds and disputes, under the fleet's budget, by whichever
/// worker has a key. What Stripe shows takes part like an event. Once for each `Idempotency-Key`.
#[utoipa::path(
    post, path = "/v1/admin/customers/{customer}/resyncs", tag = "admin",
    params(("customer" = String, Path, description = "`cus_...`")),
    request_body = ResyncRequest,
    responses(
        (status = ACCEPTED, body = ResyncBegun),
        (status = NOT_FOUND, body = Problem, content_type = "application/problem+json",
            description = "This cannot be a customer's id"),
    )
)]
pub(crate) async fn begin_resync(
    State(app): State<App>,
    caller: Caller,
    Extension(key): Extension<IdempotencyKey>,
    Path(customer): Path<String>,
    Body(request): Body<ResyncRequest>,
) -> Result<(StatusCode, Json<ResyncBegun>), Problem> {
    caller.require_admin()?;
    let reason = required(&request.reason)?;
    let id = begin(&app, &caller.0, &customer, reason, &key.of(&caller.0)).await?;
    Ok((StatusCode::ACCEPTED, Json(ResyncBegun { id })))
}

/// Begins a resync and says so in the audit log, once for each key. Returns its id.
pub(crate) async fn begin(
    app: &App,
    actor: &Actor,
    customer: &str,
    reason: &str,
    key: &str,
) -> Result<String, Problem> {
    let wanted = format!("rsy_{}", unique::word());
    let new = NewResync {
        id: &wanted,
        key,
        customer: stripe_id(customer)?,
        reason,
        by: &actor.subject,
    };
    let mut tx = app.store.begin_as(actor).await?;
    let id = tx.begin_resync(&new).await?;
    if id == wanted {
        let user = tx.user_of_customer(new.customer).await?;
        tx.audit(new.deed(user.as_deref(), &json!({"resync": id})))
            .await?;
        tx.commit().await?;
    }
    Ok(id)
}

/// How far a resync is
#[utoipa::path(
    get, path = "/v1/admin/resyncs/{resync}", tag = "admin",
    params(("resync" = String, Path, description = "`rsy_...`")),
    responses(
        (status = OK, body = Resync),
        (status = NOT_FOUND, body = Problem, content_type = "application/problem+json",
            description = "There is no such resync"),
    )
)]
pub(crate) async fn resync(
    State(app): State<App>,
    caller: Caller,
    Path(resync): Path<String>,
) -> Result<Json<Resync>, Problem> {
    caller.require_admin()?;
    let id = checked_id(&resync)?;
    let mut tx = app.store.begin_as(&caller.0).await?;
    let found = tx.resync(id).await?;
    tx.commit().await?;
    Ok(Json(found.ok_or(Kind::NOT_FOUND)?.into()))
}
