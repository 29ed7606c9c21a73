//! How many wrong passwords are borne: by a login from an address, by an address, by a login from everywhere.
//!
//! An attempt is counted before its password is looked at and taken back if it was right, so a hundred guesses at the
//! same time count as a hundred.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::base::Clock;
use crate::identity::config;
use crate::identity::recent::{Digest, Digests, Recent};
use crate::identity::unauthenticated::Unauthenticated;

pub(super) struct Throttle {
    bounds: config::Throttle,
    attempts: Recent<Attempts>,
    digests: Digests,
    clock: Arc<dyn Clock>,
}

#[derive(Clone, Copy)]
struct Attempts {
    count: u32,
    /// When they are forgotten, monotonic.
    until: Duration,
}

/// An attempt that was counted.
pub(super) struct Counted {
    keys: [Digest; 3],
}

impl Throttle {
    pub(super) fn new(bounds: config::Throttle, clock: Arc<dyn Clock>) -> Self {
        Self { bounds, attempts: Recent::new(MAX_REMEMBERED), digests: Digests::new(), clock }
    }

    /// Counts an attempt, or tells when the next one is borne.
    pub(super) fn count(&self, login: &str, ip: IpAddr) -> Result<Counted, Unauthenticated> {
        let address = network(ip);
        let keys = [
            self.digests.of(&[b"pair", login.as_bytes(), &address]),
            self.digests.of(&[b"address", &address]),
            self.digests.of(&[b"login", login.as_bytes()]),
        ];
        let now = self.clock.monotonic();
        let counted = Counted { keys };
        for (at, (key, times)) in keys.iter().zip(SHARES).enumerate() {
            let most = self.bounds.failures.saturating_mul(times);
            if let Some(until) = self.add(*key, now, most) {
                // What was counted before this one is taken back, or a refused attempt would count for others.
                counted.keys.iter().take(at).for_each(|key| self.subtract(*key, now));
                return Err(Unauthenticated::Throttled(until.saturating_sub(now)));
            }
        }
        Ok(counted)
    }

    /// The password was right.
    pub(super) fn take_back(&self, counted: &Counted) {
        let now = self.clock.monotonic();
        counted.keys.iter().for_each(|key| self.subtract(*key, now));
    }

    /// `Some`: there were too many already, until then.
    fn add(&self, key: Digest, now: Duration, most: u32) -> Option<Duration> {
        let fresh = Attempts { count: 0, until: now.saturating_add(self.bounds.window) };
        self.attempts.update(key, now, |before| {
            let before = before.unwrap_or(fresh);
            if before.count >= most {
                (before, before.until, Some(before.until))
            } else {
                (Attempts { count: before.count + 1, ..before }, before.until, None)
            }
        })
    }

    fn subtract(&self, key: Digest, now: Duration) {
        self.attempts.update(key, now, |before| {
            let before = before.unwrap_or(Attempts { count: 0, until: now });
            (Attempts { count: before.count.saturating_sub(1), ..before }, before.until, ())
        });
    }
}

/// An IPv6 caller has a whole /64 to take addresses from.
fn network(ip: IpAddr) -> Vec<u8> {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().into_iter().take(8).collect(),
    }
}

/// For a login from an address, an address, a login from everywhere.
const SHARES: [u32; 3] = [1, 10, 20];

/// Counters kept.
const MAX_REMEMBERED: usize = 100_000;

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::base::ManualClock;

    fn scene() -> (Throttle, ManualClock) {
        let clock = ManualClock::at(Timestamp::UNIX_EPOCH);
        let bounds = config::Throttle { failures: 3, window: Duration::from_secs(60) };
        (Throttle::new(bounds, Arc::new(clock.clone())), clock)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_login_from_an_address_fails_so_often_and_is_forgiven_after_the_window() {
        let (throttle, clock) = scene();
        let near = ip("192.0.2.7");
        for _ in 0..3 {
            assert!(throttle.count("li.na", near).is_ok());
        }
        clock.advance(Duration::from_secs(20));
        let wait = Duration::from_secs(40);
        assert_eq!(throttle.count("li.na", near).err(), Some(Unauthenticated::Throttled(wait)));
        assert!(throttle.count("wu.min", near).is_ok(), "others are not to blame");
        assert!(throttle.count("li.na", ip("192.0.2.8")).is_ok());
        clock.advance(wait);
        assert!(throttle.count("li.na", near).is_ok());
    }

    #[test]
    fn right_passwords_do_not_count() {
        let (throttle, _) = scene();
        for _ in 0..100 {
            let counted = throttle.count("li.na", ip("192.0.2.7")).unwrap();
            throttle.take_back(&counted);
        }
    }

    #[test]
    fn one_address_cannot_try_all_logins_nor_all_addresses_one_login() {
        let (throttle, _) = scene();
        let tried = (0..1_000).filter(|n| throttle.count(&format!("u{n}"), ip("192.0.2.7")).is_ok()).count();
        assert_eq!(tried, 30);
        let (throttle, _) = scene();
        let from = |n: u32| ip(&format!("10.0.{}.{}", n / 250, n % 250));
        assert_eq!((0..1_000).filter(|n| throttle.count("li.na", from(*n)).is_ok()).count(), 60);
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one() {
        let (throttle, _) = scene();
        let tried = (0..9).filter(|n| throttle.count("li.na", ip(&format!("2001:db8::{n}"))).is_ok()).count();
        assert_eq!(tried, 3);
        assert!(throttle.count("li.na", ip("2001:db8:0:1::1")).is_ok());
    }
}
