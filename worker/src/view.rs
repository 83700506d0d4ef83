//! Reading JSON by shape, tolerantly: a member that is absent or null is `None`, wherever it would be; a
//! member of a wrong type is an error that names it. New members and new enum values never matter.

use serde_json::{Map, Value};

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
    members: Option<&'a Map<String, Value>>,
    path: String,
}

type Read<T> = Result<T, ReadError>;

impl<'a> View<'a> {
    /// Looks at `value`, which must be an object.
    ///
    /// # Errors
    /// [`ReadError`] when it is something else.
    pub fn new(value: &'a Value) -> Read<Self> {
        Self::at(value, String::new())
    }

    fn at(value: &'a Value, path: String) -> Read<Self> {
        match value {
            Value::Object(members) => Ok(Self {
                members: Some(members),
                path,
            }),
            other => Err(ReadError {
                path,
                expected: "an object",
                found: type_of(other),
            }),
        }
    }

    /// The member `name`, unless absent or null.
    fn get(&self, name: &str) -> Option<&'a Value> {
        self.members?.get(name).filter(|value| !value.is_null())
    }

    /// Whether the member `name` is there, even if null.
    pub fn has(&self, name: &str) -> bool {
        self.members.is_some_and(|members| members.contains_key(name))
    }

    fn error<T>(&self, name: &str, expected: &'static str, found: &Value) -> Read<T> {
        Err(ReadError {
            path: self.path_of(name),
            expected,
            found: type_of(found),
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
            Some(Value::String(text)) if !text.contains('\0') => Ok(Some(text.clone())),
            Some(Value::String(_)) => Err(ReadError {
                path: self.path_of(name),
                expected: "a text without NUL",
                found: "a text with one",
            }),
            Some(other) => self.error(name, "a text", other),
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
                None => self.error(name, "a whole number of 64 bits", value),
            },
        }
    }

    /// A point in time, unix seconds.
    ///
    /// # Errors
    /// [`ReadError`] as [`View::integer`], or outside the years 1970 to 9999.
    pub fn time(&self, name: &str) -> Read<Option<i64>> {
        let time = self.integer(name)?;
        if time.is_some_and(|time| !(0..=TIME_MAX).contains(&time)) {
            return Err(ReadError {
                path: self.path_of(name),
                expected: "a time between 1970 and 9999",
                found: "a number outside it",
            });
        }
        Ok(time)
    }

    /// A boolean, where absence has no meaning of its own.
    ///
    /// # Errors
    /// [`ReadError`] for another type.
    pub fn flag(&self, name: &str) -> Read<Option<bool>> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => self.error(name, "a boolean", other),
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
            None => Ok(Self {
                members: None,
                path: self.path_of(name),
            }),
            Some(value) => Self::at(value, self.path_of(name)),
        }
    }

    /// The objects of a Stripe list (`{"data": [..]}`).
    ///
    /// # Errors
    /// [`ReadError`] for anything else.
    pub fn list(&self, name: &str) -> Read<Vec<Self>> {
        let list = self.object(name)?;
        match list.get("data") {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) => values
                .iter()
                .enumerate()
                .map(|(index, value)| Self::at(value, format!("{}.data[{index}]", list.path)))
                .collect(),
            Some(other) => list.error("data", "a list", other),
        }
    }

    /// How many elements the plain array `name` has.
    ///
    /// # Errors
    /// [`ReadError`] for another type.
    pub fn count(&self, name: &str) -> Read<i64> {
        match self.get(name) {
            None => Ok(0),
            Some(Value::Array(values)) => Ok(i64::try_from(values.len()).unwrap_or(i64::MAX)),
            Some(other) => self.error(name, "a list", other),
        }
    }

    /// Metadata as JSON text; an absent one is `{}`.
    ///
    /// # Errors
    /// [`ReadError`] for another type, or a value that Postgres cannot hold (with a NUL).
    pub fn metadata(&self) -> Read<String> {
        let metadata = self.object("metadata")?;
        let text = metadata.members.map_or_else(|| "{}".to_owned(), to_text);
        if text.contains("\\u0000") {
            return Err(ReadError {
                path: metadata.path,
                expected: "texts without NUL",
                found: "a text with one",
            });
        }
        Ok(text)
    }
}

fn to_text(members: &Map<String, Value>) -> String {
    serde_json::to_string(members).expect("a JSON value always serialises")
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn absent_and_null_read_alike() {
        let value = json!({"a": null});
        let view = View::new(&value).expect("an object");
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
    fn references_may_be_expanded() {
        let value = json!({"a": "cus_1", "b": {"id": "cus_2", "object": "customer"}, "c": 3});
        let view = View::new(&value).expect("an object");
        assert_eq!(view.id("a"), Ok(Some("cus_1".into())));
        assert_eq!(view.id("b"), Ok(Some("cus_2".into())));
        assert!(view.id("c").is_err());
    }

    #[test]
    fn errors_name_the_place_and_the_type_but_not_the_value() {
        let value = json!({"items": {"data": [{"quantity": "secret"}]}, "n": 1.5, "big": 12_345_678_901_234_567_890_u64, "t": -1, "z": "a\0"});
        let view = View::new(&value).expect("an object");
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
