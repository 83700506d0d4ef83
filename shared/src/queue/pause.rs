//! Whether workers take anything from the queue at all. A person pauses the whole queue and resumes it; Redis keeps who
//! did so, when and why, until then: it outlives every restart that the events outlive, too.
//!
//! Workers are told with the answer to their sign of life ([`super::fleet`]), so nobody asks for this alone. What a
//! worker has claimed when it is told, it finishes. Ingest goes on accepting.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use redis::{Script, ScriptInvocation};

use super::{Link, Log, Probe, QueueError, deeds};

/// Most characters that are kept of a name and of a reason: all workers read them every second.
pub const WORDS_MAX: usize = 500;

/// That the queue is paused.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Pause {
    /// Who paused it.
    pub by: String,
    /// Why.
    pub why: String,
    /// When, by Redis's clock; also tells one pause from another.
    pub at_ms: i64,
}

/// What became of a wish to pause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paused {
    /// The pause that holds now.
    pub pause: Pause,
    /// Whether somebody had paused before: theirs stays.
    pub was_paused: bool,
}

/// Where it is kept.
pub(super) fn key(prefix: &str) -> String {
    format!("{{{prefix}:v1}}:paused")
}

impl Pause {
    /// From what Redis has under [`key`]; nothing is no pause.
    pub(super) fn read(fields: &BTreeMap<String, String>) -> Option<Self> {
        let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
        let is_paused = !fields.is_empty();
        is_paused.then(|| Self {
            by: field("by"),
            why: field("why"),
            at_ms: field("at_ms").parse().unwrap_or(0),
        })
    }
}

/// Reads it.
pub(super) async fn current(link: &mut Link, prefix: &str) -> Result<Option<Pause>, QueueError> {
    let mut command = redis::cmd("HGETALL");
    let fields = command.arg(key(prefix)).query_async(link).await?;
    Ok(Pause::read(&fields))
}

/// Whoever paused first stays named. Keys: the pause, the deeds. Arguments: who, why, and of the deed: whether it is to be
/// kept, how many are, and its name.
static PAUSE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local was = redis.call('EXISTS', KEYS[1])
if was == 0 then
  local time = redis.call('TIME')
  local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
  redis.call('HSET', KEYS[1], 'by', ARGV[1], 'why', ARGV[2], 'at_ms', now)
  if ARGV[3] == '1' then
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], '*', 'action', ARGV[5], 'by', ARGV[1], 'why', ARGV[2])
  end
end
return {was, redis.call('HGETALL', KEYS[1])}",
    )
});

/// Keys and arguments: as those of [`PAUSE`]. Returns what it was.
static RESUME: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local was = redis.call('HGETALL', KEYS[1])
redis.call('DEL', KEYS[1])
if #was > 0 and ARGV[3] == '1' then
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], '*', 'action', ARGV[5], 'by', ARGV[1], 'why', ARGV[2])
end
return was",
    )
});

impl Probe {
    /// Whether the queue is paused.
    ///
    /// # Errors
    /// [`QueueError`] when Redis does not answer.
    pub async fn paused(&mut self) -> Result<Option<Pause>, QueueError> {
        current(&mut self.link, &self.prefix).await
    }

    /// Pauses the queue. Workers that live hear of it within [`super::fleet::ATTEND_EVERY`].
    ///
    /// # Errors
    /// [`QueueError`] when Redis does not answer, or takes no writes.
    pub async fn pause(&mut self, by: &str, why: &str, log: Log) -> Result<Paused, QueueError> {
        let (was, fields): (u8, BTreeMap<String, String>) = self
            .call(&PAUSE, [by, why], log, deeds::PAUSED)
            .invoke_async(&mut self.link)
            .await?;
        Ok(Paused {
            pause: Pause::read(&fields).unwrap_or_else(|| unreachable!("the script has just written it")),
            was_paused: was > 0,
        })
    }

    /// Ends a pause, and says which one it was.
    ///
    /// # Errors
    /// [`QueueError`] when Redis does not answer.
    pub async fn resume(&mut self, by: &str, why: &str, log: Log) -> Result<Option<Pause>, QueueError> {
        let fields = self
            .call(&RESUME, [by, why], log, deeds::RESUMED)
            .invoke_async(&mut self.link)
            .await?;
        Ok(Pause::read(&fields))
    }

    fn call<'a>(&self, script: &'a Script, said: [&str; 2], log: Log, deed: &str) -> ScriptInvocation<'a> {
        let mut call = script.prepare_invoke();
        call.key(key(&self.prefix)).key(deeds::key(&self.prefix));
        call.arg(&said.map(short));
        call.arg(log.is_open()).arg(deeds::DEEDS_MAX).arg(deed);
        call
    }
}

fn short(text: &str) -> String {
    text.chars().take(WORDS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_fields_are_no_pause() {
        assert_eq!(Pause::read(&BTreeMap::new()), None);
        let fields = [("by", "jo"), ("why", "a migration"), ("at_ms", "17")];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let pause = Pause::read(&fields.into()).expect("a pause");
        assert_eq!((&*pause.by, &*pause.why, pause.at_ms), ("jo", "a migration", 17));
    }
}
