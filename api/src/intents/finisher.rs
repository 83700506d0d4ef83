//! Takes up what nobody finished: a process died, or Stripe did not answer.

use std::time::Duration;

use store::StoreError;
use store::api::Actor;

use super::{Written, settle};
use crate::app::App;

/// How often intents are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Most intents taken up at once, one after the other.
const TAKEN_MAX: u32 = 20;
/// Longest one may take: Postgres or Stripe may never answer, and the others have to be finished, too.
const SETTLE_MAX: Duration = Duration::from_secs(120);
/// Stripe keeps keys for at least a day; after that the same key may do the same again.
/// Source: <https://docs.stripe.com/api/idempotent_requests>.
const KEY_GOOD_FOR: Duration = Duration::from_secs(23 * 60 * 60);

/// Finishes what is due, until aborted. Without Stripe there is nothing to do.
pub(crate) async fn finish(app: App) {
    if !app.stripe.is_there() {
        return;
    }
    let actor = app.ourselves();
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = round(&app, &actor).await {
            tracing::warn!(%error, "what is intended at Stripe waits");
        }
    }
}

async fn round(app: &App, actor: &Actor) -> Result<(), StoreError> {
    let (lost, due) = store::in_time(take(app, actor)).await?;
    for intent in lost {
        tracing::error!(intent, "nobody knows whether Stripe did this; look for it there");
    }
    for intent in due {
        // What came of it is kept and logged where it is asked for.
        let settling = settle(app, actor, Written::Before(intent.clone()));
        if let Ok(Ok(_)) = tokio::time::timeout(SETTLE_MAX, settling).await {
            tracing::info!(intent, "finished what somebody else began");
        }
    }
    Ok(())
}

/// Those nobody can finish any more, and those to finish.
async fn take(app: &App, actor: &Actor) -> Result<(Vec<String>, Vec<String>), StoreError> {
    let mut tx = app.store.begin_as(actor).await?;
    let lost = tx.lose_intents(KEY_GOOD_FOR).await?;
    let due = tx.due_intents(TAKEN_MAX).await?;
    tx.commit().await?;
    Ok((lost, due))
}
