//! Asking Stripe for what is intended, and keeping what came of it.

use std::time::Duration;

use shared::trace::carried;
use store::StoreError;
use store::api::{Actor, Intent, IntentKind};
use stripe_api::{Deed, Detail, Write, WriteError};

use super::{Done, answer, refusal};
use crate::app::App;
use crate::meters::INTENTS;
use crate::problem::{Kind, Problem};

/// Longest time for all attempts and waits of one asking.
pub(super) const ASK_MAX: Duration = Duration::from_secs(14);
/// First pause before an intent is taken up again; doubles with each attempt.
const PAUSE: Duration = Duration::from_secs(2);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// Carries out a claimed intent, whether or not somebody still waits for it.
pub(super) async fn detached(app: &App, actor: &Actor, intent: Intent) -> Result<Done, Problem> {
    let (app, actor) = (app.clone(), actor.clone());
    let sending = tokio::spawn(carried(async move { send(&app, &actor, &intent).await }));
    sending.await.unwrap_or_else(|_| Err(Kind::INTERNAL.into()))
}

async fn send(app: &App, actor: &Actor, intent: &Intent) -> Result<Done, Problem> {
    let asked = match told(app, actor, intent).await? {
        Some(done) => Ok(done),
        None => ask(app, intent).await?,
    };
    metrics::counter!(INTENTS, "kind" => intent.kind.as_str(), "outcome" => outcome(&asked)).increment(1);
    if let Err(error) = &asked {
        log(intent, error);
    }
    // Should this fail, or never be reached: the next one asks under the same key, and Stripe says the same.
    keep(app, actor, intent, &asked).await?;
    asked.map_err(|error| {
        if error.is_final() {
            refusal::problem(&refusal::kept(&error))
        } else {
            refusal::later(error.retry_after())
        }
    })
}

/// What events have told meanwhile of something that was asked for before.
async fn told(app: &App, actor: &Actor, intent: &Intent) -> Result<Option<Done>, StoreError> {
    if intent.attempts < 2 {
        return Ok(None);
    }
    let mut tx = app.store.begin_as(actor).await?;
    let told = tx.object_told(intent).await?;
    tx.commit().await?;
    Ok(told.map(|(object_id, answer)| Done { object_id, answer }))
}

async fn ask(app: &App, intent: &Intent) -> Result<Result<Done, WriteError>, Problem> {
    let stripe = app.stripe.require()?;
    let write = Write {
        deed: deed(intent.kind),
        id: intent.target.clone(),
        form: intent.form.clone(),
    };
    let account = Some(app.account.as_str()).filter(|account| !account.is_empty());
    let key = key(&intent.id);
    let unknown = |cause| WriteError::Unknown {
        retry_after: None,
        detail: Detail {
            cause,
            ..Detail::default()
        },
    };
    let asking = stripe.write(account, &write, &key);
    Ok(match tokio::time::timeout(ASK_MAX, asking).await {
        Ok(Ok(fetched)) => {
            answer::read(intent.kind, &fetched.body).ok_or_else(|| unknown("the answer is about no object"))
        }
        Ok(Err(error)) => Err(error),
        Err(_) => Err(unknown("no answer in time")),
    })
}

/// Stripe's name for what we intend. Of our own words, so that a new database never meets the keys of an old one.
fn key(id: &str) -> String {
    format!("tollgate-{id}")
}

fn deed(kind: IntentKind) -> Deed {
    match kind {
        IntentKind::Customer => Deed::CreateCustomer,
        IntentKind::Subscribe | IntentKind::Buy => Deed::CreateCheckoutSession,
        IntentKind::Expire => Deed::ExpireCheckoutSession,
        IntentKind::Payment => Deed::CreatePaymentIntent,
        IntentKind::Refund => Deed::CreateRefund,
        IntentKind::Portal => Deed::CreatePortalSession,
        IntentKind::Change | IntentKind::Cancel | IntentKind::Resume => Deed::UpdateSubscription,
    }
}

async fn keep(
    app: &App,
    actor: &Actor,
    intent: &Intent,
    asked: &Result<Done, WriteError>,
) -> Result<(), StoreError> {
    let mut tx = app.store.begin_as(actor).await?;
    match asked {
        Ok(done) => {
            tx.finish_intent(&intent.id, &done.object_id, &done.answer)
                .await?
        }
        Err(error) if error.is_final() => {
            tx.refuse_intent(&intent.id, &refusal::kept(error), is_shared(intent.kind))
                .await?;
        }
        // Whoever tries again begins anew, under another key.
        Err(error @ WriteError::Kept(_)) if is_useless_unanswered(intent.kind) => {
            tx.refuse_intent(&intent.id, &refusal::kept(error), true).await?;
        }
        Err(error) => {
            let wait = error
                .retry_after()
                .unwrap_or_default()
                .max(pause(intent.attempts));
            tx.postpone_intent(&intent.id, wait).await?;
        }
    }
    tx.commit().await
}

/// Whether the purpose is everybody's who wants the same for the user, rather than one request's. Those may try anew.
fn is_shared(kind: IntentKind) -> bool {
    match kind {
        IntentKind::Customer | IntentKind::Subscribe => true,
        IntentKind::Buy
        | IntentKind::Expire
        | IntentKind::Payment
        | IntentKind::Refund
        | IntentKind::Portal
        | IntentKind::Change
        | IntentKind::Cancel
        | IntentKind::Resume => false,
    }
}

/// Whether what was made, if it was, harms nobody: without the answer nobody can pay or enter it. A customer, a refund or
/// a change of a subscription does its work unanswered; events will tell of it.
fn is_useless_unanswered(kind: IntentKind) -> bool {
    match kind {
        IntentKind::Subscribe
        | IntentKind::Buy
        | IntentKind::Expire
        | IntentKind::Payment
        | IntentKind::Portal => true,
        IntentKind::Customer
        | IntentKind::Refund
        | IntentKind::Change
        | IntentKind::Cancel
        | IntentKind::Resume => false,
    }
}

fn pause(attempts: i32) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(0).min(16);
    PAUSE.saturating_mul(1 << doublings).min(PAUSE_MAX)
}

/// What can come of asking Stripe to do something, as [`outcome`] says it.
pub(crate) const OUTCOMES: [&str; 7] = [
    "done",
    "unknown",
    "kept",
    "declined",
    "refused",
    "key_reused",
    "not_allowed",
];

fn outcome(asked: &Result<Done, WriteError>) -> &'static str {
    match asked {
        Ok(_) => "done",
        Err(WriteError::Unknown { .. }) => "unknown",
        Err(WriteError::Kept(_)) => "kept",
        Err(WriteError::Declined(_)) => "declined",
        Err(WriteError::Refused(_)) => "refused",
        Err(WriteError::KeyReused(_)) => "key_reused",
        Err(WriteError::NotAllowed(_)) => "not_allowed",
    }
}

fn log(intent: &Intent, error: &WriteError) {
    let (kind, id) = (intent.kind.as_str(), intent.id.as_str());
    match error {
        WriteError::Declined(_) => tracing::info!(kind, intent = id, %error, "Stripe"),
        WriteError::Unknown { .. } | WriteError::Kept(_) => {
            tracing::warn!(kind, intent = id, %error, "Stripe")
        }
        WriteError::Refused(_) | WriteError::KeyReused(_) | WriteError::NotAllowed(_) => {
            tracing::error!(kind, intent = id, %error, "Stripe");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_limit() {
        assert_eq!((pause(1), pause(2), pause(3)), (PAUSE, PAUSE * 2, PAUSE * 4));
        assert_eq!((pause(40), pause(i32::MAX)), (PAUSE_MAX, PAUSE_MAX));
    }
}
