//! W3C trace context, as text: it travels in a header and in a queue entry.

use hyper::HeaderMap;
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// The header, and the name everywhere else.
pub const TRACEPARENT: &str = "traceparent";

/// `version-trace_id-parent_id-flags`, the lengths of its parts in hex digits.
const PARTS: [usize; 4] = [2, 32, 16, 2];
const VERSION_RESERVED: &str = "ff";

/// Whether it is one, and not just any text.
#[must_use]
pub fn is_well_formed(text: &str) -> bool {
    parts(text).is_some()
}

/// That of a request, when there is exactly one and it is well formed; tracing must never be a reason to refuse anything.
#[must_use]
pub fn of_request(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let text = values.next()?.to_str().ok()?;
    (values.next().is_none() && is_well_formed(text)).then_some(text)
}

/// The trace it belongs to, for logs; whatever is not well formed belongs to none.
#[must_use]
pub fn trace_id(text: &str) -> Option<&str> {
    parts(text).map(|[_, trace, ..]| trace)
}

pub(super) fn read(text: &str) -> Option<SpanContext> {
    let [_, trace, span, flags] = parts(text)?;
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    Some(SpanContext::new(trace, span, flags, true, TraceState::default()))
}

pub(super) fn write(context: &SpanContext) -> String {
    let flags = context.trace_flags() & TraceFlags::SAMPLED;
    format!("00-{}-{}-{flags:02x}", context.trace_id(), context.span_id())
}

fn parts(text: &str) -> Option<[&str; 4]> {
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    let mut split = text.split('-');
    let parts = [split.next()?, split.next()?, split.next()?, split.next()?];
    let good = split.next().is_none()
        && parts
            .iter()
            .zip(PARTS)
            .all(|(part, length)| part.len() == length && part.bytes().all(hex))
        && parts[0] != VERSION_RESERVED
        && [parts[1], parts[2]]
            .iter()
            .all(|id| id.bytes().any(|b| b != b'0'));
    good.then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn only_what_the_standard_describes_is_kept() {
        assert!(is_well_formed(GOOD));
        for bad in [
            "",
            "00-0-0-0",
            &GOOD.to_uppercase(),
            &GOOD.replacen("00", "ff", 1),
            &GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &GOOD.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &format!("{GOOD}-00"),
            &format!("{GOOD} "),
            "someone@example.com",
        ] {
            assert!(!is_well_formed(bad), "{bad}");
            assert_eq!((trace_id(bad), read(bad)), (None, None), "{bad}");
        }
    }

    #[test]
    fn two_are_none() {
        let mut headers = HeaderMap::new();
        let value = hyper::header::HeaderValue::from_static(GOOD);
        headers.append(TRACEPARENT, value.clone());
        assert_eq!(of_request(&headers), Some(GOOD));
        headers.append(TRACEPARENT, value);
        assert_eq!(of_request(&headers), None);
    }

    #[test]
    fn what_is_read_is_written_again() {
        let context = read(GOOD).expect("well formed");
        assert!(context.is_sampled() && context.is_remote());
        assert_eq!(write(&context), GOOD);
        assert_eq!(trace_id(GOOD), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        let unsampled = GOOD.replace("b7-01", "b7-02");
        assert_eq!(
            write(&read(&unsampled).expect("well formed")),
            GOOD.replace("b7-01", "b7-00")
        );
    }
}
