//! The `identity` section: who callers are, and how they say so.
//!
//! It is read without secrets, so that `check` needs none, and completed with them when the gateway is built.

mod methods;

use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;
use jiff::Timestamp;

use crate::base::{Diagnostic, Place, Secret};
use crate::identity::{
    Algorithm, CertificateAuthority, ClaimNames, Config as Identity, Fault, FrontProxy, Introspection,
    Issuer, KeyOwner, KeySource, PasswordUser, Passwords, StaticKey, StoredKeys, VendorTokens,
};
use crate::policy::source::{Fields, Node, Value, Word, items};
use crate::upstream::Trust;

use super::ApiConfig;
use super::read::Reader;
use super::secret::{SecretSource, read_file};

use methods::{BasicConfig, IntrospectionConfig, KINDS, VendorConfig};

/// What was read, and where it stands.
type Owned<T> = (T, Place);

/// Who callers are.
#[derive(Default)]
pub struct IdentityConfig {
    pub(super) keys: Vec<KeyConfig>,
    pub(super) issuers: Vec<IssuerConfig>,
    authorities: Vec<Owned<CertificateAuthority>>,
    basic: Option<BasicConfig>,
    introspection: Option<IntrospectionConfig>,
    front_proxies: Vec<Owned<FrontProxy>>,
    vendors: Vec<VendorConfig>,
    pub(super) trusted_proxies: Vec<IpNet>,
    pub(super) stored_keys: StoredKeys,
    pub(super) refused_query_parameters: Option<Vec<String>>,
}

/// A key, without its secret.
pub(super) struct KeyConfig {
    id: Arc<str>,
    secret: SecretSource,
    owner: KeyOwner,
    expires: Option<Timestamp>,
    disabled: bool,
    place: Place,
}

/// An issuer; its keys may be in a file.
pub(super) struct IssuerConfig {
    issuer: Issuer,
    key_file: Option<PathBuf>,
    place: Place,
}

/// Where keys, issuers and the like stand, for what is found wrong with them later.
#[derive(Default)]
pub struct Places(Vec<(&'static str, Vec<Place>)>);

/// Whether secrets and files are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// They are.
    Whole,
    /// They are taken for good, for a look at everything else.
    Form,
}

impl IdentityConfig {
    /// Reads the secrets and key files it names. `apis`: where the systems are whose own tokens are taken.
    pub fn resolve(&self, apis: &[ApiConfig]) -> Result<(Identity, Places), Vec<Diagnostic>> {
        let (identity, places, mut wrong) = self.complete(apis, Depth::Whole);
        wrong.extend(identity.faults().into_iter().map(|fault| places.locate(fault)));
        if wrong.is_empty() { Ok((identity, places)) } else { Err(wrong) }
    }

    /// All that can be found wrong without secrets and files.
    pub fn look(&self, apis: &[ApiConfig]) -> Vec<Diagnostic> {
        let (identity, places, mut wrong) = self.complete(apis, Depth::Form);
        wrong.extend(identity.faults().into_iter().map(|fault| places.locate(fault)));
        wrong
    }

    /// The authorities over client certificates.
    pub fn authorities(&self) -> Vec<CertificateAuthority> {
        self.authorities.iter().map(|(authority, _)| authority.clone()).collect()
    }

    /// Who vouches for ids, each once.
    pub fn issuers(&self) -> Vec<&str> {
        let owners = self.keys.iter().map(|key| &key.owner);
        let users = self.basic.iter().flat_map(|basic| &basic.users).map(|user| &user.owner);
        let own = owners.chain(users).map(|owner| owner.issuer.as_deref().unwrap_or("keys"));
        let mut all: Vec<&str> = own
            .chain(self.issuers.iter().map(|issuer| &*issuer.issuer.issuer))
            .chain(self.authorities.iter().map(|(authority, _)| &*authority.name))
            .chain(self.introspection.iter().map(|one| &*one.issuer))
            .chain(self.front_proxies.iter().map(|(proxy, _)| &*proxy.issuer))
            .chain(self.vendors.iter().map(|vendor| &*vendor.tokens.name))
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Where an authority stands.
    pub fn authority_place(&self, index: usize) -> Option<&Place> {
        self.authorities.get(index).map(|(_, place)| place)
    }

    fn complete(&self, apis: &[ApiConfig], depth: Depth) -> (Identity, Places, Vec<Diagnostic>) {
        let mut wrong = Vec::new();
        let mut identity = Identity {
            authorities: self.authorities(),
            front_proxies: self.front_proxies.iter().map(|(proxy, _)| proxy.clone()).collect(),
            trusted_proxies: self.trusted_proxies.clone(),
            stored_keys: self.stored_keys,
            ..Identity::default()
        };
        if let Some(parameters) = &self.refused_query_parameters {
            identity.refused_query_parameters.clone_from(parameters);
        }
        self.complete_keys(depth, &mut identity, &mut wrong);
        self.complete_issuers(depth, &mut identity, &mut wrong);
        self.complete_basic(depth, &mut identity, &mut wrong);
        if let Some(config) = &self.introspection {
            let secret = secret(&config.client_secret, depth, "a client secret", &mut wrong);
            identity.introspection = secret.map(|client_secret| Introspection {
                issuer: Arc::clone(&config.issuer),
                url: config.url.clone(),
                client_id: config.client_id.clone(),
                client_secret,
                audiences: config.audiences.clone(),
                ca_file: config.ca_file.clone(),
                timeout: config.timeout,
                remember: config.remember,
                claims: config.claims.clone(),
                skew: config.skew,
            });
        }
        for vendor in &self.vendors {
            match vendor.at(apis) {
                Ok(tokens) => identity.vendors.push(tokens),
                Err(diagnostic) => wrong.push(*diagnostic),
            }
        }
        (identity, self.places(), wrong)
    }

    fn complete_keys(&self, depth: Depth, identity: &mut Identity, wrong: &mut Vec<Diagnostic>) {
        for key in &self.keys {
            let KeyConfig { id, secret: source, owner, expires, disabled, .. } = key;
            if let Some(key) = secret(source, depth, &format!("placeholder-{id}"), wrong) {
                let (id, owner) = (Arc::clone(id), owner.clone());
                identity.keys.push(StaticKey { id, key, owner, expires: *expires, disabled: *disabled });
            }
        }
    }

    fn complete_issuers(&self, depth: Depth, identity: &mut Identity, wrong: &mut Vec<Diagnostic>) {
        for IssuerConfig { issuer, key_file, place } in &self.issuers {
            let mut issuer = issuer.clone();
            if let (Some(file), Depth::Whole) = (key_file, depth) {
                match read_file(file) {
                    Ok(text) => issuer.keys = KeySource::Fixed(text),
                    Err(reason) => {
                        let message = format!("cannot read keys from `{}`: {reason}", file.display());
                        wrong.push(Diagnostic::error("no-keys", message).at(place.clone()));
                    }
                }
            }
            identity.issuers.push(issuer);
        }
    }

    fn complete_basic(&self, depth: Depth, identity: &mut Identity, wrong: &mut Vec<Diagnostic>) {
        let Some(basic) = &self.basic else { return };
        let mut users = Vec::new();
        for user in &basic.users {
            if let Some(hash) = secret(&user.hash, depth, "a hash", wrong) {
                users.push(PasswordUser { login: Arc::clone(&user.login), hash, owner: user.owner.clone() });
            }
        }
        let (throttle, remember, parallel) = (basic.throttle, basic.remember, basic.parallel);
        identity.passwords = Some(Passwords { users, throttle, remember, parallel });
    }

    fn places(&self) -> Places {
        let basic = self.basic.as_ref();
        let users = basic.map(|basic| basic.users.iter().map(|user| user.place.clone()).collect());
        Places(vec![
            ("keys", self.keys.iter().map(|key| key.place.clone()).collect()),
            ("issuers", self.issuers.iter().map(|issuer| issuer.place.clone()).collect()),
            ("certificates", self.authorities.iter().map(|(_, place)| place.clone()).collect()),
            ("front_proxies", self.front_proxies.iter().map(|(_, place)| place.clone()).collect()),
            ("vendor_tokens", self.vendors.iter().map(|vendor| vendor.place.clone()).collect()),
            ("basic[", users.unwrap_or_default()),
            ("basic", basic.iter().map(|basic| basic.place.clone()).collect()),
            ("introspection", self.introspection.iter().map(|one| one.place.clone()).collect()),
        ])
    }
}

impl Places {
    /// Gives a fault its place: that of the key, issuer or the like it is about.
    pub fn locate(&self, fault: Fault) -> Diagnostic {
        let place = self.0.iter().find_map(|(section, places)| {
            let rest = fault.path.strip_prefix(section.trim_end_matches('['))?;
            match rest.strip_prefix('[') {
                Some(indexed) => places.get(indexed.split_once(']')?.0.parse::<usize>().ok()?),
                None if section.ends_with('[') => None,
                None => places.first(),
            }
        });
        let diagnostic = Diagnostic::error("identity", fault.message).help(fault.help);
        match place {
            Some(place) => diagnostic.at(place.clone()),
            None => diagnostic,
        }
    }
}

impl VendorConfig {
    /// The tokens, with the address of their system.
    fn at(&self, apis: &[ApiConfig]) -> Result<VendorTokens, Box<Diagnostic>> {
        let complaint = |message: String, help: &str| {
            Box::new(Diagnostic::error("vendor-tokens", message).help(help).at(self.place.clone()))
        };
        let api = apis
            .iter()
            .find(|api| api.name == self.api.text)
            .ok_or_else(|| complaint(format!("there is no api `{}`", self.api.text), "name one of `apis`"))?;
        let path = self.path.as_str();
        // Of several hosts that hold the same, the first is asked.
        let base = api.urls.first().map(ToString::to_string).unwrap_or_default();
        let url = format!("{}{path}", base.trim_end_matches('/')).parse();
        let url = url.ok().filter(|_| path.starts_with('/') && !path.starts_with("//")).ok_or_else(|| {
            complaint(
                format!("`{path}` is not a path"),
                "such as `/api/me`; the api says where the system is",
            )
        })?;
        let ca_file = match &api.trust {
            Trust::File(file) => Some(file.clone()),
            Trust::System | Trust::Pem(_) => None,
        };
        Ok(VendorTokens { url, ca_file, ..self.tokens.clone() })
    }
}

/// A secret, or something in its place.
fn secret(
    source: &SecretSource,
    depth: Depth,
    placeholder: &str,
    wrong: &mut Vec<Diagnostic>,
) -> Option<Secret<String>> {
    match depth {
        Depth::Form => Some(Secret::new(placeholder.to_owned())),
        Depth::Whole => source.read().map_err(|diagnostic| wrong.push(*diagnostic)).ok(),
    }
}

impl Reader<'_> {
    pub(super) fn identity(&self, node: &Node) -> Option<IdentityConfig> {
        let fields = Fields::of(self.documents, node, "`identity`")?;
        let keys = fields.node("keys").map(|node| items(self.documents, node, "`keys`")).unwrap_or_default();
        let keys = keys.iter().filter_map(|node| self.key(node)).collect();
        let issuers =
            fields.node("issuers").map(|node| items(self.documents, node, "`issuers`")).unwrap_or_default();
        let issuers = issuers.iter().filter_map(|node| self.issuer(node)).collect();
        let authorities = fields.node("certificates").map(|node| self.certificates(node)).unwrap_or_default();
        let basic = fields.node("basic").and_then(|node| self.basic(node));
        let introspection = fields.node("introspection").and_then(|node| self.introspection(node));
        let front_proxies =
            fields.node("front_proxies").map(|node| self.front_proxies(node)).unwrap_or_default();
        let vendors = fields.node("vendor_tokens").map(|node| self.vendor_tokens(node)).unwrap_or_default();
        let trusted_proxies = self.networks(fields.texts("trusted_proxies"));
        let stored_keys =
            fields.node("stored_keys").and_then(|node| self.stored_keys(node)).unwrap_or_default();
        let refused = fields.texts("refused_query_parameters");
        fields.finish();
        Some(IdentityConfig {
            keys,
            issuers,
            authorities,
            basic,
            introspection,
            front_proxies,
            vendors,
            trusted_proxies,
            stored_keys,
            refused_query_parameters: refused
                .map(|words| words.iter().map(|word| word.as_str().to_lowercase()).collect()),
        })
    }

    fn key(&self, node: &Node) -> Option<KeyConfig> {
        let fields = Fields::of(self.documents, node, "a key")?;
        let id = fields.required_text("id");
        let secret = fields.required("key").and_then(|node| self.secret(node));
        let principal = fields.entry("principal").is_none();
        let owner = self.owner(&fields, None);
        let expires = fields.text("expires").and_then(|word| self.timestamp(&word));
        let disabled = fields.flag("disabled").unwrap_or(false);
        fields.finish();
        if principal {
            let message = "a key needs `principal`";
            self.documents.error("missing-key", message, node.mark);
            return None;
        }
        Some(KeyConfig {
            id: id?.text,
            secret: secret?,
            owner,
            expires,
            disabled,
            place: self.documents.place(node.mark),
        })
    }

    /// Whom a key or a password stands for. `usual`: who that is if nobody is named.
    fn owner(&self, fields: &Fields<'_>, usual: Option<&Word>) -> KeyOwner {
        KeyOwner {
            principal: fields.text("principal").as_ref().or(usual).map(text).unwrap_or_default(),
            issuer: fields.text("issuer").as_ref().map(text),
            name: fields.text("name").as_ref().map(text),
            kind: fields.choice("kind", &KINDS).unwrap_or_default(),
            groups: texts(fields.texts("groups")),
            roles: texts(fields.texts("roles")),
            scopes: texts(fields.texts("scopes")),
            claims: fields.node("claims").map(|node| self.claims(node)).unwrap_or_default(),
            networks: self.networks(fields.texts("networks")),
            mfa: fields.flag("mfa").unwrap_or(false),
        }
    }

    fn issuer(&self, node: &Node) -> Option<IssuerConfig> {
        let fields = Fields::of(self.documents, node, "an issuer")?;
        let name = fields.required_text("issuer");
        let usual = Issuer::new(name.as_ref().map_or("", Word::as_str), "");
        let (keys, key_file) = match fields.node("keys") {
            Some(node) => self.key_source(node),
            None => (KeySource::Discovery, None),
        };
        let issuer = Issuer {
            audiences: texts(fields.texts("audiences")),
            algorithms: fields.texts("algorithms").map_or(usual.algorithms, |words| self.algorithms(&words)),
            keys,
            ca_file: fields.text("ca").map(|word| self.path(&word)),
            allow_plain_http: fields.flag("allow_plain_http").unwrap_or(false),
            skew: self.duration(&fields, "skew", usual.skew),
            refresh: self.duration(&fields, "refresh", usual.refresh),
            max_age: self.duration(&fields, "max_age", usual.max_age),
            cooldown: self.duration(&fields, "cooldown", usual.cooldown),
            claims: fields.node("claims").and_then(|node| self.claim_names(node)).unwrap_or_default(),
            issuer: usual.issuer,
        };
        fields.finish();
        let _ = name?;
        Some(IssuerConfig { issuer, key_file, place: self.documents.place(node.mark) })
    }

    /// `discovery`, `{ url: … }` or `{ file: … }`.
    fn key_source(&self, node: &Node) -> (KeySource, Option<PathBuf>) {
        if matches!(&node.value, Value::Text(text) if text.as_ref() == "discovery") {
            return (KeySource::Discovery, None);
        }
        let Some(fields) = Fields::of(self.documents, node, "`keys` (`discovery`, or where they are)") else {
            return (KeySource::Discovery, None);
        };
        let (url, file) = (fields.text("url"), fields.text("file").map(|word| self.path(&word)));
        fields.finish();
        if url.is_some() == file.is_some() {
            let message = "keys are at a `url` or in a `file`, one of them";
            self.documents.error("wrong-keys", message, node.mark);
        }
        (url.map_or(KeySource::Discovery, |url| KeySource::Url(text(&url))), file)
    }

    fn claim_names(&self, node: &Node) -> Option<ClaimNames> {
        let usual = ClaimNames::default();
        let fields = Fields::of(self.documents, node, "`claims`")?;
        let names = ClaimNames {
            name: fields.text("name").as_ref().map_or(usual.name, text),
            groups: fields.texts("groups").map_or(usual.groups, |words| texts(Some(words))),
            mfa_amr: fields.texts("mfa_amr").map_or(usual.mfa_amr, |words| texts(Some(words))),
            mfa_acr: fields.texts("mfa_acr").map_or(usual.mfa_acr, |words| texts(Some(words))),
        };
        fields.finish();
        Some(names)
    }

    fn stored_keys(&self, node: &Node) -> Option<StoredKeys> {
        let usual = StoredKeys::default();
        let fields = Fields::of(self.documents, node, "`stored_keys`")?;
        let stored = StoredKeys {
            max_lag: self.duration(&fields, "max_lag", usual.max_lag),
            max_stale: self.duration(&fields, "max_stale", usual.max_stale),
        };
        fields.finish();
        Some(stored)
    }

    fn claims(&self, node: &Node) -> serde_json::Map<String, serde_json::Value> {
        match serde_json::from_str(&node.to_json()) {
            Ok(serde_json::Value::Object(claims)) => claims,
            _ => {
                let message = format!("`claims` is a mapping, not {}", node.value.kind());
                self.documents.error("wrong-type", message, node.mark);
                serde_json::Map::new()
            }
        }
    }

    pub(in crate::app::config) fn networks(&self, words: Option<Vec<Word>>) -> Vec<IpNet> {
        let parse = |word: &Word| {
            let one = word.as_str().parse::<std::net::IpAddr>().ok().map(IpNet::from);
            let network = word.as_str().parse().ok().or(one);
            if network.is_none() {
                let message = format!("`{}` is not a network", word.text);
                let help = "write it like `10.0.0.0/8` or `2001:db8::/32`";
                self.documents.error_with_help("wrong-network", message, help, word.mark);
            }
            network
        };
        words.unwrap_or_default().iter().filter_map(parse).collect()
    }

    fn algorithms(&self, words: &[Word]) -> Vec<Algorithm> {
        let parse = |word: &Word| {
            let algorithm = Algorithm::parse(word.as_str());
            if algorithm.is_none() {
                let all: Vec<_> = Algorithm::ALL.iter().map(|algorithm| algorithm.name()).collect();
                let message = format!("`{}` is not an algorithm that is accepted", word.text);
                let help = format!("it is one of {}", all.join(", "));
                self.documents.error_with_help("unknown-value", message, help, word.mark);
            }
            algorithm
        };
        words.iter().filter_map(parse).collect()
    }

    /// A day or a moment; a day lasts until its end, in UTC.
    fn timestamp(&self, word: &Word) -> Option<Timestamp> {
        let moment = word.as_str().parse::<Timestamp>().ok().or_else(|| {
            let day = word.as_str().parse::<jiff::civil::Date>().ok()?;
            Some(day.tomorrow().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
        });
        if moment.is_none() {
            let message = format!("`{}` is not a day or a moment", word.text);
            let help = "write it like `2026-12-31` or `2026-12-31T18:00:00Z`";
            self.documents.error_with_help("wrong-time", message, help, word.mark);
        }
        moment
    }
}

fn text(word: &Word) -> String {
    word.as_str().to_owned()
}

fn texts(words: Option<Vec<Word>>) -> Vec<String> {
    words.unwrap_or_default().iter().map(text).collect()
}

#[cfg(test)]
mod tests;
