//! Who asks: a connection's peer and the request's credentials become a [`Principal`], or 401. One file per method.
//!
//! Only this module makes a `Principal`, and who somebody is, is issuer and subject together. Exactly one credential
//! decides: two in one request are refused, never united, and none is no one. What a request says about itself
//! (addresses, names) counts only where a peer that the configuration names has said it, and leaves the request once it
//! was judged. Tokens are judged here and nowhere else: pinned algorithms, keys from the issuer alone, strict JSON and
//! base64.
//!
//! | credential | method |
//! |---|---|
//! | `fg_…`, or a key of the configuration, in `X-Api-Key` or as a bearer | [`api_key`] |
//! | a bearer that is a JWT of a known issuer | [`jwt`] |
//! | any other bearer | [`introspection`], or [`vendor`] |
//! | `Authorization: Basic` | [`password`] |
//! | a client certificate | [`certificate`] |
//! | headers of a proxy in front | [`front_proxy`] |
//! | a header, cookie or parameter of a system behind | [`vendor`] |

mod api_key;
mod certificate;
mod claim_names;
mod claims;
mod config;
mod credential;
mod forwarded;
mod front_proxy;
mod introspection;
mod issued_keys;
mod jwt;
mod key_text;
mod lookups;
mod password;
mod presented;
mod principal;
mod recent;
mod remote;
mod stored_keys;
mod strict_json;
mod unauthenticated;
mod vendor;

#[cfg(test)]
mod service;

use std::net::IpAddr;
use std::sync::Arc;

use http::request::Parts;
use tokio_util::task::TaskTracker;

use crate::base::Clock;
use crate::store::Store;
use crate::telemetry::Metrics;

pub use certificate::{Authorities, AuthorityError, AuthoritySet, ClientPolicy, PeerCertificate};
pub use config::{
    Algorithm, CertificateAuthority, CertificateName, ClaimNames, Config, Fault, FrontProxy, Introspection,
    Issuer, KeyOwner, KeySource, PasswordUser, Passwords, StaticKey, StoredKeys, Throttle, TokenCarrier,
    VendorTokens,
};
pub use issued_keys::{
    IssueError, IssuedKey, KeySummary, NewKey, create_key, list_keys, revoke_key, rotate_key,
};
pub use password::{HashError, hash_password};
pub use presented::{Carried, Presented};
pub use principal::{Assumed, Kind, Method, Peer, Principal};

pub use unauthenticated::{CertificateFault, Refusal, TokenFault, Unauthenticated};

use api_key::ApiKeys;
use certificate::Certified;
use credential::Credential;
use jwt::Tokens;
use principal::Subject;
use vendor::Vendor;

/// All the ways to be somebody.
pub struct Identity {
    config: Config,
    keys: ApiKeys,
    tokens: Tokens,
    introspection: Option<introspection::Introspection>,
    passwords: Option<password::Passwords>,
    vendors: Vec<Vendor>,
    authorities: Arc<Authorities>,
    clock: Arc<dyn Clock>,
    tasks: TaskTracker,
}

/// What methods that ask others work with.
struct Tools {
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    /// Fetches and questions run in here, so that the end can wait for them.
    tasks: TaskTracker,
}

#[cfg(test)]
impl Tools {
    fn for_tests(clock: &crate::base::ManualClock) -> Self {
        let metrics = Arc::new(Metrics::new());
        Self { clock: Arc::new(clock.clone()), metrics, tasks: TaskTracker::new() }
    }
}

/// Whom a credential stands for, and what of it may go upstream.
type Authenticated = (Arc<Subject>, Option<Presented>);

impl Identity {
    /// Checks the configuration and sets up its methods; nothing is fetched yet. `store` holds the keys that
    /// `fieldgate keys` made; without one there are only those of the configuration. `authorities` are those that the
    /// listeners check client certificates with.
    pub fn new(
        config: Config,
        store: Option<Store>,
        authorities: Arc<Authorities>,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Vec<Fault>> {
        let mut faults = config.faults();
        let tools = Tools { clock: Arc::clone(&clock), metrics, tasks: TaskTracker::new() };
        let tokens = Tokens::new(&config, &tools).unwrap_or_else(|found| {
            faults.extend(found);
            Tokens::none(&tools)
        });
        let introspection = config.introspection.as_ref().and_then(|asked| {
            let made = introspection::Introspection::new(asked, &tools);
            made.map_err(|fault| faults.push(fault)).ok()
        });
        let passwords = config.passwords.as_ref().and_then(|users| {
            let made = password::Passwords::new(users, Arc::clone(&clock));
            made.map_err(|found| faults.extend(found)).ok()
        });
        let mut vendors = Vec::new();
        for (n, tokens) in config.vendors.iter().enumerate() {
            match Vendor::new(tokens, &format!("vendor_tokens[{n}]"), &tools) {
                Ok(vendor) => vendors.push(vendor),
                Err(fault) => faults.push(fault),
            }
        }
        faults.sort_by(|a, b| (&a.path, &a.message).cmp(&(&b.path, &b.message)));
        faults.dedup();
        if !faults.is_empty() {
            return Err(faults);
        }
        let keys = ApiKeys::new(&config, store, Arc::clone(&clock));
        let tasks = tools.tasks;
        Ok(Self { config, keys, tokens, introspection, passwords, vendors, authorities, clock, tasks })
    }

    /// Who sent this request. Reads the head alone, so nothing of a body is waited for. Everything that says who the
    /// caller is leaves the head; what an upstream may be shown of it stays as a [`Presented`] among its extensions.
    pub async fn authenticate(&self, peer: &Peer, head: &mut Parts) -> Result<Principal, Refusal> {
        let mut method = "unknown";
        match self.judge(peer, head, &mut method).await {
            Ok((principal, kept)) => {
                presented::conceal(&self.config, head, kept);
                Ok(principal)
            }
            Err(why) => Err(Refusal { why, method, passwords: self.passwords.is_some() }),
        }
    }

    /// Whether the credential of a caller whose answer is under way is still one: no key that was revoked, is over or
    /// gone; no certificate that nobody vouches for any more. Tokens and passwords count at the beginning alone: a long
    /// answer outlives a short token.
    pub fn upholds(&self, principal: &Principal) -> bool {
        match principal.method() {
            Method::ApiKey => principal.credential().is_none_or(|id| self.keys.upholds(id)),
            Method::Certificate => principal
                .certificate()
                .is_none_or(|certificate| certificate.judge(&self.authorities, &*self.clock).is_ok()),
            Method::Jwt
            | Method::Introspection
            | Method::Password
            | Method::FrontProxy
            | Method::Vendor
            | Method::Assumed => true,
        }
    }

    /// A request of which nobody asks who sent it: what would say so leaves the head, too. A credential that is not the
    /// gateway's own stays for an upstream that takes it.
    pub fn pass(&self, head: &mut Parts) {
        let foreign = match credential::only(&self.config, head) {
            Ok(Some(Credential::Bearer(text))) => !self.keys.knows(text),
            Ok(Some(Credential::Password(_) | Credential::Key(_)) | None) => false,
            Ok(Some(Credential::Vendor(n, token))) => {
                let kept = self.vendors.get(n).and_then(|vendor| of_vendor(vendor, &token));
                return presented::conceal(&self.config, head, kept);
            }
            // Not one of those that are judged here.
            Err(Unauthenticated::Scheme) => true,
            Err(_) => false,
        };
        let kept = if foreign { Presented::authorization(&head.headers) } else { None };
        presented::conceal(&self.config, head, kept);
    }

    async fn judge(
        &self,
        peer: &Peer,
        head: &Parts,
        method: &mut &'static str,
    ) -> Result<(Principal, Option<Presented>), Unauthenticated> {
        let connected = peer.addr.ip().to_canonical();
        let ip = forwarded::client_ip(peer.caller(), &self.config.trusted_proxies, &head.headers)?;
        let certified = self.certified(peer).inspect_err(|_| *method = Method::Certificate.name())?;
        let shown = certified.as_ref().and_then(|found| {
            let subject = found.subject.as_ref()?;
            Some((&*found.authority, &*subject.id))
        });
        let proxy = self.config.front_proxies.iter().find(|proxy| proxy.is(connected, shown));
        let speaking = proxy.filter(|proxy| proxy.speaks(&head.headers));
        // A proxy's certificate is the proxy's, never its callers'.
        let own = certified.as_ref().filter(|_| proxy.is_none());
        let proof = own.and(peer.certificate.as_ref()).map(|certificate| certificate.fingerprint());
        let of_certificate = own.and_then(|found| found.subject.clone());
        let written = credential::only(&self.config, head)?;
        let mut by_certificate = None;
        let (subject, kept) = match (written, of_certificate, speaking) {
            (None, None, None) => {
                *method = "none";
                return Err(Unauthenticated::Missing);
            }
            (Some(credential), None, None) => {
                *method = credential.method();
                self.written(credential, ip, proof, head).await?
            }
            (None, Some(subject), None) => {
                by_certificate.clone_from(&peer.certificate);
                (subject, None)
            }
            (None, None, Some(proxy)) => {
                *method = Method::FrontProxy.name();
                (proxy.caller(&head.headers)?, None)
            }
            _ => return Err(Unauthenticated::Several),
        };
        Ok((Principal::new(subject, ip).by_certificate(by_certificate), kept))
    }

    /// The address of a caller who need not be anybody; that of a trusted proxy is replaced by what it says.
    pub fn address(&self, peer: &Peer, head: &Parts) -> Result<IpAddr, Refusal> {
        forwarded::client_ip(peer.caller(), &self.config.trusted_proxies, &head.headers)
            .map_err(|why| Refusal { why, method: "none", passwords: self.passwords.is_some() })
    }

    /// The authority that vouches for the certificate of a connection, if it showed one.
    fn certified(&self, peer: &Peer) -> Result<Option<Arc<Certified>>, Unauthenticated> {
        let Some(certificate) = &peer.certificate else { return Ok(None) };
        Ok(Some(certificate.judge(&self.authorities, &*self.clock)?))
    }

    /// Whom a credential in the request stands for.
    async fn written(
        &self,
        credential: Credential<'_>,
        ip: IpAddr,
        proof: claims::Proof<'_>,
        head: &Parts,
    ) -> Result<Authenticated, Unauthenticated> {
        match credential {
            Credential::Key(text) => Ok((self.keys.authenticate(text, ip).await?, None)),
            Credential::Bearer(text) => self.bearer(text, ip, proof, head).await,
            Credential::Password(login) => match &self.passwords {
                Some(passwords) => Ok((passwords.authenticate(login, ip).await?, None)),
                None => Err(Unauthenticated::Scheme),
            },
            Credential::Vendor(n, token) => {
                let vendor = self.vendors.get(n).ok_or(Unauthenticated::Scheme)?;
                Ok((vendor.authenticate(&token).await?, of_vendor(vendor, &token)))
            }
        }
    }

    /// Which method judges a bearer depends on how it is written, never on whether another one refused it.
    async fn bearer(
        &self,
        text: &str,
        ip: IpAddr,
        proof: claims::Proof<'_>,
        head: &Parts,
    ) -> Result<Authenticated, Unauthenticated> {
        let vendor = self.vendors.iter().find(|vendor| vendor.takes_bearers());
        let asked = self.introspection.as_ref();
        if (vendor.is_none() && asked.is_none() && !text.contains('.')) || self.keys.knows(text) {
            return Ok((self.keys.authenticate(text, ip).await?, None));
        }
        let stated = jwt::stated_issuer(text);
        let ours = stated.as_deref().is_some_and(|issuer| self.tokens.knows(issuer));
        let subject = match (asked, vendor) {
            (Some(asked), _) if !ours => match &stated {
                // A JWT goes to nobody but its issuer.
                Some(issuer) if issuer != asked.issuer() => return Err(TokenFault::Issuer.into()),
                _ => asked.authenticate(text, proof).await?,
            },
            (None, Some(vendor)) if !ours => {
                return Ok((vendor.authenticate(text).await?, of_vendor(vendor, text)));
            }
            _ => self.tokens.authenticate(text, proof).await?,
        };
        Ok((subject, Presented::authorization(&head.headers)))
    }

    /// Fetches what is missing or old (issuers' keys, changes of the store's) and writes what is due (last uses): to be called every few
    /// seconds. Failures are logged: the last good keys stay until their time is over.
    pub async fn tick(&self) {
        self.tokens.refresh_due().await;
        self.keys.refresh().await;
        self.keys.write_last_uses().await;
    }

    /// The end: writes the last uses of keys and waits for fetches that are under way (seconds at most).
    pub async fn close(&self) {
        self.keys.write_last_uses().await;
        self.tasks.close();
        self.tasks.wait().await;
    }
}

fn of_vendor(vendor: &Vendor, token: &str) -> Option<Presented> {
    let config = vendor.config();
    Presented::of_api(&config.api, &config.carrier, token)
}

#[cfg(test)]
mod tests;
