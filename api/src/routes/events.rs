//! What came in, and what became of it.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use store::Status;
use store::events::{Change, EventFilter, EventLine, EventPage, Moment, Story};
use utoipa::{IntoParams, ToSchema};

use super::credits::limit;
use super::paging::TIME_MAX;
use crate::app::App;
use crate::caller::{Caller, checked_id};
use crate::extract::{Path, Query};
use crate::problem::{Kind, Problem};

const SECOND_US: i64 = 1_000_000;

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
pub(crate) struct EventsQuery {
    /// Only the one with this id.
    id: Option<String>,
    /// Only this type, or those that begin so: `invoice.*`.
    #[serde(rename = "type")]
    #[param(rename = "type")]
    event_type: Option<String>,
    /// Only those about an object of this customer's.
    customer: Option<String>,
    /// Only those about this object.
    object: Option<String>,
    /// `applied`, `ignored` or `parked`.
    #[param(inline)]
    status: Option<EventStatus>,
    /// Only those this endpoint received.
    endpoint: Option<String>,
    /// Received then or later, unix seconds.
    #[param(minimum = 0, maximum = 253_402_300_799_i64)]
    since: Option<i64>,
    /// Received before, unix seconds.
    #[param(minimum = 0, maximum = 253_402_300_799_i64)]
    until: Option<i64>,
    /// Happened at Stripe then or later, unix seconds.
    #[param(minimum = 0, maximum = 253_402_300_799_i64)]
    created_since: Option<i64>,
    /// Happened at Stripe before, unix seconds.
    #[param(minimum = 0, maximum = 253_402_300_799_i64)]
    created_until: Option<i64>,
    /// Where an earlier page ended.
    after: Option<String>,
    /// Entries, 1 to 200; 50 when absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EventStatus {
    /// Its snapshot took part in deciding what stands.
    Applied,
    /// It was kept, and changes nothing.
    Ignored,
    /// It was set aside.
    Parked,
}

/// Events, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Events {
    events: Vec<InboxEvent>,
    /// Hand it back as `after` for the next page, also where this one is short or empty: looking far back takes several.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// An event of the inbox, without its body.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InboxEvent {
    /// `evt_...`.
    id: String,
    /// Stripe's type.
    #[serde(rename = "type")]
    event_type: String,
    /// The kind of what it is about.
    object_type: Option<String>,
    /// What it is about.
    object_id: Option<String>,
    /// The endpoint that received it.
    endpoint: String,
    /// Live or test data.
    livemode: bool,
    /// The version that rendered it.
    api_version: Option<String>,
    /// When it happened, unix seconds.
    created: i64,
    /// When it was accepted, unix milliseconds.
    received_at_ms: i64,
    /// When its fate was committed, unix milliseconds.
    settled_at_ms: i64,
    /// `applied`, `ignored` or `parked`.
    status: String,
    /// Why ignored or parked.
    reason: Option<String>,
}

impl From<EventLine> for InboxEvent {
    fn from(it: EventLine) -> Self {
        Self {
            id: it.id,
            event_type: it.event_type,
            object_type: it.object_type,
            object_id: it.object_id,
            endpoint: it.endpoint,
            livemode: it.livemode,
            api_version: it.api_version,
            created: it.created,
            received_at_ms: it.received_us / 1_000,
            settled_at_ms: it.settled_us / 1_000,
            status: it.status,
            reason: it.reason,
        }
    }
}

/// One event's story.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventStory {
    event: InboxEvent,
    /// What happened to it, the oldest first.
    moments: Vec<EventMoment>,
    /// Rows it had to do with, as they are now.
    changes: Vec<EventChange>,
    /// Other events of the same object, the newest first, at most 20.
    related: Vec<InboxEvent>,
}

/// Something that happened to an event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventMoment {
    /// When, unix milliseconds.
    at_ms: i64,
    /// `created`, `received`, `queued`, `begun` (by a worker), `redelivered`, `parked`, `replayed`, `discarded`, `applied` or `ignored`.
    what: &'static str,
    /// More, for people.
    detail: String,
}

impl From<Moment> for EventMoment {
    fn from(it: Moment) -> Self {
        Self {
            at_ms: it.at_us / 1_000,
            what: it.what.as_str(),
            detail: it.detail,
        }
    }
}

/// A row an event had to do with.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventChange {
    /// Its table.
    table: &'static str,
    /// Its key.
    key: String,
    /// How it is now, for people.
    today: String,
}

impl From<Change> for EventChange {
    fn from(it: Change) -> Self {
        Self {
            table: it.table,
            key: it.key,
            today: it.today,
        }
    }
}

impl EventsQuery {
    fn filter(&self, account: &str) -> Result<EventFilter, Problem> {
        let texts = [
            &self.id,
            &self.event_type,
            &self.customer,
            &self.object,
            &self.endpoint,
        ];
        for text in texts.into_iter().flatten() {
            checked_id(text)?;
        }
        Ok(EventFilter {
            account: account.to_owned(),
            id: self.id.clone(),
            object: self.object.clone(),
            customer: self.customer.clone(),
            event_type: self.event_type.clone(),
            status: self.status.map(|status| match status {
                EventStatus::Applied => Status::Applied,
                EventStatus::Ignored => Status::Ignored,
                EventStatus::Parked => Status::Parked,
            }),
            endpoint: self.endpoint.clone(),
            received_since_us: time(self.since)?.map(|it| it * SECOND_US),
            received_until_us: time(self.until)?.map(|it| it * SECOND_US),
            created_since: time(self.created_since)?,
            created_until: time(self.created_until)?,
        })
    }
}

/// A time that a calendar has.
pub(super) fn time(seconds: Option<i64>) -> Result<Option<i64>, Problem> {
    match seconds {
        Some(it) if !(0..=TIME_MAX).contains(&it) => {
            Err(Kind::INVALID.because(format!("a time is 0 to {TIME_MAX}, in unix seconds")))
        }
        it => Ok(it),
    }
}

/// Where an earlier page ended.
pub(crate) fn cursor(text: Option<&str>) -> Result<Option<store::dead::Cursor>, Problem> {
    let parsed = text.map(str::parse).transpose();
    parsed.map_err(|error| Kind::INVALID.because(format!("after: {error}")))
}

/// Finds events, the newest first
///
/// An id, an object, a customer and `parked` are found at once; anything else is looked for backwards in time, some
/// thousand events a page.
#[utoipa::path(get, path = "/v1/events", tag = "events", params(EventsQuery), responses((status = OK, body = Events)))]
pub(crate) async fn events(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<EventsQuery>,
) -> Result<Json<Events>, Problem> {
    caller.require_service()?;
    let limit = limit(query.limit)?;
    let after = cursor(query.after.as_deref())?;
    let filter = query.filter(&caller.0.account)?;
    let mut tx = app.store.begin_as(&caller.0).await?;
    let EventPage { events, next } = tx.events().find(&filter, after.as_ref(), limit).await?;
    tx.commit().await?;
    Ok(Json(Events {
        events: events.into_iter().map(InboxEvent::from).collect(),
        next: next.map(|next| next.to_string()),
    }))
}

/// One event's story: deliveries, being set aside, replays, what it changed
#[utoipa::path(
    get, path = "/v1/events/{event}", tag = "events",
    params(("event" = String, Path, description = "`evt_...`")),
    responses(
        (status = OK, body = EventStory),
        (status = NOT_FOUND, body = Problem, content_type = "application/problem+json",
            description = "It is not in the inbox"),
    )
)]
pub(crate) async fn event(
    State(app): State<App>,
    caller: Caller,
    Path(event): Path<String>,
) -> Result<Json<EventStory>, Problem> {
    caller.require_service()?;
    let id = checked_id(&event)?;
    let mut tx = app.store.begin_as(&caller.0).await?;
    let story = tx.events().story(&caller.0.account, id).await?;
    tx.commit().await?;
    let Story {
        event,
        moments,
        changes,
        related,
    } = story.ok_or(Kind::NOT_FOUND)?;
    Ok(Json(EventStory {
        event: event.into(),
        moments: moments.into_iter().map(EventMoment::from).collect(),
        changes: changes.into_iter().map(EventChange::from).collect(),
        related: related.into_iter().map(InboxEvent::from).collect(),
    }))
}
