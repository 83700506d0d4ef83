//! Small tools for building JSON objects.

use serde_json::{Map, Value, json};

/// The key `true`/`null` lists of Stripe's objects are long; most of their fields are null.
pub(crate) fn nulls(keys: &[&str]) -> Value {
    keys.iter()
        .map(|key| ((*key).to_owned(), Value::Null))
        .collect::<Map<_, _>>()
        .into()
}

/// One object with the keys of all `parts`; later parts win. Parts that are no objects are skipped.
pub(crate) fn merge<const N: usize>(parts: [Value; N]) -> Value {
    let maps = parts.into_iter().filter_map(|part| match part {
        Value::Object(map) => Some(map),
        _ => None,
    });
    let all = maps.reduce(|mut all, map| {
        all.extend(map);
        all
    });
    all.unwrap_or_default().into()
}

/// Stripe's list object.
pub(crate) fn list(data: Vec<Value>, url: String) -> Value {
    json!({"object": "list", "data": data, "has_more": false, "url": url})
}

/// `data.previous_attributes` of a change: the old values of the changed keys, objects partially,
/// arrays whole, null for a key that did not exist.
/// Source: <https://docs.stripe.com/api/events/object#event_object-data-previous_attributes>.
pub(crate) fn previous_attributes(before: &Value, after: &Value) -> Value {
    let (Value::Object(before), Value::Object(after)) = (before, after) else {
        return before.clone();
    };
    let mut previous = Map::new();
    for (key, new) in after {
        match before.get(key) {
            Some(old) if old == new => {}
            Some(old) if old.is_object() && new.is_object() => {
                previous.insert(key.clone(), previous_attributes(old, new));
            }
            Some(old) => {
                previous.insert(key.clone(), old.clone());
            }
            None => {
                previous.insert(key.clone(), Value::Null);
            }
        }
    }
    let gone = before.iter().filter(|(key, _)| !after.contains_key(*key));
    previous.extend(gone.map(|(key, old)| (key.clone(), old.clone())));
    previous.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn previous_attributes_hold_the_old_values_of_what_changed() {
        let cases = [
            (json!({"a": 1, "b": 2}), json!({"a": 1, "b": 3}), json!({"b": 2})),
            (
                json!({"a": {"x": 1, "y": 2}}),
                json!({"a": {"x": 1, "y": 3}}),
                json!({"a": {"y": 2}}),
            ),
            (json!({"a": [1, 2]}), json!({"a": [1, 3]}), json!({"a": [1, 2]})),
            (json!({"a": null}), json!({"a": {"x": 1}}), json!({"a": null})),
            (json!({}), json!({"a": 1}), json!({"a": null})),
            (json!({"a": 1}), json!({}), json!({"a": 1})),
        ];
        for (before, after, expected) in cases {
            assert_eq!(previous_attributes(&before, &after), expected);
        }
    }

    #[test]
    fn later_parts_win() {
        assert_eq!(
            merge([nulls(&["a", "b"]), json!({"b": 1})]),
            json!({"a": null, "b": 1})
        );
    }
}
