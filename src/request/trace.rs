//! W3C trace context: the caller's trace goes on under the gateway's own span.

use http::{HeaderName, HeaderValue};
use uuid::Uuid;

pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The `traceparent` that goes upstream. One that breaks the grammar (trace-context level 1, section 3.2) starts a
/// new trace. The span is the second half of the request's id, which is random.
pub(super) fn continued(caller: Option<&HeaderValue>, id: Uuid) -> String {
    let span = id.as_u64_pair().1;
    match caller.and_then(|value| value.to_str().ok()).and_then(parsed) {
        Some((trace, sampled)) => format!("00-{trace}-{span:016x}-0{}", u8::from(sampled)),
        None => format!("00-{}-{span:016x}-00", id.simple()),
    }
}

/// The trace's id and whether it is sampled.
fn parsed(text: &str) -> Option<(&str, bool)> {
    let mut parts = text.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'))
    };
    let zero = |part: &str| part.bytes().all(|b| b == b'0');
    let known_version = version == "00" && parts.next().is_none();
    let valid =
        known_version && hex(trace, 32) && hex(span, 16) && hex(flags, 2) && !zero(trace) && !zero(span);
    let flags = u8::from_str_radix(flags, 16).ok()?;
    valid.then_some((trace, flags & 1 == 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Uuid = Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_00ab);

    fn after(caller: &'static str) -> String {
        continued(Some(&HeaderValue::from_static(caller)), ID)
    }

    #[test]
    fn a_trace_goes_on_under_a_new_span() {
        assert_eq!(
            after("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
            "00-4bf92f3577b34da6a3ce929d0e0e4736-80000000000000ab-01"
        );
    }

    #[test]
    fn what_breaks_the_grammar_starts_a_new_trace() {
        let fresh = continued(None, ID);
        assert_eq!(fresh, "00-0192000000007000800000000000 00ab-80000000000000ab-00".replace(' ', ""));
        for broken in [
            "",
            "x",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-zz",
        ] {
            assert_eq!(after(broken), fresh, "{broken}");
        }
    }
}
