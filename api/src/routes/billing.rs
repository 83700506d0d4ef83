//! What a user has, used, was billed and paid.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use store::Balance;
use store::api::{BilledSubscription, UserInvoice, UserTransaction};
use utoipa::ToSchema;

use super::credits::{Page, limit};
use super::paging::{cursor, page};
use super::state::Correction;
use crate::app::App;
use crate::caller::Caller;
use crate::extract::{Path, Query};
use crate::problem::Problem;

/// Invoices and transactions shown with everything else.
const RECENT: u32 = 5;

/// All of a user's billing.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Billing {
    /// Whose it is.
    user_id: String,
    /// As in the subscription state.
    #[schema(example = "active")]
    state: String,
    /// Whether a subscription includes credits now.
    entitled: bool,
    /// The subscription that stands for the state.
    subscription: Option<SubscriptionBill>,
    /// What staff said in place of Stripe's word, where they did.
    correction: Option<Correction>,
    /// What there is.
    credits: CreditsNow,
    /// What was used this month.
    usage: UsageNow,
    /// The newest invoices; `/invoices` has all of them.
    invoices: Vec<Invoice>,
    /// The newest transactions; `/transactions` has all of them.
    transactions: Vec<Transaction>,
}

/// A subscription. Times are unix seconds.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SubscriptionBill {
    /// `sub_...`.
    id: String,
    /// Stripe's own status.
    status: Option<String>,
    /// Whether it includes credits now.
    entitled: bool,
    /// The plan's name in the catalogue, when it is in there.
    plan: Option<String>,
    /// `price_...`.
    price_id: Option<String>,
    /// How many.
    quantity: Option<i64>,
    /// When the period began that is running, or ran last.
    period_start: Option<i64>,
    /// When it ends.
    period_end: Option<i64>,
    /// Whether it ends then for good.
    cancel_at_period_end: bool,
    /// When it ends for good, where that is planned.
    cancel_at: Option<i64>,
    /// When its end was asked for.
    canceled_at: Option<i64>,
    /// When it ended.
    ended_at: Option<i64>,
    /// When its trial ends or ended.
    trial_end: Option<i64>,
}

/// Credits, as of now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CreditsNow {
    /// What can be spent now; 0 while the user's own balance is below zero.
    available: i64,
    /// The user's own; below zero when some were taken back after they were spent. What is reserved is not in it.
    balance: i64,
    /// Those of the user's teams together.
    teams: i64,
    /// Taken for work under way, not yet used.
    reserved: i64,
}

/// Credits used in a calendar month (UTC).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UsageNow {
    /// The month's first second, unix seconds.
    since: i64,
    /// The next month's.
    until: i64,
    /// Credits spent by this user, of their own and of their teams'. What is reserved counts until it comes back.
    used: i64,
    /// Credits that the plan gives for a period of its own, with the free ones of a month; absent without a plan that
    /// includes some. It limits nothing: what can be spent is `credits.available`.
    limit: Option<i64>,
}

/// An invoice. Amounts are minor units, times unix seconds.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Invoice {
    /// `in_...`.
    id: String,
    /// As on the paper.
    number: Option<String>,
    /// Stripe's status.
    #[schema(example = "paid")]
    status: Option<String>,
    /// Why there is one, Stripe's word.
    billing_reason: Option<String>,
    /// What it bills, when it is a subscription.
    subscription_id: Option<String>,
    /// Of the amounts.
    currency: Option<String>,
    /// All of it.
    total: Option<i64>,
    /// What is to be paid.
    amount_due: Option<i64>,
    /// What was.
    amount_paid: Option<i64>,
    /// What is left.
    amount_remaining: Option<i64>,
    /// Stripe's page of it, once there is one: whoever has it can see and pay the invoice.
    hosted_invoice_url: Option<String>,
    /// When it was made.
    created: i64,
    /// What time it bills.
    period_start: Option<i64>,
    /// Until when.
    period_end: Option<i64>,
    /// When it is to be paid, where it is not paid by itself.
    due_date: Option<i64>,
    /// When Stripe tries again.
    next_payment_attempt: Option<i64>,
}

/// Money that moved, or was to. Times are unix seconds.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Transaction {
    /// Stripe's id of it.
    id: String,
    /// `payment`, `refund` or `dispute`.
    #[schema(example = "payment")]
    kind: String,
    /// The payment: itself, or what is given back or disputed.
    payment_id: Option<String>,
    /// Stripe's status.
    status: Option<String>,
    /// Minor units, never below zero: the kind says which way they go.
    amount: i64,
    /// Of what.
    currency: Option<String>,
    /// Why it failed, was given back, or is disputed: a word of Stripe's.
    reason: Option<String>,
    /// When it began.
    created: i64,
    /// What was paid: `invoice`, `checkout.session` or `payment_intent`.
    source_kind: Option<String>,
    /// Its id.
    source_id: Option<String>,
    /// The plan or package, by its name in the catalogue.
    offer: Option<String>,
}

/// Invoices, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Invoices {
    /// The newest first.
    invoices: Vec<Invoice>,
    /// Hand it back as `after` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Transactions, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Transactions {
    /// The newest first.
    transactions: Vec<Transaction>,
    /// Hand it back as `after` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// All of a user's billing in one answer
///
/// From Postgres. What an application asks before each deed is the subscription state, which is cached.
#[utoipa::path(
    get, path = "/v1/users/{user}/billing", tag = "billing",
    params(("user" = String, Path, description = "The user's id, or `me`")),
    responses((status = OK, body = Billing))
)]
pub(crate) async fn billing(
    State(app): State<App>,
    caller: Caller,
    Path(user): Path<String>,
) -> Result<Json<Billing>, Problem> {
    let user = caller.user(&user)?;
    let mut tx = app.store.begin_as(&caller.0).await?;
    let position = tx.position_of(user).await?;
    let subscription = match &position.subscription {
        Some(it) => tx.billed_subscription(&it.id).await?,
        None => None,
    };
    let allowance = match position.correction.as_ref().map(|it| it.price_id.as_deref()) {
        Some(Some(price)) => tx.allowance_of(price).await?,
        Some(None) => None,
        None => subscription.as_ref().and_then(allowance),
    };
    let balance = tx.balance_of(user).await?;
    let reserved = tx.reserved_by(user).await?;
    let usage = tx.usage_of(user).await?;
    let invoices = tx.invoices_of(user, None, RECENT).await?;
    let transactions = tx.transactions_of(user, None, RECENT).await?;
    tx.commit().await?;
    Ok(Json(Billing {
        user_id: user.to_owned(),
        state: position.standing.state.as_str().to_owned(),
        entitled: position.standing.entitled,
        usage: UsageNow {
            since: usage.since,
            until: usage.until,
            used: usage.used,
            limit: allowance,
        },
        subscription: subscription.map(SubscriptionBill::from),
        correction: position.correction.as_ref().map(Correction::of),
        credits: credits(&balance, reserved),
        invoices: invoices.into_iter().map(Invoice::from).collect(),
        transactions: transactions.into_iter().map(Transaction::from).collect(),
    }))
}

/// A user's invoices, the newest first
#[utoipa::path(
    get, path = "/v1/users/{user}/invoices", tag = "billing",
    params(("user" = String, Path, description = "The user's id, or `me`"), Page),
    responses((status = OK, body = Invoices))
)]
pub(crate) async fn invoices(
    State(app): State<App>,
    caller: Caller,
    Path(user): Path<String>,
    Query(asked): Query<Page>,
) -> Result<Json<Invoices>, Problem> {
    let user = caller.user(&user)?;
    let limit = limit(asked.limit)?;
    let after = cursor(asked.after.as_deref())?;
    let mut tx = app.store.begin_as(&caller.0).await?;
    let rows = tx.invoices_of(user, after, limit + 1).await?;
    tx.commit().await?;
    let (rows, next) = page(rows, limit, |row| (row.created, &row.id));
    let invoices = rows.into_iter().map(Invoice::from).collect();
    Ok(Json(Invoices { invoices, next }))
}

/// A user's payments, refunds and disputes, the newest first
#[utoipa::path(
    get, path = "/v1/users/{user}/transactions", tag = "billing",
    params(("user" = String, Path, description = "The user's id, or `me`"), Page),
    responses((status = OK, body = Transactions))
)]
pub(crate) async fn transactions(
    State(app): State<App>,
    caller: Caller,
    Path(user): Path<String>,
    Query(asked): Query<Page>,
) -> Result<Json<Transactions>, Problem> {
    let user = caller.user(&user)?;
    let limit = limit(asked.limit)?;
    let after = cursor(asked.after.as_deref())?;
    let mut tx = app.store.begin_as(&caller.0).await?;
    let rows = tx.transactions_of(user, after, limit + 1).await?;
    tx.commit().await?;
    let (rows, next) = page(rows, limit, |row| (row.created, &row.id));
    let transactions = rows.into_iter().map(Transaction::from).collect();
    Ok(Json(Transactions { transactions, next }))
}

fn credits(balance: &Balance, reserved: i64) -> CreditsNow {
    CreditsNow {
        available: balance.available(),
        balance: balance.own,
        teams: balance.of_teams(),
        reserved,
    }
}

/// Only while it includes something.
fn allowance(subscription: &BilledSubscription) -> Option<i64> {
    Some(subscription.allowance).filter(|credits| subscription.entitled && *credits > 0)
}

impl From<BilledSubscription> for SubscriptionBill {
    fn from(it: BilledSubscription) -> Self {
        Self {
            id: it.id,
            status: it.status,
            entitled: it.entitled,
            plan: it.plan,
            price_id: it.price_id,
            quantity: it.quantity,
            period_start: it.period_start,
            period_end: it.period_end,
            cancel_at_period_end: it.cancel_at_period_end,
            cancel_at: it.cancel_at,
            canceled_at: it.canceled_at,
            ended_at: it.ended_at,
            trial_end: it.trial_end,
        }
    }
}

impl From<UserInvoice> for Invoice {
    fn from(it: UserInvoice) -> Self {
        Self {
            id: it.id,
            number: it.number,
            status: it.status,
            billing_reason: it.billing_reason,
            subscription_id: it.subscription_id,
            currency: it.currency,
            total: it.total,
            amount_due: it.amount_due,
            amount_paid: it.amount_paid,
            amount_remaining: it.amount_remaining,
            hosted_invoice_url: it.hosted_invoice_url,
            created: it.created,
            period_start: it.period_start,
            period_end: it.period_end,
            due_date: it.due_date,
            next_payment_attempt: it.next_payment_attempt,
        }
    }
}

impl From<UserTransaction> for Transaction {
    fn from(it: UserTransaction) -> Self {
        Self {
            id: it.id,
            kind: it.kind,
            payment_id: it.payment_id,
            status: it.status,
            amount: it.amount,
            currency: it.currency,
            reason: it.reason,
            created: it.created,
            source_kind: it.source_kind,
            source_id: it.source_id,
            offer: it.offer,
        }
    }
}
