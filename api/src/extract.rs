//! Reading requests, with problems that say what is wrong.

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts};

use serde::{Deserialize, Deserializer, de};
use shared::redact::without_values;

use crate::problem::{Kind, Problem};

/// A JSON body.
#[derive(FromRequest)]
#[from_request(via(axum::Json), rejection(Problem))]
pub(crate) struct Body<T>(pub T);

/// The query.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Problem))]
pub(crate) struct Query<T>(pub T);

/// What the path names.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Problem))]
pub(crate) struct Path<T>(pub T);

/// A whole number, also where it is written `5.0`: to JSON and its schemas that is the same number.
pub(crate) fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    /// Above it not every whole number can be told from its neighbours.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    let number = serde_json::Number::deserialize(deserializer)?;
    let written_as_fraction = number
        .as_f64()
        .filter(|it| it.fract() == 0.0 && it.abs() <= EXACT_MAX);
    #[expect(clippy::cast_possible_truncation, reason = "whole, and within what is exact")]
    let read = number.as_i64().or(written_as_fraction.map(|it| it as i64));
    read.ok_or_else(|| de::Error::custom(format!("{number} is no whole number in reach")))
}

/// The same, where it may be absent.
pub(crate) fn whole_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    #[derive(Deserialize)]
    struct Whole(#[serde(deserialize_with = "whole")] i64);
    Ok(Option::<Whole>::deserialize(deserializer)?.map(|Whole(number)| number))
}

/// Says which member it was, and repeats no value: answers end up in other people's logs.
fn not_understood(said: &str) -> Problem {
    Kind::INVALID.because(without_values(said))
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        match rejection {
            JsonRejection::MissingJsonContentType(_) => Kind::MEDIA_TYPE.into(),
            JsonRejection::BytesRejection(_) => Kind::TOO_LARGE.into(),
            other => not_understood(&other.body_text()),
        }
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        not_understood(&rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        not_understood(&rejection.body_text())
    }
}
