//! What was sold, and what the platform owes in credits; for staff.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use store::api::{Sales, Span, Subscribers, Unit};
use utoipa::{IntoParams, ToSchema};

use super::spans::span;
use crate::app::App;
use crate::caller::Caller;
use crate::extract::Query;
use crate::problem::Problem;

/// What to count over, and by.
#[derive(Debug, Deserialize, IntoParams)]
pub(crate) struct AnalyticsQuery {
    /// From then on, unix seconds; 30 days before `until` when absent.
    #[param(minimum = 0)]
    since: Option<i64>,
    /// Before then, unix seconds, at most 366 days after `since`; now when absent.
    #[param(minimum = 0)]
    until: Option<i64>,
    /// By the calendar (UTC); `day` when absent.
    #[param(inline)]
    by: Option<By>,
}

/// A unit of the calendar (UTC); weeks begin on Mondays.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum By {
    /// From midnight on.
    Day,
    /// From Monday on.
    Week,
    /// From the first on.
    Month,
}

/// Purchases by time, kind and currency; where there were none, there is no entry.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Purchases {
    /// The oldest first.
    purchases: Vec<PurchaseCount>,
}

/// Purchases of one kind and currency in one unit of time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PurchaseCount {
    /// When the unit begins, unix seconds. The first one may have begun before what was asked about, and counts from there.
    begins: i64,
    /// `plan`, `package`, `topup`, or `other`: invoices without a subscription.
    #[schema(example = "plan")]
    kind: String,
    /// Of the amounts.
    #[schema(example = "usd")]
    currency: String,
    /// How many.
    count: i64,
    /// What was paid, minor units.
    gross: i64,
    /// What of it came back, whenever it did. Disputes are not in it.
    refunded: i64,
    /// What is left of it.
    net: i64,
}

/// Subscriptions by time; where nothing happened, there is no entry.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SubscriptionCounts {
    /// The oldest first.
    subscriptions: Vec<SubscriptionCount>,
}

/// Subscriptions that began and ended in one unit of time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SubscriptionCount {
    /// When the unit begins, unix seconds. The first one may have begun before what was asked about, and counts from there.
    begins: i64,
    /// How many began, with their first payment or a trial.
    new: i64,
    /// How many ended.
    canceled: i64,
}

/// What became of all credits of all users and teams: `granted` and `adjusted` are all the others together.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PlatformBalance {
    /// Given for payments, and free ones, less what refunds and lost disputes took back.
    granted: i64,
    /// Given by hand, less what was taken by hand.
    adjusted: i64,
    /// Used.
    spent: i64,
    /// Taken for work under way.
    reserved: i64,
    /// Gone by the clock.
    expired: i64,
    /// Of open disputes.
    held: i64,
    /// What all have together, less what some owe.
    outstanding: i64,
    /// How many there may be outstanding before no free ones are given; absent without a limit.
    capacity: Option<i64>,
    /// What is left of it; below zero when more was paid for.
    capacity_left: Option<i64>,
}

/// What was bought, by day, week or month
///
/// Purchases count when they began, what came back of them counts there, too. Read from an index over the time asked
/// about.
#[utoipa::path(
    get, path = "/v1/admin/analytics/purchases", tag = "admin", params(AnalyticsQuery),
    responses((status = OK, body = Purchases))
)]
pub(crate) async fn purchases(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<AnalyticsQuery>,
) -> Result<Json<Purchases>, Problem> {
    caller.require_admin()?;
    let span = query.span()?;
    let mut tx = app.store.begin_as(&caller.0).await?;
    let sales = tx.sales(span).await?;
    tx.commit().await?;
    let purchases = sales.into_iter().map(PurchaseCount::from).collect();
    Ok(Json(Purchases { purchases }))
}

/// Subscriptions that began and ended, by day, week or month
///
/// Read from two indexes over the time asked about.
#[utoipa::path(
    get, path = "/v1/admin/analytics/subscriptions", tag = "admin", params(AnalyticsQuery),
    responses((status = OK, body = SubscriptionCounts))
)]
pub(crate) async fn subscriptions(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<AnalyticsQuery>,
) -> Result<Json<SubscriptionCounts>, Problem> {
    caller.require_admin()?;
    let span = query.span()?;
    let mut tx = app.store.begin_as(&caller.0).await?;
    let counts = tx.subscribers(span).await?;
    tx.commit().await?;
    let subscriptions = counts.into_iter().map(SubscriptionCount::from).collect();
    Ok(Json(SubscriptionCounts { subscriptions }))
}

/// What became of all credits, and how many may still be given
///
/// Read from the platform's own accounts of the ledger, a few rows, and from the reservations under way.
#[utoipa::path(
    get, path = "/v1/admin/analytics/credits", tag = "admin",
    responses((status = OK, body = PlatformBalance))
)]
pub(crate) async fn platform(
    State(app): State<App>,
    caller: Caller,
) -> Result<Json<PlatformBalance>, Problem> {
    caller.require_admin()?;
    let mut tx = app.store.begin_as(&caller.0).await?;
    let platform = tx.platform().await?;
    tx.commit().await?;
    let capacity = app.policy.outstanding_max;
    Ok(Json(PlatformBalance {
        granted: platform.granted,
        adjusted: platform.adjusted,
        spent: platform.spent,
        reserved: platform.reserved,
        expired: platform.expired,
        held: platform.held,
        outstanding: platform.outstanding,
        capacity,
        capacity_left: capacity.map(|most| most.saturating_sub(platform.outstanding)),
    }))
}

impl AnalyticsQuery {
    fn span(&self) -> Result<Span, Problem> {
        let (since, until) = span(self.since, self.until)?;
        let unit = match self.by.unwrap_or(By::Day) {
            By::Day => Unit::Day,
            By::Week => Unit::Week,
            By::Month => Unit::Month,
        };
        Ok(Span { since, until, unit })
    }
}

impl From<Sales> for PurchaseCount {
    fn from(it: Sales) -> Self {
        Self {
            begins: it.begins,
            kind: it.kind,
            currency: it.currency,
            count: it.count,
            gross: it.gross,
            refunded: it.refunded,
            net: it.gross - it.refunded,
        }
    }
}

impl From<Subscribers> for SubscriptionCount {
    fn from(it: Subscribers) -> Self {
        Self {
            begins: it.begins,
            new: it.began,
            canceled: it.ended,
        }
    }
}
