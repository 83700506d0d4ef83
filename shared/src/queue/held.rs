//! Which of some events wait in the queue. Redis finds entries by their place only, so all that wait have to be gone
//! through; whoever asks does so seldom, and only about events that are nowhere else.

use std::collections::{BTreeSet, HashMap, HashSet};

use redis::Value;
use redis::streams::StreamRangeReply;
use serde::Deserialize;

use super::{Keys, Link, Probe, QueueError, RESPONSE_TIMEOUT, newer, shards, within};
use crate::entry::FIELD_META;

/// Entries that are gone through at most, of all shards together.
pub const GONE_THROUGH_MAX: u64 = 20_000;
/// Entries of one answer of Redis's.
const PAGE_ENTRIES: usize = 500;

/// What of an entry says which event it is. Those of a newer layout may not have it.
#[derive(Deserialize)]
struct Words {
    id: String,
    #[serde(default)]
    account: Option<String>,
    #[serde(default)]
    endpoint: String,
}

impl Probe {
    /// Which of these events of an account wait or are in a worker's hands, and the endpoint that received each. `None`
    /// when too much waits to find out.
    ///
    /// # Errors
    /// [`QueueError`] when Redis does not answer.
    pub async fn waiting_of(
        &mut self,
        account: &str,
        ids: &HashSet<&str>,
    ) -> Result<Option<HashMap<String, String>>, QueueError> {
        let (link, prefix) = self.parts();
        let shards = shards::known(link, prefix).await?;
        let streams = streams(link, prefix, &shards).await?;
        let mut found = HashMap::new();
        let mut left = GONE_THROUGH_MAX;
        for stream in &streams {
            let Some(gone_through) = go_through(link, stream, left, account, ids, &mut found).await? else {
                return Ok(None);
            };
            left -= gone_through;
        }
        Ok(Some(found))
    }
}

/// All that entries can be in.
async fn streams(link: &mut Link, prefix: &str, shards: &BTreeSet<u16>) -> Result<Vec<String>, QueueError> {
    let mut streams = Vec::new();
    for shard in shards {
        let keys = Keys::new(prefix, *shard);
        for layout in newer::layouts(link, &keys).await? {
            streams.push(keys.newer_of(layout));
        }
        streams.push(keys.events);
    }
    Ok(streams)
}

/// Returns how many entries there were, or `None` when there are more than `most`.
async fn go_through(
    link: &mut Link,
    stream: &str,
    most: u64,
    account: &str,
    ids: &HashSet<&str>,
    found: &mut HashMap<String, String>,
) -> Result<Option<u64>, QueueError> {
    let (mut from, mut count) = ("-".to_owned(), 0);
    loop {
        let mut command = redis::cmd("XRANGE");
        command
            .arg(stream)
            .arg(&from)
            .arg("+")
            .arg("COUNT")
            .arg(PAGE_ENTRIES);
        let page: StreamRangeReply = within(RESPONSE_TIMEOUT, command.query_async(link)).await?;
        count += page.ids.len() as u64;
        if count > most {
            return Ok(None);
        }
        let words = page.ids.iter().filter_map(|entry| words(&entry.map));
        for words in words.filter(|it| it.account.as_deref().unwrap_or_default() == account) {
            if ids.contains(words.id.as_str()) {
                found.insert(words.id, words.endpoint);
            }
        }
        match page.ids.last() {
            Some(last) if page.ids.len() == PAGE_ENTRIES => from = format!("({}", last.id),
            _ => return Ok(Some(count)),
        }
    }
}

fn words(fields: &HashMap<String, Value>) -> Option<Words> {
    match fields.get(FIELD_META)? {
        Value::BulkString(meta) => serde_json::from_slice(meta).ok(),
        _ => None,
    }
}
