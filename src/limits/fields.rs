//! What remains, as header fields: `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers, version
//! 10) and `Retry-After` (RFC 9110 section 10.2.3).

use std::time::Duration;

use http::HeaderValue;

use crate::policy::LimitUnit;

use super::Remaining;

/// The values of `RateLimit` and `RateLimit-Policy`; `None` if nothing limits. At most sixteen limits are named.
pub fn rate_limit_fields(remaining: &[Remaining]) -> Option<(HeaderValue, HeaderValue)> {
    let shown = remaining.get(..MAX_SHOWN).unwrap_or(remaining);
    let names: Vec<String> = shown.iter().map(|one| name(one, shown)).collect();
    let left: Vec<String> = shown
        .iter()
        .zip(&names)
        .map(|(one, name)| match one.reset_secs {
            0 => format!("{name};r={}", integer(one.remaining)),
            reset => format!("{name};r={};t={}", integer(one.remaining), integer(reset)),
        })
        .collect();
    let policy: Vec<String> = shown
        .iter()
        .zip(&names)
        .map(|(one, name)| {
            let unit = unit(one.unit).map(|unit| format!(";qu=\"{unit}\"")).unwrap_or_default();
            match one.window_secs {
                0 => format!("{name};q={}{unit}", integer(one.quota)),
                window => format!("{name};q={}{unit};w={}", integer(one.quota), integer(window)),
            }
        })
        .collect();
    if shown.is_empty() {
        return None;
    }
    Some((left.join(", ").parse().ok()?, policy.join(", ").parse().ok()?))
}

/// The value of `Retry-After`: whole seconds, rounded up, at least one.
pub fn retry_after(wait: Duration) -> HeaderValue {
    HeaderValue::from(whole_seconds(wait).max(1))
}

/// Seconds, rounded up.
pub(super) fn whole_seconds(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0))
}

/// The limit's name as a structured string (RFC 9651 section 3.3.3), made different where two have the same.
fn name(one: &Remaining, all: &[Remaining]) -> String {
    let mut quoted = String::from("\"");
    for c in one.limit.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~' => quoted.push(c),
            other => {
                let mut bytes = [0; 4];
                for byte in other.encode_utf8(&mut bytes).bytes() {
                    quoted.push_str(&format!("%{byte:02X}"));
                }
            }
        }
    }
    if all.iter().filter(|other| other.limit == one.limit).count() > 1 {
        quoted.push_str(" (");
        quoted.push_str(unit(one.unit).unwrap_or("requests"));
        quoted.push(')');
    }
    quoted.push('"');
    quoted
}

/// The quota unit; requests need none.
fn unit(unit: LimitUnit) -> Option<&'static str> {
    match unit {
        LimitUnit::Requests => None,
        LimitUnit::Records => Some("records"),
        LimitUnit::DistinctRecords => Some("distinct-records"),
        LimitUnit::Bytes => Some("content-bytes"),
        LimitUnit::Concurrent => Some("concurrent-requests"),
    }
}

/// The largest structured integer has fifteen digits (RFC 9651 section 3.3.1).
fn integer(value: u64) -> u64 {
    value.min(999_999_999_999_999)
}

const MAX_SHOWN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn remaining(limit: &str, unit: LimitUnit) -> Remaining {
        Remaining { limit: limit.into(), unit, quota: 100, window_secs: 60, remaining: 50, reset_secs: 30 }
    }

    fn shown(remaining: &[Remaining]) -> (String, String) {
        let (left, policy) = rate_limit_fields(remaining).unwrap();
        (left.to_str().unwrap().to_owned(), policy.to_str().unwrap().to_owned())
    }

    #[test]
    fn fields_are_written_as_the_draft_says() {
        let (left, policy) = shown(&[remaining("clicks", LimitUnit::Requests)]);
        assert_eq!(left, r#""clicks";r=50;t=30"#);
        assert_eq!(policy, r#""clicks";q=100;w=60"#);

        let exports = [
            remaining("export size", LimitUnit::Records),
            Remaining { window_secs: 0, reset_secs: 0, ..remaining("export size", LimitUnit::Concurrent) },
        ];
        let (left, policy) = shown(&exports);
        assert_eq!(left, r#""export size (records)";r=50;t=30, "export size (concurrent-requests)";r=50"#);
        assert_eq!(
            policy,
            r#""export size (records)";q=100;qu="records";w=60, "export size (concurrent-requests)";q=100;qu="concurrent-requests""#
        );
        assert!(rate_limit_fields(&[]).is_none());
    }

    #[test]
    fn no_name_and_no_number_breaks_the_syntax() {
        let odd = Remaining {
            remaining: u64::MAX,
            quota: u64::MAX,
            ..remaining("a\"b\\c\r\nX: 1 每日", LimitUnit::Requests)
        };
        let (left, _) = shown(&[odd]);
        assert_eq!(left, r#""a\"b\\c%0D%0AX: 1 %E6%AF%8F%E6%97%A5";r=999999999999999;t=30"#);
        let many: Vec<_> = (0..40).map(|n| remaining(&n.to_string(), LimitUnit::Bytes)).collect();
        assert_eq!(shown(&many).0.split(", ").count(), 16);
    }

    #[test]
    fn waiting_is_rounded_up() {
        for (wait, seconds) in
            [(Duration::ZERO, "1"), (Duration::from_millis(1), "1"), (Duration::from_millis(1001), "2")]
        {
            assert_eq!(retry_after(wait), seconds);
        }
    }
}
