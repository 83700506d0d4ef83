//! "May this user do that?"

use axum::Json;
use axum::extract::State;
use domain::{Permission, Policy, Position, can_purchase, can_subscribe, can_use_credits};
use serde::{Deserialize, Serialize};
use store::api::{UserCorrection, UserSubscription};
use utoipa::ToSchema;

use crate::app::App;
use crate::caller::Caller;
use crate::extract::Path;
use crate::problem::Problem;
use crate::state::state_of;

/// Where a user stands, and what that allows.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SubscriptionState {
    /// Whose it is.
    pub user_id: String,
    /// `no_subscription`, `trialing`, `active`, `past_due`, `canceled` or `expired`: the best of all subscriptions, unless
    /// staff corrected it.
    #[schema(example = "active")]
    pub state: String,
    /// Whether a subscription includes credits now.
    pub entitled: bool,
    /// The subscription that stands for the state.
    pub subscription: Option<Subscription>,
    /// What staff said in place of Stripe's word, where they did: then state and entitlement follow from it.
    pub correction: Option<Correction>,
    /// What the user may do.
    pub permissions: Permissions,
}

/// A subscription.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Subscription {
    /// `sub_...`.
    pub id: String,
    /// Stripe's own status.
    pub status: Option<String>,
}

/// A correction of a plan, in force.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Correction {
    /// `cor_...`.
    pub id: String,
    /// The plan, by its name in the catalogue; absent: none at all.
    pub plan: Option<String>,
    /// When it is over, unix seconds; absent: when it is withdrawn.
    pub until: Option<i64>,
}

/// What a user may do, each with its reason.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Permissions {
    /// Use credits.
    pub can_use_credits: Allowed,
    /// Buy credits.
    pub can_purchase: Allowed,
    /// Buy a subscription.
    pub can_subscribe: Allowed,
}

/// Yes or no, and why.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Allowed {
    /// Yes or no.
    pub allowed: bool,
    /// A word from a closed set: `ok`, `entitled`, `bought_credits`, `team_credits`, `no_credits`, `balance_below_zero`,
    /// `payment_overdue`, `has_subscription`, `capacity_used_up`,
    /// `switched_off`.
    #[schema(example = "entitled")]
    pub reason: String,
}

impl From<Permission> for Allowed {
    fn from(permission: Permission) -> Self {
        Self {
            allowed: permission.allowed,
            reason: permission.reason.to_owned(),
        }
    }
}

impl SubscriptionState {
    /// What a position comes to.
    pub(crate) fn of(
        user: &str,
        facts: &Position,
        subscription: Option<Subscription>,
        policy: &Policy,
    ) -> Self {
        Self {
            user_id: user.to_owned(),
            state: facts.standing.state.as_str().to_owned(),
            entitled: facts.standing.entitled,
            subscription,
            correction: None,
            permissions: Permissions {
                can_use_credits: can_use_credits(facts, policy).into(),
                can_purchase: can_purchase(facts).into(),
                can_subscribe: can_subscribe(facts).into(),
            },
        }
    }
}

impl SubscriptionState {
    /// Nothing can be bought, whatever the user may otherwise.
    pub(crate) fn while_billing_is_off(mut self) -> Self {
        let off = || Allowed {
            allowed: false,
            reason: "switched_off".to_owned(),
        };
        self.permissions.can_purchase = off();
        self.permissions.can_subscribe = off();
        self
    }
}

impl Correction {
    /// As Postgres has it.
    pub(crate) fn of(row: &UserCorrection) -> Self {
        Self {
            id: row.id.clone(),
            plan: row.plan.clone(),
            until: row.until,
        }
    }
}

impl Subscription {
    /// As Postgres has it.
    pub(crate) fn of(row: &UserSubscription) -> Self {
        Self {
            id: row.id.clone(),
            status: row.status.clone(),
        }
    }
}

/// A user's subscription state and permissions
///
/// Answered from a cache that is never older than what is committed; only what is left of the platform's capacity may be
/// up to a second old.
#[utoipa::path(
    get, path = "/v1/users/{user}/subscription-state", tag = "state",
    params(("user" = String, Path, description = "The user's id, or `me`")),
    responses((status = OK, body = SubscriptionState))
)]
pub(crate) async fn subscription_state(
    State(app): State<App>,
    caller: Caller,
    Path(user): Path<String>,
) -> Result<Json<SubscriptionState>, Problem> {
    let user = caller.user(&user)?;
    Ok(Json(state_of(&app, &caller.0, user).await?))
}
