//! Callers who bring neither an API key nor a JWT: certificates, passwords, opaque tokens, proxies in front, tokens of
//! the systems behind.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Uri};

use crate::base::Place;
use crate::identity::{
    CertificateAuthority, CertificateName, ClaimNames, FrontProxy, Kind, Throttle, TokenCarrier, VendorTokens,
};
use crate::policy::source::{Fields, Node, Word, items};
use crate::rewrite::Path;

use super::super::read::Reader;
use super::super::secret::SecretSource;
use super::{Owned, text, texts};

/// HTTP Basic, without the hashes.
pub(super) struct BasicConfig {
    pub(super) users: Vec<UserConfig>,
    pub(super) throttle: Throttle,
    pub(super) remember: Duration,
    pub(super) parallel: usize,
    pub(super) place: Place,
}

/// A person with a password.
pub(super) struct UserConfig {
    pub(super) login: Arc<str>,
    pub(super) hash: SecretSource,
    pub(super) owner: crate::identity::KeyOwner,
    pub(super) place: Place,
}

/// Token introspection, without the gateway's secret.
pub(super) struct IntrospectionConfig {
    pub(super) issuer: Arc<str>,
    pub(super) url: Uri,
    pub(super) client_id: String,
    pub(super) client_secret: SecretSource,
    pub(super) audiences: Vec<String>,
    pub(super) ca_file: Option<std::path::PathBuf>,
    pub(super) timeout: Duration,
    pub(super) remember: Duration,
    pub(super) skew: Duration,
    pub(super) claims: ClaimNames,
    pub(super) place: Place,
}

/// Tokens of a system behind; where it is, its api says.
pub(super) struct VendorConfig {
    pub(super) tokens: VendorTokens,
    /// Path and query of the call that tells who somebody is.
    pub(super) path: Word,
    pub(super) api: Word,
    pub(super) place: Place,
}

impl Reader<'_> {
    pub(super) fn certificates(&self, node: &Node) -> Vec<Owned<CertificateAuthority>> {
        items(self.documents, node, "`certificates`").iter().filter_map(|node| self.authority(node)).collect()
    }

    fn authority(&self, node: &Node) -> Option<Owned<CertificateAuthority>> {
        let fields = Fields::of(self.documents, node, "an authority")?;
        let name = fields.required_text("name");
        let ca = fields.required_text("ca");
        let crl_files = fields.texts("crl").unwrap_or_default().iter().map(|word| self.path(word)).collect();
        let subject = fields.choice("subject", &SUBJECTS).unwrap_or(Named::Spiffe);
        let domain = fields.entry("trust_domain").map(|(key, _)| key.mark);
        let trust_domain = fields.text("trust_domain");
        let kind = fields.choice("kind", &KINDS).unwrap_or(Kind::Service);
        let groups = texts(fields.texts("groups"));
        let unit_groups = fields.flag("unit_groups").unwrap_or(false);
        let mfa = fields.flag("mfa").unwrap_or(false);
        fields.finish();
        let subject = match (subject, trust_domain) {
            (Named::Spiffe, Some(domain)) => CertificateName::Spiffe { trust_domain: domain.text },
            (Named::Spiffe, None) => {
                self.documents.error_with_help(
                    "missing-key",
                    "SPIFFE ids are of a trust domain: an authority needs `trust_domain`",
                    "name it, or say what else names the caller: `subject: common_name`",
                    node.mark,
                );
                return None;
            }
            (other, None) => other.name(),
            (other, Some(_)) => {
                let message = "only SPIFFE ids have a trust domain";
                let help = "leave `trust_domain` out, or write `subject: spiffe`";
                self.documents.error_with_help("wrong-key", message, help, domain.unwrap_or(node.mark));
                other.name()
            }
        };
        let authority = CertificateAuthority {
            name: name?.text,
            ca_file: self.path(&ca?),
            crl_files,
            subject,
            kind,
            groups,
            unit_groups,
            mfa,
        };
        Some((authority, self.documents.place(node.mark)))
    }

    pub(super) fn basic(&self, node: &Node) -> Option<BasicConfig> {
        let fields = Fields::of(self.documents, node, "`basic`")?;
        let users = fields.required("users");
        let users = users.map(|node| items(self.documents, node, "`users`")).unwrap_or_default();
        let users = users.iter().filter_map(|node| self.user(node)).collect();
        let usual = Throttle::default();
        let throttle = fields.node("throttle").map_or(usual, |node| self.throttle(node, usual));
        let remember = self.duration(&fields, "remember", Duration::from_secs(60));
        let parallel = self.count(&fields, "parallel", 2);
        fields.finish();
        Some(BasicConfig { users, throttle, remember, parallel, place: self.documents.place(node.mark) })
    }

    fn user(&self, node: &Node) -> Option<UserConfig> {
        let fields = Fields::of(self.documents, node, "a user")?;
        let login = fields.required_text("login");
        let hash = fields.required("password").and_then(|node| self.secret(node));
        let owner = self.owner(&fields, login.as_ref());
        fields.finish();
        let place = self.documents.place(node.mark);
        Some(UserConfig { login: login?.text, hash: hash?, owner, place })
    }

    fn throttle(&self, node: &Node, usual: Throttle) -> Throttle {
        let Some(fields) = Fields::of(self.documents, node, "`throttle`") else { return usual };
        let failures = self.count(&fields, "failures", usual.failures as usize);
        let window = self.duration(&fields, "window", usual.window);
        fields.finish();
        Throttle { failures: u32::try_from(failures).unwrap_or(u32::MAX), window }
    }

    pub(super) fn introspection(&self, node: &Node) -> Option<IntrospectionConfig> {
        let fields = Fields::of(self.documents, node, "`introspection`")?;
        let issuer = fields.required_text("issuer");
        let url = fields.required_text("url").and_then(|word| self.endpoint(&word));
        let client_id = fields.required_text("client_id");
        let client_secret = fields.required("client_secret").and_then(|node| self.secret(node));
        let audiences = texts(fields.texts("audiences"));
        let ca_file = fields.text("ca").map(|word| self.path(&word));
        let timeout = self.duration(&fields, "timeout", Duration::from_secs(2));
        let remember = self.duration(&fields, "remember", Duration::from_secs(10));
        let skew = self.duration(&fields, "skew", Duration::from_secs(60));
        let claims = fields.node("claims").and_then(|node| self.claim_names(node)).unwrap_or_default();
        fields.finish();
        Some(IntrospectionConfig {
            issuer: issuer?.text,
            url: url?,
            client_id: text(&client_id?),
            client_secret: client_secret?,
            audiences,
            ca_file,
            timeout,
            remember,
            skew,
            claims,
            place: self.documents.place(node.mark),
        })
    }

    pub(super) fn front_proxies(&self, node: &Node) -> Vec<Owned<FrontProxy>> {
        let all = items(self.documents, node, "`front_proxies`");
        all.iter().filter_map(|node| self.front_proxy(node)).collect()
    }

    fn front_proxy(&self, node: &Node) -> Option<Owned<FrontProxy>> {
        let fields = Fields::of(self.documents, node, "a front proxy")?;
        let peers = self.networks(fields.texts("peers"));
        let certificates =
            fields.node("certificates").map(|node| items(self.documents, node, "`certificates`"));
        let certificates = certificates.unwrap_or_default().iter();
        let certificates = certificates.filter_map(|node| self.proxy_certificate(node)).collect();
        let issuer = fields.required_text("issuer");
        let headers = fields.required("headers").and_then(|node| self.proxy_headers(node));
        fields.finish();
        let headers = headers?;
        let proxy = FrontProxy { peers, certificates, issuer: issuer?.text, ..headers };
        Some((proxy, self.documents.place(node.mark)))
    }

    fn proxy_certificate(&self, node: &Node) -> Option<(Arc<str>, Arc<str>)> {
        let fields = Fields::of(self.documents, node, "a proxy's certificate")?;
        let (authority, id) = (fields.required_text("authority"), fields.required_text("id"));
        fields.finish();
        Some((authority?.text, id?.text))
    }

    fn proxy_headers(&self, node: &Node) -> Option<FrontProxy> {
        let fields = Fields::of(self.documents, node, "`headers`")?;
        let header = |name: &'static str| fields.text(name).and_then(|word| self.header(&word));
        let id = fields.required_text("id").and_then(|word| self.header(&word));
        let (name, groups, mfa) = (header("name"), header("groups"), header("mfa"));
        let mfa_values =
            fields.texts("mfa_values").map_or_else(|| vec!["true".to_owned()], |v| texts(Some(v)));
        let separator = fields.text("separator").map_or(Some(','), |word| self.separator(&word));
        fields.finish();
        Some(FrontProxy {
            peers: Vec::new(),
            certificates: Vec::new(),
            issuer: "".into(),
            id: id?,
            name,
            groups,
            separator: separator?,
            mfa: mfa.map(|header: HeaderName| (header, mfa_values)),
        })
    }

    fn separator(&self, word: &Word) -> Option<char> {
        let mut chars = word.as_str().chars();
        match (chars.next(), chars.next()) {
            (Some(one), None) => Some(one),
            _ => {
                let message = format!("`{}` is not one character", word.text);
                self.documents.error_with_help("wrong-separator", message, "such as `,` or `|`", word.mark);
                None
            }
        }
    }

    pub(super) fn vendor_tokens(&self, node: &Node) -> Vec<VendorConfig> {
        items(self.documents, node, "`vendor_tokens`").iter().filter_map(|node| self.vendor(node)).collect()
    }

    fn vendor(&self, node: &Node) -> Option<VendorConfig> {
        let fields = Fields::of(self.documents, node, "a system's tokens")?;
        let name = fields.required_text("name");
        let api = fields.required_text("api");
        let carrier = fields.required("token").and_then(|node| self.carrier(node));
        let who = fields.required("who_am_i").and_then(|node| self.who_am_i(node));
        let nobody = texts(fields.texts("nobody"));
        let timeout = self.duration(&fields, "timeout", Duration::from_secs(5));
        let remember = self.duration(&fields, "remember", Duration::from_secs(60));
        let remember_refusal = self.duration(&fields, "remember_refusal", Duration::from_secs(5));
        fields.finish();
        let (name, api, carrier, who) = (name?, api?, carrier?, who?);
        let tokens = VendorTokens {
            name: name.text,
            api: Arc::clone(&api.text),
            carrier,
            url: Uri::default(),
            body: who.body,
            ca_file: None,
            id: who.id,
            nobody,
            display_name: who.name,
            groups: who.groups,
            timeout,
            remember,
            remember_refusal,
        };
        Some(VendorConfig { tokens, path: who.path, api, place: self.documents.place(node.mark) })
    }

    /// `{ scheme: … }`, `{ header: … }`, `{ cookie: … }` or `{ query: … }`.
    fn carrier(&self, node: &Node) -> Option<TokenCarrier> {
        let fields = Fields::of(self.documents, node, "`token`")?;
        let scheme = fields.text("scheme").and_then(|word| {
            let fine = HeaderName::try_from(word.as_str()).is_ok();
            if !fine {
                let message = format!("`{}` is not an authentication scheme", word.text);
                self.documents.error("wrong-scheme", message, word.mark);
            }
            fine.then_some(TokenCarrier::Authorization(word.text))
        });
        let header = fields.text("header").and_then(|word| self.header(&word)).map(TokenCarrier::Header);
        let cookie = fields.text("cookie").and_then(|word| self.header(&word).map(|_| word.text));
        let query = fields.text("query").map(|word| TokenCarrier::Query(word.text));
        fields.finish();
        let mut all = [scheme, header, cookie.map(TokenCarrier::Cookie), query].into_iter().flatten();
        match (all.next(), all.next()) {
            (Some(one), None) => Some(one),
            _ => {
                let message = "a token stands in one place: `scheme`, `header`, `cookie` or `query`";
                let help = "such as `{ scheme: Bearer }` or `{ cookie: sid }`";
                self.documents.error_with_help("wrong-token", message, help, node.mark);
                None
            }
        }
    }

    fn who_am_i(&self, node: &Node) -> Option<WhoAmI> {
        let fields = Fields::of(self.documents, node, "`who_am_i`")?;
        let path = fields.required_text("path");
        let body = fields.node("body").map(Node::to_json);
        let id = fields.required_text("id").and_then(|word| self.place_in_answer(&word));
        let name = fields.text("name").and_then(|word| self.place_in_answer(&word));
        let groups = fields.texts("groups").unwrap_or_default();
        let groups = groups.iter().filter_map(|word| self.place_in_answer(word)).collect();
        fields.finish();
        Some(WhoAmI { path: path?, body, id: id?, name, groups })
    }

    fn place_in_answer(&self, word: &Word) -> Option<Path> {
        Path::parse_jsonpath(word.as_str())
            .map_err(|error| {
                let message = format!("`{}` is not a place in an answer: {error}", word.text);
                self.documents.error_with_help("wrong-path", message, "such as `$.user.id`", word.mark);
            })
            .ok()
    }

    /// An address that is asked things.
    fn endpoint(&self, word: &Word) -> Option<Uri> {
        let uri =
            word.as_str().parse::<Uri>().ok().filter(|uri| uri.scheme().is_some() && uri.host().is_some());
        if uri.is_none() {
            let message = format!("`{}` is not an address", word.text);
            let help = "write all of it, such as `https://login.example.com/introspect`";
            self.documents.error_with_help("wrong-url", message, help, word.mark);
        }
        uri
    }
}

struct WhoAmI {
    path: Word,
    body: Option<String>,
    id: Path,
    name: Option<Path>,
    groups: Vec<Path>,
}

#[derive(Clone, Copy)]
enum Named {
    Spiffe,
    Uri,
    Dns,
    Email,
    CommonName,
    Distinguished,
    Nothing,
}

impl Named {
    fn name(self) -> CertificateName {
        match self {
            Self::Spiffe => CertificateName::Spiffe { trust_domain: "".into() },
            Self::Uri => CertificateName::Uri,
            Self::Dns => CertificateName::Dns,
            Self::Email => CertificateName::Email,
            Self::CommonName => CertificateName::CommonName,
            Self::Distinguished => CertificateName::Distinguished,
            Self::Nothing => CertificateName::Nothing,
        }
    }
}

pub(super) const KINDS: [(&str, Kind); 2] = [("person", Kind::Person), ("service", Kind::Service)];

const SUBJECTS: [(&str, Named); 7] = [
    ("spiffe", Named::Spiffe),
    ("uri", Named::Uri),
    ("dns", Named::Dns),
    ("email", Named::Email),
    ("common_name", Named::CommonName),
    ("distinguished_name", Named::Distinguished),
    ("nothing", Named::Nothing),
];
