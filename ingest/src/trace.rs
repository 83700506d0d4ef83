//! W3C trace context: the request's `traceparent` travels with the event.

use hyper::HeaderMap;

const HEADER: &str = "traceparent";

/// `version-trace_id-parent_id-flags`, the lengths of its parts in hex digits.
const PARTS: [usize; 4] = [2, 32, 16, 2];
const VERSION_RESERVED: &str = "ff";

/// The request's trace context when there is exactly one and it is well formed; tracing must never be a
/// reason to refuse an event.
pub(crate) fn parent(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(HEADER).iter();
    let text = values.next()?.to_str().ok()?;
    (values.next().is_none() && is_well_formed(text)).then(|| text.to_owned())
}

fn is_well_formed(text: &str) -> bool {
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    let parts: Vec<&str> = text.split('-').collect();
    parts.len() == PARTS.len()
        && parts
            .iter()
            .zip(PARTS)
            .all(|(part, length)| part.len() == length && part.bytes().all(hex))
        && parts[0] != VERSION_RESERVED
        && [parts[1], parts[2]]
            .iter()
            .all(|id| id.bytes().any(|b| b != b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_standard_describes_is_kept() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(is_well_formed(good));
        for bad in [
            "",
            "00-0-0-0",
            &good.to_uppercase(),
            &good.replacen("00", "ff", 1),
            &good.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &good.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &format!("{good}-00"),
            &format!("{good} "),
        ] {
            assert!(!is_well_formed(bad), "{bad}");
        }
    }

    #[test]
    fn two_are_none() {
        let mut headers = HeaderMap::new();
        let value: hyper::header::HeaderValue = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
            .parse()
            .expect("a header value");
        headers.append(HEADER, value.clone());
        assert!(parent(&headers).is_some());
        headers.append(HEADER, value);
        assert_eq!(parent(&headers), None);
    }
}
