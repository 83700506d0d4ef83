//! A JSON value of any type, of which only an object is looked into. One pass over the text, however deep it is: each
//! `RawValue` that is read again would be a pass more, and bodies are most of what ingest reads.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Shape<T> {
    /// An object, with the members that are wanted.
    Object(T),
    /// Absent, or `null`.
    #[default]
    Nothing,
    /// Anything else.
    Other,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Shape<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyType(PhantomData))
    }
}

struct AnyType<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for AnyType<T> {
    type Value = Shape<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    /// Handing the map on, and not the whole value: serde reads a struct from an array, too.
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Shape<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Shape::Object)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Shape<T>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Shape::Other)
    }

    fn visit_unit<E: Error>(self) -> Result<Shape<T>, E> {
        Ok(Shape::Nothing)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Shape<T>, E> {
        Ok(Shape::Other)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Shape<T>, E> {
        Ok(Shape::Other)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Shape<T>, E> {
        Ok(Shape::Other)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Shape<T>, E> {
        Ok(Shape::Other)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Shape<T>, E> {
        Ok(Shape::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Named {
        #[serde(default)]
        inner: Shape<Inner>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Inner {
        a: u8,
    }

    #[test]
    fn only_objects_are_looked_into() {
        for (text, inner) in [
            (
                r#"{"b":[{"inner":7}],"inner":{"z":{},"a":7}}"#,
                Shape::Object(Inner { a: 7 }),
            ),
            (r#"{}"#, Shape::Nothing),
            (r#"{"inner":null}"#, Shape::Nothing),
            (r#"{"inner":[7]}"#, Shape::Other),
            (r#"{"inner":[[],{"a":7}]}"#, Shape::Other),
            (r#"{"inner":true}"#, Shape::Other),
            (r#"{"inner":-7}"#, Shape::Other),
            (r#"{"inner":7}"#, Shape::Other),
            (r#"{"inner":7.5}"#, Shape::Other),
            (r#"{"inner":"a\n"}"#, Shape::Other),
        ] {
            let shape: Shape<Named> = serde_json::from_str(text).expect(text);
            assert_eq!(shape, Shape::Object(Named { inner }), "{text}");
        }
        assert_eq!(
            serde_json::from_str::<Shape<Named>>("[null]").expect("JSON"),
            Shape::Other
        );
    }

    #[test]
    fn what_is_no_json_and_what_is_missing_in_an_object_is_an_error() {
        for text in ["", "{", "[1", r#"{"inner":{}}"#, r#"{"inner":{"a":300}}"#] {
            assert!(serde_json::from_str::<Shape<Named>>(text).is_err(), "{text}");
        }
    }
}
