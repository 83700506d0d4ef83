//! Teams, whose credits their members share.

use axum::Json;
use axum::extract::State;
use domain::credits::Owner;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::credits::{CreditHistory, Page, history_page};
use crate::app::App;
use crate::caller::{Caller, checked_id};
use crate::deeds::{Deed, by_staff};
use crate::extract::{Body, Path, Query};
use crate::problem::Problem;

/// A team.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Team {
    /// The team.
    team_id: String,
    /// What it has.
    balance: i64,
    /// Who may spend it.
    members: Vec<String>,
}

/// Whether somebody is in a team.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MembershipRequest {
    /// Whether they are.
    member: bool,
}

/// A team's credits and members
#[utoipa::path(
    get, path = "/v1/teams/{team}", tag = "teams",
    params(("team" = String, Path, description = "The team's id")),
    responses((status = OK, body = Team))
)]
pub(crate) async fn team(
    State(app): State<App>,
    caller: Caller,
    Path(team): Path<String>,
) -> Result<Json<Team>, Problem> {
    caller.require_service()?;
    shown(&app, &caller, checked_id(&team)?).await
}

/// What happened to a team's credits
#[utoipa::path(
    get, path = "/v1/teams/{team}/credits/history", tag = "teams",
    params(("team" = String, Path, description = "The team's id"), Page),
    responses((status = OK, body = CreditHistory))
)]
pub(crate) async fn team_history(
    State(app): State<App>,
    caller: Caller,
    Path(team): Path<String>,
    Query(page): Query<Page>,
) -> Result<Json<CreditHistory>, Problem> {
    caller.require_service()?;
    let owner = Owner::Team(checked_id(&team)?.to_owned());
    history_page(&app, &caller.0, &owner, page).await
}

/// Says who may spend a team's credits
///
/// For the application: which teams there are, and who is in them, is its own affair.
#[utoipa::path(
    put, path = "/v1/teams/{team}/members/{user}", tag = "teams",
    params(("team" = String, Path, description = "The team's id"), ("user" = String, Path, description = "The user's id")),
    request_body = MembershipRequest,
    responses((status = OK, body = Team))
)]
pub(crate) async fn set_member(
    State(app): State<App>,
    caller: Caller,
    Path((team, user)): Path<(String, String)>,
    Body(request): Body<MembershipRequest>,
) -> Result<Json<Team>, Problem> {
    caller.require_service()?;
    let (team, user) = (checked_id(&team)?, caller.user(&user)?);
    let mut tx = app.store.begin_as(&caller.0).await?;
    tx.set_team_member(team, user, request.member).await?;
    let deed = Deed {
        action: "team.member",
        user: Some(user),
        subject: Some(team),
        why: None,
        detail: &json!({"member": request.member}),
    };
    by_staff(&mut tx, deed).await?;
    tx.commit().await?;
    shown(&app, &caller, team).await
}

async fn shown(app: &App, caller: &Caller, team: &str) -> Result<Json<Team>, Problem> {
    let mut tx = app.store.begin_as(&caller.0).await?;
    let members = tx.team_members(team).await?;
    let balance = tx.credits_of(&Owner::Team(team.to_owned())).await?;
    tx.commit().await?;
    Ok(Json(Team {
        team_id: team.to_owned(),
        balance,
        members,
    }))
}
