//! Credits: spent by many at once, guarded by the database, checked, and moved by the clock.

mod append_only;
mod canceled;
pub mod check;
mod command;
mod crowd;
mod expiring;
mod filled;
mod free;
mod history;
mod process;
mod rules;
mod spend;
mod told;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use domain::Policy;
use domain::credits::Owner;
use serde_json::{Value, json};
use shared::queue::{Claimed, StreamId};
use store::Store;
use store::sweep::ProblemAfter;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use worker::item::Item;
use worker::reckon::{MARKS_MAX, reckon};
use worker::sweeper::{Swept, sweep};
use worker::transact::transact;

use crate::support::{Rig, entry, event, unique};

/// When things are bought here, unix seconds: 15 January 2027.
pub const NOW: i64 = 1_800_000_000;
pub const DAY: i64 = 86_400;

/// Credits that were bought, one for each cent.
#[derive(Clone)]
pub struct TopUp {
    id: String,
    object: Value,
}

impl TopUp {
    pub fn new(id: &str, owner: &Owner, credits: i64) -> Self {
        let owner_id = format!("{}_id", owner.kind());
        let object = json!({
            "id": format!("cs_{id}"), "object": "checkout.session", "mode": "payment", "status": "complete",
            "payment_status": "paid", "payment_intent": format!("pi_{id}"), "created": NOW,
            "amount_total": credits, "currency": "usd",
            "metadata": {owner_id: owner.id(), "credits": credits.to_string()},
        });
        let id = id.to_owned();
        Self { id, object }
    }

    /// The same, for a while.
    pub fn for_days(mut self, days: i64) -> Self {
        self.object["metadata"]["credits_expire_days"] = json!(days.to_string());
        self
    }

    pub fn event(&self) -> Bytes {
        let id = format!("evt_{}", unique());
        event(&id, "checkout.session.completed", NOW, &self.object)
    }

    /// Money goes back, and credits with it.
    pub fn refund(&self, number: u32, cents: i64, status: &str, created: i64) -> Bytes {
        let refund = json!({"id": format!("re_{}_{number}", self.id), "object": "refund", "amount": cents,
            "currency": "usd", "status": status, "payment_intent": self.object["payment_intent"]});
        event(&format!("evt_{}", unique()), "refund.updated", created, &refund)
    }

    /// Somebody's bank is asked for the money.
    pub fn dispute(&self, cents: i64, status: &str, created: i64) -> Bytes {
        let dispute = json!({"id": format!("dp_{}", self.id), "object": "dispute", "amount": cents,
            "currency": "usd", "status": status, "payment_intent": self.object["payment_intent"]});
        event(
            &format!("evt_{}", unique()),
            "charge.dispute.updated",
            created,
            &dispute,
        )
    }
}

pub fn user(id: &str) -> Owner {
    Owner::User(id.to_owned())
}

pub fn team(id: &str) -> Owner {
    Owner::Team(id.to_owned())
}

/// Events and all their effects, as a worker would bring them about.
pub async fn apply(store: &Store, policy: &Policy, events: &[Bytes]) {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let item = |body: &Bytes| {
        Item::new(Claimed {
            id: StreamId {
                shard: 0,
                ms: 1,
                seq: NEXT.fetch_add(1, Ordering::Relaxed),
            },
            deliveries: 1,
            entry: Ok(entry(body)),
            fields: Vec::new(),
        })
    };
    let items: Vec<Item> = events.iter().map(item).collect();
    transact(store, &items).await.expect("committed");
    settle(store, policy).await;
}

/// Reckons until nothing is marked.
pub async fn settle(store: &Store, policy: &Policy) {
    while reckon(store, policy, MARKS_MAX)
        .await
        .expect("reckoned")
        .is_some()
    {}
}

/// Sweeps as if it were `now`, and brings about what follows.
pub async fn swept(store: &Store, policy: &Policy, now: i64) -> Swept {
    let swept = sweep(store, policy, now, &mut ProblemAfter::default())
        .await
        .expect("swept");
    settle(store, policy).await;
    swept
}

/// Several sweep at the same moment, each with connections of its own. Returns what they did together.
pub async fn swept_together(rig: &Rig, sweepers: usize, policy: &Policy, now: i64) -> Swept {
    let start = Arc::new(Barrier::new(sweepers));
    let mut running = JoinSet::new();
    for _ in 0..sweepers {
        let (store, start, policy) = (rig.store(), Arc::clone(&start), *policy);
        running.spawn(async move {
            store.outstanding("").await.expect("connected");
            start.wait().await;
            sweep(&store, &policy, now, &mut ProblemAfter::default()).await
        });
    }
    let mut all = Swept::default();
    while let Some(one) = running.join_next().await {
        let one = one.expect("no panic").expect("swept");
        all.canceled += one.canceled;
        all.expired += one.expired;
        all.free += one.free;
        all.problems += one.problems;
    }
    all
}

/// A subscription of a price, of the user or team that `metadata` names.
pub fn subscription(id: &str, metadata: &Value, status: &str, ended_at: Option<i64>) -> Bytes {
    let object = json!({"id": id, "object": "subscription", "customer": format!("cus_{id}"), "status": status,
        "ended_at": ended_at, "canceled_at": ended_at, "metadata": metadata,
        "items": {"data": [{"id": format!("si_{id}"), "price": "price_1", "quantity": 1}]}});
    event(
        &format!("evt_{}", unique()),
        "customer.subscription.updated",
        NOW,
        &object,
    )
}

/// Sells credits.
pub async fn sell(store: &Store, sales: &[TopUp]) {
    let events: Vec<Bytes> = sales.iter().map(TopUp::event).collect();
    apply(store, &Policy::default(), &events).await;
}

/// What an owner has.
pub async fn balance(rig: &Rig, owner: &Owner) -> i64 {
    rig.count(&format!(
        "SELECT coalesce((SELECT balance FROM ledger_accounts
             WHERE (account, owner_kind, owner_id) = ('', '{}', '{}')), 0)",
        owner.kind(),
        owner.id()
    ))
    .await
}

/// What a statement is refused with: the constraint if there is one, else the SQLSTATE. Panics when it is not.
pub async fn refusal(rig: &Rig, sql: &str) -> String {
    let result = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))
        .execute(&rig.pool)
        .await;
    let error = result.expect_err(sql);
    let error = error.as_database_error().expect("Postgres refuses");
    let code = error.code().unwrap_or_default().into_owned();
    error.constraint().map_or(code, str::to_owned)
}
