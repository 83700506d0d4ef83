//! From verified bytes to the few words of an event that routing needs. Pure.
//!
//! Two envelopes exist: the snapshot event (`object: "event"`,
//! <https://docs.stripe.com/api/events/object>) and the thin event notification
//! (`object: "v2.core.event"`, <https://docs.stripe.com/api/v2/core/events/object>). Everything else
//! about an event is read later, by the worker, so that ingest rejects only what can never be one.

mod shape;

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::signature::{Secret, SignatureError, verify};
use shape::Shape;

/// Longest id or event type accepted, in bytes; Stripe promises at most 255 for ids.
pub const WORD_BYTES_MAX: usize = 255;
/// Latest `created` accepted, unix seconds: the end of the year 9999, which every date type can hold.
pub const CREATED_MAX: i64 = 253_402_300_799;

/// A request body whose signature was checked. Only [`VerifiedBody::verify`] makes one.
#[derive(Debug, Clone)]
pub struct VerifiedBody {
    bytes: Bytes,
    secret_index: usize,
}

impl VerifiedBody {
    /// Checks `header` over the raw `bytes`; see [`verify`].
    ///
    /// # Errors
    /// [`SignatureError`] as [`verify`] gives it.
    pub fn verify(secrets: &[Secret], header: &[u8], bytes: Bytes, now: i64) -> Result<Self, SignatureError> {
        let secret_index = verify(secrets, header, &bytes, now)?;
        Ok(Self { bytes, secret_index })
    }

    /// Which of the endpoint's secrets matched, counted from 0.
    #[must_use]
    pub fn secret_index(&self) -> usize {
        self.secret_index
    }

    /// The body exactly as received.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The body exactly as received, as its owner.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }
}

/// How an event describes its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rendering {
    /// `data.object` holds the object as it was at event time.
    Snapshot,
    /// Only a reference; the object has to be fetched.
    Thin,
    /// No event of Stripe's: the object as its API showed it, at the time `created`. Made by the worker.
    Fetched,
}

impl Rendering {
    /// The word in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Thin => "thin",
            Self::Fetched => "fetched",
        }
    }
}

/// The words of an event that routing, ordering and refusing need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// `evt_...`; the same on every redelivery.
    pub id: String,
    /// Such as `invoice.paid`. An open set.
    #[serde(rename = "type")]
    pub event_type: String,
    /// When the change happened, unix seconds. Stripe's resolution is one second.
    pub created: i64,
    /// Snapshot or thin.
    pub rendering: Rendering,
    /// The connected account, when the event belongs to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Live or test data.
    pub livemode: bool,
    /// The version that rendered `data`. For people; code detects the shape instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// `data.object.object`, or the related object's type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_type: Option<String>,
    /// `data.object.id`; previews and summaries have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_id: Option<String>,
    /// The customer the object belongs to, when it names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
}

impl Envelope {
    /// Events with one key concern one customer (or, failing that, one object) and are best kept together.
    #[must_use]
    pub fn ordering_key(&self) -> &str {
        self.customer
            .as_deref()
            .or(self.object_id.as_deref())
            .unwrap_or(&self.id)
    }

    /// The customer it is about: the one its object belongs to, or is.
    #[must_use]
    pub fn customer_id(&self) -> Option<&str> {
        let is_one = self.object_type.as_deref() == Some("customer");
        self.customer
            .as_deref()
            .or(self.object_id.as_deref().filter(|_| is_one))
    }

    /// Reads the envelope of a verified body.
    ///
    /// # Errors
    /// [`PayloadError`] when the body is not a Stripe event of either kind.
    pub fn peek(body: &VerifiedBody) -> Result<Self, PayloadError> {
        Self::parse(body.bytes())
    }

    /// Reads the envelope of a body that was verified when it came in, such as one from the inbox.
    ///
    /// # Errors
    /// [`PayloadError`] when it is not a Stripe event of either kind.
    pub fn parse(bytes: &[u8]) -> Result<Self, PayloadError> {
        let text = std::str::from_utf8(bytes).map_err(|_| PayloadError::NotUtf8)?;
        let Ok(Shape::Object(wire)) = serde_json::from_str::<Shape<Wire<'_>>>(text) else {
            return Err(PayloadError::NotAnEvent);
        };
        match wire.object.as_ref() {
            "event" => wire.into_snapshot(),
            "v2.core.event" => wire.into_thin(),
            _ => Err(PayloadError::NotAnEvent),
        }
    }
}

/// Why a correctly signed body is not an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// JSON is UTF-8.
    #[error("the body is not UTF-8")]
    NotUtf8,
    /// Not JSON, not an object, or a required member is missing or has the wrong type.
    #[error("the body is not a Stripe event")]
    NotAnEvent,
    /// An id or type is empty, too long, or carries control characters.
    #[error("the event has an unusable id, type or account")]
    BadWord,
    /// `created` is no point in time we can store.
    #[error("the event has an unusable created")]
    BadCreated,
}

impl PayloadError {
    /// The value of the `reason` label on the refusal counter.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::NotUtf8 => "not_utf8",
            Self::NotAnEvent => "not_an_event",
            Self::BadWord => "bad_word",
            Self::BadCreated => "bad_created",
        }
    }
}

/// The body as it arrives. Members that nothing is decided by may have any type, hence raw values and shapes; a wrong
/// type of `account` or `livemode` is no event, because it would be taken for somebody else's.
#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    object: Cow<'a, str>,
    #[serde(rename = "type", borrow)]
    event_type: Cow<'a, str>,
    #[serde(borrow)]
    created: &'a RawValue,
    #[serde(default)]
    account: Option<String>,
    #[serde(default, borrow)]
    context: Option<&'a RawValue>,
    #[serde(default)]
    livemode: Option<bool>,
    #[serde(default, borrow)]
    api_version: Option<&'a RawValue>,
    #[serde(default, borrow)]
    data: Shape<WireData<'a>>,
    #[serde(default, borrow)]
    related_object: Shape<WireObject<'a>>,
}

#[derive(Default, Deserialize)]
struct WireData<'a> {
    #[serde(default, borrow)]
    object: Shape<WireObject<'a>>,
}

#[derive(Default, Deserialize)]
struct WireObject<'a> {
    #[serde(default, borrow)]
    id: Option<&'a RawValue>,
    #[serde(default, borrow)]
    object: Option<&'a RawValue>,
    #[serde(default, rename = "type", borrow)]
    object_type: Option<&'a RawValue>,
    #[serde(default, borrow)]
    customer: Option<&'a RawValue>,
}

impl Wire<'_> {
    fn into_snapshot(mut self) -> Result<Envelope, PayloadError> {
        let created = self.created.get().parse().map_err(|_| PayloadError::NotAnEvent)?;
        let data = std::mem::take(&mut self.data);
        let Shape::Object(WireData {
            object: Shape::Object(object),
        }) = data
        else {
            return Err(PayloadError::NotAnEvent);
        };
        let account = self.account.take();
        self.into_envelope(Rendering::Snapshot, created, account, object.object, &object)
    }

    fn into_thin(mut self) -> Result<Envelope, PayloadError> {
        let text: String = serde_json::from_str(self.created.get()).map_err(|_| PayloadError::NotAnEvent)?;
        let created = OffsetDateTime::parse(&text, &Rfc3339).map_err(|_| PayloadError::BadCreated)?;
        let object = match std::mem::take(&mut self.related_object) {
            Shape::Object(related) => related,
            Shape::Nothing => WireObject::default(),
            Shape::Other => return Err(PayloadError::NotAnEvent),
        };
        // A thin event names its connected account in `context`.
        let account = self
            .context
            .and_then(reference)
            .filter(|context| context.starts_with("acct_"));
        self.into_envelope(
            Rendering::Thin,
            created.unix_timestamp(),
            account,
            object.object_type,
            &object,
        )
    }

    fn into_envelope(
        self,
        rendering: Rendering,
        created: i64,
        account: Option<String>,
        object_type: Option<&RawValue>,
        object: &WireObject<'_>,
    ) -> Result<Envelope, PayloadError> {
        if !(0..=CREATED_MAX).contains(&created) {
            return Err(PayloadError::BadCreated);
        }
        if !is_word(&self.id) || !is_word(&self.event_type) || account.as_deref().is_some_and(|a| !is_word(a))
        {
            return Err(PayloadError::BadWord);
        }
        Ok(Envelope {
            id: self.id.into_owned(),
            event_type: self.event_type.into_owned(),
            created,
            rendering,
            account,
            livemode: self.livemode.unwrap_or(false),
            api_version: self.api_version.and_then(reference),
            object_type: object_type.and_then(reference),
            object_id: object.id.and_then(reference),
            customer: object.customer.and_then(reference),
        })
    }
}

/// A reference is an id, or an expanded object that carries one. Anything else routes nothing.
fn reference(raw: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Expanded {
        id: String,
    }
    let text = raw.get();
    let id = if text.starts_with('{') {
        serde_json::from_str::<Expanded>(text).ok()?.id
    } else {
        serde_json::from_str::<String>(text).ok()?
    };
    is_word(&id).then_some(id)
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.len() <= WORD_BYTES_MAX && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshot_event() {
        let body = br#"{"id":"evt_1","object":"event","type":"invoice.paid","created":1800000000,
            "account":"acct_1","livemode":true,"api_version":"2024-06-20",
            "data":{"object":{"id":"in_1","object":"invoice","customer":{"id":"cus_1"}}}}"#;
        let envelope = Envelope::parse(body).expect("an event");
        assert_eq!(envelope.rendering, Rendering::Snapshot);
        assert_eq!(envelope.created, 1_800_000_000);
        assert_eq!(envelope.account.as_deref(), Some("acct_1"));
        assert_eq!(envelope.object_type.as_deref(), Some("invoice"));
        assert_eq!(envelope.object_id.as_deref(), Some("in_1"));
        assert_eq!(envelope.ordering_key(), "cus_1");
    }

    #[test]
    fn thin_event() {
        let body = br#"{"id":"evt_test_1","object":"v2.core.event","type":"v1.invoice.paid","livemode":false,
            "created":"2026-11-02T10:01:00.123Z","context":"acct_1",
            "related_object":{"id":"in_1","type":"invoice","url":"/v1/invoices/in_1"}}"#;
        let envelope = Envelope::parse(body).expect("an event");
        assert_eq!(envelope.rendering, Rendering::Thin);
        assert_eq!(envelope.created, 1_793_613_660);
        assert_eq!(envelope.account.as_deref(), Some("acct_1"));
        assert_eq!(envelope.ordering_key(), "in_1");
    }

    #[test]
    fn object_without_id_and_unknown_members_are_fine() {
        let body = br#"{"id":"evt_1","object":"event","type":"a.b","created":1,"data":{"object":{"id":7}},"x":[{}]}"#;
        let envelope = Envelope::parse(body).expect("an event");
        assert_eq!(envelope.object_id, None);
        assert_eq!(envelope.ordering_key(), "evt_1");
    }

    #[test]
    fn what_decides_nothing_may_have_any_type() {
        let body =
            br#"{"id":"evt_1","object":"event","type":"a","created":1,"api_version":7,"context":{"a":1},
            "request":"req_1","data":{"object":{}}}"#;
        assert_eq!(Envelope::parse(body).expect("an event").api_version, None);
        let body =
            br#"{"id":"evt_1","object":"event","type":"a","created":1,"account":7,"data":{"object":{}}}"#;
        assert_eq!(Envelope::parse(body), Err(PayloadError::NotAnEvent));
    }

    #[test]
    fn what_is_not_an_event() {
        let cases: [(&[u8], PayloadError); 15] = [
            (
                br#"["evt_1","event","a",1,null,null,false,null,{"object":{}},null]"#,
                PayloadError::NotAnEvent,
            ),
            (b"", PayloadError::NotAnEvent),
            (b"null", PayloadError::NotAnEvent),
            (b"[]", PayloadError::NotAnEvent),
            (b"hello", PayloadError::NotAnEvent),
            (b"\xef\xbb\xbf{}", PayloadError::NotAnEvent),
            (b"\xff", PayloadError::NotUtf8),
            (
                br#"{"id":"evt_1","object":"event","type":"a","created":1,"data":{"object":{}}"#,
                PayloadError::NotAnEvent,
            ),
            (
                br#"{"id":"evt_1","object":"event","type":"a","created":1,"data":{"object":[]}}"#,
                PayloadError::NotAnEvent,
            ),
            (
                br#"{"id":"evt_1","object":"event","type":"a","created":1.5,"data":{"object":{}}}"#,
                PayloadError::NotAnEvent,
            ),
            (
                br#"{"id":"evt_1","object":"event","type":"a","created":-1,"data":{"object":{}}}"#,
                PayloadError::BadCreated,
            ),
            (
                br#"{"id":"evt_1","object":"charge","type":"a","created":1,"data":{"object":{}}}"#,
                PayloadError::NotAnEvent,
            ),
            (
                br#"{"id":"","object":"event","type":"a","created":1,"data":{"object":{}}}"#,
                PayloadError::BadWord,
            ),
            (
                br#"{"id":"e\u0000","object":"event","type":"a","created":1,"data":{"object":{}}}"#,
                PayloadError::BadWord,
            ),
            (
                br#"{"id":"evt_1","object":"v2.core.event","type":"a","created":"soon"}"#,
                PayloadError::BadCreated,
            ),
        ];
        for (body, error) in cases {
            assert_eq!(
                Envelope::parse(body),
                Err(error),
                "{}",
                String::from_utf8_lossy(body)
            );
        }
    }

    #[test]
    fn deep_nesting_costs_no_stack() {
        let deep = "[".repeat(1_000_000) + &"]".repeat(1_000_000);
        let body = format!(
            r#"{{"id":"evt_1","object":"event","type":"a","created":1,"data":{{"object":{{"x":{deep}}}}}}}"#
        );
        assert!(Envelope::parse(body.as_bytes()).is_ok());
    }
}
