//! What the worker tells the outside: every count and every line of its log is here, so that words stay one set. What
//! there is to count is listed in [`crate::meters`].

use std::time::Duration;

use domain::ObjectKey;
use domain::credits::{Problem, Target};
use domain::sample::{Finding, Look};
use domain::silence::Verdict;
use metrics::{counter, gauge, histogram};
use shared::admin::Readiness;
use shared::clock::Clock;
use shared::queue::{Pause, QueueError};
use store::check::{LedgerGauges, RULES, Violation};
use store::coverage::Coverage;
use store::{Due, Sizes, Status, StoreError, UserChange};
use stripe_api::FetchError;

use crate::breaker::{REFUSED, REFUSED_MAX};
use crate::item::{Fate, Item};
use crate::meters::{self, Outcome, STATUSES, meters};
use crate::park::Failure;
use crate::read::Reading;
use crate::reconcile::{Listed, Trouble};
use crate::told;

/// A chunk is done.
pub(crate) fn chunk(entries: usize, took: Duration) {
    histogram!(meters::CHUNK_DURATION).record(took.as_secs_f64());
    counter!(meters::CHUNKS).increment(1);
    counter!(meters::CHUNK_ENTRIES).increment(entries as u64);
}

/// Work begins on events that were accepted at these times.
pub(crate) fn begun(received_at_ms: impl Iterator<Item = i64>, now_ms: i64) {
    received_at_ms.for_each(|at| meters().waited(now_ms.saturating_sub(at)));
}

/// A batch is committed. Work on it began at `began_ms`.
pub(crate) fn fates(batch: &[Item], fates: &[Fate], began_ms: i64, now_ms: i64) {
    let meters = meters();
    for (item, fate) in batch.iter().zip(fates) {
        if let (Fate::Settled(Status::Parked), Reading::Park(failure)) = (fate, &item.reading) {
            parked(item, failure);
        }
        let envelope = item.entry().map(|entry| &entry.meta.envelope);
        let outcome = outcome(fate);
        meters.event(envelope.map_or("", |it| &it.event_type), outcome);
        if let (Fate::Settled(_), Some(entry)) = (fate, item.entry()) {
            drift(item);
            let waited = u64::try_from(now_ms.saturating_sub(entry.meta.received_at_ms)).unwrap_or(0);
            meters.commit_latency.record(Duration::from_millis(waited));
            meters.attempts.record(f64::from(item.deliveries));
        }
        told::line(item, outcome, began_ms, now_ms);
        told::span(item, outcome, began_ms, now_ms, batch.len());
    }
}

fn outcome(fate: &Fate) -> Outcome {
    match fate {
        Fate::Settled(Status::Applied) => Outcome::Applied,
        Fate::Settled(Status::Ignored) => Outcome::Ignored,
        Fate::Settled(Status::Parked) => Outcome::Parked,
        Fate::Duplicate => Outcome::Duplicate,
    }
}

/// Stripe's objects are not what they used to be. Nothing is lost, but somebody should look before something is.
fn drift(item: &Item) {
    let Reading::Snapshot(snapshot) = &item.reading else {
        return;
    };
    for noted in &item.drift {
        counter!(meters::DRIFT, "what" => snapshot.key.kind.as_str()).increment(1);
        tracing::debug!(
            event = snapshot.version.event_id,
            "drift in {}: {noted}",
            snapshot.key.kind.as_str()
        );
    }
}

/// One event needs a person.
fn parked(item: &Item, failure: &Failure) {
    let envelope = item.entry().map(|entry| &entry.meta.envelope);
    let event_type = envelope.map_or("", |envelope| &envelope.event_type);
    tracing::error!(
        entry = %item.id,
        event = envelope.map_or("", |envelope| &envelope.id),
        r#type = event_type,
        class = failure.class.as_str(),
        reason = failure.reason,
        fingerprint = failure.fingerprint(event_type),
        "event parked: {}",
        failure.detail
    );
}

/// Snapshots of one second could not be told apart: what stands is a guess, the same everywhere.
pub(crate) fn guessed(ties: usize) {
    counter!(meters::TIES_GUESSED).increment(ties as u64);
}

/// A transaction has to be tried again; perhaps because two workers were in each other's way.
pub(crate) fn transient(error: &StoreError) {
    store::retried(error);
    if error.is_contention() {
        counter!(meters::CONTENTION).increment(1);
    }
}

/// A batch of events is tried again, for a reason of [`meters::RETRIES`].
pub(crate) fn retried(reason: &'static str) {
    counter!(meters::RETRIES, "reason" => reason).increment(1);
}

/// Entries were taken over from a worker that showed no sign of life.
pub(crate) fn taken_over(entries: usize, deliveries: u32) {
    tracing::info!(entries, deliveries, "took over run-out leases");
    counter!(meters::TAKEN_OVER).increment(entries as u64);
}

/// So many chunks can be worked on at a time.
pub(crate) fn slots(slots: usize) {
    gauge!(meters::SLOTS).set(u32::try_from(slots).map_or(f64::INFINITY, f64::from));
}

/// The queue was paused, or resumed.
pub(crate) fn paused(pause: Option<&Pause>) {
    match pause {
        Some(Pause { by, why, .. }) => {
            tracing::warn!(by, why, "the queue is paused: nothing is taken from it")
        }
        None => tracing::info!("the queue is resumed"),
    }
}

/// The worker was told to end.
pub(crate) fn draining() {
    gauge!(meters::DRAINING).set(1.0);
}

/// Redis could not be told. The entries come back and are absorbed.
pub(crate) fn not_acknowledged(entries: usize, error: &QueueError) {
    counter!(meters::ACKNOWLEDGE_FAILURES).increment(1);
    tracing::warn!(entries, "not acknowledged: {error}");
}

/// A subscription has a status that is newer than this build.
pub(crate) fn unknown_status(subscription: &str, status: &str) {
    counter!(meters::DRIFT, "what" => meters::SUBSCRIPTION_STATUS).increment(1);
    // Stripe's are words; whatever else stands there is nobody's business.
    let is_word = status.bytes().all(|it| it.is_ascii_lowercase() || it == b'_');
    tracing::warn!(
        subscription,
        status = if is_word { status } else { "no word" },
        "a status this build does not know: the last known one counts"
    );
}

/// Credits were moved; what is still uncommitted may be counted twice after a failure.
pub(crate) fn credits<'a>(transfers: impl IntoIterator<Item = &'a Target>) {
    for it in transfers {
        let kind = it.place.kind.as_str();
        counter!(meters::TRANSFERS, "kind" => kind).increment(1);
        let name = if it.credits > 0 {
            meters::CREDITS_GIVEN
        } else {
            meters::CREDITS_TAKEN
        };
        counter!(name, "kind" => kind).increment(it.credits.unsigned_abs());
    }
}

/// Users stand elsewhere than before; what is still uncommitted may be counted twice after a failure.
pub(crate) fn moved(changes: &[UserChange]) {
    for it in changes.iter().filter(|it| it.before.state != it.after.state) {
        let (from, to) = (it.before.state.as_str(), it.after.state.as_str());
        counter!(meters::TRANSITIONS, "from" => from, "to" => to).increment(1);
    }
}

/// How much there is of what.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
pub(crate) fn sizes(sizes: &Sizes) {
    gauge!(meters::MIGRATION).set(sizes.migration as f64);
    gauge!(meters::EVENTS_BYTES).set(sizes.events_bytes as f64);
    for class in meters::CLASSES {
        gauge!(meters::PARKED, "class" => class).set(of(&sizes.parked, class));
    }
}

/// Subscriptions by status; statuses newer than this build are one.
pub(crate) fn subscriptions(counts: &[(String, i64)]) {
    let others = counts
        .iter()
        .filter(|(status, _)| !STATUSES.contains(&status.as_str()));
    let others: i64 = others.map(|(_, count)| count).sum();
    let counts = [counts, &[(meters::OTHER_STATUS.to_owned(), others)]].concat();
    for status in STATUSES {
        gauge!(meters::SUBSCRIPTIONS, "status" => status).set(of(&counts, status));
    }
}

/// The count of a word; what is not listed is zero.
#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a float; nobody reads its last digits beyond 2^53"
)]
fn of(tally: &[(String, i64)], word: &str) -> f64 {
    let found = tally.iter().find(|(known, _)| known == word);
    found.map_or(0.0, |(_, count)| *count as f64)
}

/// The ledger, as it is.
#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a float; nobody reads its last digits beyond 2^53"
)]
pub(crate) fn ledger(ledger: &LedgerGauges, outstanding_max: Option<i64>) {
    for rule in RULES {
        gauge!(meters::LEDGER_VIOLATIONS, "rule" => rule).set(of(&ledger.violations, rule));
    }
    for problem in Problem::WORDS {
        gauge!(meters::MONEY_PROBLEMS, "problem" => problem).set(of(&ledger.problems, problem));
    }
    gauge!(meters::LEDGER_OUTSTANDING).set(ledger.outstanding as f64);
    gauge!(meters::LEDGER_CHECK_AGE).set(ledger.check_age_seconds);
    if let Some(most) = outstanding_max {
        gauge!(meters::LEDGER_CAPACITY).set((most - ledger.outstanding_own) as f64);
    }
}

/// Whether Postgres keeps through a crash what it confirms; said whenever that changes.
pub(crate) fn durability(unsafe_settings: &[String]) {
    gauge!(meters::POSTGRES_DURABLE).set(if unsafe_settings.is_empty() { 1.0 } else { 0.0 });
    if unsafe_settings.is_empty() {
        tracing::info!("postgres keeps what it confirms");
    } else {
        let settings = unsafe_settings.join(", ");
        tracing::warn!(
            "postgres may lose in a crash what it has confirmed, and Redis then no longer has it: {settings}"
        );
    }
}

/// A row of the ledger is broken; said once, by whoever found it.
pub(crate) fn violation(it: &Violation) {
    tracing::error!(
        rule = it.rule,
        row = it.subject,
        "the ledger is broken: {}",
        it.detail
    );
}

/// A job of the sweeper is done.
pub(crate) fn swept(job: &'static str, rows: u64) {
    counter!(meters::SWEPT, "job" => job).increment(rows);
}

/// Free credits were not given: the platform has none left.
pub(crate) fn free_refused(grants: usize) {
    counter!(meters::FREE_REFUSED).increment(grants as u64);
    if grants > 0 {
        tracing::warn!(grants, "no free credits are left to give");
    }
}

/// Something that comes again anyway could not be done now.
pub(crate) fn not_now(what: &str, error: &StoreError) {
    transient(error);
    tracing::warn!(cause = error.cause(), "{what}, trying again: {}", error.message());
}

/// A batch of marks is reckoned.
pub(crate) fn reckoned(subjects: usize, took: Duration) {
    histogram!(meters::RECKON_DURATION).record(took.as_secs_f64());
    counter!(meters::RECKONED).increment(subjects as u64);
}

/// Stripe answered.
pub(crate) fn refetched(items: &[Item], fates: &[Fate]) {
    counter!(meters::REFETCHES, "outcome" => "answered").increment(1);
    for (item, fate) in items.iter().zip(fates) {
        if let (Fate::Settled(Status::Parked), Reading::Park(failure)) = (fate, &item.reading) {
            parked(item, failure);
        }
    }
}

/// Dead letters were run again by a job. Work on them began at `began_ms`.
pub(crate) fn replayed(items: &[Item], outcomes: &[store::dead::Outcome], job: i64, began_ms: i64) {
    let now_ms = Clock::system().unix_ms();
    for (item, outcome) in items.iter().zip(outcomes) {
        told::replay(item, job, *outcome, began_ms, now_ms);
        counter!(meters::REPLAYED, "outcome" => outcome.as_str()).increment(1);
        if let (store::dead::Outcome::Parked, Reading::Park(failure)) = (outcome, &item.reading) {
            parked(item, failure);
        }
    }
}

/// An object will not be asked for again.
pub(crate) fn not_refetched(due: &Due, error: &str) {
    counter!(meters::REFETCHES, "outcome" => "given_up").increment(1);
    tracing::warn!(
        object = due.key.id,
        kind = due.key.kind.as_str(),
        reason = due.reason,
        "not fetched from Stripe, and not asked for again: {error}"
    );
}

/// The API key does not do.
pub(crate) fn refused(error: &str) {
    counter!(meters::REFETCHES, "outcome" => "refused").increment(1);
    tracing::error!("Stripe refuses STRIPE_API_KEY: {error}");
}

/// Events that Stripe has and we have not; so many of them were not known to be missing.
pub(crate) fn missing(account: &str, new: u64, events: &[Listed]) {
    if new == 0 {
        return;
    }
    counter!(meters::RECONCILED, "outcome" => "missing").increment(new);
    let last = events.first().map(Listed::id);
    tracing::warn!(account, new, last, "Stripe has events that did not arrive");
}

/// So many of them were put into the queue.
pub(crate) fn mended(events: u64) {
    counter!(meters::RECONCILED, "outcome" => "queued").increment(events);
}

/// Stripe's list could not be compared.
pub(crate) fn not_compared(account: &str, trouble: &Trouble) {
    match trouble {
        Trouble::WrongAccount { .. } | Trouble::Stripe(FetchError::Refused(_)) => {
            tracing::error!(account, "Stripe's list of events cannot be compared: {trouble}");
        }
        _ => tracing::warn!(
            account,
            "Stripe's list of events is not compared, trying again: {trouble}"
        ),
    }
}

/// An object was compared with Stripe's; without a finding, Stripe's cannot be read.
pub(crate) fn compared(finding: Option<Finding>) {
    let finding = finding.map_or(meters::UNREADABLE, Finding::as_str);
    counter!(meters::OBJECTS_COMPARED, "finding" => finding).increment(1);
}

/// An object is not as Stripe has it, though no event says so. Members are named, and never shown.
pub(crate) fn differs(key: &ObjectKey, look: &Look, is_new: bool) {
    if !is_new {
        return;
    }
    counter!(meters::OBJECT_DIFFERENCES, "kind" => key.kind.as_str()).increment(1);
    tracing::warn!(
        account = key.account,
        kind = key.kind.as_str(),
        object = key.id,
        is_gone = look.is_gone,
        members = look.told().join(" "),
        "not as Stripe has it, and no event says so"
    );
}

/// How far all accounts are: of what is late the latest is shown.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
pub(crate) fn coverage(all: &[Coverage]) {
    let most = |of: fn(&Coverage) -> f64| all.iter().map(of).fold(0.0, f64::max);
    gauge!(meters::COVERAGE_LAG).set(most(|it| it.lag));
    gauge!(meters::RECONCILE_AGE).set(most(|it| it.age));
    let sum = |of: fn(&Coverage) -> i64| all.iter().map(of).sum::<i64>() as f64;
    gauge!(meters::COVERAGE_HOLES, "state" => "open").set(sum(|it| it.holes));
    gauge!(meters::COVERAGE_HOLES, "state" => "gone").set(sum(|it| it.gone));
    for verdict in Verdict::ALL.map(Verdict::as_str) {
        let count = all
            .iter()
            .filter(|it| it.verdict.as_deref() == Some(verdict))
            .count();
        gauge!(meters::DELIVERY_VERDICTS, "verdict" => verdict).set(count as f64);
    }
}

/// Something marked cannot be reckoned.
pub(crate) fn not_reckoned(error: &StoreError) {
    counter!(meters::MARKS_SET_ASIDE).increment(1);
    tracing::error!(
        cause = error.cause(),
        "cannot reckon, set aside: {}",
        error.message()
    );
}

/// Whatever comes is refused: events wait, and one now and then is set aside. Logged when that begins.
pub(crate) fn all_refused(readiness: &Readiness, why: &str) {
    if !readiness.problems().contains_key(REFUSED) {
        gauge!(meters::ALL_REFUSED).set(1.0);
        tracing::error!(
            refused = REFUSED_MAX,
            "one event after another is refused, so it is not the events: they wait for somebody to mend it: {why}"
        );
    }
    readiness.set(REFUSED, Some(format!("one event after another: {why}")));
}

/// An event took effect.
pub(crate) fn not_all_refused(readiness: &Readiness) {
    gauge!(meters::ALL_REFUSED).set(0.0);
    tracing::info!("events take effect again");
    readiness.set(REFUSED, None);
}

/// A dependency is away. Logged when that begins, not on every attempt.
pub(crate) fn waiting(readiness: &Readiness, dependency: &'static str, trouble: &str) {
    if !readiness.problems().contains_key(dependency) {
        tracing::warn!(dependency, "waiting: {trouble}");
    }
    readiness.set(dependency, Some(trouble.to_owned()));
}
