//! What the gateway shows the upstream: kept, renewed once for all who need it, and never shown to anybody else.
//!
//! A token is fetched when it is first needed. It is renewed when its time is over, when the secret behind it was to be
//! read again, or when the upstream says that it is no longer good; while one request renews it the others wait for
//! that one. After a renewal that failed nobody tries again for a while that doubles, so that a wrong password does not
//! lock an account; and a token that was fetched a moment ago is not renewed because one answer dislikes it.

mod recipe;
mod reflections;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use http::header::COOKIE;
use http::request::Parts;
use http::{HeaderValue, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::Value;
use tokio::sync::Mutex;
use tracing::warn;

use crate::base::{Clock, Secret};
use crate::telemetry::Metrics;

use super::config::{Expired, Put, TokenSource, UpstreamConfig};
use super::error::{SetupError, UpstreamError};

use recipe::{Fresh, Recipe, Refresh};

pub use reflections::Reflections;

/// The credential of one upstream.
pub(super) struct Keyring {
    api: Arc<str>,
    recipe: Recipe,
    put: Put,
    pub(super) expired: Expired,
    current: ArcSwapOption<Token>,
    /// Held by whoever renews.
    turn: Mutex<Turn>,
    generations: AtomicU64,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

/// What is shown. No `Debug`: it is a secret.
pub(super) struct Token {
    value: Secret<String>,
    /// As what it would be seen in answers.
    reflections: Arc<Reflections>,
    /// Since when, and until when it is used, on the clock's monotonic scale.
    since: Duration,
    until: Option<Duration>,
    generation: u64,
}

/// What is known between renewals.
#[derive(Default)]
struct Turn {
    /// The refresh token that the provider gave last.
    refresh: Refresh,
    failures: u32,
    /// When the next renewal may be tried, and why the last one failed.
    closed: Option<(Duration, Arc<str>)>,
}

impl Keyring {
    /// `None`: the upstream is shown nothing of the gateway's own.
    pub(super) fn new(
        config: &UpstreamConfig,
        source: &TokenSource,
        put: &Put,
        expired: &Expired,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, SetupError> {
        Ok(Self {
            api: Arc::clone(&config.api),
            recipe: Recipe::new(config, source)?,
            put: put.clone(),
            expired: expired.clone(),
            current: ArcSwapOption::empty(),
            turn: Mutex::default(),
            generations: AtomicU64::new(0),
            clock,
            metrics,
        })
    }

    /// The token in force; fetched if there is none.
    pub(super) async fn current(&self) -> Result<Arc<Token>, UpstreamError> {
        match self.current.load_full() {
            Some(token) if self.holds(&token) => Ok(token),
            _ => self.fetched(None).await,
        }
    }

    /// A token in place of one that the upstream no longer takes. `None`: there is no other now.
    pub(super) async fn other(&self, stale: &Token) -> Option<Arc<Token>> {
        let young = self.clock.monotonic().saturating_sub(stale.since) < MIN_AGE;
        let newest = self.current.load().as_ref().is_none_or(|token| token.generation == stale.generation);
        if young && newest {
            return None;
        }
        let found = self.fetched(Some(stale.generation)).await.ok()?;
        (found.generation != stale.generation).then_some(found)
    }

    async fn fetched(&self, stale: Option<u64>) -> Result<Arc<Token>, UpstreamError> {
        let mut turn = self.turn.lock().await;
        let before = self.current.load_full();
        if let Some(token) = &before
            && Some(token.generation) != stale
            && self.holds(token)
        {
            // Somebody renewed it while this one waited.
            return Ok(Arc::clone(token));
        }
        let now = self.clock.monotonic();
        if let Some((until, why)) = &turn.closed
            && now < *until
        {
            return self.without(before, Arc::clone(why));
        }
        match self.recipe.fetch(&mut turn.refresh).await {
            Ok(fresh) => {
                turn.failures = 0;
                turn.closed = None;
                self.metrics.upstream_credential(&self.api, true);
                Ok(self.keep(fresh, before))
            }
            Err(error) => {
                self.metrics.upstream_credential(&self.api, false);
                let why: Arc<str> = error.to_string().into();
                warn!(api = %self.api, reason = %why, "no credential for the upstream");
                let pause = FIRST_PAUSE.saturating_mul(1 << turn.failures.min(MAX_DOUBLINGS));
                turn.failures = turn.failures.saturating_add(1);
                turn.closed = Some((now.saturating_add(pause), Arc::clone(&why)));
                self.without(before, why)
            }
        }
    }

    fn keep(&self, fresh: Fresh, before: Option<Arc<Token>>) -> Arc<Token> {
        let now = self.clock.monotonic();
        let same = before.filter(|token| token.value.expose() == fresh.value.expose());
        // A secret that was read again and is the same is no other token.
        let generation = match same {
            Some(token) => token.generation,
            None => self.generations.fetch_add(1, Ordering::Relaxed) + 1,
        };
        let until = fresh.lifetime.map(|lifetime| now.saturating_add(lifetime));
        let reflections = Arc::new(Reflections::of(&self.api, &self.put, &fresh.value));
        let token = Arc::new(Token { value: fresh.value, reflections, since: now, until, generation });
        self.current.store(Some(Arc::clone(&token)));
        token
    }

    /// What is used where no new token can be had: a fixed secret stays good when it cannot be read again.
    fn without(&self, before: Option<Arc<Token>>, why: Arc<str>) -> Result<Arc<Token>, UpstreamError> {
        before.filter(|_| self.recipe.is_fixed()).ok_or(UpstreamError::Credential(why))
    }

    fn holds(&self, token: &Token) -> bool {
        token.until.is_none_or(|until| self.clock.monotonic() < until)
    }

    /// As what a token would be seen in answers.
    pub(super) fn reflections(token: &Token) -> Arc<Reflections> {
        Arc::clone(&token.reflections)
    }

    /// The query parameter that carries the token.
    pub(super) fn parameter(&self) -> Option<Arc<str>> {
        match &self.put {
            Put::Query(name) => Some(Arc::clone(name)),
            Put::Header(..) | Put::Cookie(_) => None,
        }
    }

    /// Writes a token into a request.
    pub(super) fn show(&self, token: &Token, head: &mut Parts) -> Result<(), UpstreamError> {
        let unfit = || UpstreamError::Credential("it cannot stand where it is to be put".into());
        let secret = |text: Secret<String>| {
            let mut value = HeaderValue::from_str(text.expose()).map_err(|_| unfit())?;
            value.set_sensitive(true);
            Ok::<_, UpstreamError>(value)
        };
        match &self.put {
            Put::Header(name, prefix) => {
                let value = secret(Secret::new(format!("{prefix}{}", token.value.expose())))?;
                head.headers.insert(name, value);
            }
            Put::Cookie(name) => {
                let value = secret(Secret::new(format!("{name}={}", token.value.expose())))?;
                head.headers.insert(COOKIE, value);
            }
            Put::Query(name) => {
                head.uri = with_parameter(&head.uri, name, token.value.expose()).ok_or_else(unfit)?
            }
        }
        Ok(())
    }
}

/// A target with a query parameter in place of all others of that name.
fn with_parameter(target: &Uri, name: &str, value: &str) -> Option<Uri> {
    let mut pairs: Vec<&str> = other_parameters(target, name).collect();
    let (name, value) = (utf8_percent_encode(name, &RESERVED), utf8_percent_encode(value, &RESERVED));
    let own = format!("{name}={value}");
    pairs.push(&own);
    format!("{}?{}", target.path(), pairs.join("&")).parse().ok()
}

/// A local URL without the parameters of a name.
pub(super) fn without_parameter(url: &str, name: &str) -> Option<String> {
    let target: Uri = url.parse().ok()?;
    let pairs: Vec<&str> = other_parameters(&target, name).collect();
    let query = if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) };
    Some(format!("{}{query}", target.path()))
}

/// The parameters of other names, however this one is written.
fn other_parameters<'t>(target: &'t Uri, name: &str) -> impl Iterator<Item = &'t str> {
    target.query().unwrap_or("").split('&').filter(move |pair| {
        let written = pair.split('=').next().unwrap_or("").replace('+', " ");
        !pair.is_empty() && percent_decode_str(&written).decode_utf8_lossy() != name
    })
}

/// The value behind members of a JSON value.
fn behind<'v>(value: &'v Value, members: &[String]) -> Option<&'v Value> {
    members.iter().try_fold(value, |value, member| value.get(member))
}

/// Whether a short answer says that the credential is no longer good.
pub(super) fn says_expired(body: &[u8], members: &[String], values: &[Value]) -> bool {
    let Ok(answer) = serde_json::from_slice::<Value>(body) else { return false };
    // `401` and `"401"` are written by the same systems.
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    behind(&answer, members).is_some_and(|found| values.iter().any(|value| plain(value) == plain(found)))
}

/// Everything but what RFC 3986 section 2.3 leaves alone.
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// A token younger than this is not renewed because an answer dislikes it.
const MIN_AGE: Duration = Duration::from_secs(5);
/// The pause after a renewal that failed, at first.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause is this many doublings of it.
const MAX_DOUBLINGS: u32 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_replaces_all_of_its_name_however_they_are_written() {
        let with = |target: &str| {
            with_parameter(&target.parse().unwrap(), "access_token", "a b&c").unwrap().to_string()
        };
        assert_eq!(with("/x"), "/x?access_token=a%20b%26c");
        assert_eq!(with("/x?a=1&access_token=mine&b"), "/x?a=1&b&access_token=a%20b%26c");
        assert_eq!(with("/x?access%5Ftoken=mine&%61ccess_token"), "/x?access_token=a%20b%26c");
    }

    #[test]
    fn links_lose_the_parameter_that_is_nobodys_business() {
        let without = |url: &str| without_parameter(url, "access_token").unwrap();
        assert_eq!(without("/x?a=1&access%5ftoken=s&b=%26"), "/x?a=1&b=%26");
        assert_eq!(without("/x?access_token=s"), "/x");
    }

    #[test]
    fn answers_say_that_a_credential_is_over_as_texts_or_numbers() {
        let says = |body: &str| {
            says_expired(body.as_bytes(), &["data".into(), "code".into()], &[401.into(), "E7".into()])
        };
        assert!(
            says(r#"{"data":{"code":401}}"#)
                && says(r#"{"data":{"code":"401"}}"#)
                && says(r#"{"data":{"code":"E7"}}"#)
        );
        for other in [
            r#"{"data":{"code":4010}}"#,
            r#"{"code":401}"#,
            r#"{"data":401}"#,
            "",
            "[",
            r#"{"data":{"code":null}}"#,
        ] {
            assert!(!says(other), "{other}");
        }
    }
}
