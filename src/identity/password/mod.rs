//! HTTP Basic (RFC 7617) with argon2.
//!
//! A hash is slow to compute on purpose. So it is computed away from the threads that serve requests, a few at a time,
//! and for a password that was just found right not at all; wrong ones are borne only so often. An unknown login costs
//! the same time as a wrong password.

mod hash;
mod throttle;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;
use tokio::sync::Semaphore;
use zeroize::Zeroize;

use crate::base::{Clock, Secret};

use super::config::{Fault, Passwords as Config};
use super::principal::{Method, Subject};
use super::recent::{Digests, Recent};
use super::unauthenticated::Unauthenticated;

use hash::{Hash, MAX_PASSWORD};
use throttle::Throttle;

pub use hash::{HashError, hash_password};

/// A login with its password, as they were sent.
pub(super) struct Login {
    name: String,
    password: Secret<String>,
}

/// The method of passwords.
pub(super) struct Passwords {
    users: HashMap<Arc<str>, User>,
    /// What an unknown login is compared with.
    nobody: Arc<Hash>,
    right: Recent<Arc<Subject>>,
    remember: Duration,
    digests: Digests,
    throttle: Throttle,
    computing: Arc<Semaphore>,
    waiting: AtomicUsize,
    clock: Arc<dyn Clock>,
}

struct User {
    hash: Arc<Hash>,
    subject: Arc<Subject>,
    networks: Vec<IpNet>,
}

impl Passwords {
    pub(super) fn new(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut users = HashMap::new();
        for (n, user) in config.users.iter().enumerate() {
            let mut complain = |member: &str, message: String, help| {
                faults.push(Fault { path: format!("basic[{n}].{member}"), message, help });
            };
            if user.login.is_empty() || user.login.contains(':') || user.login.chars().any(char::is_control) {
                let message = format!("`{}` cannot be a login", user.login.escape_debug());
                complain("login", message, "RFC 7617 section 2: no colon and no control characters");
            }
            if user.owner.principal.is_empty() {
                let message = format!("login `{}` stands for nobody", user.login.escape_debug());
                complain("principal", message, "name the principal");
            }
            match Hash::parse(user.hash.expose()) {
                Ok(hash) => {
                    let subject = user.owner.subject(Method::Password, Some(Arc::clone(&user.login)));
                    let user_ = User {
                        hash: Arc::new(hash),
                        subject: Arc::new(subject),
                        networks: user.owner.networks.clone(),
                    };
                    if users.insert(Arc::clone(&user.login), user_).is_some() {
                        let message = format!("login `{}` stands here twice", user.login);
                        complain("login", message, "one password a login");
                    }
                }
                Err(error) => {
                    let message = format!("the hash of login `{}` is refused: {error}", user.login);
                    complain("password", message, "make one with `fieldgate keys hash`");
                }
            }
        }
        let costliest = users.values().map(|user| &user.hash).max_by_key(|hash| hash.cost());
        let nobody = costliest.map(|hash| Arc::new(hash.of_nobody()));
        match nobody {
            Some(nobody) if faults.is_empty() => Ok(Self {
                users,
                nobody,
                right: Recent::new(MAX_REMEMBERED),
                remember: config.remember,
                digests: Digests::new(),
                throttle: Throttle::new(config.throttle, Arc::clone(&clock)),
                computing: Arc::new(Semaphore::new(config.parallel.max(1))),
                waiting: AtomicUsize::new(0),
                clock,
            }),
            _ if faults.is_empty() => Err(vec![Fault {
                path: "basic.users".to_owned(),
                message: "there is nobody with a password".to_owned(),
                help: "add users, or leave `basic` out",
            }]),
            _ => Err(faults),
        }
    }

    /// Whom a login stands for.
    pub(super) async fn authenticate(
        &self,
        login: Login,
        ip: IpAddr,
    ) -> Result<Arc<Subject>, Unauthenticated> {
        let now = self.clock.monotonic();
        let key = self.digests.of(&[login.name.as_bytes(), login.password.expose().as_bytes()]);
        let user = self.users.get(login.name.as_str());
        // Only a right password is remembered, so this tells nobody anything, and whoever has just proved to be
        // somebody is not locked out by others who guess.
        if let (Some(subject), Some(user)) = (self.right.get(&key, now), user) {
            return user.admit(&login.name, ip).map(|()| subject);
        }
        let counted = self.throttle.count(&login.name, ip)?;
        let hash = Arc::clone(user.map_or(&self.nobody, |user| &user.hash));
        match self.compare(hash, login.password).await {
            // Nobody looked at the password, so it was not wrong.
            Err(busy) => {
                self.throttle.take_back(&counted);
                Err(busy)
            }
            Ok(right) => match user.filter(|_| right) {
                Some(user) => {
                    self.throttle.take_back(&counted);
                    user.admit(&login.name, ip)?;
                    self.right.put(key, Arc::clone(&user.subject), now.saturating_add(self.remember));
                    Ok(Arc::clone(&user.subject))
                }
                None => Err(Unauthenticated::Password),
            },
        }
    }

    /// Computes a hash where it holds up nobody.
    async fn compare(&self, hash: Arc<Hash>, password: Secret<String>) -> Result<bool, Unauthenticated> {
        let _waiting = Waiting::enter(&self.waiting)?;
        let busy = || Unauthenticated::Unavailable("room for one more password");
        let turn = Arc::clone(&self.computing).acquire_owned().await.map_err(|_| busy())?;
        // The turn goes with the work: a caller who hangs up does not make room for the next one.
        let work = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            hash.is_of(&password)
        });
        work.await.map_err(|_| busy())
    }
}

impl User {
    fn admit(&self, login: &str, ip: IpAddr) -> Result<(), Unauthenticated> {
        if self.networks.is_empty() || self.networks.iter().any(|net| net.contains(&ip)) {
            Ok(())
        } else {
            Err(Unauthenticated::Network(login.to_owned()))
        }
    }
}

impl Login {
    /// `token68` of `user-id ":" password` in UTF-8 (RFC 7617 section 2).
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut decoded = STANDARD.decode(text).ok()?;
        let parsed = std::str::from_utf8(&decoded).ok().and_then(|pair| {
            let (name, password) = pair.split_once(':')?;
            let plain = !pair.chars().any(char::is_control);
            let fits = name.len() <= MAX_LOGIN && password.len() <= MAX_PASSWORD;
            (plain && fits && !name.is_empty())
                .then(|| Self { name: name.to_owned(), password: Secret::new(password.to_owned()) })
        });
        decoded.zeroize();
        parsed
    }
}

/// One of those who wait for their password to be judged.
struct Waiting<'w>(&'w AtomicUsize);

impl<'w> Waiting<'w> {
    fn enter(waiting: &'w AtomicUsize) -> Result<Self, Unauthenticated> {
        let entered = Self(waiting);
        if waiting.fetch_add(1, Ordering::Relaxed) >= MAX_WAITING {
            return Err(Unauthenticated::Unavailable("room for one more password"));
        }
        Ok(entered)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

const MAX_LOGIN: usize = 255;
/// Right passwords remembered.
const MAX_REMEMBERED: usize = 10_000;
/// Passwords waiting to be judged; each takes some tens of milliseconds.
const MAX_WAITING: usize = 64;

#[cfg(test)]
mod tests;
