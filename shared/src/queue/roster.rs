//! Who the workers are, as Redis knows them: for people, not for workers. Workers write this with their sign of life
//! ([`super::fleet`]).

use std::collections::{BTreeMap, BTreeSet};

use redis::aio::ConnectionLike;
use redis::streams::StreamInfoConsumersReply;
use redis::{Pipeline, Value};
use serde::{Deserialize, Serialize};

use super::fleet::{SHARD_LEASE, fleet_key};
use super::{GROUP, Keys, NOBODY, Probe, QueueError, shards};

/// What a worker says of itself with each sign of life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Its build.
    pub version: String,
    /// Chunks it works on at a time.
    pub slots: usize,
    /// The pause for which it has stopped reading: its [`super::Pause::at_ms`].
    pub resting: Option<i64>,
}

/// A worker.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct WorkerSeen {
    /// Its name as a consumer: host, process, when it started, which one of the process it is.
    pub name: String,
    /// Whether it has given a sign of life within [`SHARD_LEASE`]. One that has not is listed while it holds entries.
    pub alive: bool,
    /// How long ago that was, milliseconds; of one that is not alive, when it last asked for entries.
    pub seen_ms_ago: u64,
    /// What it says of itself; older builds say nothing.
    pub about: Option<About>,
    /// The shards it reads, and for how many milliseconds each is its own yet.
    pub shards: BTreeMap<u16, u64>,
    /// Entries it holds, leased and not settled.
    pub in_flight: usize,
}

/// All of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Roster {
    /// By name.
    pub workers: Vec<WorkerSeen>,
    /// Entries that were handed back and that nobody has taken yet.
    pub handed_back: usize,
}

/// What is read of the whole fleet at once.
type Fleet = (
    (i64, i64),
    Vec<(String, f64)>,
    BTreeMap<u16, String>,
    BTreeMap<String, String>,
    Vec<u16>,
);

impl Probe {
    /// Who works on the queue.
    ///
    /// # Errors
    /// [`QueueError`] when Redis does not answer.
    pub async fn roster(&mut self) -> Result<Roster, QueueError> {
        let key = |what| fleet_key(&self.prefix, what);
        let mut pipe = redis::pipe();
        pipe.cmd("TIME");
        pipe.cmd("ZRANGE")
            .arg(key("workers"))
            .arg(0)
            .arg(-1)
            .arg("WITHSCORES");
        pipe.cmd("HGETALL").arg(key("holders"));
        pipe.cmd("HGETALL").arg(key("about"));
        pipe.cmd("SMEMBERS").arg(shards::said(&self.prefix));
        let fleet: Fleet = pipe.query_async(&mut self.link).await?;
        let consumers = self.consumers(shards::with_first(fleet.4.clone())).await?;
        Ok(roster(&fleet, &consumers))
    }

    /// What each name holds, and how long it has asked for nothing.
    async fn consumers(&mut self, shards: BTreeSet<u16>) -> Result<BTreeMap<String, Held>, QueueError> {
        let mut pipe = Pipeline::new();
        for shard in &shards {
            let stream = Keys::new(&self.prefix, *shard).events;
            pipe.cmd("XINFO").arg("CONSUMERS").arg(stream).arg(GROUP);
        }
        let answers = self.link.req_packed_commands(&pipe, 0, shards.len()).await?;
        let mut all = BTreeMap::<String, Held>::new();
        for answer in answers {
            for consumer in consumers_of(answer)?.consumers {
                let held = all.entry(consumer.name).or_insert(Held {
                    entries: 0,
                    idle_ms: u64::MAX,
                });
                held.entries += consumer.pending;
                held.idle_ms = held.idle_ms.min(u64::try_from(consumer.idle).unwrap_or(u64::MAX));
            }
        }
        Ok(all)
    }
}

/// Without a stream or a group nobody holds anything of a shard.
fn consumers_of(answer: Value) -> Result<StreamInfoConsumersReply, QueueError> {
    let answer = match answer.extract_error().map_err(QueueError::from) {
        Err(error) if error.is_no_group() || is_no_key(&error) => {
            return Ok(StreamInfoConsumersReply::default());
        }
        answer => answer?,
    };
    Ok(redis::from_redis_value(answer).map_err(redis::RedisError::from)?)
}

fn is_no_key(error: &QueueError) -> bool {
    error.to_string().contains("no such key")
}

/// What a name has in its hands.
struct Held {
    entries: usize,
    idle_ms: u64,
}

fn roster(fleet: &Fleet, consumers: &BTreeMap<String, Held>) -> Roster {
    let ((seconds, micros), living, holders, about, _) = fleet;
    let now_ms = seconds * 1_000 + micros / 1_000;
    let mut workers = BTreeMap::<&str, WorkerSeen>::new();
    for (name, ends_ms) in living {
        let left_ms = left(*ends_ms, now_ms);
        let lease_ms = u64::try_from(SHARD_LEASE.as_millis()).unwrap_or(u64::MAX);
        let worker = workers.entry(name).or_default();
        worker.alive = left_ms > 0;
        worker.seen_ms_ago = lease_ms.saturating_sub(left_ms);
        worker.about = about.get(name).and_then(|about| serde_json::from_str(about).ok());
    }
    for (shard, holder) in holders {
        let Some((ends_ms, name)) = holder.split_once(' ') else {
            continue;
        };
        let left_ms = left(ends_ms.parse().unwrap_or(0.0), now_ms);
        if let Some(worker) = workers.get_mut(name).filter(|_| left_ms > 0) {
            worker.shards.insert(*shard, left_ms);
        }
    }
    for (name, held) in consumers.iter().filter(|(name, _)| *name != NOBODY) {
        if held.entries == 0 && !workers.contains_key(&**name) {
            continue;
        }
        let worker = workers.entry(name).or_insert_with(|| WorkerSeen {
            seen_ms_ago: held.idle_ms,
            ..WorkerSeen::default()
        });
        worker.in_flight = held.entries;
    }
    Roster {
        workers: workers.into_iter().map(named).collect(),
        handed_back: consumers.get(NOBODY).map_or(0, |held| held.entries),
    }
}

fn named((name, worker): (&str, WorkerSeen)) -> WorkerSeen {
    WorkerSeen {
        name: name.to_owned(),
        ..worker
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "milliseconds since 1970 as Redis keeps scores"
)]
fn left(ends_ms: f64, now_ms: i64) -> u64 {
    u64::try_from(ends_ms as i64 - now_ms).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(entries: usize, idle_ms: u64) -> Held {
        Held { entries, idle_ms }
    }

    #[test]
    fn the_living_are_listed_and_of_the_dead_those_that_hold_something() {
        let about = r#"{"version":"1.2.0","slots":4,"resting":null}"#;
        let fleet: Fleet = (
            (100, 0),
            vec![("a".into(), 105_000.0), ("b".into(), 99_000.0)],
            [(0, "104000 a".into()), (1, "99000 a".into())].into(),
            [("a".into(), about.into())].into(),
            vec![0, 1],
        );
        let names = [
            ("a", held(3, 5)),
            ("dead", held(2, 8_000)),
            ("gone", held(0, 1)),
            (NOBODY, held(7, 0)),
        ];
        let consumers = names.map(|(name, held)| (name.to_owned(), held)).into();
        let seen = roster(&fleet, &consumers);
        let names: Vec<&str> = seen.workers.iter().map(|it| &*it.name).collect();
        assert_eq!((names, seen.handed_back), (vec!["a", "b", "dead"], 7));
        let [a, b, dead] = &seen.workers[..] else {
            unreachable!("three, as above")
        };
        assert_eq!((a.alive, a.seen_ms_ago, a.in_flight), (true, 1_000, 3));
        assert_eq!(a.shards, BTreeMap::from([(0, 4_000)]), "the other ran out");
        assert_eq!(a.about.as_ref().map(|it| it.slots), Some(4));
        assert!(!b.alive && b.about.is_none());
        assert_eq!((dead.alive, dead.seen_ms_ago, dead.in_flight), (false, 8_000, 2));
    }
}
