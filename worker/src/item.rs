//! An entry on its way through the worker.

use domain::Snapshot;
use shared::entry::{Entry, FIELD_BODY, MalformedEntry};
use shared::queue::{Claimed, DELIVERIES_MAX, StreamId};
use store::{Attempt, Status};

use crate::park::Failure;
use crate::read::{self, Reading, ThinReference};
use crate::view::ReadError;
use crate::watchdog;

/// What became of an item when its batch committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It took effect now.
    Settled(Status),
    /// It had taken effect before.
    Duplicate,
}

/// A claimed entry with what it means.
#[derive(Debug, Clone)]
pub struct Item {
    /// Its place in the stream.
    pub id: StreamId,
    /// How often it was given to a worker, this time included.
    pub deliveries: u32,
    /// What it means.
    pub reading: Reading,
    /// Members that are not what they used to be, and that no rule needs.
    pub drift: Vec<ReadError>,
    /// When this attempt at it began, unix milliseconds; `None` where nobody took it from the queue.
    began_at_ms: Option<i64>,
    thin: Option<ThinReference>,
    source: Source,
}

/// Where the item comes from, and so what can be kept of it.
#[derive(Debug, Clone)]
enum Source {
    /// An event that fits a row of the inbox.
    Event(Entry),
    /// An event that Postgres will not take as one.
    Unstorable(Entry),
    /// Something ingest did not write, as its stream fields.
    Stranger(Vec<(String, Vec<u8>)>),
}

impl Item {
    /// Finds out what a claimed entry means.
    #[must_use]
    pub fn new(claimed: Claimed) -> Self {
        let Claimed {
            id,
            deliveries,
            entry,
            fields,
        } = claimed;
        let mut drift = Vec::new();
        let mut thin = None;
        let (source, reading) = match entry {
            Ok(entry) if !is_storable(&entry) => {
                let failure = Failure::malformed(&MalformedEntry::MissingField(FIELD_BODY));
                (Source::Unstorable(entry), Reading::Park(failure))
            }
            // Not even looked at: looking may be what kills the worker.
            Ok(entry) if deliveries > DELIVERIES_MAX => {
                (Source::Event(entry), Reading::Park(Failure::crash_loop()))
            }
            Ok(entry) => {
                let _watched = watchdog::Reading::of(id);
                let (reading, noted) = read::read(&entry);
                drift = noted;
                thin = read::thin_reference(&entry);
                (Source::Event(entry), reading)
            }
            Err(error) => {
                let fields = fields
                    .into_iter()
                    .map(|(name, value)| (name, value.to_vec()))
                    .collect();
                (
                    Source::Stranger(fields),
                    Reading::Park(Failure::malformed(&error)),
                )
            }
        };
        Self {
            id,
            deliveries,
            reading,
            drift,
            began_at_ms: None,
            thin,
            source,
        }
    }

    /// The same item, in the hands of a worker since then, unix milliseconds.
    #[must_use]
    pub fn begun(self, at_ms: i64) -> Self {
        Self {
            began_at_ms: Some(at_ms),
            ..self
        }
    }

    /// The attempt that this is, where the queue brought it.
    #[must_use]
    pub fn attempt(&self) -> Option<Attempt> {
        self.began_at_ms.map(|began_at_ms| Attempt {
            began_at_ms,
            deliveries: self.deliveries,
        })
    }

    /// The same item, set aside. The second time, it is set aside as bytes: its row was refused too.
    #[must_use]
    pub fn parked(mut self, failure: Failure) -> Self {
        if let (Reading::Park(_), Source::Event(entry)) = (&self.reading, &self.source) {
            self.source = Source::Unstorable(entry.clone());
        }
        self.reading = Reading::Park(failure);
        self
    }

    /// Whether there is no simpler way left to keep it.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        !matches!(self.source, Source::Event(_))
    }

    /// What it points at, when it is a thin event about an object of ours.
    #[must_use]
    pub fn thin(&self) -> Option<&ThinReference> {
        self.thin.as_ref()
    }

    /// An object Stripe's API showed, as an item like any other: it takes part in everything an event does.
    #[must_use]
    pub fn fetched(entry: Entry) -> Self {
        let (reading, drift) = read::read(&entry);
        Self {
            id: StreamId {
                shard: 0,
                ms: 0,
                seq: 0,
            },
            deliveries: 1,
            reading,
            drift,
            began_at_ms: None,
            thin: None,
            source: Source::Event(entry),
        }
    }

    /// The event, when it is one.
    #[must_use]
    pub fn entry(&self) -> Option<&Entry> {
        match &self.source {
            Source::Event(entry) | Source::Unstorable(entry) => Some(entry),
            Source::Stranger(_) => None,
        }
    }

    /// The event, when it fits a row of the inbox.
    #[must_use]
    pub fn storable(&self) -> Option<&Entry> {
        if let Source::Event(entry) = &self.source {
            Some(entry)
        } else {
            None
        }
    }

    /// The snapshot to apply, when there is one.
    #[must_use]
    pub fn snapshot(&self) -> Option<&Snapshot> {
        if let Reading::Snapshot(snapshot) = &self.reading {
            Some(snapshot)
        } else {
            None
        }
    }

    /// Everything Redis holds of it, for one that has no row in the inbox.
    #[must_use]
    pub fn raw(&self) -> Vec<u8> {
        match &self.source {
            Source::Event(entry) | Source::Unstorable(entry) => entry.body.to_vec(),
            Source::Stranger(fields) => {
                let lossy = |(name, value): &(String, Vec<u8>)| {
                    (
                        name.clone(),
                        serde_json::Value::from(String::from_utf8_lossy(value)),
                    )
                };
                let fields: serde_json::Map<_, _> = fields.iter().map(lossy).collect();
                serde_json::Value::Object(fields).to_string().into_bytes()
            }
        }
    }
}

/// Ingest lets only UTF-8 through, and JSON has no raw NUL; but Redis takes anything from anyone.
fn is_storable(entry: &Entry) -> bool {
    std::str::from_utf8(&entry.body).is_ok_and(|body| !body.contains('\0'))
}
