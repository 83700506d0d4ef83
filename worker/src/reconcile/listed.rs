//! An event of Stripe's list, as an entry like those that ingest makes: pure.

use bytes::Bytes;
use serde::Deserialize;
use shared::entry::{Entry, Meta};
use shared::envelope::Envelope;
use store::coverage::{ASKED_FOR, NewHole};

/// An event of Stripe's list.
#[derive(Debug, Clone)]
pub struct Listed {
    /// As ingest would have put it into the queue.
    pub entry: Entry,
    /// Whether Stripe still wants to deliver it to somebody.
    pub is_pending: bool,
}

impl Listed {
    /// Reads what Stripe lists of an account (empty for the platform); `None` for what is no event.
    #[must_use]
    pub fn read(account: &str, body: &Bytes, now_ms: i64) -> Option<Self> {
        #[derive(Deserialize)]
        struct Head {
            #[serde(default)]
            pending_webhooks: Option<i64>,
        }
        let head: Head = serde_json::from_slice(body).ok()?;
        let mut envelope = Envelope::parse(body).ok()?;
        let mut body = body.clone();
        if !account.is_empty() && envelope.account.is_none() {
            body = with_account(&body, account)?;
            envelope.account = Some(account.to_owned());
        }
        // Somebody else's event in an account's list would be filed under the wrong key.
        if envelope.account.as_deref().unwrap_or_default() != account {
            return None;
        }
        Some(Self {
            entry: Entry {
                meta: Meta {
                    envelope,
                    endpoint: ASKED_FOR.to_owned(),
                    received_at_ms: now_ms,
                    mismatch: None,
                    traceparent: None,
                },
                body,
            },
            is_pending: head.pending_webhooks.unwrap_or(0) > 0,
        })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.entry.meta.envelope.id
    }

    /// As a hole.
    #[must_use]
    pub fn hole(&self) -> NewHole {
        let envelope = &self.entry.meta.envelope;
        NewHole {
            event_id: envelope.id.clone(),
            event_type: envelope.event_type.clone(),
            created: envelope.created,
        }
    }
}

/// A connected account that is asked about itself does not name itself, as its webhooks do.
fn with_account(body: &[u8], account: &str) -> Option<Bytes> {
    let rest = body.trim_ascii_start().strip_prefix(b"{")?;
    let mut named = format!("{{\"account\":\"{account}\",").into_bytes();
    named.extend_from_slice(rest);
    Some(named.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{"id":"evt_1","object":"event","type":"customer.updated","created":5,"livemode":false,
        "pending_webhooks":2,"data":{"object":{"id":"cus_1","object":"customer"}}}"#;

    #[test]
    fn a_listed_event_is_an_entry() {
        let listed = Listed::read("", &Bytes::from(BODY), 7).expect("an event");
        assert_eq!((listed.id(), listed.is_pending), ("evt_1", true));
        assert_eq!(listed.entry.meta.endpoint, ASKED_FOR);
        assert_eq!(listed.entry.body, BODY);
        assert_eq!(listed.hole().created, 5);
        assert!(Listed::read("", &Bytes::from("{}"), 7).is_none());
    }

    #[test]
    fn a_connected_account_is_named_in_the_body_too() {
        let listed = Listed::read("acct_1", &Bytes::from(BODY), 7).expect("an event");
        let again = Envelope::parse(&listed.entry.body).expect("still an event");
        assert_eq!(again, listed.entry.meta.envelope);
        assert_eq!(again.account.as_deref(), Some("acct_1"));
        assert!(
            Listed::read("acct_2", &listed.entry.body, 7).is_none(),
            "not of that account"
        );
        assert!(
            Listed::read("", &listed.entry.body, 7).is_none(),
            "not of the platform"
        );
    }
}
