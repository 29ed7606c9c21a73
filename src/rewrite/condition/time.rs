//! Times and durations in conditions, as CEL defines them.

use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use super::evaluate::Fault;
use super::value::Value;

/// A part of a time or a duration (`getHours` …).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    FullYear,
    Month,
    Date,
    DayOfMonth,
    DayOfWeek,
    DayOfYear,
    Hours,
    Minutes,
    Seconds,
    Milliseconds,
}

impl Part {
    /// The method that reads it.
    pub(super) fn named(method: &str) -> Option<Self> {
        PARTS.iter().find(|(name, _)| *name == method).map(|(_, part)| *part)
    }

    /// The part of a time in a zone, or of a duration, where it is the whole of it in that unit.
    pub(super) fn of(self, value: &Value, zone: &TimeZone) -> Result<i64, Fault> {
        match value {
            Value::Time(time) => Ok(self.of_time(*time, zone)),
            Value::Span(span) => match self {
                Self::Hours => Ok(span.as_hours()),
                Self::Minutes => Ok(span.as_mins()),
                Self::Seconds => Ok(span.as_secs()),
                Self::FullYear
                | Self::Month
                | Self::Date
                | Self::DayOfMonth
                | Self::DayOfWeek
                | Self::DayOfYear
                | Self::Milliseconds => Err(Fault::Type),
            },
            _ => Err(Fault::Type),
        }
    }

    /// CEL counts months, days of the month (`getDayOfMonth`) and of the year from 0, and weekdays from Sunday, 0.
    fn of_time(self, time: Timestamp, zone: &TimeZone) -> i64 {
        let local = zone.to_datetime(time);
        match self {
            Self::FullYear => i64::from(local.year()),
            Self::Month => i64::from(local.month()) - 1,
            Self::Date => i64::from(local.day()),
            Self::DayOfMonth => i64::from(local.day()) - 1,
            Self::DayOfWeek => i64::from(local.weekday().to_sunday_zero_offset()),
            Self::DayOfYear => i64::from(local.day_of_year()) - 1,
            Self::Hours => i64::from(local.hour()),
            Self::Minutes => i64::from(local.minute()),
            Self::Seconds => i64::from(local.second()),
            Self::Milliseconds => i64::from(local.millisecond()),
        }
    }
}

/// Every method that reads a part, for lookups and suggestions.
pub(super) const PARTS: &[(&str, Part)] = &[
    ("getFullYear", Part::FullYear),
    ("getMonth", Part::Month),
    ("getDate", Part::Date),
    ("getDayOfMonth", Part::DayOfMonth),
    ("getDayOfWeek", Part::DayOfWeek),
    ("getDayOfYear", Part::DayOfYear),
    ("getHours", Part::Hours),
    ("getMinutes", Part::Minutes),
    ("getSeconds", Part::Seconds),
    ("getMilliseconds", Part::Milliseconds),
];

/// A zone: an IANA name, or an offset such as `+08:00`.
pub(super) fn zone(name: &str) -> Option<TimeZone> {
    if let Some(seconds) = fixed_offset(name) {
        return Some(TimeZone::fixed(Offset::from_seconds(seconds).ok()?));
    }
    // A POSIX rule or a file name would also be understood by the library; a policy names a place.
    let is_place = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '+'));
    if is_place { TimeZone::get(name).ok() } else { None }
}

fn fixed_offset(name: &str) -> Option<i32> {
    let (sign, digits) = match name.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => (1, name),
    };
    let (hours, minutes) = digits.split_once(':')?;
    Some(sign * (two_digits(hours, 24)? * 3600 + two_digits(minutes, 60)? * 60))
}

fn two_digits(text: &str, below: i32) -> Option<i32> {
    let is_number = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| is_number && *number < below)
}

/// RFC 3339, with the zone, as CEL asks; years 1 to 9999.
pub(super) fn timestamp(text: &str) -> Result<Timestamp, Fault> {
    let bytes = text.as_bytes();
    let strict = bytes.len() >= 20
        && bytes.get(4) == Some(&b'-')
        && bytes.get(7) == Some(&b'-')
        && matches!(bytes.get(10), Some(b'T' | b't'))
        && bytes.get(13) == Some(&b':')
        && bytes.get(16) == Some(&b':')
        && bytes.iter().all(|byte| byte.is_ascii_digit() || b"-:.+TtZz".contains(byte))
        && (matches!(bytes.last(), Some(b'Z' | b'z'))
            || text.get(text.len() - 6..).and_then(fixed_offset).is_some());
    if !strict {
        return Err(Fault::Conversion);
    }
    let time: Timestamp = text.parse().map_err(|_| Fault::Conversion)?;
    in_range(time)
}

/// A time that CEL can hold.
pub(super) fn in_range(time: Timestamp) -> Result<Timestamp, Fault> {
    // 0001-01-01T00:00:00Z
    if time.as_second() >= -62_135_596_800 { Ok(time) } else { Err(Fault::Overflow) }
}

/// A duration as Go writes it: `1h30m`, `-1.5s`, `250ms`.
pub(super) fn duration(text: &str) -> Result<SignedDuration, Fault> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(SignedDuration::ZERO);
    }
    let mut nanos: i128 = 0;
    if rest.is_empty() || rest.len() > 64 {
        return Err(Fault::Conversion);
    }
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(Fault::Conversion)?;
        let (amount, after) = rest.split_at_checked(number).ok_or(Fault::Conversion)?;
        let unit_length = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(unit_length).ok_or(Fault::Conversion)?;
        let scale = UNITS.iter().find(|(name, _)| *name == unit).ok_or(Fault::Conversion)?.1;
        nanos = nanos.checked_add(scaled(amount, scale)?).ok_or(Fault::Overflow)?;
        rest = after;
    }
    let nanos = if negative { -nanos } else { nanos };
    let seconds = i64::try_from(nanos / NANOS_PER_SECOND).map_err(|_| Fault::Overflow)?;
    let below = i32::try_from(nanos % NANOS_PER_SECOND).map_err(|_| Fault::Overflow)?;
    Ok(SignedDuration::new(seconds, below))
}

/// A decimal number of a unit of `scale` nanoseconds; digits below a nanosecond are dropped.
fn scaled(amount: &str, scale: i128) -> Result<i128, Fault> {
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || fraction.len() > 18 {
        return Err(Fault::Conversion);
    }
    let number = |digits: &str| {
        if digits.is_empty() { Ok(0) } else { digits.parse::<i128>().map_err(|_| Fault::Overflow) }
    };
    let whole = number(whole)?.checked_mul(scale).ok_or(Fault::Overflow)?;
    let divisor = 10_i128.pow(u32::try_from(fraction.len()).map_err(|_| Fault::Overflow)?);
    Ok(whole + number(fraction)?.checked_mul(scale).ok_or(Fault::Overflow)? / divisor)
}

const NANOS_PER_SECOND: i128 = 1_000_000_000;

const UNITS: &[(&str, i128)] = &[
    ("h", 3_600 * NANOS_PER_SECOND),
    ("m", 60 * NANOS_PER_SECOND),
    ("s", NANOS_PER_SECOND),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("µs", 1_000),
    ("ns", 1),
];
