//! The `identity` section: keys written into the configuration, issuers of tokens, trusted proxies.

use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;
use jiff::Timestamp;

use crate::base::{Diagnostic, Place};
use crate::identity::{
    Algorithm, ClaimNames, Config as Identity, Fault, Issuer, KeyOwner, KeySource, Kind, StaticKey,
    StoredKeys,
};
use crate::policy::source::{Fields, Node, Value, Word, items};

use super::read::Reader;
use super::secret::{SecretSource, read_file};

/// Who callers are.
#[derive(Default)]
pub struct IdentityConfig {
    pub(super) keys: Vec<KeyConfig>,
    pub(super) issuers: Vec<IssuerConfig>,
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

/// Where keys and issuers stand, for what is found wrong with them later.
#[derive(Default)]
pub struct Places {
    keys: Vec<Place>,
    issuers: Vec<Place>,
}

impl IdentityConfig {
    /// Reads the secrets and key files it names.
    pub fn resolve(self) -> Result<(Identity, Places), Vec<Diagnostic>> {
        let mut wrong = Vec::new();
        let mut places = Places::default();
        let mut identity = Identity {
            trusted_proxies: self.trusted_proxies,
            stored_keys: self.stored_keys,
            ..Identity::default()
        };
        if let Some(parameters) = self.refused_query_parameters {
            identity.refused_query_parameters = parameters;
        }
        for key in self.keys {
            let KeyConfig { id, secret, owner, expires, disabled, place } = key;
            match secret.read() {
                Ok(key) => {
                    identity.keys.push(StaticKey { id, key, owner, expires, disabled });
                    places.keys.push(place);
                }
                Err(diagnostic) => wrong.push(*diagnostic),
            }
        }
        for IssuerConfig { mut issuer, key_file, place } in self.issuers {
            if let Some(file) = key_file {
                match read_file(&file) {
                    Ok(text) => issuer.keys = KeySource::Fixed(text),
                    Err(reason) => {
                        let message = format!("cannot read keys from `{}`: {reason}", file.display());
                        wrong.push(Diagnostic::error("no-keys", message).at(place.clone()));
                    }
                }
            }
            identity.issuers.push(issuer);
            places.issuers.push(place);
        }
        wrong.extend(identity.faults().into_iter().map(|fault| places.locate(fault)));
        if wrong.is_empty() { Ok((identity, places)) } else { Err(wrong) }
    }
}

impl Places {
    /// Gives a fault its place: that of the key or issuer it is about.
    pub fn locate(&self, fault: Fault) -> Diagnostic {
        let index = |section: &str| {
            let rest = fault.path.strip_prefix(section)?.strip_prefix('[')?;
            rest.split_once(']')?.0.parse::<usize>().ok()
        };
        let place = match (index("keys"), index("issuers")) {
            (Some(at), _) => self.keys.get(at),
            (None, Some(at)) => self.issuers.get(at),
            (None, None) => None,
        };
        let diagnostic = Diagnostic::error("identity", fault.message).help(fault.help);
        match place {
            Some(place) => diagnostic.at(place.clone()),
            None => diagnostic,
        }
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
        let trusted_proxies = self.networks(fields.texts("trusted_proxies"));
        let stored_keys =
            fields.node("stored_keys").and_then(|node| self.stored_keys(node)).unwrap_or_default();
        let refused = fields.texts("refused_query_parameters");
        fields.finish();
        Some(IdentityConfig {
            keys,
            issuers,
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
        let principal = fields.required_text("principal");
        let owner = KeyOwner {
            principal: principal.as_ref().map(text).unwrap_or_default(),
            issuer: fields.text("issuer").as_ref().map(text),
            name: fields.text("name").as_ref().map(text),
            kind: fields
                .choice("kind", &[("person", Kind::Person), ("service", Kind::Service)])
                .unwrap_or_default(),
            groups: texts(fields.texts("groups")),
            roles: texts(fields.texts("roles")),
            scopes: texts(fields.texts("scopes")),
            claims: fields.node("claims").map(|node| self.claims(node)).unwrap_or_default(),
            networks: self.networks(fields.texts("networks")),
            mfa: fields.flag("mfa").unwrap_or(false),
        };
        let expires = fields.text("expires").and_then(|word| self.timestamp(&word));
        let disabled = fields.flag("disabled").unwrap_or(false);
        fields.finish();
        let _ = principal?;
        Some(KeyConfig {
            id: id?.text,
            secret: secret?,
            owner,
            expires,
            disabled,
            place: self.documents.place(node.mark),
        })
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

    fn networks(&self, words: Option<Vec<Word>>) -> Vec<IpNet> {
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
