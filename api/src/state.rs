//! Where a user stands, through the cache.

use domain::{Position, Standing, State};
use metrics::counter;
use serde::{Deserialize, Serialize};
use shared::queue::QueueError;
use shared::state_cache::{CachedUser, Looked};
use shared::unique;
use store::api::{Actor, UserPosition};

use crate::app::App;
use crate::meters::CACHE;
use crate::problem::Problem;
use crate::routes::state::{Correction, Subscription, SubscriptionState};

/// What is kept of a position: everything that only a change of this very user changes.
#[derive(Serialize, Deserialize)]
struct Kept {
    state: String,
    entitled: bool,
    balance: i64,
    team_balance: i64,
    told: String,
    correction: Option<Correction>,
    subscription: Option<Subscription>,
}

impl Kept {
    fn of(position: &UserPosition) -> Self {
        Self {
            state: position.standing.state.as_str().to_owned(),
            entitled: position.standing.entitled,
            balance: position.balance,
            team_balance: position.team_balance,
            told: position.told.as_str().to_owned(),
            correction: position.correction.as_ref().map(Correction::of),
            subscription: position.subscription.as_ref().map(Subscription::of),
        }
    }

    /// `None` when another version wrote it.
    fn standing(&self) -> Option<Standing> {
        Some(Standing {
            state: State::parse(&self.state)?,
            entitled: self.entitled,
        })
    }
}

/// Where a user stands, from the cache or from Postgres. The caller has checked that `actor` may know.
pub(crate) async fn state_of(app: &App, actor: &Actor, user: &str) -> Result<SubscriptionState, Problem> {
    let cached = CachedUser {
        account: &app.account,
        user,
    };
    let claim = unique::word();
    let looked = app.cache.look(cached, &claim).await;
    let outcome = match &looked {
        Ok(Looked::Hit(_)) => "hit",
        Ok(Looked::Miss) => "miss",
        Err(_) => "away",
    };
    counter!(CACHE, "outcome" => outcome).increment(1);
    // What another version kept may read otherwise; then it is as good as not kept.
    let kept = match &looked {
        Ok(Looked::Hit(bytes)) => serde_json::from_slice::<Kept>(bytes).ok(),
        Ok(Looked::Miss) | Err(_) => None,
    };
    let kept = match kept {
        Some(kept) => kept,
        None => {
            let kept = Kept::of(&position_of(app, actor, user).await?);
            fill(app, cached, &claim, looked, &kept).await;
            kept
        }
    };
    let standing = kept.standing().unwrap_or(Standing {
        state: State::NoSubscription,
        entitled: false,
    });
    let facts = Position {
        standing,
        told: State::parse(&kept.told).unwrap_or(standing.state),
        balance: kept.balance,
        team_balance: kept.team_balance,
        capacity: app.capacity.left().await?,
    };
    let mut state = SubscriptionState::of(user, &facts, kept.subscription, &app.policy);
    state.correction = kept.correction;
    if app.switches.billing().await? {
        return Ok(state);
    }
    Ok(state.while_billing_is_off())
}

async fn fill(app: &App, user: CachedUser<'_>, claim: &str, looked: Result<Looked, QueueError>, kept: &Kept) {
    if let Ok(Looked::Miss) = looked
        && let Ok(bytes) = serde_json::to_vec(kept)
        && let Err(error) = app.cache.fill(user, claim, &bytes).await
    {
        tracing::debug!(%error, "a state is not kept");
    }
}

/// Where a user stands, from Postgres.
pub(crate) async fn position_of(app: &App, actor: &Actor, user: &str) -> Result<UserPosition, Problem> {
    let mut tx = app.store.begin_as(actor).await?;
    let position = tx.position_of(user).await?;
    tx.commit().await?;
    Ok(position)
}
