//! The one customer a user pays as: found, or made once.

use serde_json::json;
use store::api::{ActingTx, IntentKind, IntentState};

use super::parameters;
use crate::intents::{Plan, Written, intend};
use crate::problem::Problem;

/// A user's customer.
pub(super) enum Payer {
    /// There is one.
    Known(String),
    /// There will be, when this intent is settled.
    Intended(Written),
}

/// The customer, or the intent to make one. The buyer must be locked.
pub(super) async fn payer(tx: &mut ActingTx, user: &str) -> Result<Payer, Problem> {
    if let Some(customer) = tx.customer_of(user).await? {
        return Ok(Payer::Known(customer));
    }
    // Stripe has told nothing of one, but may be about to.
    if let Some(intent) = tx.intent_for(IntentKind::Customer, user).await? {
        match intent.state {
            IntentState::Done { object_id, .. } if tx.is_customer_deleted(&object_id).await? => {
                tx.free_purpose(&intent.id).await?;
            }
            IntentState::Done { object_id, .. } => return Ok(Payer::Known(object_id)),
            IntentState::Open => return Ok(Payer::Intended(Written::Before(intent.id))),
            IntentState::Refused(_) | IntentState::Lost => tx.free_purpose(&intent.id).await?,
        }
    }
    let plan = Plan {
        kind: IntentKind::Customer,
        user,
        purpose: user,
        wish: &json!({}),
    };
    let made = intend(tx, &plan, |intent| Ok(parameters::customer(user, intent))).await?;
    Ok(Payer::Intended(made))
}

/// The customer, where there is one: nobody needs one to look at nothing.
pub(crate) async fn customer_if_any(tx: &mut ActingTx, user: &str) -> Result<Option<String>, Problem> {
    if let Some(customer) = tx.customer_of(user).await? {
        return Ok(Some(customer));
    }
    let intent = tx.intent_for(IntentKind::Customer, user).await?;
    Ok(match intent.map(|intent| intent.state) {
        Some(IntentState::Done { object_id, .. }) if !tx.is_customer_deleted(&object_id).await? => {
            Some(object_id)
        }
        _ => None,
    })
}
