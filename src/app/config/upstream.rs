//! The `apis` section: where upstreams are and how the gateway behaves towards them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method, StatusCode, Uri};

use crate::base::Diagnostic;
use crate::policy::source::{Fields, Node, Value, Word, items, members, number, word, words};
use crate::upstream::{
    Breaker, ClientCertificate, Expired, HealthCheck, LoginBody, Put, Retries, Timeouts, TokenAt, Trust,
};

use super::read::Reader;
use super::{ApiConfig, CredentialConfig, LoginConfig, OAuth2Config, SourceConfig};

impl Reader<'_> {
    pub(super) fn apis(&self, node: &Node) -> Vec<ApiConfig> {
        let all = members(self.documents, node, "`apis`");
        all.iter().filter_map(|(name, node)| self.api(name, node)).collect()
    }

    fn api(&self, name: &Word, node: &Node) -> Option<ApiConfig> {
        let fields = Fields::of(self.documents, node, "an api")?;
        let urls = self.urls(&fields);
        let host = fields.text("host").map(|word| word.text);
        let trust = match fields.text("ca") {
            Some(ca) => Trust::File(self.path(&ca)),
            None => Trust::System,
        };
        let certificate = fields.node("certificate").map(|node| self.client_certificate(node));
        let http2 = fields.flag("http2").unwrap_or(true);
        let credential = match fields.node("credential") {
            Some(node) => self.credential(node),
            None => Some(CredentialConfig::None),
        };
        let timeouts = fields.node("timeouts").map_or_else(Timeouts::default, |node| self.timeouts(node));
        let max_connections = self.count(&fields, "max_connections", 100);
        let max_pending = self.count(&fields, "max_pending", 1_000);
        let retries = fields.node("retries").map_or_else(Retries::default, |node| self.retries(node));
        let breaker = fields.node("breaker").map_or_else(Breaker::default, |node| self.breaker(node));
        let health = fields.node("health").map(|node| self.health(node));
        let sniff_gzip = fields.flag("sniff_gzip").unwrap_or(false);
        let compression = fields.flag("compression").unwrap_or(false);
        fields.finish();
        let urls = urls?;
        self.refuse_idle_certificate(certificate.is_some(), &urls, node);
        Some(ApiConfig {
            name: name.text.clone(),
            urls,
            host,
            trust,
            certificate: certificate.map_or(Some(None), |found| found.map(Some))?,
            http2,
            credential: credential?,
            timeouts,
            max_connections,
            max_pending,
            retries,
            breaker,
            health: health.map_or(Some(None), |found| found.map(Some))?,
            sniff_gzip,
            compression,
            place: self.documents.place(name.mark),
        })
    }

    /// `url`, or several `urls`.
    fn urls(&self, fields: &Fields<'_>) -> Option<Vec<Uri>> {
        let Some(node) = fields.node("urls") else {
            return fields.required_text("url").and_then(|word| self.url(&word)).map(|url| vec![url]);
        };
        if let Some((key, _)) = fields.entry("url") {
            self.documents.error("wrong-url", "an api has `url` or `urls`, one of them", key.mark);
            return None;
        }
        let written = words(self.documents, node);
        let urls: Option<Vec<Uri>> = written.iter().map(|word| self.url(word)).collect();
        let urls = urls?;
        let different: BTreeSet<String> = urls.iter().map(ToString::to_string).collect();
        if urls.is_empty() || urls.len() > MAX_HOSTS || different.len() < urls.len() {
            let message = format!("`urls` names between 1 and {MAX_HOSTS} different addresses");
            self.documents.error("wrong-url", message, node.mark);
            return None;
        }
        let first = urls.first()?;
        if urls.iter().any(|url| url.scheme() != first.scheme() || url.path() != first.path()) {
            let message = "`urls` differ in host and port only";
            self.documents.error("wrong-url", message, node.mark);
            return None;
        }
        Some(urls)
    }

    fn url(&self, word: &Word) -> Option<Uri> {
        let uri = word.as_str().parse::<Uri>().ok().filter(|uri| {
            let web = matches!(uri.scheme_str(), Some("http" | "https"));
            let host = uri.authority().is_some_and(|host| !host.as_str().contains('@'));
            web && host && uri.query().is_none()
        });
        if uri.is_none() {
            self.documents.error_with_help(
                "wrong-url",
                format!("`{}` is not the base of an http or https api", word.text),
                "write scheme, host, port and perhaps a path, such as `https://crm.internal:8443/base`",
                word.mark,
            );
        }
        uri
    }

    fn client_certificate(&self, node: &Node) -> Option<ClientCertificate> {
        let fields = Fields::of(self.documents, node, "`certificate`")?;
        let (certificate, key) = (fields.required_text("certificate"), fields.required_text("key"));
        fields.finish();
        Some(ClientCertificate { certificate: self.path(&certificate?), key: self.path(&key?) })
    }

    /// A certificate is shown over TLS only.
    fn refuse_idle_certificate(&self, written: bool, urls: &[Uri], node: &Node) {
        if written && urls.iter().any(|url| url.scheme_str() == Some("http")) {
            let message = "a `certificate` is shown to https upstreams only";
            self.documents.error("idle-certificate", message, node.mark);
        }
    }

    fn credential(&self, node: &Node) -> Option<CredentialConfig> {
        if let Value::Text(text) = &node.value {
            match text.as_ref() {
                "none" => return Some(CredentialConfig::None),
                "pass" => return Some(CredentialConfig::Pass),
                _ => {}
            }
        }
        let what = "a `credential` (`none`, `pass`, a header, `oauth2` or `login`)";
        let fields = Fields::of(self.documents, node, what)?;
        let oauth2 = fields.node("oauth2");
        let login = fields.node("login");
        let default_prefix = if oauth2.is_some() || login.is_some() { "Bearer " } else { "" };
        let put = self.put(&fields, default_prefix);
        let expired =
            fields.node("expired").map_or_else(|| Some(Expired::default()), |node| self.expired(node));
        let source = match (oauth2, login) {
            (Some(node), None) => self.oauth2(node).map(|oauth2| SourceConfig::OAuth2(Box::new(oauth2))),
            (None, Some(node)) => self.login(node).map(|login| SourceConfig::Login(Box::new(login))),
            (None, None) => {
                fields.required("secret").and_then(|node| self.secret(node)).map(SourceConfig::Fixed)
            }
            (Some(_), Some(second)) => {
                let message = "a credential comes from `oauth2` or from `login`, one of them";
                self.documents.error("two-credentials", message, second.mark);
                None
            }
        };
        fields.finish();
        Some(CredentialConfig::Own { source: Box::new(source?), put: put?, expired: expired? })
    }

    /// `header` with `prefix`, `cookie` or `query`.
    fn put(&self, fields: &Fields<'_>, default_prefix: &str) -> Option<Put> {
        let (header, cookie, query) = (fields.text("header"), fields.text("cookie"), fields.text("query"));
        let prefix = fields.text("prefix");
        if let Some(bound) = prefix.as_ref().filter(|prefix| {
            let scheme = prefix.as_str().trim().to_ascii_lowercase();
            matches!(scheme.as_str(), "ntlm" | "negotiate" | "kerberos")
        }) {
            let message = format!("`{}` logs in a connection, not a request", bound.as_str().trim());
            let help = "the gateway shares connections among callers; use another way to log in";
            self.documents.error_with_help("connection-bound", message, help, bound.mark);
            return None;
        }
        match (header, cookie, query) {
            (header, None, None) => {
                let name = header.map_or(Some(http::header::AUTHORIZATION), |word| self.header(&word))?;
                let prefix = prefix.map_or_else(|| default_prefix.into(), |word| word.text);
                Some(Put::Header(name, prefix))
            }
            (None, Some(cookie), None) => Some(Put::Cookie(self.token_name(&cookie)?)),
            (None, None, Some(query)) => Some(Put::Query(query.text)),
            (_, first, second) => {
                let mark = second.or(first).map_or(fields.mark(), |word| word.mark);
                let message =
                    "a credential stands in a `header`, a `cookie` or a `query` parameter, one of them";
                self.documents.error("two-credentials", message, mark);
                None
            }
        }
    }

    /// The name of a cookie: an RFC 9110 token.
    fn token_name(&self, word: &Word) -> Option<Arc<str>> {
        let fits = HeaderName::try_from(word.as_str()).is_ok();
        if !fits {
            self.documents.error(
                "wrong-cookie",
                format!("`{}` is not the name of a cookie", word.text),
                word.mark,
            );
        }
        fits.then(|| word.text.clone())
    }

    fn oauth2(&self, node: &Node) -> Option<OAuth2Config> {
        let fields = Fields::of(self.documents, node, "`oauth2`")?;
        let token_url = fields.required_text("token_url").and_then(|word| {
            let url = word.as_str().parse::<Uri>().ok();
            let url = url.filter(|url| {
                let host = url.authority().is_some_and(|host| !host.as_str().contains('@'));
                host && matches!(url.scheme_str(), Some("http" | "https"))
            });
            if url.is_none() {
                let message = format!("`{}` is not the address of a token endpoint", word.text);
                self.documents.error("wrong-url", message, word.mark);
            }
            self.warn_of_plain(url.as_ref()?, &word);
            url
        });
        let client_id = fields.required_text("client_id").map(|word| word.text);
        let client_secret = fields.required("client_secret").and_then(|node| self.secret(node));
        let refresh_token = fields.node("refresh_token").map(|node| self.secret(node));
        let scopes = fields.texts("scopes").unwrap_or_default().into_iter().map(|word| word.text).collect();
        let parameters =
            fields.node("parameters").map(|node| self.pairs(node, "`parameters`")).unwrap_or_default();
        let trust = fields.text("ca").map(|ca| match ca.as_str() {
            "system" => Trust::System,
            _ => Trust::File(self.path(&ca)),
        });
        let in_body = fields.choice("client_auth", &[("basic", false), ("body", true)]).unwrap_or(false);
        fields.finish();
        Some(OAuth2Config {
            token_url: token_url?,
            client_id: client_id?,
            client_secret: client_secret?,
            refresh_token: refresh_token.map_or(Some(None), |found| found.map(Some))?,
            scopes,
            parameters: parameters.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
            trust,
            in_body,
        })
    }

    fn warn_of_plain(&self, url: &Uri, word: &Word) {
        let host = url.host().unwrap_or_default();
        let here = host == "localhost" || host == "[::1]" || host.starts_with("127.");
        if url.scheme_str() == Some("http") && !here {
            self.documents.push(
                Diagnostic::warning("plain-login", "secrets travel to this address unencrypted")
                    .help("use https")
                    .at(self.documents.place(word.mark)),
            );
        }
    }

    fn login(&self, node: &Node) -> Option<LoginConfig> {
        let fields = Fields::of(self.documents, node, "`login`")?;
        let request = fields.required_text("request").and_then(|word| self.request_line(&word));
        let secrets = fields.required("secrets").map(|node| {
            let all = members(self.documents, node, "`secrets`");
            all.iter()
                .filter_map(|(name, node)| Some((name.text.clone(), self.secret(node)?)))
                .collect::<Vec<_>>()
        });
        let body = match (fields.node("json"), fields.node("form")) {
            (Some(json), None) => serde_json::from_str(&json.to_json()).ok().map(LoginBody::Json),
            (None, Some(form)) => Some(LoginBody::Form(self.pairs(form, "`form`"))),
            (None, None) => Some(LoginBody::Empty),
            (Some(_), Some(second)) => {
                self.documents.error(
                    "two-bodies",
                    "a login sends `json` or a `form`, one of them",
                    second.mark,
                );
                None
            }
        };
        let token = fields.required_text("token").and_then(|word| self.token_at(&word));
        let lifetime =
            fields.node("lifetime").map(|_| self.duration(&fields, "lifetime", Duration::from_secs(600)));
        let mark = fields.mark();
        fields.finish();
        let secrets = secrets?;
        if let Some(body) = &body {
            self.refuse_unused(
                body,
                &secrets.iter().map(|(name, _)| name.as_ref()).collect::<Vec<_>>(),
                node,
            );
        }
        let (method, target) = request?;
        if method == Method::GET && !matches!(body, Some(LoginBody::Empty)) {
            self.documents.error("wrong-login", "a `GET` has no body", mark);
            return None;
        }
        Some(LoginConfig { method, target, body: body?, secrets, token: token?, lifetime })
    }

    /// A secret that is named and stands nowhere, and a place that no secret fills, are slips.
    fn refuse_unused(&self, body: &LoginBody, names: &[&str], node: &Node) {
        let text = match body {
            LoginBody::Empty => String::new(),
            LoginBody::Json(value) => value.to_string(),
            LoginBody::Form(pairs) => pairs.iter().map(|(_, value)| format!("{value} ")).collect(),
        };
        for name in names.iter().filter(|name| !text.contains(&format!("{{{{{name}}}}}"))) {
            let message = format!("the body of the login does not name the secret `{name}`");
            let help = format!("write `\"{{{{{name}}}}}\"` where it is to stand");
            self.documents.error_with_help("unused-secret", message, help, node.mark);
        }
        let places = text.split("{{").skip(1).filter_map(|rest| rest.split_once("}}")).map(|(name, _)| name);
        for name in places.filter(|name| !names.contains(name)) {
            let message = format!("`secrets` of the login has no `{name}`");
            self.documents.error("unknown-secret", message, node.mark);
        }
    }

    fn request_line(&self, word: &Word) -> Option<(Method, Uri)> {
        let parsed = word.as_str().split_once(' ').and_then(|(method, target)| {
            let method = [Method::GET, Method::POST, Method::PUT]
                .into_iter()
                .find(|known| known.as_str() == method)?;
            Some((method, target.trim().parse::<Uri>().ok().filter(is_target)?))
        });
        if parsed.is_none() {
            let message = format!("`{}` is not a request", word.text);
            let help = "write method and path, such as `POST /api/login`";
            self.documents.error_with_help("wrong-request", message, help, word.mark);
        }
        parsed
    }

    /// `body $.data.token`, `header NAME` or `cookie NAME`.
    fn token_at(&self, word: &Word) -> Option<TokenAt> {
        let found = word.as_str().split_once(' ').and_then(|(kind, name)| match kind {
            "body" => member_path(name).map(TokenAt::Body),
            "header" => HeaderName::try_from(name.trim()).ok().map(TokenAt::Header),
            "cookie" => {
                HeaderName::try_from(name.trim()).ok().map(|_| TokenAt::Cookie(name.trim().to_owned()))
            }
            _ => None,
        });
        if found.is_none() {
            let message = format!("`{}` is no place in an answer", word.text);
            let help = "write `body $.data.token`, `header NAME` or `cookie NAME`";
            self.documents.error_with_help("wrong-token", message, help, word.mark);
        }
        found
    }

    fn expired(&self, node: &Node) -> Option<Expired> {
        let fields = Fields::of(self.documents, node, "`expired`")?;
        let statuses = fields.node("status").map(|node| {
            let listed = match &node.value {
                Value::List(_) => items(self.documents, node, "`status`"),
                _ => std::slice::from_ref(node),
            };
            listed.iter().filter_map(|node| self.status(node)).collect()
        });
        let body = fields.node("body").map(|node| self.expired_body(node));
        fields.finish();
        let body = body.map_or(Some(None), |found| found.map(Some))?;
        let statuses = statuses.unwrap_or_else(|| Expired::default().statuses);
        Some(Expired { statuses, body })
    }

    fn status(&self, node: &Node) -> Option<StatusCode> {
        let code = number(self.documents, node)?;
        let status = u16::try_from(code).ok().and_then(|code| StatusCode::from_u16(code).ok());
        if status.is_none() {
            self.documents.error("wrong-status", format!("`{code}` is not a status"), node.mark);
        }
        status
    }

    fn expired_body(&self, node: &Node) -> Option<(Vec<String>, Vec<serde_json::Value>)> {
        let fields = Fields::of(self.documents, node, "`body`")?;
        let at = fields.required_text("at").and_then(|word| {
            let path = member_path(word.as_str());
            if path.is_none() {
                let message = format!("`{}` is no path of members", word.text);
                self.documents.error_with_help("wrong-path", message, "write `$.errcode`", word.mark);
            }
            path
        });
        let is = fields.required("is").map(|node| {
            let listed = match &node.value {
                Value::List(items) => items.as_slice(),
                _ => std::slice::from_ref(node),
            };
            listed.iter().filter_map(|node| serde_json::from_str(&node.to_json()).ok()).collect()
        });
        fields.finish();
        Some((at?, is?))
    }

    fn retries(&self, node: &Node) -> Retries {
        let usual = Retries::default();
        let Some(fields) = Fields::of(self.documents, node, "`retries`") else { return usual };
        let small = |name: &'static str, most: u64, usual: u32| {
            let Some(node) = fields.node(name) else { return usual };
            let Some(value) = number(self.documents, node) else { return usual };
            if value > most {
                self.documents.error("out-of-range", format!("`{name}` is at most {most}"), node.mark);
            }
            u32::try_from(value).unwrap_or(usual)
        };
        let attempts = small("attempts", 5, usual.attempts);
        let budget_percent = small("budget_percent", 100, usual.budget_percent);
        fields.finish();
        Retries { attempts, budget_percent }
    }

    fn breaker(&self, node: &Node) -> Breaker {
        let usual = Breaker::default();
        let Some(fields) = Fields::of(self.documents, node, "`breaker`") else { return usual };
        let failures = self.count(&fields, "failures", usual.failures as usize);
        let open = self.duration(&fields, "open", usual.open);
        fields.finish();
        Breaker { failures: u32::try_from(failures).unwrap_or(u32::MAX), open }
    }

    fn health(&self, node: &Node) -> Option<HealthCheck> {
        let fields = Fields::of(self.documents, node, "`health`")?;
        let target = fields.required_text("path").and_then(|word| {
            let target = word.as_str().parse::<Uri>().ok().filter(is_target);
            if target.is_none() {
                self.documents.error("wrong-path", format!("`{}` is not a path", word.text), word.mark);
            }
            target
        });
        let every = self.duration(&fields, "every", Duration::from_secs(5));
        let timeout = self.duration(&fields, "timeout", Duration::from_secs(2));
        let failures = self.count(&fields, "failures", 2);
        fields.finish();
        let every = every.max(Duration::from_secs(1));
        Some(HealthCheck {
            target: target?,
            every,
            timeout,
            failures: u32::try_from(failures).unwrap_or(u32::MAX),
        })
    }

    fn pairs(&self, node: &Node, what: &str) -> Vec<(String, String)> {
        let all = members(self.documents, node, what);
        let pair = |(name, node): &(Word, Node)| {
            Some((name.text.to_string(), word(self.documents, node)?.text.to_string()))
        };
        all.iter().filter_map(pair).collect()
    }

    pub(super) fn header(&self, word: &Word) -> Option<HeaderName> {
        let name = HeaderName::try_from(word.as_str()).ok();
        if name.is_none() {
            let message = format!("`{}` is not the name of a header", word.text);
            self.documents.error("wrong-header", message, word.mark);
        }
        name
    }

    fn timeouts(&self, node: &Node) -> Timeouts {
        let usual = Timeouts::default();
        let Some(fields) = Fields::of(self.documents, node, "`timeouts`") else { return usual };
        let timeouts = Timeouts {
            pending: self.duration(&fields, "pending", usual.pending),
            connect: self.duration(&fields, "connect", usual.connect),
            first_byte: self.duration(&fields, "first_byte", usual.first_byte),
            idle: self.duration(&fields, "idle", usual.idle),
            total: self.duration(&fields, "total", usual.total),
            keep_alive: self.duration(&fields, "keep_alive", usual.keep_alive),
        };
        fields.finish();
        timeouts
    }
}

/// Path and query, and nothing else.
fn is_target(target: &Uri) -> bool {
    target.scheme().is_none() && target.authority().is_none() && target.path().starts_with('/')
}

/// `$.data.token` as members.
fn member_path(text: &str) -> Option<Vec<String>> {
    let members: Vec<String> = text.trim().strip_prefix("$.")?.split('.').map(str::to_owned).collect();
    let plain = |name: &String| !name.is_empty() && !name.contains(['[', ']', '*', ' ', '\'', '"']);
    members.iter().all(plain).then_some(members)
}

/// Hosts of one upstream.
const MAX_HOSTS: usize = 64;
