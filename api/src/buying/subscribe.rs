//! A subscription: one at a time, and of open checkouts for one only one.

use serde_json::{Value, json};
use shared::clock::Clock;
use store::api::{ActingTx, Actor, Intent, IntentKind, IntentState, SessionTold};
use stripe_api::{ObjectRef, Retrievable, Write};

use super::customer::{Payer, payer};
use super::parameters::{self, Buyer};
use super::purchase::{Purchase, purchase};
use super::wish::Wish;
use super::{ROUNDS_MAX, require_may};
use crate::app::App;
use crate::intents::{Done, Plan, Written, intend, settle};
use crate::problem::{Kind, Problem};

/// The checkout for a subscription that a user began last, as far as it matters for another one.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Last {
    /// Stripe has not answered yet.
    Unanswered,
    /// It can be paid until then, unix seconds.
    Payable { session: String, until: i64 },
    /// It was paid, and what it made has not arrived.
    Paid,
    /// It is over.
    Over,
}

/// What is to be done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// It is what is wanted.
    Join,
    /// Stripe's answer comes first.
    Await,
    /// It has to expire first.
    Expire(String),
    /// Nothing stands in the way of a new one.
    Begin,
    /// There is a subscription on its way.
    Refuse,
}

enum Step {
    /// This is it.
    Settle(Written),
    /// This comes first: a customer, or Stripe's answer.
    First(Written),
    /// An older checkout has to expire.
    Expire { intent: String, session: String },
}

/// Begins to subscribe, or finds it begun.
pub(crate) async fn subscribe(app: &App, actor: &Actor, user: &str, wish: &Wish) -> Result<Done, Problem> {
    for _ in 0..ROUNDS_MAX {
        let capacity = app.capacity.left_now().await?;
        let mut tx = app.store.begin_as(actor).await?;
        let step = step(&mut tx, app, user, wish, capacity).await?;
        tx.commit().await?;
        match step {
            Step::Settle(intent) => return settle(app, actor, intent).await,
            // Whether it came to something is seen in the next round.
            Step::First(intent) => settle(app, actor, intent).await.map(drop)?,
            Step::Expire { intent, session } => expire(app, actor, user, &intent, &session).await?,
        }
    }
    Err(Kind::CONFLICT.because("other checkouts of this user keep coming; try again"))
}

async fn step(
    tx: &mut ActingTx,
    app: &App,
    user: &str,
    wish: &Wish,
    capacity: Option<i64>,
) -> Result<Step, Problem> {
    tx.lock_buyer(user).await?;
    let purchase = purchase(tx, &app.sales, wish).await?;
    require_may(tx, user, capacity, true).await?;
    let words = words(&purchase);
    let last = tx.intent_for(IntentKind::Subscribe, user).await?;
    if let Some(intent) = last {
        let stage = stage(tx, &intent).await?;
        match judge(&stage, intent.wish == words, Clock::system().unix_seconds()) {
            Verdict::Join => return Ok(Step::Settle(Written::Before(intent.id))),
            Verdict::Await => return Ok(Step::First(Written::Before(intent.id))),
            Verdict::Expire(session) => {
                return Ok(Step::Expire {
                    intent: intent.id,
                    session,
                });
            }
            Verdict::Refuse => return Err(paid()),
            Verdict::Begin => tx.free_purpose(&intent.id).await?,
        }
    }
    let customer = match payer(tx, user).await? {
        Payer::Known(customer) => customer,
        Payer::Intended(intent) => return Ok(Step::First(intent)),
    };
    let plan = Plan {
        kind: IntentKind::Subscribe,
        user,
        purpose: user,
        wish: &words,
    };
    let buyer = Buyer {
        user,
        customer: &customer,
    };
    let write = |intent: &str| parameters::session(&purchase, buyer, &app.sales, intent);
    Ok(Step::Settle(intend(tx, &plan, write).await?))
}

/// Two checkouts that are equal in this ask for the same.
fn words(purchase: &Purchase) -> Value {
    match purchase {
        Purchase::Plan(sold) => json!({"plan": sold.name, "price": sold.price_id}),
        Purchase::Package(_) | Purchase::TopUp(_) => Value::Null,
    }
}

fn judge(last: &Last, is_same: bool, now: i64) -> Verdict {
    match last {
        Last::Over => Verdict::Begin,
        Last::Paid => Verdict::Refuse,
        Last::Unanswered if is_same => Verdict::Join,
        Last::Unanswered => Verdict::Await,
        Last::Payable { until, .. } if is_same && now < *until => Verdict::Join,
        // By our clock it may be over; Stripe's counts.
        Last::Payable { session, .. } => Verdict::Expire(session.clone()),
    }
}

async fn stage(tx: &mut ActingTx, intent: &Intent) -> Result<Last, Problem> {
    let (session, answer) = match &intent.state {
        IntentState::Open => return Ok(Last::Unanswered),
        IntentState::Refused(_) | IntentState::Lost => return Ok(Last::Over),
        IntentState::Done { object_id, answer } => (object_id, answer),
    };
    Ok(told(session, answer, tx.session_told(session).await?.as_ref()))
}

fn told(session: &str, answer: &Value, told: Option<&SessionTold>) -> Last {
    match told.map(|told| (told.status.as_deref(), told.subscription_counts)) {
        Some((Some("expired"), _)) => Last::Over,
        // Then the user's state says whether there may be another.
        Some((Some("complete"), true)) => Last::Over,
        Some((Some("complete"), false)) => Last::Paid,
        _ => Last::Payable {
            session: session.to_owned(),
            // Whoever does not say until when tells when it is over.
            until: answer["expires_at"].as_i64().unwrap_or(i64::MAX),
        },
    }
}

fn paid() -> Problem {
    Kind::CHECKOUT_PAID.because("a subscription was paid a moment ago, and is on its way")
}

/// Ends an older checkout at Stripe, and then here: never are two of them open.
async fn expire(app: &App, actor: &Actor, user: &str, intent: &str, session: &str) -> Result<(), Problem> {
    let mut tx = app.store.begin_as(actor).await?;
    tx.lock_buyer(user).await?;
    let begun = tx.intent_for(IntentKind::Expire, session).await?;
    let expiry = match begun {
        Some(begun) => Written::Before(begun.id),
        None => {
            let plan = Plan {
                kind: IntentKind::Expire,
                user,
                purpose: session,
                wish: &json!({"session": session}),
            };
            intend(&mut tx, &plan, |_| Ok(Write::expire_checkout_session(session))).await?
        }
    };
    tx.commit().await?;
    match settle(app, actor, expiry).await {
        Ok(_) => {}
        Err(problem) if problem.is(Kind::STRIPE_REFUSED) => require_expired(app, session).await?,
        Err(problem) => return Err(problem),
    }
    let mut tx = app.store.begin_as(actor).await?;
    tx.free_purpose(intent).await?;
    tx.commit().await?;
    Ok(())
}

/// Stripe only expires what is open. What is not may be over, or paid.
async fn require_expired(app: &App, session: &str) -> Result<(), Problem> {
    let what = ObjectRef {
        account: Some(app.account.clone()).filter(|account| !account.is_empty()),
        kind: Retrievable::CheckoutSession,
        id: session.to_owned(),
    };
    let fetched = app.stripe.require()?.retrieve(&what).await.map_err(|error| {
        tracing::warn!(%error, "a checkout session could not be looked at");
        Problem::from(Kind::STRIPE_UNAVAILABLE)
    })?;
    let session: Value = serde_json::from_slice(&fetched.body).unwrap_or_default();
    match session["status"].as_str() {
        Some("expired") => Ok(()),
        Some("complete") => Err(paid()),
        _ => {
            Err(Kind::STRIPE_REFUSED.because("an older checkout of this user can neither be paid nor ended"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000;

    fn payable(until: i64) -> Last {
        Last::Payable {
            session: "cs_1".to_owned(),
            until,
        }
    }

    #[test]
    fn of_open_checkouts_there_is_one() {
        let expire = || Verdict::Expire("cs_1".to_owned());
        let cases = [
            (Last::Over, true, Verdict::Begin),
            (Last::Over, false, Verdict::Begin),
            (Last::Paid, true, Verdict::Refuse),
            (Last::Paid, false, Verdict::Refuse),
            (Last::Unanswered, true, Verdict::Join),
            (Last::Unanswered, false, Verdict::Await),
            (payable(NOW + 1), true, Verdict::Join),
            (payable(NOW), true, expire()),
            (payable(NOW + 1), false, expire()),
        ];
        for (last, is_same, expected) in cases {
            assert_eq!(judge(&last, is_same, NOW), expected, "{last:?} {is_same}");
        }
    }

    #[test]
    fn what_stripe_told_counts_before_what_it_answered() {
        let answer = json!({"expires_at": NOW});
        let row = |status: &str, subscription_counts| SessionTold {
            status: Some(status.to_owned()),
            payment_status: None,
            payment_intent_id: None,
            subscription_id: None,
            subscription_counts,
        };
        let stage = |row: Option<&SessionTold>| told("cs_1", &answer, row);
        assert_eq!(stage(None), payable(NOW));
        assert_eq!(told("cs_1", &json!({}), None), payable(i64::MAX), "unsaid");
        assert_eq!(stage(Some(&row("open", false))), payable(NOW));
        assert_eq!(stage(Some(&row("expired", false))), Last::Over);
        assert_eq!(stage(Some(&row("complete", false))), Last::Paid);
        assert_eq!(stage(Some(&row("complete", true))), Last::Over);
    }
}
