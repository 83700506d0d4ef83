//! Credits, paid once: on Stripe's page, or in the client's own.

use serde_json::Value;
use store::api::{ActingTx, Actor, IntentKind};
use stripe_api::Write;

use super::customer::{Payer, payer};
use super::parameters::{self, Buyer};
use super::purchase::{Purchase, purchase};
use super::wish::Wish;
use super::{ROUNDS_MAX, require_may};
use crate::app::App;
use crate::intents::{Done, Plan, Written, intend, settle};
use crate::problem::{Kind, Problem};

/// What to begin.
pub(crate) struct Buying<'a> {
    /// [`IntentKind::Buy`] or [`IntentKind::Payment`].
    pub kind: IntentKind,
    /// For whom.
    pub user: &'a str,
    /// The request's own, so that the same request begins it once.
    pub purpose: &'a str,
    /// What.
    pub wish: &'a Wish,
}

enum Step {
    /// Everything is written down.
    Settle(Written),
    /// The customer comes first.
    Customer(Written),
}

/// Begins a purchase, or finds it begun by the same request.
pub(crate) async fn begin(app: &App, actor: &Actor, buying: &Buying<'_>) -> Result<Done, Problem> {
    for _ in 0..ROUNDS_MAX {
        let capacity = app.capacity.left_now().await?;
        let mut tx = app.store.begin_as(actor).await?;
        let step = step(&mut tx, app, buying, capacity).await?;
        tx.commit().await?;
        match step {
            Step::Settle(intent) => return settle(app, actor, intent).await,
            Step::Customer(intent) => settle(app, actor, intent).await?,
        };
    }
    Err(Kind::CONFLICT.because("the customer keeps changing; try again"))
}

async fn step(
    tx: &mut ActingTx,
    app: &App,
    buying: &Buying<'_>,
    capacity: Option<i64>,
) -> Result<Step, Problem> {
    let user = buying.user;
    tx.lock_buyer(user).await?;
    let words = buying.wish.words();
    // What was begun goes on, whatever may be begun now.
    if let Some(begun) = tx.intent_for(buying.kind, buying.purpose).await? {
        return same(&begun.user, &begun.wish, user, &words)
            .map(|()| Step::Settle(Written::Before(begun.id)));
    }
    let purchase = purchase(tx, &app.sales, buying.wish).await?;
    require_may(tx, user, capacity, false).await?;
    let customer = match payer(tx, user).await? {
        Payer::Known(customer) => customer,
        Payer::Intended(intent) => return Ok(Step::Customer(intent)),
    };
    let buyer = Buyer {
        user,
        customer: &customer,
    };
    let write = |intent: &str| ask(app, buying.kind, &purchase, buyer, intent);
    let plan = Plan {
        kind: buying.kind,
        user,
        purpose: buying.purpose,
        wish: &words,
    };
    Ok(Step::Settle(intend(tx, &plan, write).await?))
}

fn ask(
    app: &App,
    kind: IntentKind,
    purchase: &Purchase,
    buyer: Buyer<'_>,
    intent: &str,
) -> Result<Write, Problem> {
    match kind {
        IntentKind::Payment => parameters::payment(purchase, buyer, intent),
        _ => parameters::session(purchase, buyer, &app.sales, intent),
    }
}

/// A key is for one request.
fn same(begun_user: &str, begun: &Value, user: &str, words: &Value) -> Result<(), Problem> {
    if (begun_user, begun) == (user, words) {
        return Ok(());
    }
    Err(Kind::KEY_REUSED.because("this key has begun another purchase"))
}
