//! What to ask Stripe, and what an answer is: pure. The loop that asks is `refetcher`.

use std::collections::HashSet;

use bytes::Bytes;
use domain::credits::{Problem, Reckoned};
use domain::{Kind, ObjectKey, RefetchReason};
use serde_json::json;
use serde_json::value::RawValue;
use shared::entry::{Entry, Meta};
use shared::envelope::{Envelope, Rendering};
use store::coverage::ASKED_FOR;
use store::{EventKey, SourceFacts, Wanted};

use crate::read::ThinReference;
use crate::resync;

/// What a batch of events leaves open: objects that thin events only named, and guesses.
#[must_use]
pub fn wanted(thin: &[&ThinReference], known: &HashSet<EventKey>, guesses: &[ObjectKey]) -> Vec<Wanted> {
    let unshown = thin
        .iter()
        .filter(|it| it.twin.as_ref().is_none_or(|twin| !known.contains(twin)));
    let unshown = unshown.map(|it| Wanted::new(it.key.clone(), it.livemode, RefetchReason::ThinEvent));
    // The mode of a guess is that of its events, which the key alone does not say; the answer will.
    let guessed = guesses.iter().filter(|key| key.kind != Kind::EntitlementSummary);
    let guessed = guessed.map(|key| Wanted::new(key.clone(), false, RefetchReason::Tie));
    unshown.chain(guessed).collect()
}

/// What sources leave open: prices nobody knows, lines that were not sent. Asked once: an answer that leaves the
/// question open would leave it open again.
#[must_use]
pub fn wanted_by_sources(rows: &[(&SourceFacts, &Reckoned)]) -> Vec<Wanted> {
    let is_new = |(facts, reckoned): &&(&SourceFacts, &Reckoned)| {
        facts.problem_before.as_deref() != reckoned.problem.as_ref().map(Problem::as_str)
    };
    let open = rows.iter().filter(is_new).filter_map(|(facts, reckoned)| {
        let (kind, id, reason) = match reckoned.problem.as_ref()? {
            Problem::UnknownPrice(price) => (Kind::Price, price.clone(), RefetchReason::UnknownPrice),
            Problem::IncompleteLines => (
                Kind::Invoice,
                facts.key.id.clone(),
                RefetchReason::IncompleteLines,
            ),
            _ => return None,
        };
        let account = facts.key.account.clone();
        Some(Wanted::new(ObjectKey { account, kind, id }, false, reason))
    });
    open.collect()
}

/// An object as Stripe's API showed it, in the form of an event that happened when that was certainly true.
/// `None` when it is not the object that was asked for, or one that is gone: a mere stub must not replace what is
/// known of it.
#[must_use]
pub fn entry_of(key: &ObjectKey, object: &[u8], as_of: i64, now_ms: i64) -> Option<Entry> {
    #[derive(serde::Deserialize)]
    struct Head {
        id: String,
        object: String,
        #[serde(default)]
        deleted: bool,
        #[serde(default)]
        livemode: bool,
    }
    let head: Head = serde_json::from_slice(object).ok()?;
    let is_listed = key.kind == Kind::InvoicePayment || resync::parent(&key.id).is_some();
    if head.deleted || head.object != key.kind.as_str() || (head.id != key.id && !is_listed) {
        return None;
    }
    let raw: &RawValue = serde_json::from_slice(object).ok()?;
    let account = (!key.account.is_empty()).then(|| key.account.clone());
    let envelope = Envelope {
        id: format!("fetch_{}_{as_of}", head.id),
        event_type: format!("{}.fetched", family(key.kind)),
        created: as_of,
        rendering: Rendering::Fetched,
        account: account.clone(),
        livemode: head.livemode,
        api_version: None,
        object_type: Some(head.object),
        object_id: Some(head.id),
        customer: None,
    };
    // The words first, so that the body reads like any other in the inbox.
    let body = json!({
        "id": envelope.id, "object": "event", "type": envelope.event_type, "created": as_of, "account": account,
        "livemode": head.livemode,
    });
    let body = body.to_string();
    let body = format!(
        "{},\"data\":{{\"object\":{}}}}}",
        body.trim_end_matches('}'),
        raw.get()
    );
    Some(Entry {
        meta: Meta {
            envelope,
            endpoint: ASKED_FOR.to_owned(),
            received_at_ms: now_ms,
            mismatch: None,
            traceparent: None,
        },
        body: Bytes::from(body),
    })
}

/// The id of an object.
#[must_use]
pub fn id_of(object: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Head {
        id: String,
    }
    serde_json::from_slice::<Head>(object).ok().map(|head| head.id)
}

/// Whether an invoice has more lines than it shows.
#[must_use]
pub fn lacks_lines(invoice: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Head {
        lines: Lines,
    }
    #[derive(serde::Deserialize)]
    struct Lines {
        has_more: bool,
    }
    serde_json::from_slice::<Head>(invoice).is_ok_and(|head| head.lines.has_more)
}

/// The invoice with these lines and no others. `None` when one of them is no JSON.
#[must_use]
pub fn put_lines(invoice: &[u8], lines: &[Bytes]) -> Option<Bytes> {
    let mut invoice: serde_json::Value = serde_json::from_slice(invoice).ok()?;
    let lines: Option<Vec<serde_json::Value>> = lines
        .iter()
        .map(|line| serde_json::from_slice(line).ok())
        .collect();
    invoice["lines"]["data"] = lines?.into();
    invoice["lines"]["has_more"] = false.into();
    Some(Bytes::from(invoice.to_string()))
}

/// The family of event types that is about a kind.
fn family(kind: Kind) -> &'static str {
    match kind {
        Kind::Subscription => "customer.subscription",
        Kind::Dispute => "charge.dispute",
        other => other.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::{Reading, full_event, read};

    fn key(kind: Kind, id: &str) -> ObjectKey {
        ObjectKey {
            account: String::new(),
            kind,
            id: id.into(),
        }
    }

    #[test]
    fn an_answer_reads_like_an_event_of_its_time() {
        for kind in Kind::ALL
            .into_iter()
            .filter(|kind| *kind != Kind::EntitlementSummary)
        {
            let object = format!(r#"{{"id":"x_1","object":"{}","livemode":true}}"#, kind.as_str());
            let entry = entry_of(&key(kind, "x_1"), object.as_bytes(), 77, 1).expect("the object asked for");
            let Reading::Snapshot(snapshot) = read(&entry).0 else {
                panic!("{}", kind.as_str())
            };
            assert_eq!(snapshot.key, key(kind, "x_1"));
            assert_eq!(snapshot.version.created, 77);
            // As it will be read again from the inbox, to be compared with others of its second.
            let again = full_event(std::str::from_utf8(&entry.body).expect("text")).expect("an event");
            assert_eq!(again.snapshot, *snapshot);
        }
    }

    #[test]
    fn a_stub_or_a_stranger_is_no_answer() {
        let of = |object: &str| entry_of(&key(Kind::Customer, "cus_1"), object.as_bytes(), 1, 1);
        assert!(of(r#"{"id":"cus_1","object":"customer"}"#).is_some());
        assert!(of(r#"{"id":"cus_1","object":"customer","deleted":true}"#).is_none());
        assert!(of(r#"{"id":"cus_2","object":"customer"}"#).is_none());
        assert!(of(r#"{"id":"cus_1","object":"charge"}"#).is_none());
        assert!(of("[]").is_none());
    }

    #[test]
    fn a_thin_event_whose_twin_is_here_asks_nothing() {
        let twin = EventKey {
            account: String::new(),
            id: "evt_1".into(),
        };
        let thin = ThinReference {
            key: key(Kind::Invoice, "in_1"),
            livemode: true,
            twin: Some(twin.clone()),
        };
        assert_eq!(wanted(&[&thin], &HashSet::new(), &[]).len(), 1);
        assert!(wanted(&[&thin], &HashSet::from([twin]), &[]).is_empty());
    }
}
