//! How much has gone through the queue, for who takes the difference of two looks.

use std::collections::BTreeMap;

use redis::aio::ConnectionLike;
use redis::{Pipeline, Value};

use super::{Keys, Probe, QueueError, shards};

/// What a look found, over all shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flow {
    /// Entries that were ever put in; Redis counts them from version 7.0 on.
    pub added: u64,
    /// Entries that are in it.
    pub entries: u64,
    /// When, by Redis's clock.
    pub at_ms: i64,
}

impl Probe {
    /// Looks.
    ///
    /// # Errors
    /// [`QueueError`] when Redis does not answer.
    pub async fn flow(&mut self) -> Result<Flow, QueueError> {
        let shards = shards::known(&mut self.link, &self.prefix).await?;
        let mut pipe = Pipeline::new();
        pipe.cmd("TIME");
        for shard in &shards {
            pipe.cmd("XINFO")
                .arg("STREAM")
                .arg(Keys::new(&self.prefix, *shard).events);
        }
        let answers = self.link.req_packed_commands(&pipe, 0, shards.len() + 1).await?;
        let mut answers = answers.into_iter();
        let time = answers.next().unwrap_or(Value::Nil);
        let (seconds, micros): (i64, i64) = redis::from_redis_value(time).map_err(redis::RedisError::from)?;
        let mut flow = Flow {
            at_ms: seconds * 1_000 + micros / 1_000,
            ..Flow::default()
        };
        for answer in answers {
            // A stream that nothing was put into is not there.
            let Ok(answer) = answer.extract_error() else {
                continue;
            };
            let fields: BTreeMap<String, Value> =
                redis::from_redis_value(answer).map_err(redis::RedisError::from)?;
            flow.added += number(&fields, "entries-added");
            flow.entries += number(&fields, "length");
        }
        Ok(flow)
    }
}

fn number(fields: &BTreeMap<String, Value>, name: &str) -> u64 {
    match fields.get(name) {
        Some(Value::Int(number)) => u64::try_from(*number).unwrap_or(0),
        _ => 0,
    }
}
