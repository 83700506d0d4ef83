//! Doing things at Stripe, each once: what is intended is written down, then asked for, then finished. See ADR 16.
//!
//! | step | where | if the process dies after it |
//! |---|---|---|
//! | decide, write down, and claim, so that one at a time asks | the handler, in its own transaction | the lease runs out, and `finisher` claims |
//! | ask Stripe, under a key made of the intent's id | `send.rs` | the same is asked under the same key |
//! | keep the answer | `send.rs` | nothing is left to do |

mod answer;
mod finisher;
mod refusal;
mod send;

use std::time::Duration;

use serde_json::{Value, json};
use shared::unique;
use store::api::{ActingTx, Actor, Claimed, Intent, IntentKind, IntentState, NewIntent};
use stripe_api::Write;
use tokio::time::Instant;

use crate::app::App;
use crate::deeds::{self, Deed, by_staff};
use crate::problem::{Kind, Problem};

pub(crate) use finisher::finish;
pub(crate) use send::OUTCOMES;

/// How long whoever asks Stripe has the intent to themselves; longer than asking may take.
const LEASE: Duration = Duration::from_secs(20);
/// Longest wait for somebody else's answer.
const SETTLE_PATIENCE: Duration = Duration::from_secs(15);
/// How often it is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

const _: () = assert!(
    SETTLE_PATIENCE.as_secs() < crate::observe::REQUEST_TIMEOUT.as_secs(),
    "who waits is answered"
);
const _: () = assert!(
    send::ASK_MAX.as_secs() < LEASE.as_secs(),
    "nobody takes over what is still being asked for"
);

/// Names the intent in the metadata of what it makes.
pub(crate) const INTENT: &str = "tollgate_intent";

/// What Stripe did.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Done {
    /// Its object.
    pub object_id: String,
    /// The members of it that we keep.
    pub answer: Value,
}

impl Done {
    /// What came of an intent, when it is done.
    pub(crate) fn of(intent: Intent) -> Option<Self> {
        match intent.state {
            IntentState::Done { object_id, answer } => Some(Self { object_id, answer }),
            IntentState::Open | IntentState::Refused(_) | IntentState::Lost => None,
        }
    }
}

/// What is intended, before it has an id.
pub(crate) struct Plan<'a> {
    pub kind: IntentKind,
    pub user: &'a str,
    /// Of those of a kind, one at a time has it.
    pub purpose: &'a str,
    /// What was asked of us.
    pub wish: &'a Value,
}

/// An intent that is written down.
pub(crate) enum Written {
    /// Just now, and ours to carry out once the transaction is committed.
    Now(Intent),
    /// By an earlier request, which may be at it.
    Before(String),
}

impl Written {
    /// Its id.
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Now(intent) => &intent.id,
            Self::Before(id) => id,
        }
    }
}

/// Writes an intent down, with a lease; `write` is told its id, for the metadata.
pub(crate) async fn intend(
    tx: &mut ActingTx,
    plan: &Plan<'_>,
    write: impl FnOnce(&str) -> Result<Write, Problem>,
) -> Result<Written, Problem> {
    let id = unique::word();
    let write = write(&id)?;
    let new = NewIntent {
        id: &id,
        kind: plan.kind,
        user: plan.user,
        purpose: plan.purpose,
        wish: plan.wish,
        target: &write.id,
        form: &write.form,
    };
    let intent = tx.intend(new, LEASE).await?;
    if let Some(action) = deeds::action(plan.kind) {
        let deed = Deed {
            action,
            user: Some(plan.user),
            subject: (!write.id.is_empty()).then_some(write.id.as_str()),
            why: None,
            detail: &json!({"intent": id, "wish": plan.wish}),
        };
        by_staff(tx, deed).await?;
    }
    Ok(Written::Now(intent))
}

/// Sees to it that an intent is carried out, by whomever, and says what came of it.
pub(crate) async fn settle(app: &App, actor: &Actor, written: Written) -> Result<Done, Problem> {
    let id = match written {
        Written::Now(intent) => return send::detached(app, actor, intent).await,
        Written::Before(id) => id,
    };
    let deadline = Instant::now() + SETTLE_PATIENCE;
    loop {
        let mut tx = app.store.begin_as(actor).await?;
        let claimed = tx.claim_intent(&id, LEASE).await?;
        tx.commit().await?;
        match claimed {
            Claimed::Over(intent) => return outcome(intent),
            Claimed::Ours(intent) => return send::detached(app, actor, intent).await,
            Claimed::Busy if Instant::now() < deadline => tokio::time::sleep(LOOK_EVERY).await,
            Claimed::Busy => return Err(refusal::later(None)),
            Claimed::Missing => return Err(Kind::NOT_FOUND.into()),
        }
    }
}

fn outcome(intent: Intent) -> Result<Done, Problem> {
    match intent.state {
        IntentState::Done { object_id, answer } => Ok(Done { object_id, answer }),
        IntentState::Refused(why) => Err(refusal::problem(&why)),
        IntentState::Lost => Err(Kind::STRIPE_REFUSED.because(
            "Stripe never told whether it was done; staff have to look, or start anew with a new key",
        )),
        IntentState::Open => Err(refusal::later(None)),
    }
}
