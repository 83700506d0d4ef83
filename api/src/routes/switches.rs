//! Taking features off without a deploy.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::api::{AuditRow, Feature};
use utoipa::ToSchema;

use super::credits::reason;
use crate::app::App;
use crate::caller::Caller;
use crate::extract::Body;
use crate::problem::{Kind, Problem};

/// Whether billing shall be on, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SwitchRequest {
    /// On or off.
    on: bool,
    /// Why; kept in the audit log.
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
}

/// Whether billing is on.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Switch {
    /// On or off.
    on: bool,
}

/// Whether anything can be bought
#[utoipa::path(get, path = "/v1/admin/switches/billing", tag = "admin", responses((status = OK, body = Switch)))]
pub(crate) async fn billing(State(app): State<App>, caller: Caller) -> Result<Json<Switch>, Problem> {
    caller.require_admin()?;
    let on = app.store.is_on(&app.account, Feature::Billing).await?;
    Ok(Json(Switch { on }))
}

/// Takes billing off, or puts it back
///
/// Seen by all replicas within a second. What was begun at Stripe goes on; nothing new is begun.
#[utoipa::path(
    put, path = "/v1/admin/switches/billing", tag = "admin",
    request_body = SwitchRequest,
    responses((status = OK, body = Switch))
)]
pub(crate) async fn switch_billing(
    State(app): State<App>,
    caller: Caller,
    Body(request): Body<SwitchRequest>,
) -> Result<Json<Switch>, Problem> {
    caller.require_admin()?;
    let reason = reason(Some(&request.reason))?.ok_or_else(|| Kind::INVALID.because("reason: say why"))?;
    let mut tx = app.store.begin_as(&caller.0).await?;
    tx.switch(Feature::Billing, request.on).await?;
    tx.audit(AuditRow {
        action: "switch.billing",
        user: None,
        subject: None,
        reason,
        detail: &json!({"on": request.on}),
    })
    .await?;
    tx.commit().await?;
    Ok(Json(Switch { on: request.on }))
}
