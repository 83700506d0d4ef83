//! What came back.

use std::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::FetchError;

/// An object as Stripe sent it.
#[derive(Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Its JSON, byte for byte.
    pub body: Bytes,
    /// Unix seconds at which the object was certainly not older than this, by Stripe's clock: the moment of the
    /// answer less the whole request, rounded down.
    pub as_of: i64,
}

/// Without the body: it is full of personal data.
impl fmt::Debug for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetched")
            .field("bytes", &self.body.len())
            .field("as_of", &self.as_of)
            .finish()
    }
}

/// One page of a list.
#[derive(Clone, PartialEq, Eq)]
pub struct Listed {
    /// Each object's JSON, byte for byte, in Stripe's order: newest first.
    pub items: Vec<Bytes>,
    /// Whether there are more behind the last.
    pub has_more: bool,
    /// As [`Fetched::as_of`].
    pub as_of: i64,
}

/// Without the bodies.
impl fmt::Debug for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listed")
            .field("items", &self.items.len())
            .field("has_more", &self.has_more)
            .field("as_of", &self.as_of)
            .finish()
    }
}

impl TryFrom<Fetched> for Listed {
    type Error = FetchError;

    /// Takes a list apart without copying it.
    fn try_from(fetched: Fetched) -> Result<Self, FetchError> {
        #[derive(Deserialize)]
        struct Page<'a> {
            #[serde(borrow)]
            data: Vec<&'a RawValue>,
            has_more: bool,
        }
        let page: Page<'_> = serde_json::from_slice(&fetched.body)
            .map_err(|_| FetchError::unusable("the answer is no list"))?;
        let item = |raw: &RawValue| fetched.body.slice_ref(raw.get().as_bytes());
        Ok(Self {
            items: page.data.into_iter().map(item).collect(),
            has_more: page.has_more,
            as_of: fetched.as_of,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_taken_apart_byte_for_byte() {
        let body = Bytes::from_static(
            br#"{"object":"list","data":[ {"id": "a",  "x":1.0},{"id":"b"} ],"has_more":true}"#,
        );
        let listed = Listed::try_from(Fetched { body, as_of: 7 }).expect("a list");
        assert_eq!(listed.items, [&br#"{"id": "a",  "x":1.0}"#[..], br#"{"id":"b"}"#]);
        assert!(listed.has_more);
        assert_eq!(listed.as_of, 7);
        let other = Bytes::from_static(br#"{"object":"customer"}"#);
        assert!(
            Listed::try_from(Fetched {
                body: other,
                as_of: 7
            })
            .is_err()
        );
    }
}
