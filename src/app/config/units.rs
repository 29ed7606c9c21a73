//! Durations and sizes as people write them.

use std::time::Duration;

/// `250ms`, `30s`, `5m`, `8h`, `2d`: a whole number and a unit.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let (amount, unit) = amount_and_unit(text)?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    amount.checked_mul(millis).map(Duration::from_millis)
}

/// `4096`, `16KiB`, `64 MiB`, `1GiB`: bytes.
pub(super) fn size(text: &str) -> Option<u64> {
    let (amount, unit) = amount_and_unit(text)?;
    let bytes = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    amount.checked_mul(bytes)
}

fn amount_and_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (amount, unit) = text.split_at_checked(digits)?;
    Some((amount.parse().ok()?, unit.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(duration("30 s"), Some(Duration::from_secs(30)));
        assert_eq!(duration("2d"), Some(Duration::from_secs(172_800)));
        for wrong in ["30", "s", "-1s", "1.5h", "1w", "", "18446744073709551615d"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn sizes_are_binary() {
        assert_eq!(size("4096"), Some(4096));
        assert_eq!(size("16KiB"), Some(16 << 10));
        assert_eq!(size("64 MiB"), Some(64 << 20));
        for wrong in ["1MB", "1kb", "-1", "MiB", "18446744073709551615GiB"] {
            assert_eq!(size(wrong), None, "{wrong}");
        }
    }
}
