//! Which shard an event goes to, and which shards there are.
//!
//! The queue is several streams. All events of one customer are in one of them, and one worker at a time reads a stream
//! (see [`super::fleet`]), so events of one customer never run at the same time.

use std::collections::BTreeSet;

use super::{Link, QueueError};

/// Most shards a queue may have. A worker alone reads all of them with one command.
pub const SHARDS_MAX: u16 = 64;
/// Shards of a queue whose ingest is not told otherwise: that many workers can share it.
pub const SHARDS_DEFAULT: u16 = 8;

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// Into which shards of which queue ingest puts events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sharding {
    /// Separates installations (and tests) that share a Redis.
    pub prefix: String,
    /// How many shards, 1 to [`SHARDS_MAX`].
    pub shards: u16,
}

/// The shard of everything with this ordering key, of so many.
#[must_use]
pub fn shard_of(account: Option<&str>, ordering_key: &str, shards: u16) -> u16 {
    let parts = [account.unwrap_or("").as_bytes(), ordering_key.as_bytes()];
    let shard = stable_hash(parts) % u64::from(shards.max(1));
    u16::try_from(shard).unwrap_or(0)
}

/// The same for ever and in every build, because two builds of ingest may run at once: FNV-1a with 64 bits over both
/// parts with a zero byte between them, stirred by the last step of MurmurHash3, because FNV's low bits alone depend on
/// the low bits of the input alone.
#[must_use]
pub fn stable_hash(parts: [&[u8]; 2]) -> u64 {
    let [first, second] = parts;
    let bytes = first.iter().chain(&[0]).chain(second);
    stir(fnv_1a(bytes))
}

fn fnv_1a<'a>(bytes: impl Iterator<Item = &'a u8>) -> u64 {
    bytes.fold(FNV_OFFSET, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME)
    })
}

fn stir(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// Where ingest says which shards there are: a set that only grows. Who has been given fewer leaves the others to be
/// emptied.
#[must_use]
pub fn said(prefix: &str) -> String {
    format!("{{{prefix}:v1}}:shards")
}

impl Sharding {
    /// Says in Redis which shards there are, where that is not said yet. Workers look there.
    ///
    /// # Errors
    /// [`QueueError`] when Redis does not answer, or takes no writes.
    pub(super) async fn say(&self, link: &mut Link, known: &BTreeSet<u16>) -> Result<(), QueueError> {
        let missing: Vec<u16> = (0..self.shards).filter(|it| !known.contains(it)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let mut command = redis::cmd("SADD");
        command.arg(said(&self.prefix)).arg(missing);
        Ok(command.query_async::<()>(link).await?)
    }
}

/// The shards that were said to be there. The first one always is: before there were several, it was the only one.
pub(super) async fn known(link: &mut Link, prefix: &str) -> Result<BTreeSet<u16>, QueueError> {
    let mut command = redis::cmd("SMEMBERS");
    let said: Vec<u16> = command.arg(said(prefix)).query_async(link).await?;
    Ok(with_first(said))
}

/// What was said, with what need not be said, without what cannot be.
pub(super) fn with_first(said: impl IntoIterator<Item = u16>) -> BTreeSet<u16> {
    let said = said.into_iter().filter(|shard| *shard < SHARDS_MAX);
    said.chain([0]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Account, ordering key, and the shard of 5, of 8 and of 64.
    const VECTORS: [(Option<&str>, &str, u16, u16, u16); 5] = [
        (None, "cus_1", 4, 4, 4),
        (None, "cus_NffrFeUfNV2Hib", 4, 0, 0),
        (Some("acct_1"), "cus_1", 3, 5, 21),
        (None, "in_1", 1, 6, 54),
        (None, "", 2, 3, 59),
    ];

    /// Published vectors of FNV-1a.
    #[test]
    fn the_hash_is_fnv_1a() {
        let hash = |text: &str| fnv_1a(text.as_bytes().iter());
        assert_eq!(hash(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(hash("foobar"), 0x8594_4171_f739_67e8);
    }

    /// Worked out by another program. Whoever changes one of them lets two builds put one customer into two shards.
    #[test]
    fn shards_are_the_same_for_ever() {
        for (account, key, of_5, of_8, of_64) in VECTORS {
            let shards = [5, 8, 64].map(|shards| shard_of(account, key, shards));
            assert_eq!(shards, [of_5, of_8, of_64], "{account:?} {key}");
            assert_eq!(shard_of(account, key, 1), 0);
        }
    }

    #[test]
    fn customers_spread_evenly() {
        let mut counts = [0_u32; 8];
        for number in 0..8_000 {
            counts[usize::from(shard_of(None, &format!("cus_{number}"), 8))] += 1;
        }
        assert!(
            counts.iter().all(|count| (850..1_150).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn the_first_shard_need_not_be_said() {
        assert_eq!(with_first([]), BTreeSet::from([0]));
        assert_eq!(with_first([7, 3, SHARDS_MAX]), BTreeSet::from([0, 3, 7]));
    }
}
