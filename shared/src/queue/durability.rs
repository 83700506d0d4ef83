//! What Redis really does with what it is given, and whether that is enough.

use std::fmt;
use std::str::FromStr;

use super::{Link, QueueError};

/// How much of what was answered 200 can be lost when the machine under Redis dies. Ordered: more is safer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// No append-only file (or one that is never synced): everything since the last snapshot.
    Unsafe,
    /// `appendfsync everysec`: about the last second.
    Everysec,
    /// `appendfsync always`: nothing.
    Always,
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unsafe => "unsafe",
            Self::Everysec => "everysec",
            Self::Always => "always",
        })
    }
}

/// Not the name of a level.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no durability level; use `unsafe`, `everysec` or `always`")]
pub struct ParseDurabilityError(String);

impl FromStr for Durability {
    type Err = ParseDurabilityError;

    fn from_str(text: &str) -> Result<Self, ParseDurabilityError> {
        [Self::Unsafe, Self::Everysec, Self::Always]
            .into_iter()
            .find(|level| level.to_string() == text)
            .ok_or_else(|| ParseDurabilityError(text.to_owned()))
    }
}

/// The settings of Redis that decide whether an accepted event can vanish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DurabilityReport {
    /// The level Redis provides now.
    pub provides: Durability,
    /// It is a replica of another server and takes no writes.
    pub is_replica: bool,
    /// Replicas that are connected and in step.
    pub replicas: u32,
    /// `maxmemory-policy`; anything but `noeviction` may delete events. `None` when Redis will not tell.
    pub eviction_policy: Option<String>,
    /// `maxmemory` in bytes; 0 is no limit.
    pub memory_bytes_max: u64,
    /// Memory in use, bytes.
    pub memory_bytes: u64,
}

impl DurabilityReport {
    /// Asks Redis. Where `CONFIG` is forbidden (managed services), the append-only file counts as
    /// `everysec`, those services' default.
    pub(crate) async fn read(link: &mut Link) -> Result<Self, QueueError> {
        let mut pipe = redis::pipe();
        for section in ["persistence", "memory", "replication"] {
            pipe.cmd("INFO").arg(section);
        }
        let (persistence, memory, replication): (redis::InfoDict, redis::InfoDict, redis::InfoDict) =
            pipe.query_async(link).await?;
        let append_only = persistence.get::<u8>("aof_enabled") == Some(1);
        let last_write_ok = persistence
            .get::<String>("aof_last_write_status")
            .is_none_or(|s| s == "ok");
        let fsync = match config(link, "appendfsync").await {
            Ok(value) => value,
            Err(QueueError::Redis(_)) => None,
            Err(error) => return Err(error),
        };
        Ok(Self {
            provides: level(append_only && last_write_ok, fsync.as_deref()),
            is_replica: replication
                .get::<String>("role")
                .is_some_and(|role| role != "master"),
            replicas: replicas(&replication),
            eviction_policy: memory.get("maxmemory_policy"),
            memory_bytes_max: memory.get("maxmemory").unwrap_or(0),
            memory_bytes: memory.get("used_memory").unwrap_or(0),
        })
    }

    /// Why this Redis is not good enough for `demanded`, with what to do about it.
    #[must_use]
    pub fn shortfall(&self, demanded: Durability) -> Option<String> {
        if demanded == Durability::Unsafe {
            return None;
        }
        if self.provides < demanded {
            return Some(format!(
                "redis durability is `{}` but `{demanded}` is demanded: set `appendonly yes` and `appendfsync \
                 {demanded}` in redis, or lower TOLLGATE_REDIS_DURABILITY",
                self.provides
            ));
        }
        match self.eviction_policy.as_deref() {
            Some("noeviction") | None => None,
            Some(policy) => Some(format!(
                "redis maxmemory-policy is `{policy}`, which may delete accepted events: set it to `noeviction`"
            )),
        }
    }
}

/// Those that are `online`; one that still loads its first copy has none of the newest events.
fn replicas(replication: &redis::InfoDict) -> u32 {
    let connected = replication.get::<u32>("connected_slaves").unwrap_or(0);
    let online = (0..connected).filter(|n| {
        let replica = replication.get::<String>(&format!("slave{n}"));
        replica.is_some_and(|fields| fields.split(',').any(|field| field == "state=online"))
    });
    u32::try_from(online.count()).unwrap_or(u32::MAX)
}

fn level(append_only: bool, fsync: Option<&str>) -> Durability {
    match (append_only, fsync) {
        (false, _) | (true, Some("no")) => Durability::Unsafe,
        (true, Some("always")) => Durability::Always,
        (true, _) => Durability::Everysec,
    }
}

async fn config(link: &mut Link, name: &str) -> Result<Option<String>, QueueError> {
    let mut command = redis::cmd("CONFIG");
    command.arg("GET").arg(name);
    let reply: Vec<String> = command.query_async(link).await?;
    Ok(reply.into_iter().nth(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_is_what_redis_does() {
        assert_eq!(level(false, Some("always")), Durability::Unsafe);
        assert_eq!(level(true, Some("no")), Durability::Unsafe);
        assert_eq!(level(true, Some("everysec")), Durability::Everysec);
        assert_eq!(level(true, None), Durability::Everysec);
        assert_eq!(level(true, Some("always")), Durability::Always);
    }

    #[test]
    fn shortfall_says_what_to_do() {
        let report = |provides, policy: &str| DurabilityReport {
            provides,
            is_replica: false,
            replicas: 0,
            eviction_policy: Some(policy.into()),
            memory_bytes_max: 0,
            memory_bytes: 0,
        };
        assert_eq!(
            report(Durability::Always, "noeviction").shortfall(Durability::Everysec),
            None
        );
        let weak = report(Durability::Everysec, "noeviction").shortfall(Durability::Always);
        assert!(weak.expect("too weak").contains("appendfsync always"));
        let evicting = report(Durability::Always, "allkeys-lru").shortfall(Durability::Everysec);
        assert!(evicting.expect("evicts").contains("noeviction"));
        assert_eq!(
            report(Durability::Unsafe, "allkeys-lru").shortfall(Durability::Unsafe),
            None
        );
    }

    #[test]
    fn names_round_trip() {
        for level in [Durability::Unsafe, Durability::Everysec, Durability::Always] {
            assert_eq!(level.to_string().parse(), Ok(level));
        }
        assert!("sometimes".parse::<Durability>().is_err());
    }
}
