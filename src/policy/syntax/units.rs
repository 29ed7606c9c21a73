//! Times, rates, sizes, shares and networks as policies write them.

use std::time::Duration;

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use super::{Documents, Word};

/// Why a value was refused.
pub(crate) struct BadUnit {
    message: String,
    help: &'static str,
}

/// Complains about a refused value at its place.
pub(crate) fn accept<T>(documents: &Documents, word: &Word, parsed: Result<T, BadUnit>) -> Option<T> {
    match parsed {
        Ok(value) => Some(value),
        Err(BadUnit { message, help }) => {
            documents.error_with_help("bad-value", message, help, word.mark);
            None
        }
    }
}

/// An amount per length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How much.
    pub amount: u64,
    /// For how long.
    pub window: Duration,
}

impl Rate {
    /// Parses `300/day`, `120/min`, `5000/8h`.
    pub(crate) fn parse(text: &str) -> Result<Self, BadUnit> {
        const HELP: &str = "write an amount and a time, such as `300/day` or `120/min`";
        let bad = || BadUnit { message: format!("`{text}` is not a rate"), help: HELP };
        let (amount, window) = text.split_once('/').ok_or_else(bad)?;
        let amount = amount.trim().replace('_', "").parse().map_err(|_| bad())?;
        let window = window.trim();
        let window = if window.starts_with(|c: char| c.is_ascii_digit()) {
            duration(window)?
        } else {
            unit(window).ok_or_else(bad)?
        };
        if window.is_zero() {
            return Err(bad());
        }
        Ok(Self { amount, window })
    }
}

/// Parses `8h`, `30 min`, `90s`, `7d`.
pub(crate) fn duration(text: &str) -> Result<Duration, BadUnit> {
    let bad = || BadUnit {
        message: format!("`{text}` is not a length of time"),
        help: "write a number and a unit: `90s`, `30min`, `8h`, `7d`, `2w`",
    };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, name) = text.split_at_checked(digits).ok_or_else(bad)?;
    let number: u32 = number.parse().map_err(|_| bad())?;
    unit(name.trim()).and_then(|unit| unit.checked_mul(number)).ok_or_else(bad)
}

fn unit(name: &str) -> Option<Duration> {
    let seconds = match name {
        "s" | "sec" | "second" | "seconds" => 1,
        "m" | "min" | "minute" | "minutes" => 60,
        "h" | "hour" | "hours" => 3_600,
        "d" | "day" | "days" => 86_400,
        "w" | "week" | "weeks" => 604_800,
        _ => return None,
    };
    Some(Duration::from_secs(seconds))
}

/// Parses `256KiB`, `1 MiB`, `65536`.
pub(crate) fn size(text: &str) -> Result<u64, BadUnit> {
    let bad = || BadUnit {
        message: format!("`{text}` is not a size"),
        help: "write a number of bytes, or one with a unit: `256KiB`, `1MiB`",
    };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, name) = text.split_at_checked(digits).ok_or_else(bad)?;
    let number: u64 = number.parse().map_err(|_| bad())?;
    let factor: u64 = match name.trim() {
        "" | "B" => 1,
        "kB" | "KB" => 1_000,
        "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "GiB" => 1 << 30,
        _ => return Err(bad()),
    };
    number.checked_mul(factor).ok_or_else(bad)
}

/// Parses `80%` as 0.8.
pub(crate) fn share(text: &str) -> Result<f64, BadUnit> {
    let bad = || BadUnit {
        message: format!("`{text}` is not a share"),
        help: "write a percentage between 0% and 100%, such as `80%`",
    };
    let number: f64 = text.strip_suffix('%').ok_or_else(bad)?.trim().parse().map_err(|_| bad())?;
    if (0.0..=100.0).contains(&number) { Ok(number / 100.0) } else { Err(bad()) }
}

/// Parses `10.0.0.0/8`, `2001:db8::/32`, or a single address.
pub(crate) fn network(text: &str) -> Result<ipnet::IpNet, BadUnit> {
    let bad = |message| BadUnit { message, help: "write a network such as `10.0.0.0/8` or `2001:db8::/32`" };
    if let Ok(address) = text.parse::<std::net::IpAddr>() {
        return Ok(address.into());
    }
    let network: ipnet::IpNet = text.parse().map_err(|_| bad(format!("`{text}` is not a network")))?;
    if network.network() != network.addr() {
        return Err(bad(format!("`{text}` has bits beyond its prefix; did you mean `{}`?", network.trunc())));
    }
    Ok(network)
}

/// The end of something: a day is meant through its end, in UTC unless a zone is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day {
    /// The first moment after it.
    pub end: Timestamp,
}

impl Day {
    /// Parses `2026-12-31`, `2026-12-31 Asia/Shanghai`, `2026-12-31T18:00:00+08:00`.
    pub(crate) fn parse(text: &str) -> Result<Self, BadUnit> {
        let bad = || BadUnit {
            message: format!("`{text}` is not a day or a time"),
            help: "write `2026-12-31`, `2026-12-31 Asia/Shanghai` or `2026-12-31T18:00:00+08:00`",
        };
        if let Ok(end) = text.parse::<Timestamp>() {
            return Ok(Self { end });
        }
        let (day, zone) = match text.split_once(' ') {
            Some((day, name)) => (day, zone(name.trim())?),
            None => (text, TimeZone::UTC),
        };
        // A civil time without an offset must not be taken for a day.
        let plain = day.len() == 10 && !day.contains('T');
        let date: Date = day.parse().ok().filter(|_| plain).ok_or_else(bad)?;
        let next = date.checked_add(1.day()).map_err(|_| bad())?;
        let end = next.to_zoned(zone).map_err(|_| bad())?.timestamp();
        Ok(Self { end })
    }
}

fn zone(name: &str) -> Result<TimeZone, BadUnit> {
    if name == "UTC" {
        return Ok(TimeZone::UTC);
    }
    TimeZone::get(name).map_err(|_| BadUnit {
        message: format!("unknown time zone `{name}`"),
        help: "use a name of the IANA database such as `Asia/Shanghai`, or `UTC`",
    })
}

/// Days of the week and times of the day in a time zone.
#[derive(Clone, Debug)]
pub struct Hours {
    days: [bool; 7],
    from: Time,
    to: Option<Time>,
    zone: TimeZone,
}

impl Hours {
    /// Parses `mon-fri 09:00-18:00 Asia/Shanghai`; days may be listed (`sat,sun`) or left out, the zone is UTC unless
    /// named. Where the end is not after the beginning, it lies on the next day.
    pub(crate) fn parse(text: &str) -> Result<Self, BadUnit> {
        let bad = || BadUnit {
            message: format!("`{text}` are not hours"),
            help: "write days, times and a time zone: `mon-fri 09:00-18:00 Asia/Shanghai`",
        };
        let mut parts = text.split_whitespace().peekable();
        let first = *parts.peek().ok_or_else(bad)?;
        let days = if first.starts_with(|c: char| c.is_ascii_digit()) {
            [true; 7]
        } else {
            parts.next();
            days(first).ok_or_else(bad)?
        };
        let (from, to) = match parts.peek() {
            Some(times) if times.starts_with(|c: char| c.is_ascii_digit()) => {
                let (from, to) = times.split_once('-').ok_or_else(bad)?;
                parts.next();
                (
                    clock(from).ok_or_else(bad)?,
                    if to == "24:00" { None } else { Some(clock(to).ok_or_else(bad)?) },
                )
            }
            _ => (Time::midnight(), None),
        };
        let zone = match parts.next() {
            Some(name) => zone(name)?,
            None => TimeZone::UTC,
        };
        if parts.next().is_some() {
            return Err(bad());
        }
        Ok(Self { days, from, to, zone })
    }

    /// Whether a moment lies in them. The end is not part of them.
    pub fn contain(&self, now: Timestamp) -> bool {
        let local = now.to_zoned(self.zone.clone());
        let (today, time) = (local.weekday(), local.time());
        match self.to {
            None => self.on(today) && time >= self.from,
            Some(to) if to > self.from => self.on(today) && time >= self.from && time < to,
            Some(to) => {
                (self.on(today) && time >= self.from) || (self.on(today.wrapping_sub(1)) && time < to)
            }
        }
    }

    fn on(&self, day: Weekday) -> bool {
        self.days.get(day.to_monday_zero_offset() as usize).copied().unwrap_or(false)
    }
}

fn days(text: &str) -> Option<[bool; 7]> {
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        let mut at = first;
        loop {
            *days.get_mut(at)? = true;
            if at == last {
                break;
            }
            at = (at + 1) % 7;
        }
    }
    Some(days)
}

fn day(name: &str) -> Option<usize> {
    const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    DAYS.iter().position(|day| name.eq_ignore_ascii_case(day))
}

fn clock(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let two = |part: &str| (part.len() == 2).then(|| part.parse::<i8>().ok()).flatten();
    Time::new(two(hour)?, two(minute)?, 0, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn rates_and_durations() {
        let rate = Rate::parse("300/day").ok().unwrap();
        assert_eq!((rate.amount, rate.window.as_secs()), (300, 86_400));
        assert_eq!(Rate::parse("5000/8h").ok().unwrap().window.as_secs(), 28_800);
        for bad in ["300", "x/day", "3/fortnight", "-1/day", "3/0s", "3/"] {
            assert!(Rate::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(duration("30 min").ok().unwrap().as_secs(), 1_800);
        for bad in ["", "h", "3", "3 parsecs", "99999999999h", "4294967295w"] {
            assert_eq!(duration(bad).is_ok(), bad == "4294967295w", "{bad}");
        }
    }

    #[test]
    fn sizes_shares_and_networks() {
        assert_eq!(size("256KiB").ok(), Some(262_144));
        assert!(size("99999999999999999999").is_err());
        assert!(size("18446744073709551615 GiB").is_err());
        assert_eq!(share("80%").ok(), Some(0.8));
        assert!(share("180%").is_err());
        assert!(network("10.0.0.0/8").is_ok() && network("::1").is_ok());
        assert!(network("10.0.0.1/8").is_err() && network("office").is_err());
    }

    /// policy.md: "`expires: 2026-12-31` means through the end of that day, UTC unless a zone is named."
    #[test]
    fn a_day_ends_with_its_end() {
        assert_eq!(Day::parse("2026-12-31").ok().unwrap().end, at("2027-01-01T00:00:00Z"));
        assert_eq!(Day::parse("2026-12-31 Asia/Shanghai").ok().unwrap().end, at("2026-12-31T16:00:00Z"));
        assert_eq!(Day::parse("2026-12-31T18:00:00+08:00").ok().unwrap().end, at("2026-12-31T10:00:00Z"));
        for bad in ["2026-13-01", "soon", "2026-12-31T18:00:00", "2026-12-31 Mars/Base"] {
            assert!(Day::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hours_are_judged_in_their_zone() {
        let hours = Hours::parse("mon-fri 09:00-18:00 Asia/Shanghai").ok().unwrap();
        assert!(hours.contain(at("2026-11-20T01:00:00Z")), "Friday nine in Shanghai");
        assert!(!hours.contain(at("2026-11-20T00:59:59Z")));
        assert!(!hours.contain(at("2026-11-20T10:00:00Z")), "the end is outside");
        assert!(!hours.contain(at("2026-11-21T02:00:00Z")), "Saturday");
    }

    #[test]
    fn hours_may_go_over_midnight_and_over_sunday() {
        let night = Hours::parse("sat,sun 22:00-06:00").ok().unwrap();
        assert!(night.contain(at("2026-11-21T23:00:00Z")));
        assert!(night.contain(at("2026-11-23T05:59:00Z")), "Monday morning belongs to Sunday night");
        assert!(!night.contain(at("2026-11-21T05:00:00Z")), "Saturday morning belongs to Friday night");
        assert!(Hours::parse("fri-mon").ok().unwrap().contain(at("2026-11-22T12:00:00Z")));
        assert!(Hours::parse("00:00-24:00").ok().unwrap().contain(at("2026-11-22T23:59:59Z")));
        for bad in [
            "",
            "mon",
            "never",
            "mon-fri 9-18",
            "mon-fri 09:00-18:00 X/Y",
            "09:00-18:00 UTC extra",
            "25:00-26:00",
        ] {
            assert_eq!(Hours::parse(bad).is_ok(), bad == "mon", "{bad}");
        }
    }
}
