//! From a queue entry to what it means. Pure, one entry at a time; nothing here can fail a neighbour.

use std::panic::{AssertUnwindSafe, catch_unwind};

use domain::{Kind, ObjectKey, Snapshot, Version};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use shared::entry::{Entry, Mismatch};
use shared::envelope::{Envelope, Rendering};
use store::EventKey;

use crate::handlers::{self, Handler};
use crate::park::Failure;
use crate::view::{ReadError, View};

/// What an event means.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// It describes an object as it was at event time.
    Snapshot(Box<Snapshot>),
    /// It changes nothing, for a reason.
    Ignore(Ignored),
    /// It cannot be applied; a person has to look.
    Park(Failure),
}

/// Why an event changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ignored {
    /// Live data at a test endpoint, or the other way round.
    LivemodeMismatch,
    /// An account the endpoint is not configured for.
    AccountNotConfigured,
    /// A thin event: its object has not been fetched.
    NotFetched,
    /// A preview that has no id yet (`invoice.upcoming`).
    Preview,
    /// `plan.*`, which repeats `price.*`.
    TwinOfPrice,
    /// A type nothing here is about. Stripe adds types without a version change.
    UnknownType,
}

impl Ignored {
    /// Reasons that are the endpoint's, not the event's: another endpoint may be meant to receive it.
    pub const MISMATCHES: [Self; 2] = [Self::LivemodeMismatch, Self::AccountNotConfigured];

    /// The word in `events.reason`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LivemodeMismatch => "livemode_mismatch",
            Self::AccountNotConfigured => "account_not_configured",
            Self::NotFetched => "not_fetched",
            Self::Preview => "preview",
            Self::TwinOfPrice => "twin_of_price",
            Self::UnknownType => "unknown_type",
        }
    }
}

/// What a thin event points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThinReference {
    /// The object, whose kind is one of ours.
    pub key: ObjectKey,
    /// Live or test data.
    pub livemode: bool,
    /// The snapshot event about the same change, when Stripe made one: once it is here, there is nothing to fetch.
    pub twin: Option<EventKey>,
}

/// What a thin event points at; `None` for other events, and for objects nothing here is about.
#[must_use]
pub fn thin_reference(entry: &Entry) -> Option<ThinReference> {
    #[derive(Deserialize)]
    struct Body {
        snapshot_event: Option<String>,
    }
    let envelope = &entry.meta.envelope;
    if envelope.rendering != Rendering::Thin || entry.meta.mismatch.is_some() {
        return None;
    }
    let account = envelope.account.clone().unwrap_or_default();
    // Of a wrong type it names no twin, and the object is fetched.
    let twin = serde_json::from_slice::<Body>(&entry.body)
        .ok()
        .and_then(|body| body.snapshot_event);
    Some(ThinReference {
        key: ObjectKey {
            account: account.clone(),
            kind: Kind::parse(envelope.object_type.as_deref()?)?,
            id: envelope.object_id.clone()?,
        },
        livemode: envelope.livemode,
        twin: twin.map(|id| EventKey { account, id }),
    })
}

/// Reads an entry, and notes members that are not what they used to be. A panic in a handler is that event's
/// failure, not the worker's.
#[must_use]
pub fn read(entry: &Entry) -> (Reading, Vec<ReadError>) {
    if let Some(reason) = ignored(entry) {
        return (Reading::Ignore(reason), Vec::new());
    }
    let envelope = &entry.meta.envelope;
    let Some(handler) = handlers::find(&envelope.event_type, envelope.object_type.as_deref()) else {
        return (Reading::Ignore(Ignored::UnknownType), Vec::new());
    };
    match catch_unwind(AssertUnwindSafe(|| {
        #[cfg(feature = "planted-bugs")]
        shared::planted::trip(&entry.body);
        snapshot(entry, handler)
    })) {
        Ok(Ok((snapshot, drift))) => (Reading::Snapshot(Box::new(snapshot)), drift),
        Ok(Err(failure)) => (Reading::Park(failure), Vec::new()),
        Err(panic) => (Reading::Park(Failure::panic(panic.as_ref())), Vec::new()),
    }
}

/// Why the envelope alone says that nothing changes.
fn ignored(entry: &Entry) -> Option<Ignored> {
    let envelope = &entry.meta.envelope;
    let preview = |id: Option<&str>| id.is_none_or(|id| id.starts_with("upcoming_in"));
    match entry.meta.mismatch {
        Some(Mismatch::Livemode) => Some(Ignored::LivemodeMismatch),
        Some(Mismatch::Account) => Some(Ignored::AccountNotConfigured),
        None if envelope.rendering == Rendering::Thin => Some(Ignored::NotFetched),
        None if envelope.event_type == "invoice.upcoming" && preview(envelope.object_id.as_deref()) => {
            Some(Ignored::Preview)
        }
        None if envelope.event_type.starts_with("plan.") => Some(Ignored::TwinOfPrice),
        None => None,
    }
}

fn snapshot(entry: &Entry, handler: &Handler) -> Result<(Snapshot, Vec<ReadError>), Failure> {
    snapshot_of(&entry.meta.envelope, handler, raw(&entry.body)?.object)
}

fn snapshot_of(
    envelope: &Envelope,
    handler: &Handler,
    object: &str,
) -> Result<(Snapshot, Vec<ReadError>), Failure> {
    let object: serde_json_borrow::Value<'_> = parse(object)?;
    let view = View::new(&object, handler.needed)?;
    let id = view.id(handler.id)?.filter(|id| !id.is_empty());
    let missing = || Failure::unreadable(&format!("{}: expected an id, found nothing", handler.id));
    let account = envelope.account.clone().unwrap_or_default();
    let deleted = is_deletion(envelope, handler.kind) || view.is("deleted")?;
    let read = (handler.read)(&view)?;
    let snapshot = Snapshot {
        key: ObjectKey {
            account,
            kind: handler.kind,
            id: id.ok_or_else(missing)?,
        },
        version: Version {
            terminal: deleted || read.is_terminal(),
            created: envelope.created,
            event_id: envelope.id.clone(),
        },
        livemode: envelope.livemode,
        deleted,
        object: read,
    };
    Ok((snapshot, view.drift()))
}

/// `customer.subscription.deleted` is the end of a subscription, which its status says; the object stays.
fn is_deletion(envelope: &Envelope, kind: Kind) -> bool {
    kind != Kind::Subscription && envelope.event_type.ends_with(".deleted")
}

/// An event read in full, for comparing it with others about the same object.
#[derive(Debug, Clone)]
pub struct FullEvent {
    /// The object as it was.
    pub snapshot: Snapshot,
    /// The object as it was, all of it.
    pub object: Value,
    /// What it looked like before, as far as it changed. Null when the event does not say.
    pub previous: Value,
    /// Whether the object was just made.
    pub is_creation: bool,
}

/// Reads a stored event again, in full. `None` for one that has no snapshot.
#[must_use]
pub fn full_event(body: &str) -> Option<FullEvent> {
    let envelope = Envelope::parse(body.as_bytes()).ok()?;
    let handler = handlers::find(&envelope.event_type, envelope.object_type.as_deref())?;
    let raw = raw(body.as_bytes()).ok()?;
    let (snapshot, _) = snapshot_of(&envelope, handler, raw.object).ok()?;
    Some(FullEvent {
        snapshot,
        object: parse(raw.object).ok()?,
        previous: raw
            .previous
            .and_then(|previous| parse(previous).ok())
            .unwrap_or_default(),
        is_creation: envelope.event_type.ends_with(".created"),
    })
}

struct Raw<'a> {
    object: &'a str,
    previous: Option<&'a str>,
}

/// The texts of `data.object` and `data.previous_attributes`. The rest of the body is not parsed again.
fn raw(body: &[u8]) -> Result<Raw<'_>, Failure> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        data: Data<'a>,
    }
    #[derive(Deserialize)]
    struct Data<'a> {
        #[serde(borrow)]
        object: &'a RawValue,
        #[serde(default, borrow)]
        previous_attributes: Option<&'a RawValue>,
    }
    let Body { data } = serde_json::from_slice(body).map_err(|e| Failure::unreadable(&e.to_string()))?;
    Ok(Raw {
        object: data.object.get(),
        previous: data.previous_attributes.map(RawValue::get),
    })
}

/// What is only looked at borrows from the text; what is kept owns its parts.
fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|e| Failure::unreadable(&e.to_string()))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use shared::entry::Meta;

    use super::*;

    fn entry(event_type: &str, object: &str) -> Entry {
        let body = format!(r#"{{"data":{{"object":{object}}}}}"#);
        let value: serde_json::Value = serde_json::from_str(object).unwrap_or_default();
        let word = |name: &str| value[name].as_str().map(str::to_owned);
        let envelope = Envelope {
            id: "evt_1".into(),
            event_type: event_type.into(),
            created: 5,
            rendering: Rendering::Snapshot,
            account: None,
            livemode: false,
            api_version: None,
            object_type: word("object"),
            object_id: word("id"),
            customer: None,
        };
        let meta = Meta {
            envelope,
            endpoint: "default".into(),
            received_at_ms: 1,
            mismatch: None,
            traceparent: None,
        };
        Entry {
            meta,
            body: Bytes::from(body),
        }
    }

    fn reason(entry: &Entry) -> Option<&'static str> {
        match read(entry).0 {
            Reading::Ignore(reason) => Some(reason.as_str()),
            _ => None,
        }
    }

    #[test]
    fn a_known_object_becomes_a_snapshot() {
        let entry = entry("customer.deleted", r#"{"id":"cus_1","object":"customer"}"#);
        let Reading::Snapshot(snapshot) = read(&entry).0 else {
            panic!("a snapshot")
        };
        assert_eq!(
            snapshot.key,
            ObjectKey {
                account: String::new(),
                kind: Kind::Customer,
                id: "cus_1".into()
            }
        );
        assert!(snapshot.deleted);
    }

    #[test]
    fn what_changes_nothing_says_why() {
        let customer = r#"{"id":"cus_1","object":"customer"}"#;
        let with = |change: fn(&mut Meta)| {
            let mut entry = entry("customer.created", customer);
            change(&mut entry.meta);
            reason(&entry)
        };
        assert_eq!(
            with(|meta| meta.mismatch = Some(Mismatch::Livemode)),
            Some("livemode_mismatch")
        );
        assert_eq!(
            with(|meta| meta.mismatch = Some(Mismatch::Account)),
            Some("account_not_configured")
        );
        assert_eq!(
            with(|meta| meta.envelope.rendering = Rendering::Thin),
            Some("not_fetched")
        );
        assert_eq!(
            reason(&entry("invoice.upcoming", r#"{"object":"invoice"}"#)),
            Some("preview")
        );
        let preview = r#"{"object":"invoice","id":"upcoming_in_1"}"#;
        assert_eq!(reason(&entry("invoice.upcoming", preview)), Some("preview"));
        assert_eq!(
            reason(&entry("plan.created", r#"{"object":"plan","id":"p"}"#)),
            Some("twin_of_price")
        );
        assert_eq!(
            reason(&entry("a.b", r#"{"object":"a","id":"p"}"#)),
            Some("unknown_type")
        );
    }

    #[test]
    fn what_cannot_be_read_is_parked_with_its_place() {
        let cases = [
            (r#"{"object":"charge"}"#, "id: expected an id"),
            (
                r#"{"object":"charge","id":"ch_1","amount":"ten"}"#,
                "amount: expected a whole number",
            ),
            (
                r#"{"object":"charge","id":"ch_1","payment_intent":{"id":[]}}"#,
                "payment_intent.id: expected a text",
            ),
        ];
        for (object, detail) in cases {
            let Reading::Park(failure) = read(&entry("charge.updated", object)).0 else {
                panic!("{object}")
            };
            assert_eq!(failure.reason, "unreadable_object");
            assert!(failure.detail.contains(detail), "{}", failure.detail);
        }
    }

    #[test]
    fn what_no_rule_needs_parks_nothing_and_is_noted() {
        let object =
            r#"{"object":"charge","id":"ch_1","amount":5,"receipt_url":7,"metadata":[],"created":1e300}"#;
        let (reading, drift) = read(&entry("charge.updated", object));
        assert!(matches!(reading, Reading::Snapshot(_)), "{reading:?}");
        let paths: Vec<_> = drift.iter().map(|it| it.path.as_str()).collect();
        assert_eq!(paths, ["created", "receipt_url", "metadata"]);
    }

    #[test]
    fn nesting_too_deep_to_read_is_parked() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let mut entry = entry("charge.updated", r#"{"object":"charge","id":"ch_1"}"#);
        entry.body = Bytes::from(format!(r#"{{"data":{{"object":{{"id":"ch_1","x":{deep}}}}}}}"#));
        assert!(matches!(read(&entry).0, Reading::Park(_)));
    }
}
