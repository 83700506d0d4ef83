//! Many lives side by side in one database: every id gets the number of its copy.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::Rig;

/// Between an id and the number of its copy. No id of Stripe's has one.
const MARK: char = '~';
/// What ids begin with, those that scenarios and lives have.
const PREFIXES: [&str; 24] = [
    "evt", "cus", "sub", "si", "in", "il", "ii", "pi", "ch", "py", "cs", "re", "pyr", "du", "dp", "prod",
    "price", "usr", "inpay", "ent", "feat", "txn", "team", "plan",
];

/// A text, cut behind every id in it.
#[derive(Debug, Clone)]
pub struct Template(Vec<String>);

impl Template {
    pub fn new(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut part = String::new();
        for piece in text.split_inclusive('"') {
            let word = piece.trim_end_matches('"');
            part.push_str(word);
            if word.len() < piece.len() {
                if is_id(word) {
                    parts.push(std::mem::take(&mut part));
                }
                part.push('"');
            }
        }
        parts.push(part);
        Self(parts)
    }

    /// The text as it is in copy `number`.
    pub fn copy(&self, number: usize) -> Bytes {
        Bytes::from(self.0.join(&format!("{MARK}{number}")))
    }
}

fn is_id(word: &str) -> bool {
    let Some((prefix, rest)) = word.split_once('_') else {
        return false;
    };
    let plain = rest
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    // Words of Stripe's are lower case, such as `price_data`.
    PREFIXES.contains(&prefix)
        && plain
        && rest
            .bytes()
            .any(|byte| !byte.is_ascii_lowercase() && byte != b'_')
}

/// What every copy has, word by word, from what all of them have together. Ids lose their numbers.
pub fn by_copy(state: &Value) -> BTreeMap<usize, Map<String, Value>> {
    let mut copies: BTreeMap<usize, Map<String, Value>> = BTreeMap::new();
    for (word, objects) in state.as_object().expect("words") {
        for (id, object) in objects.as_object().expect("objects") {
            let Some((id, number)) = parted(id) else {
                continue;
            };
            let words = copies.entry(number).or_default();
            let objects = words
                .entry(word.as_str())
                .or_insert_with(|| Value::Object(Map::new()));
            objects[id] = without_number(object);
        }
    }
    copies
}

/// How often events of each copy were delivered, how many there are, and how many are about nothing that is compared.
pub async fn events_by_copy(rig: &Rig) -> BTreeMap<usize, Value> {
    let sql = "
        WITH told AS (
            SELECT split_part(id, '~', 2)::bigint AS copy, 0 AS again, (status <> 'applied' OR object_type IN
                ('product', 'price', 'entitlements.active_entitlement_summary'))::int AS not_applied FROM events
            UNION ALL SELECT split_part(event_id, '~', 2)::bigint, 1, 0 FROM redeliveries)
        SELECT copy, count(*), count(*) - sum(again), sum(not_applied) FROM told GROUP BY copy";
    let rows: Vec<(i64, i64, i64, i64)> = sqlx::query_as(sql).fetch_all(&rig.pool).await.expect(sql);
    let counted = |(copy, deliveries, distinct, not_applied)| {
        let counts = json!({"deliveries": deliveries, "distinct": distinct, "not_applied": not_applied});
        (usize::try_from(copy).expect("a number"), counts)
    };
    rows.into_iter().map(counted).collect()
}

/// An id and the number of its copy.
pub fn parted(id: &str) -> Option<(&str, usize)> {
    let (id, number) = id.rsplit_once(MARK)?;
    Some((id, number.parse().ok()?))
}

fn without_number(object: &Value) -> Value {
    match object {
        Value::String(text) => parted(text).map_or_else(|| object.clone(), |(id, _)| id.into()),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), without_number(value)))
            .collect(),
        other => other.clone(),
    }
}
