//! Dead letters: what was set aside, and jobs that run it again or discard it. Workers carry the jobs out.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::api::{Actor, AuditRow};
use store::dead::{Cursor, Deed, Filter, Group, IDS_MAX, Job, Letter, LetterState, NewJob};
use utoipa::{IntoParams, ToSchema};

use super::credits::{limit, reason};
use super::events::{cursor, time};
use super::paging::cut;
use crate::app::App;
use crate::caller::{Caller, checked_id};
use crate::extract::{Body, Path, Query, whole_or_none};
use crate::problem::{Kind, Problem};

const SECOND_US: i64 = 1_000_000;
/// Largest rate, letters a second.
pub(crate) const RATE_MAX: i64 = 1_000_000;

/// Which dead letters.
#[derive(Debug, Deserialize, IntoParams)]
pub(crate) struct LettersQuery {
    /// Only the one with this id.
    id: Option<String>,
    /// Only those with this cause.
    fingerprint: Option<String>,
    /// Only events of this type.
    #[serde(rename = "type")]
    #[param(rename = "type")]
    event_type: Option<String>,
    /// Only those set aside for this reason.
    reason: Option<String>,
    /// Only those about this customer of Stripe's, or an object of theirs.
    customer: Option<String>,
    /// Set aside then or later, unix seconds.
    #[param(minimum = 0, maximum = 253_402_300_799_i64)]
    since: Option<i64>,
    /// Set aside before, unix seconds.
    #[param(minimum = 0, maximum = 253_402_300_799_i64)]
    until: Option<i64>,
    /// Those that were discarded, in place of those that wait.
    #[serde(default)]
    discarded: bool,
    /// Where an earlier page ended.
    after: Option<String>,
    /// Entries, 1 to 200; 50 when absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// Which causes.
#[derive(Debug, Deserialize, IntoParams)]
pub(crate) struct GroupsQuery {
    /// Only events of this type.
    #[serde(rename = "type")]
    #[param(rename = "type")]
    event_type: Option<String>,
    /// Only those set aside for this reason.
    reason: Option<String>,
    /// Those that were discarded, in place of those that wait.
    #[serde(default)]
    discarded: bool,
    /// Entries, 1 to 200; 50 when absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// Dead letters, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeadLetters {
    letters: Vec<DeadLetter>,
    /// Hand it back as `after` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// An event that was set aside, without its body.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeadLetter {
    /// The event's id; `raw:...` for what is no event.
    id: String,
    /// The event's type, when it is one.
    #[serde(rename = "type")]
    event_type: Option<String>,
    /// `permanent` or `bug`.
    class: String,
    /// A word from a closed set.
    reason: String,
    /// Equal for failures with one cause.
    fingerprint: String,
    /// For people.
    detail: String,
    /// `waiting`, `replayed` or `discarded`.
    state: String,
    /// How often the entry was given to a worker.
    deliveries: i32,
    /// How often it was run again.
    replays: i32,
    /// When it was set aside first, unix milliseconds.
    parked_at_ms: i64,
    /// When it was last run again or discarded, unix milliseconds.
    changed_at_ms: Option<i64>,
}

impl From<Letter> for DeadLetter {
    fn from(it: Letter) -> Self {
        Self {
            id: it.id,
            event_type: it.event_type,
            class: it.class,
            reason: it.reason,
            fingerprint: it.fingerprint,
            detail: it.detail,
            state: it.state,
            deliveries: it.deliveries,
            replays: it.replays,
            parked_at_ms: it.parked_us / 1_000,
            changed_at_ms: it.changed_us.map(|us| us / 1_000),
        }
    }
}

/// Causes, those with the most letters first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeadGroups {
    groups: Vec<DeadGroup>,
}

/// Dead letters with one cause.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeadGroup {
    /// Names the cause.
    fingerprint: String,
    /// `permanent` or `bug`.
    class: String,
    /// A word from a closed set.
    reason: String,
    /// The type of their events.
    #[serde(rename = "type")]
    event_type: Option<String>,
    /// How many there are.
    letters: u64,
    /// When the first was set aside, unix milliseconds.
    first_at_ms: i64,
    /// When the last was.
    last_at_ms: i64,
    /// The last one.
    sample_id: String,
    /// What is said about it.
    sample_detail: String,
}

impl From<Group> for DeadGroup {
    fn from(it: Group) -> Self {
        Self {
            fingerprint: it.fingerprint,
            class: it.class,
            reason: it.reason,
            event_type: it.event_type,
            letters: it.letters,
            first_at_ms: it.first_us / 1_000,
            last_at_ms: it.last_us / 1_000,
            sample_id: it.sample_id,
            sample_detail: it.sample_detail,
        }
    }
}

/// Which letters, and why. A letter has to fit all that is said, and something has to be said: `all`, at least.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeadJobRequest {
    /// Only these, at most 1,000.
    #[serde(default)]
    #[schema(max_items = 1000)]
    ids: Vec<String>,
    /// Only those with this cause.
    fingerprint: Option<String>,
    /// Only events of this type.
    #[serde(rename = "type")]
    event_type: Option<String>,
    /// Only those set aside for this reason.
    parked_for: Option<String>,
    /// Only those about this customer of Stripe's, or an object of theirs; 1,000 at most.
    customer: Option<String>,
    /// Set aside then or later, unix seconds.
    #[serde(default, deserialize_with = "whole_or_none")]
    #[schema(minimum = 0, maximum = 253_402_300_799_i64)]
    since: Option<i64>,
    /// Set aside before, unix seconds.
    #[serde(default, deserialize_with = "whole_or_none")]
    #[schema(minimum = 0, maximum = 253_402_300_799_i64)]
    until: Option<i64>,
    /// All that wait.
    #[serde(default)]
    all: bool,
    /// Those that were discarded, in place of those that wait.
    #[serde(default)]
    discarded: bool,
    /// Letters a second, at most.
    #[serde(default, deserialize_with = "whole_or_none")]
    #[schema(minimum = 1, maximum = 1_000_000)]
    rate: Option<i64>,
    /// Only count; nothing is changed.
    #[serde(default)]
    dry_run: bool,
    /// Why; kept in the audit log.
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
}

/// How far a replay or discarding is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeadJob {
    /// Names it; absent when only counted.
    id: Option<i64>,
    /// `replay` or `discard`.
    deed: &'static str,
    /// `open`, `done`, `stopped`, or `dry_run`.
    state: &'static str,
    /// How many letters there were when it was asked for.
    counted: u64,
    /// Letters it is done with: run again, or discarded.
    done: u64,
    /// Letters that were run again, and set aside again.
    failed: u64,
    /// Letters somebody else was quicker with.
    skipped: u64,
    /// Unix milliseconds.
    created_at_ms: Option<i64>,
    /// Unix milliseconds.
    finished_at_ms: Option<i64>,
}

impl From<Job> for DeadJob {
    fn from(it: Job) -> Self {
        Self {
            id: Some(it.id),
            deed: it.deed.as_str(),
            state: it.state.as_str(),
            counted: it.counted,
            done: it.done,
            failed: it.failed,
            skipped: it.skipped,
            created_at_ms: Some(it.created_us / 1_000),
            finished_at_ms: it.finished_us.map(|us| us / 1_000),
        }
    }
}

impl LettersQuery {
    fn filter(&self, account: &str) -> Result<Filter, Problem> {
        checked(Filter {
            account: account.to_owned(),
            state: state(self.discarded),
            ids: self.id.iter().cloned().collect(),
            fingerprint: self.fingerprint.clone(),
            event_type: self.event_type.clone(),
            reason: self.reason.clone(),
            customer: self.customer.clone(),
            since_us: microseconds(self.since)?,
            until_us: microseconds(self.until)?,
        })
    }
}

impl DeadJobRequest {
    fn filter(&self, account: &str) -> Result<Filter, Problem> {
        let asked = checked(Filter {
            account: account.to_owned(),
            state: state(self.discarded),
            ids: self.ids.clone(),
            fingerprint: self.fingerprint.clone(),
            event_type: self.event_type.clone(),
            reason: self.parked_for.clone(),
            customer: self.customer.clone(),
            since_us: microseconds(self.since)?,
            until_us: microseconds(self.until)?,
        })?;
        let nothing = Filter {
            account: asked.account.clone(),
            state: asked.state,
            ..Filter::default()
        };
        if asked == nothing && !self.all {
            return Err(Kind::INVALID.because("say which letters, or `all`"));
        }
        Ok(asked)
    }

    fn rate(&self) -> Result<Option<u32>, Problem> {
        match self.rate {
            Some(rate) if !(1..=RATE_MAX).contains(&rate) => {
                Err(Kind::INVALID.because(format!("rate: 1 to {RATE_MAX}")))
            }
            rate => Ok(rate.and_then(|rate| u32::try_from(rate).ok())),
        }
    }
}

/// A filter whose words can be kept.
pub(crate) fn checked(asked: Filter) -> Result<Filter, Problem> {
    if asked.ids.len() > IDS_MAX {
        return Err(Kind::INVALID.because(format!("ids: at most {IDS_MAX}")));
    }
    let words = [
        &asked.fingerprint,
        &asked.event_type,
        &asked.reason,
        &asked.customer,
    ];
    for text in asked.ids.iter().chain(words.into_iter().flatten()) {
        checked_id(text)?;
    }
    Ok(asked)
}

fn state(discarded: bool) -> LetterState {
    if discarded {
        LetterState::Discarded
    } else {
        LetterState::Waiting
    }
}

fn microseconds(seconds: Option<i64>) -> Result<Option<i64>, Problem> {
    Ok(time(seconds)?.map(|seconds| seconds * SECOND_US))
}

/// Lists dead letters, the newest first
#[utoipa::path(get, path = "/v1/dead-letters", tag = "events", params(LettersQuery), responses((status = OK, body = DeadLetters)))]
pub(crate) async fn letters(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<LettersQuery>,
) -> Result<Json<DeadLetters>, Problem> {
    caller.require_service()?;
    let limit = limit(query.limit)?;
    let after = cursor(query.after.as_deref())?;
    let filter = query.filter(&caller.0.account)?;
    let mut tx = app.store.begin_as(&caller.0).await?;
    let letters = tx.dead().letters(&filter, after.as_ref(), limit + 1).await?;
    tx.commit().await?;
    let (letters, next) = cut(letters, limit, place_of);
    Ok(Json(DeadLetters {
        letters: letters.into_iter().map(DeadLetter::from).collect(),
        next,
    }))
}

/// Where a page ends that ends with this letter.
pub(crate) fn place_of(letter: &Letter) -> String {
    let end = Cursor {
        at_us: letter.parked_us,
        id: letter.id.clone(),
    };
    end.to_string()
}

/// Counts dead letters by cause, the most frequent first
#[utoipa::path(get, path = "/v1/dead-letters/groups", tag = "events", params(GroupsQuery), responses((status = OK, body = DeadGroups)))]
pub(crate) async fn groups(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<GroupsQuery>,
) -> Result<Json<DeadGroups>, Problem> {
    caller.require_service()?;
    let limit = limit(query.limit)?;
    let filter = checked(Filter {
        account: caller.0.account.clone(),
        state: state(query.discarded),
        event_type: query.event_type,
        reason: query.reason,
        ..Filter::default()
    })?;
    let mut tx = app.store.begin_as(&caller.0).await?;
    let groups = tx.dead().groups(&filter, limit).await?;
    tx.commit().await?;
    Ok(Json(DeadGroups {
        groups: groups.into_iter().map(DeadGroup::from).collect(),
    }))
}

/// Runs dead letters again
///
/// A worker does, through everything an event goes through, and each exactly once in effect, however often it is asked
/// for. What fails again waits again. What is set aside after this request is not among them.
#[utoipa::path(
    post, path = "/v1/dead-letters/replays", tag = "events", request_body = DeadJobRequest,
    responses((status = ACCEPTED, body = DeadJob), (status = OK, body = DeadJob, description = "Only counted"))
)]
pub(crate) async fn replay(
    State(app): State<App>,
    caller: Caller,
    Body(request): Body<DeadJobRequest>,
) -> Result<(StatusCode, Json<DeadJob>), Problem> {
    ask(&app, &caller, Deed::Replay, &request).await
}

/// Lets nobody wait for dead letters any more
///
/// They are kept, and can still be replayed.
#[utoipa::path(
    post, path = "/v1/dead-letters/discards", tag = "events", request_body = DeadJobRequest,
    responses((status = ACCEPTED, body = DeadJob), (status = OK, body = DeadJob, description = "Only counted"))
)]
pub(crate) async fn discard(
    State(app): State<App>,
    caller: Caller,
    Body(request): Body<DeadJobRequest>,
) -> Result<(StatusCode, Json<DeadJob>), Problem> {
    ask(&app, &caller, Deed::Discard, &request).await
}

async fn ask(
    app: &App,
    caller: &Caller,
    deed: Deed,
    request: &DeadJobRequest,
) -> Result<(StatusCode, Json<DeadJob>), Problem> {
    caller.require_admin()?;
    let filter = request.filter(&caller.0.account)?;
    let rate = request.rate()?;
    let Some(why) = reason(Some(&request.reason))? else {
        return Err(Kind::INVALID.because("reason: say why"));
    };
    if request.dry_run {
        let mut tx = app.store.begin_reading_as(&caller.0).await?;
        let counted = tx.dead().count(&filter).await?;
        return Ok((
            StatusCode::OK,
            Json(DeadJob {
                id: None,
                deed: deed.as_str(),
                state: "dry_run",
                counted,
                done: 0,
                failed: 0,
                skipped: 0,
                created_at_ms: None,
                finished_at_ms: None,
            }),
        ));
    }
    let job = begin_job(app, &caller.0, deed, &filter, rate, why).await?;
    Ok((StatusCode::ACCEPTED, Json(job.into())))
}

/// Makes a job, and writes down who asked for it. The caller has checked that they may.
pub(crate) async fn begin_job(
    app: &App,
    actor: &Actor,
    deed: Deed,
    filter: &Filter,
    rate: Option<u32>,
    why: &str,
) -> Result<Job, Problem> {
    let mut tx = app.store.begin_as(actor).await?;
    let counted = tx.dead().count(filter).await?;
    let new = NewJob {
        deed,
        filter,
        rate,
        why,
        actor: &actor.subject,
        counted,
    };
    let job = tx.dead().open_job(new).await?;
    tx.audit(AuditRow {
        action: deed.audited(),
        user: None,
        subject: Some(&job.id.to_string()),
        reason: why,
        detail: &json!({"counted": job.counted}),
    })
    .await?;
    tx.commit().await?;
    Ok(job)
}

/// How far a replay or discarding is
#[utoipa::path(
    get, path = "/v1/dead-letters/jobs/{job}", tag = "events",
    params(("job" = String, Path, description = "The job's id")),
    responses(
        (status = OK, body = DeadJob),
        (status = NOT_FOUND, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn job(
    State(app): State<App>,
    caller: Caller,
    Path(job): Path<String>,
) -> Result<Json<DeadJob>, Problem> {
    caller.require_service()?;
    let id: i64 = checked_id(&job)?.parse().map_err(|_| Kind::NOT_FOUND)?;
    let mut tx = app.store.begin_as(&caller.0).await?;
    let job = tx.dead().job(&caller.0.account, id).await?;
    tx.commit().await?;
    Ok(Json(job.ok_or(Kind::NOT_FOUND)?.into()))
}
