//! Reading JSON by shape, tolerantly: a member that is absent or null is `None`, wherever it would be. One of a
//! wrong type is an error where a rule needs it; elsewhere it counts as absent and is noted as drift. New members
//! and new enum values never matter.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json_borrow::{ObjectAsVec, Value};

/// Latest point in time accepted, unix seconds.
const TIME_MAX: i64 = shared::envelope::CREATED_MAX;

/// Why an object cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: expected {expected}, found {found}")]
pub struct ReadError {
    /// Where, such as `items.data[0].quantity`.
    pub path: String,
    /// What a rule needs.
    pub expected: &'static str,
    /// What is there, by type: never the value.
    pub found: &'static str,
}

/// A JSON object, or the absence of one.
#[derive(Debug, Clone)]
pub struct View<'a> {
    members: Option<&'a ObjectAsVec<'a>>,
    path: String,
    reading: Rc<Reading>,
}

/// What all views of one object share.
#[derive(Debug, Default)]
struct Reading {
    /// Members a rule needs, by path; with a final dot, everything below as well.
    needed: &'static [&'static str],
    drift: RefCell<Vec<ReadError>>,
}

impl Reading {
    /// An error where a rule needs the member; drift elsewhere, and the member counts as absent.
    fn judge<T>(&self, error: ReadError) -> Read<Option<T>> {
        let path = without_indices(&error.path);
        let covers = |needed: &&str| match needed.strip_suffix('.') {
            Some(above) => path
                .strip_prefix(above)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.')),
            None => path == **needed,
        };
        if self.needed.iter().any(covers) {
            return Err(error);
        }
        self.drift.borrow_mut().push(error);
        Ok(None)
    }
}

/// `items.data[0].price` becomes `items.data.price`.
fn without_indices(path: &str) -> String {
    let mut inside = false;
    let mut kept = |letter: &char| {
        inside = *letter == '[' || (inside && *letter != ']');
        !inside && *letter != ']'
    };
    path.chars().filter(|letter| kept(letter)).collect()
}

type Read<T> = Result<T, ReadError>;

impl<'a> View<'a> {
    /// Looks at `value`, which must be an object. `needed` names the members a rule cannot do without, by path; with
    /// a final dot, everything below as well.
    ///
    /// # Errors
    /// [`ReadError`] when it is something else.
    pub fn new(value: &'a Value<'a>, needed: &'static [&'static str]) -> Read<Self> {
        let reading = Reading {
            needed,
            drift: RefCell::default(),
        };
        Self::at(value, String::new(), &Rc::new(reading))
    }

    /// Members that are not what they used to be, in the order in which they were read.
    #[must_use]
    pub fn drift(&self) -> Vec<ReadError> {
        self.reading.drift.borrow().clone()
    }

    fn at(value: &'a Value<'a>, path: String, reading: &Rc<Reading>) -> Read<Self> {
        match value {
            Value::Object(members) => Ok(Self {
                members: Some(members),
                path,
                reading: Rc::clone(reading),
            }),
            other => Err(ReadError {
                path,
                expected: "an object",
                found: type_of(other),
            }),
        }
    }

    fn absent(&self, name: &str) -> Self {
        Self {
            members: None,
            path: self.path_of(name),
            reading: Rc::clone(&self.reading),
        }
    }

    /// The member `name`, unless absent or null.
    fn get(&self, name: &str) -> Option<&'a Value<'a>> {
        self.member(name).filter(|value| !value.is_null())
    }

    /// The member `name`. Of several the last one counts, as in every reader of JSON that keeps one.
    fn member(&self, name: &str) -> Option<&'a Value<'a>> {
        let members = self.members?.as_vec().iter();
        members.rev().find(|(it, _)| *it == name).map(|(_, value)| value)
    }

    /// Whether the member `name` is there, even if null.
    pub fn has(&self, name: &str) -> bool {
        self.member(name).is_some()
    }

    fn error<T>(&self, name: &str, expected: &'static str, found: &'static str) -> Read<Option<T>> {
        self.reading.judge(ReadError {
            path: self.path_of(name),
            expected,
            found,
        })
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    /// A text.
    ///
    /// # Errors
    /// [`ReadError`] for another type, or a text that Postgres cannot hold (with a NUL).
    pub fn text(&self, name: &str) -> Read<Option<String>> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Str(text)) if !text.contains('\0') => Ok(Some(text.clone().into_owned())),
            Some(Value::Str(_)) => self.error(name, "a text without NUL", "a text with one"),
            Some(other) => self.error(name, "a text", type_of(other)),
        }
    }

    /// A whole number: an amount in minor units, a count.
    ///
    /// # Errors
    /// [`ReadError`] for another type, a fraction, or more than 64 bits.
    pub fn integer(&self, name: &str) -> Read<Option<i64>> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => match value.as_i64() {
                Some(number) => Ok(Some(number)),
                None => self.error(name, "a whole number of 64 bits", type_of(value)),
            },
        }
    }

    /// A point in time, unix seconds.
    ///
    /// # Errors
    /// [`ReadError`] as [`View::integer`], or outside the years 1970 to 9999.
    pub fn time(&self, name: &str) -> Read<Option<i64>> {
        match self.integer(name)? {
            Some(time) if !(0..=TIME_MAX).contains(&time) => {
                self.error(name, "a time between 1970 and 9999", "a number outside it")
            }
            time => Ok(time),
        }
    }

    /// A boolean, where absence has no meaning of its own.
    ///
    /// # Errors
    /// [`ReadError`] for another type.
    pub fn flag(&self, name: &str) -> Read<Option<bool>> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => self.error(name, "a boolean", type_of(other)),
        }
    }

    /// A boolean that is false unless said otherwise.
    ///
    /// # Errors
    /// [`ReadError`] for another type.
    pub fn is(&self, name: &str) -> Read<bool> {
        Ok(self.flag(name)?.unwrap_or(false))
    }

    /// A reference: an id, or the expanded object that has it.
    ///
    /// # Errors
    /// [`ReadError`] for another type.
    pub fn id(&self, name: &str) -> Read<Option<String>> {
        match self.get(name) {
            Some(Value::Object(_)) => self.object(name)?.text("id"),
            _ => self.text(name),
        }
    }

    /// The id that every object of its kind must have.
    ///
    /// # Errors
    /// [`ReadError`] when it is missing.
    pub fn own_id(&self) -> Read<String> {
        self.text("id")?
            .filter(|id| !id.is_empty())
            .ok_or_else(|| ReadError {
                path: self.path_of("id"),
                expected: "an id",
                found: "nothing",
            })
    }

    /// A nested object. Absent ones read as empty, so a chain of moves between API versions reads as a chain.
    ///
    /// # Errors
    /// [`ReadError`] for another type.
    pub fn object(&self, name: &str) -> Read<Self> {
        match self.get(name) {
            None => Ok(self.absent(name)),
            Some(value) => match Self::at(value, self.path_of(name), &self.reading) {
                Ok(view) => Ok(view),
                Err(error) => Ok(self.reading.judge(error)?.unwrap_or_else(|| self.absent(name))),
            },
        }
    }

    /// The objects of a Stripe list (`{"data": [..]}`).
    ///
    /// # Errors
    /// [`ReadError`] for anything else.
    pub fn list(&self, name: &str) -> Read<Vec<Self>> {
        let list = self.object(name)?;
        let values = match list.get("data") {
            None => return Ok(Vec::new()),
            Some(Value::Array(values)) => values,
            Some(other) => {
                return Ok(list.error("data", "a list", type_of(other))?.unwrap_or_default());
            }
        };
        let mut views = Vec::with_capacity(values.len());
        for (index, value) in values.iter().enumerate() {
            match Self::at(value, format!("{}.data[{index}]", list.path), &self.reading) {
                Ok(view) => views.push(view),
                Err(error) => views.extend(self.reading.judge(error)?),
            }
        }
        Ok(views)
    }

    /// How many elements the plain array `name` has.
    ///
    /// # Errors
    /// [`ReadError`] for another type.
    pub fn count(&self, name: &str) -> Read<i64> {
        match self.get(name) {
            None => Ok(0),
            Some(Value::Array(values)) => Ok(i64::try_from(values.len()).unwrap_or(i64::MAX)),
            Some(other) => Ok(self.error(name, "a list", type_of(other))?.unwrap_or_default()),
        }
    }

    /// Metadata as JSON text; an absent one is `{}`. A NUL, which Postgres cannot hold, becomes U+FFFD.
    ///
    /// # Errors
    /// [`ReadError`] for another type.
    pub fn metadata(&self) -> Read<String> {
        let metadata = self.object("metadata")?;
        let Some(members) = metadata.members else {
            return Ok("{}".to_owned());
        };
        let storable = |text: &str| text.replace('\0', "\u{fffd}");
        let cleaned: serde_json::Map<_, _> = members
            .iter()
            .map(|(name, value)| match value {
                Value::Str(text) => (storable(name), storable(text).into()),
                // Stripe's metadata is text; anything else is kept as it is written.
                other => (storable(name), storable(&other.to_string()).into()),
            })
            .collect();
        Ok(serde_json::Value::Object(cleaned).to_string())
    }
}

fn type_of(value: &Value<'_>) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::Str(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Every member of the objects below.
    const ALL: &[&str] = &["a.", "b.", "c.", "items.", "n", "big", "t", "z"];

    #[test]
    fn what_no_rule_needs_may_be_anything() {
        let value = json!({
            "status": "paid", "balance": 1e300, "name": ["x"], "paid": "yes", "seen_at": -5,
            "items": {"data": [7, {"price": {"id": "p"}, "note": {}}]}, "lines": 3,
        });
        let value = Value::from(&value);
        let view = View::new(&value, &["status", "items.data.price."]).expect("an object");
        assert_eq!(view.text("status"), Ok(Some("paid".into())));
        assert_eq!(view.integer("balance"), Ok(None));
        assert_eq!(view.text("name"), Ok(None));
        assert_eq!(view.flag("paid"), Ok(None));
        assert_eq!(view.time("seen_at"), Ok(None));
        assert!(view.list("lines").expect("absent").is_empty());
        let items = view.list("items").expect("a list");
        assert_eq!(items.len(), 1);
        assert_eq!(items[0].id("price"), Ok(Some("p".into())));
        assert_eq!(items[0].text("note"), Ok(None));
        let drift: Vec<String> = view.drift().into_iter().map(|it| it.path).collect();
        let expected = [
            "balance",
            "name",
            "paid",
            "seen_at",
            "lines",
            "items.data[0]",
            "items.data[1].note",
        ];
        assert_eq!(drift, expected);
    }

    #[test]
    fn what_a_rule_needs_is_never_guessed() {
        let value = json!({"status": 3, "customer": {"id": 4}, "items": {"data": [{"price": true}]}});
        let value = Value::from(&value);
        let view = View::new(&value, &["status", "customer.", "items.data.price."]).expect("an object");
        assert!(view.text("status").is_err());
        assert!(view.id("customer").is_err());
        assert!(view.list("items").expect("a list")[0].id("price").is_err());
        assert!(view.drift().is_empty());
    }

    #[test]
    fn metadata_is_kept_as_texts_that_can_be_stored() {
        let value = json!({"metadata": {"note": "a\0b", "credits": 5, "plain": "x"}});
        let value = Value::from(&value);
        let view = View::new(&value, &["metadata."]).expect("an object");
        let expected = json!({"note": "a\u{fffd}b", "credits": "5", "plain": "x"});
        assert_eq!(
            view.metadata()
                .map(|text| serde_json::from_str::<serde_json::Value>(&text).ok()),
            Ok(Some(expected))
        );
    }

    #[test]
    fn absent_and_null_read_alike() {
        let value = json!({"a": null});
        let value = Value::from(&value);
        let view = View::new(&value, ALL).expect("an object");
        for name in ["a", "b"] {
            assert_eq!(view.text(name), Ok(None));
            assert_eq!(view.integer(name), Ok(None));
            assert_eq!(view.id(name), Ok(None));
            assert_eq!(view.is(name), Ok(false));
            assert_eq!(
                view.object(name)
                    .and_then(|v| v.object("c"))
                    .and_then(|v| v.text("d")),
                Ok(None)
            );
            assert!(view.list(name).expect("an empty list").is_empty());
        }
        assert_eq!(view.metadata().as_deref(), Ok("{}"));
    }

    #[test]
    fn the_last_of_several_members_counts() {
        let text = r#"{"a": "first", "a": null, "b": "\u0061\"", "\u0062": "last"}"#;
        let value: Value<'_> = serde_json::from_str(text).expect("JSON");
        let view = View::new(&value, ALL).expect("an object");
        assert_eq!(view.text("a"), Ok(None));
        assert!(view.has("a"));
        assert_eq!(view.text("b"), Ok(Some("last".into())), "however it is written");
    }

    #[test]
    fn references_may_be_expanded() {
        let value = json!({"a": "cus_1", "b": {"id": "cus_2", "object": "customer"}, "c": 3});
        let value = Value::from(&value);
        let view = View::new(&value, ALL).expect("an object");
        assert_eq!(view.id("a"), Ok(Some("cus_1".into())));
        assert_eq!(view.id("b"), Ok(Some("cus_2".into())));
        assert!(view.id("c").is_err());
    }

    #[test]
    fn errors_name_the_place_and_the_type_but_not_the_value() {
        let value = json!({"items": {"data": [{"quantity": "secret"}]}, "n": 1.5, "big": 12_345_678_901_234_567_890_u64, "t": -1, "z": "a\0"});
        let value = Value::from(&value);
        let view = View::new(&value, ALL).expect("an object");
        let item = view.list("items").expect("a list").remove(0);
        let error = item
            .integer("quantity")
            .expect_err("a text is no number")
            .to_string();
        assert_eq!(
            error,
            "items.data[0].quantity: expected a whole number of 64 bits, found a text"
        );
        assert!(view.integer("n").is_err());
        assert!(view.integer("big").is_err());
        assert!(view.time("t").is_err());
        assert!(view.text("z").is_err());
    }
}
