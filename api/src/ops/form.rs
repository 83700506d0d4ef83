//! What a form says.

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, header};

use super::fault::Fault;
use crate::problem::Kind;

/// Longest form, bytes: some hundred ticked letters.
const FORM_BYTES_MAX: usize = 64 * 1024;
const CONTENT_TYPE: &str = "application/x-www-form-urlencoded";

/// Fields, in order; a name may be there several times.
#[derive(Debug, Clone, Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    pub(super) async fn read(headers: &HeaderMap, body: Body) -> Result<Self, Fault> {
        let kind = headers
            .get(header::CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok());
        if kind.is_none_or(|kind| !kind.starts_with(CONTENT_TYPE)) {
            return Err(Kind::INVALID.because("this is no form").into());
        }
        let bytes = to_bytes(body, FORM_BYTES_MAX)
            .await
            .map_err(|_| Kind::TOO_LARGE)?;
        serde_urlencoded::from_bytes(&bytes)
            .map(Self)
            .map_err(|_| Kind::INVALID.because("this is no form").into())
    }

    /// A field; `None` when it is absent or empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// Everything that is said under a name.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        let named = self.0.iter().filter(|(it, _)| it == name);
        let values = named.map(|(_, value)| value.trim());
        values.filter(|value| !value.is_empty()).collect()
    }
}

/// An address with a query.
pub(super) fn address(path: &str, query: &[(&str, &str)]) -> String {
    let said: Vec<_> = query.iter().filter(|(_, value)| !value.is_empty()).collect();
    match serde_urlencoded::to_string(&said) {
        Ok(query) if !query.is_empty() => format!("{path}?{query}"),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_carry_anything() {
        assert_eq!(address("/ops", &[("a", "")]), "/ops");
        assert_eq!(
            address("/ops", &[("a", "x y&b=\"<"), ("c", "é")]),
            "/ops?a=x+y%26b%3D%22%3C&c=%C3%A9"
        );
    }
}
