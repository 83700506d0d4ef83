//! The name of an entry.

use std::fmt;
use std::str::FromStr;

use super::QueueError;
use super::consumer::unexpected;

/// An entry's shard, and its id in that stream: milliseconds and a sequence number. Ordered by shard, and then as Redis
/// orders them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// The shard. Two may have entries with the same numbers.
    pub shard: u16,
    /// Redis's clock when the entry was added, unix milliseconds.
    pub ms: u64,
    /// Counts entries within one millisecond.
    pub seq: u64,
}

impl StreamId {
    /// As Redis knows it, within its stream.
    #[must_use]
    pub fn in_stream(&self) -> String {
        format!("{}-{}", self.ms, self.seq)
    }

    /// Reads what Redis calls it.
    ///
    /// # Errors
    /// [`QueueError`] when that is no id.
    pub fn of(shard: u16, in_stream: &str) -> Result<Self, QueueError> {
        let parts = in_stream
            .split_once('-')
            .and_then(|(ms, seq)| Some((ms.parse().ok()?, seq.parse().ok()?)));
        let (ms, seq) = parts.ok_or_else(|| unexpected("a stream id"))?;
        Ok(Self { shard, ms, seq })
    }
}

/// As Postgres keeps it: `1526919030474-55` in the first shard, as when that was the only one, and
/// `1526919030474-55@7` in another.
impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)?;
        if self.shard > 0 {
            write!(f, "@{}", self.shard)?;
        }
        Ok(())
    }
}

impl FromStr for StreamId {
    type Err = QueueError;

    fn from_str(text: &str) -> Result<Self, QueueError> {
        let (in_stream, shard) = text.split_once('@').unwrap_or((text, "0"));
        let shard = shard.parse().map_err(|_| unexpected("a shard"))?;
        Self::of(shard, in_stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_ids_keep_redis_order() {
        let id = |text: &str| text.parse::<StreamId>().expect("an id");
        assert!(id("9-10") > id("9-9"));
        assert!(id("10-0") > id("9-10"));
        assert!(id("9-0@1") > id("10-0"), "shard by shard");
        assert!("1526919030474".parse::<StreamId>().is_err());
    }

    #[test]
    fn equal_numbers_in_two_shards_are_two_entries() {
        for text in ["1526919030474-55", "1526919030474-55@7"] {
            let id = text.parse::<StreamId>().expect("an id");
            assert_eq!(id.to_string(), text);
            assert_eq!(id.in_stream(), "1526919030474-55");
        }
    }
}
