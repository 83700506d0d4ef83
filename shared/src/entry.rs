//! What travels through Redis: one event with what ingest knows about it.
//!
//! Three stream fields, always the same so that Redis stores their names once per node: `v`, the
//! version of this layout; `meta`, a small JSON object; `body`, the raw bytes as Stripe sent them.
//! A reader leaves an entry of a newer layout in Redis as it is, for a build that can read it
//! (docs/adr/0012), so that neither a rolling upgrade nor a rollback loses anything.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::envelope::{Envelope, VerifiedBody};
use crate::redact::without_values;

/// The layout this build writes. It reads this one and all before it.
pub const VERSION: u32 = 1;
/// Stream field: layout version.
pub const FIELD_VERSION: &str = "v";
/// Stream field: [`Entry`] without its body, as JSON.
pub const FIELD_META: &str = "meta";
/// Room for most of them.
const META_BYTES: usize = 512;
/// Stream field: the raw body.
pub const FIELD_BODY: &str = "body";

/// Why an accepted event is not for this installation: it is kept and changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mismatch {
    /// Live data at a test endpoint, or the other way round.
    Livemode,
    /// An account the endpoint is not configured for.
    Account,
}

impl Mismatch {
    /// The word, here and in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Livemode => "livemode",
            Self::Account => "account",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Livemode, Self::Account]
            .into_iter()
            .find(|mismatch| mismatch.as_str() == text)
    }
}

/// One event on its way to the worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What ingest knows.
    pub meta: Meta,
    /// The body exactly as received.
    pub body: Bytes,
}

/// What ingest knows about an event beside its body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Meta {
    /// The words of the event.
    #[serde(flatten)]
    pub envelope: Envelope,
    /// Name of the endpoint that received it.
    pub endpoint: String,
    /// When ingest accepted it, unix milliseconds.
    pub received_at_ms: i64,
    /// Set when the endpoint was not meant to receive it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mismatch: Option<Mismatch>,
    /// W3C trace context of the request, when it carried one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

/// What is in `meta` beside the envelope.
#[derive(Deserialize)]
struct Stamp {
    endpoint: String,
    received_at_ms: i64,
    #[serde(default)]
    mismatch: Option<Mismatch>,
    #[serde(default)]
    traceparent: Option<String>,
}

impl Meta {
    /// Reads it twice, which is quicker than once: flattening has serde keep every member aside until it knows whose
    /// it is.
    fn decode(json: &[u8]) -> serde_json::Result<Self> {
        let envelope = serde_json::from_slice(json)?;
        let stamp: Stamp = serde_json::from_slice(json)?;
        Ok(Self {
            envelope,
            endpoint: stamp.endpoint,
            received_at_ms: stamp.received_at_ms,
            mismatch: stamp.mismatch,
            traceparent: stamp.traceparent,
        })
    }
}

/// Why a stream entry is not one of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MalformedEntry {
    /// A field is missing.
    #[error("the entry has no field `{0}`")]
    MissingField(&'static str),
    /// Written by a newer build, for one.
    #[error("the entry has layout {0}, this build reads up to {VERSION}")]
    Newer(u32),
    /// No layout there could be. Not told: it may be anything.
    #[error("the entry's `v` is no layout")]
    UnknownVersion(String),
    /// `meta` cannot be read.
    #[error("the entry's meta cannot be read: {0}")]
    BadMeta(String),
}

impl Entry {
    /// Joins a verified body with what ingest knows about it.
    #[must_use]
    pub fn new(body: VerifiedBody, meta: Meta) -> Self {
        Self {
            meta,
            body: body.into_bytes(),
        }
    }

    /// The `meta` field.
    pub(crate) fn encode_meta(&self) -> Vec<u8> {
        let mut meta = Vec::with_capacity(META_BYTES);
        serde_json::to_writer(&mut meta, &self.meta)
            .expect("strings, integers and booleans always serialise");
        meta
    }

    /// Reads the fields of a stream entry.
    ///
    /// # Errors
    /// [`MalformedEntry`] when a field is missing, of an unknown version, or unreadable.
    pub fn decode(mut field: impl FnMut(&str) -> Option<Bytes>) -> Result<Self, MalformedEntry> {
        let version = field(FIELD_VERSION).ok_or(MalformedEntry::MissingField(FIELD_VERSION))?;
        known(&version)?;
        let meta = field(FIELD_META).ok_or(MalformedEntry::MissingField(FIELD_META))?;
        let body = field(FIELD_BODY).ok_or(MalformedEntry::MissingField(FIELD_BODY))?;
        let meta = Meta::decode(&meta)
            .map_err(|error| MalformedEntry::BadMeta(without_values(&error.to_string())))?;
        Ok(Self { meta, body })
    }
}

/// The newest layout this process knows: [`VERSION`], unless it plays a newer build.
pub(crate) fn newest() -> u32 {
    #[cfg(feature = "planted-bugs")]
    return crate::planted::layout().unwrap_or(VERSION);
    #[cfg(not(feature = "planted-bugs"))]
    VERSION
}

fn known(version: &[u8]) -> Result<(), MalformedEntry> {
    let text = String::from_utf8_lossy(version);
    match text.parse::<u32>() {
        Ok(0) | Err(_) => Err(MalformedEntry::UnknownVersion(text.into_owned())),
        Ok(layout) if layout > newest() => Err(MalformedEntry::Newer(layout)),
        Ok(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::Rendering;

    fn entry() -> Entry {
        Entry {
            meta: Meta {
                envelope: Envelope {
                    id: "evt_1".into(),
                    event_type: "invoice.paid".into(),
                    created: 1,
                    rendering: Rendering::Snapshot,
                    account: None,
                    livemode: false,
                    api_version: None,
                    object_type: Some("invoice".into()),
                    object_id: Some("in_1".into()),
                    customer: None,
                },
                endpoint: "default".into(),
                received_at_ms: 1,
                mismatch: Some(Mismatch::Livemode),
                traceparent: None,
            },
            body: Bytes::from_static(b" {} "),
        }
    }

    fn decode(version: &'static str, meta: Vec<u8>) -> Result<Entry, MalformedEntry> {
        Entry::decode(|name| match name {
            FIELD_VERSION => Some(Bytes::from_static(version.as_bytes())),
            FIELD_META => Some(Bytes::from(meta.clone())),
            _ => Some(Bytes::from_static(b" {} ")),
        })
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(decode("1", entry().encode_meta()), Ok(entry()));
    }

    #[test]
    fn a_newer_layout_is_told_from_none() {
        let refused = |version| decode(version, entry().encode_meta()).expect_err(version);
        assert_eq!(refused("2"), MalformedEntry::Newer(2));
        for version in ["0", "-1", "x", "", "99999999999"] {
            assert_eq!(refused(version), MalformedEntry::UnknownVersion(version.into()));
        }
    }

    #[test]
    fn unreadable_meta_is_refused() {
        assert!(matches!(
            decode("1", b"{}".to_vec()),
            Err(MalformedEntry::BadMeta(_))
        ));
    }

    #[test]
    fn members_of_a_newer_minor_are_skipped() {
        let mut meta: serde_json::Value = serde_json::from_slice(&entry().encode_meta()).expect("json");
        meta["added_later"] = true.into();
        assert_eq!(decode("1", meta.to_string().into_bytes()), Ok(entry()));
    }
}
