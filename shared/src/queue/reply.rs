//! Redis's answers that carry entries, taken apart without a copy: the library's own types clone every value into a map
//! of strings, and bodies are most of what a worker reads.

use bytes::Bytes;
use redis::Value;

use super::QueueError;
use super::consumer::unexpected;

/// An entry as it stands in Redis.
#[derive(Debug, PartialEq)]
pub(super) struct RawEntry {
    pub(super) id: String,
    pub(super) fields: Vec<(Bytes, Bytes)>,
}

/// What `XREADGROUP` gave: the streams that had entries, by name.
pub(super) fn streams_read(reply: Value) -> Result<Vec<(Bytes, Vec<RawEntry>)>, QueueError> {
    let streams: Vec<[Value; 2]> = match reply {
        Value::Nil => Vec::new(),
        Value::Map(streams) => streams
            .into_iter()
            .map(|(name, entries)| [name, entries])
            .collect(),
        reply => {
            let streams = reply.into_sequence().map_err(|_| unexpected("streams"))?;
            streams.into_iter().map(pair).collect::<Result<_, QueueError>>()?
        }
    };
    let streams = streams.into_iter();
    streams
        .map(|[name, entries]| Ok((bytes(name)?, entries_claimed(entries)?)))
        .collect()
}

/// What `XCLAIM` gave, and of each stream `XREADGROUP`. Where an entry was deleted, older servers say so with a nil.
pub(super) fn entries_claimed(reply: Value) -> Result<Vec<RawEntry>, QueueError> {
    let entries = reply.into_sequence().map_err(|_| unexpected("entries"))?;
    entries
        .into_iter()
        .filter(|entry| *entry != Value::Nil)
        .map(entry)
        .collect()
}

fn entry(value: Value) -> Result<RawEntry, QueueError> {
    let [id, fields] = pair(value)?;
    let id = String::from_utf8(bytes(id)?.into()).map_err(|_| unexpected("a stream id"))?;
    let fields = fields.into_map_iter().map_err(|_| unexpected("fields by name"))?;
    let fields = fields.map(|(name, value)| Ok((bytes(name)?, bytes(value)?)));
    Ok(RawEntry {
        id,
        fields: fields.collect::<Result<_, QueueError>>()?,
    })
}

fn pair(value: Value) -> Result<[Value; 2], QueueError> {
    let parts = value.into_sequence().unwrap_or_default();
    parts.try_into().map_err(|_| unexpected("a pair"))
}

fn bytes(value: Value) -> Result<Bytes, QueueError> {
    match value {
        Value::BulkString(bytes) => Ok(Bytes::from(bytes)),
        Value::SimpleString(text) => Ok(Bytes::from(text)),
        _ => Err(unexpected("a string")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    fn one() -> Value {
        Value::Array(vec![
            string("1-0"),
            Value::Array(vec![string("v"), string("1"), string("body"), string("{}")]),
        ])
    }

    fn read() -> RawEntry {
        let field = |name: &'static str, value: &'static str| (Bytes::from(name), Bytes::from(value));
        RawEntry {
            id: "1-0".into(),
            fields: vec![field("v", "1"), field("body", "{}")],
        }
    }

    #[test]
    fn both_protocols_say_the_same() {
        let entries = || Value::Array(vec![one()]);
        let old = Value::Array(vec![Value::Array(vec![string("stream"), entries()])]);
        let new = Value::Map(vec![(string("stream"), entries())]);
        for reply in [old, new] {
            let streams = streams_read(reply).expect("entries");
            assert_eq!(streams, [(Bytes::from("stream"), vec![read()])]);
        }
        assert_eq!(streams_read(Value::Nil).expect("silence"), []);
    }

    #[test]
    fn deleted_ones_are_passed_over() {
        let reply = Value::Array(vec![Value::Nil, one()]);
        assert_eq!(entries_claimed(reply).expect("entries"), [read()]);
    }

    #[test]
    fn what_is_no_entry_is_an_error() {
        for value in [
            Value::Nil,
            Value::Array(vec![string("1-0")]),
            Value::Array(vec![string("1-0"), Value::Array(vec![string("v")])]),
            Value::Array(vec![string("1-0"), Value::Array(vec![string("v"), Value::Nil])]),
        ] {
            assert!(entry(value.clone()).is_err(), "{value:?}");
        }
    }
}
