//! Changing a running subscription: another plan, an end when its period ends, or no end after all.
//!
//! Which plan it has now is not asked: what Stripe told may be older than what it has. The same change again is none.

use domain::{Position, can_purchase};
use serde_json::{Value, json};
use store::api::{ActingTx, Actor, IntentKind, RunningSubscription};
use stripe_api::{ChangedItem, UpdateSubscription, Write};

use super::purchase::{Purchase, purchase};
use super::wish::Wish;
use super::{facts, refusal};
use crate::app::App;
use crate::intents::{Done, Plan, Written, intend, settle};
use crate::problem::{Kind, Problem};

/// What is to become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// Another plan, by its name in the catalogue: now, and paid now.
    Plan(String),
    /// It ends when its period ends.
    Cancel,
    /// It goes on after all.
    Resume,
}

/// Changes a user's subscription, or finds it begun by the same request.
pub(crate) async fn change(
    app: &App,
    actor: &Actor,
    user: &str,
    purpose: &str,
    change: &Change,
) -> Result<Done, Problem> {
    let capacity = match change {
        Change::Plan(_) => app.capacity.left_now().await?,
        Change::Cancel | Change::Resume => None,
    };
    let mut tx = app.store.begin_as(actor).await?;
    tx.lock_buyer(user).await?;
    let written = match tx.intent_for(change.kind(), purpose).await? {
        Some(begun) if begun.user == user && change.is(&begun.wish) => Written::Before(begun.id),
        Some(_) => return Err(Kind::KEY_REUSED.because("this key has begun another change")),
        None => begin(&mut tx, app, user, purpose, change, capacity).await?,
    };
    tx.commit().await?;
    settle(app, actor, written).await
}

async fn begin(
    tx: &mut ActingTx,
    app: &App,
    user: &str,
    purpose: &str,
    change: &Change,
    capacity: Option<i64>,
) -> Result<Written, Problem> {
    let running = tx.running_subscription(user).await?;
    let running = running.ok_or_else(|| Kind::NO_SUBSCRIPTION.because("nothing is there to be changed"))?;
    let price = match change {
        Change::Plan(name) => {
            let facts = facts(&tx.position_of(user).await?, capacity);
            require_may_pay(&facts)?;
            Some(price(tx, app, name).await?)
        }
        Change::Cancel | Change::Resume => None,
    };
    let wish = change.words(price.as_deref());
    let write = write(&running, change, price.as_deref())?;
    let plan = Plan {
        kind: change.kind(),
        user,
        purpose,
        wish: &wish,
    };
    intend(tx, &plan, |_| Ok(write)).await
}

/// A change of plan is paid for at once.
fn require_may_pay(facts: &Position) -> Result<(), Problem> {
    refusal(can_purchase(facts)).map_or(Ok(()), Err)
}

async fn price(tx: &mut ActingTx, app: &App, name: &str) -> Result<String, Problem> {
    match purchase(tx, &app.sales, &Wish::Plan(name.to_owned())).await? {
        Purchase::Plan(sold) => Ok(sold.price_id),
        Purchase::Package(_) | Purchase::TopUp(_) => Err(Kind::UNKNOWN_OFFER.into()),
    }
}

/// What Stripe is told. A change that cannot be paid for does not happen.
fn write(running: &RunningSubscription, change: &Change, price: Option<&str>) -> Result<Write, Problem> {
    let id = &running.id;
    match change {
        Change::Plan(_) => {
            let (Some(item), Some(price), 1) = (&running.item_id, price, running.items) else {
                return Err(Kind::CONFLICT
                    .because("it bills several things at once; the portal or the dashboard changes it"));
            };
            let update = UpdateSubscription::plan(ChangedItem { id: item, price });
            Ok(Write::update_subscription(id, &update))
        }
        Change::Cancel => Ok(Write::update_subscription(id, &UpdateSubscription::ends(true))),
        Change::Resume => Ok(Write::update_subscription(id, &UpdateSubscription::ends(false))),
    }
}

impl Change {
    fn kind(&self) -> IntentKind {
        match self {
            Self::Plan(_) => IntentKind::Change,
            Self::Cancel => IntentKind::Cancel,
            Self::Resume => IntentKind::Resume,
        }
    }

    /// As it is written down.
    fn words(&self, price: Option<&str>) -> Value {
        match self {
            Self::Plan(name) => json!({"plan": name, "price": price}),
            Self::Cancel | Self::Resume => json!({}),
        }
    }

    /// Whether that was asked for before.
    fn is(&self, begun: &Value) -> bool {
        match self {
            Self::Plan(name) => begun["plan"] == name.as_str(),
            Self::Cancel | Self::Resume => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(items: i64) -> RunningSubscription {
        RunningSubscription {
            id: "sub_1".to_owned(),
            item_id: Some("si_1".to_owned()),
            items,
        }
    }

    #[test]
    fn a_change_is_paid_at_once_or_does_not_happen() {
        let plan = Change::Plan("team".to_owned());
        let asked = write(&running(1), &plan, Some("price_2")).expect("one item");
        assert_eq!(asked.id, "sub_1");
        assert_eq!(
            asked.form,
            "items[0][id]=si_1&items[0][price]=price_2&proration_behavior=always_invoice\
             &payment_behavior=error_if_incomplete"
        );
        let several = write(&running(2), &plan, Some("price_2")).expect_err("which of them?");
        assert_eq!(several.code, "conflict");
    }

    #[test]
    fn an_end_is_planned_and_taken_back() {
        let form = |change| write(&running(2), &change, None).expect("all of it").form;
        assert_eq!(form(Change::Cancel), "cancel_at_period_end=true");
        assert_eq!(form(Change::Resume), "cancel_at_period_end=false");
    }
}
