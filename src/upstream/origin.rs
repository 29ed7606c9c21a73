//! An upstream's address, written into requests and taken out of answers.

use std::sync::Arc;

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};

use super::config::UpstreamConfig;
use super::error::{SetupError, UpstreamError};

/// How an upstream is addressed. The connector knows by itself where it is.
#[derive(Debug)]
pub(super) struct Origin {
    scheme: Scheme,
    /// Where it is.
    authority: Authority,
    /// What stands in `Host` and `:authority`.
    host: Authority,
    /// Without a slash at its end.
    prefix: String,
}

impl Origin {
    pub(super) fn new(config: &UpstreamConfig, base: &Uri) -> Result<Self, SetupError> {
        let wrong = || SetupError::Base { api: Arc::clone(&config.api), base: base.to_string() };
        let parts = base.clone().into_parts();
        let scheme = parts.scheme.ok_or_else(wrong)?;
        let authority = parts.authority.ok_or_else(wrong)?;
        let is_web = scheme == Scheme::HTTP || scheme == Scheme::HTTPS;
        // A userinfo part would be a credential outside a `Secret`.
        if !is_web || authority.as_str().contains('@') || base.query().is_some() {
            return Err(wrong());
        }
        let host = match config.host.as_deref() {
            Some(host) => {
                host.parse().map_err(|_| SetupError::Header { api: Arc::clone(&config.api), what: "host" })?
            }
            None => authority.clone(),
        };
        let prefix = base.path().trim_end_matches('/').to_owned();
        Ok(Self { scheme, authority, host, prefix })
    }

    /// The target for path and query of a request.
    pub(super) fn target(&self, path_and_query: &Uri) -> Result<Uri, UpstreamError> {
        let tail = path_and_query.path_and_query().map_or("/", PathAndQuery::as_str);
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.host.clone())
            .path_and_query(format!("{}{tail}", self.prefix))
            .build()
            .map_err(|_| UpstreamError::Broken("target cannot be written as a url".into()))
    }

    /// What absolute URLs of this upstream begin with, in lower case: where it is and what it is called, over both
    /// schemes, for behind whatever ends its TLS it may not know its own; with the port that a scheme implies spelt out,
    /// too.
    pub(super) fn spellings(&self) -> Vec<String> {
        let mut found = Vec::new();
        for authority in [&self.authority, &self.host] {
            for (scheme, port) in [("http", "80"), ("https", "443")] {
                let mut hosts = vec![authority.as_str().to_owned()];
                match authority.port_u16() {
                    None => hosts.push(format!("{authority}:{port}")),
                    Some(stated) if stated.to_string() == port => hosts.push(authority.host().to_owned()),
                    Some(_) => {}
                }
                for host in hosts {
                    let origin = format!("{scheme}://{host}").to_ascii_lowercase();
                    if !self.prefix.is_empty() {
                        found.push(format!("{origin}{}", self.prefix.to_ascii_lowercase()));
                    }
                    found.push(origin);
                }
            }
        }
        found.sort();
        found.dedup();
        found
    }

    /// A URL of this upstream as the caller has to know it: path and query on the gateway's own origin. `None` for
    /// every other URL and for what is none.
    pub(super) fn localised(&self, url: &str) -> Option<String> {
        let url: Uri = url.parse().ok()?;
        let own = match (url.scheme(), url.authority()) {
            (None, None) => true,
            (Some(scheme), Some(authority)) => {
                *scheme == self.scheme && (*authority == self.authority || *authority == self.host)
            }
            (None, Some(_)) | (Some(_), None) => false,
        };
        let path = url.path_and_query()?.as_str();
        let path = path.strip_prefix(self.prefix.as_str())?;
        // `//host/…` would be read as an authority.
        (own && path.starts_with('/') && !path.starts_with("//")).then(|| path.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::config::tests::config;

    fn origin(config: &UpstreamConfig) -> Result<Origin, SetupError> {
        Origin::new(config, config.bases.first().unwrap())
    }

    #[test]
    fn targets_stand_below_the_base() {
        let here = origin(&config("http://crm:8080/base/")).unwrap();
        let target = here.target(&"/a%20b?c=d".parse().unwrap()).unwrap();
        assert_eq!(target.to_string(), "http://crm:8080/base/a%20b?c=d");
    }

    #[test]
    fn an_origin_is_known_by_all_its_spellings() {
        let config =
            UpstreamConfig { host: Some("CRM.example".into()), ..config("https://10.0.0.1:443/base") };
        let known = origin(&config).unwrap().spellings();
        for origin in
            ["https://10.0.0.1", "https://10.0.0.1:443/base", "http://crm.example", "https://crm.example:443"]
        {
            assert!(known.iter().any(|known| known == origin), "{origin}: {known:?}");
        }
    }

    #[test]
    fn the_stated_host_is_what_requests_carry() {
        let config = UpstreamConfig { host: Some("crm.example".into()), ..config("https://10.0.0.1:8443") };
        let here = origin(&config).unwrap();
        assert_eq!(here.target(&"/x".parse().unwrap()).unwrap().to_string(), "https://crm.example/x");
    }

    #[test]
    fn refuses_what_is_no_base() {
        for base in ["/path", "ftp://crm", "http://user:secret@crm/", "http://crm/?a=b", "crm:80"] {
            assert!(matches!(origin(&config(base)), Err(SetupError::Base { .. })), "{base}");
        }
        let config = UpstreamConfig { host: Some("a b".into()), ..config("http://crm") };
        assert!(matches!(origin(&config), Err(SetupError::Header { .. })));
    }

    #[test]
    fn only_its_own_urls_become_the_gateways() {
        let here = origin(&config("https://crm.internal:8443/base")).unwrap();
        let local = |url| here.localised(url);
        assert_eq!(local("https://crm.internal:8443/base/a?b=c"), Some("/a?b=c".into()));
        assert_eq!(local("https://CRM.internal:8443/base/a"), Some("/a".into()));
        assert_eq!(local("/base/a"), Some("/a".into()));
        for foreign in [
            "https://crm.internal/base/a",
            "http://crm.internal:8443/base/a",
            "https://evil.example/base/a",
            "//crm.internal:8443/base/a",
            "/other",
            "/basement",
            "/base//evil.example/",
            "a",
            "",
            "javascript:alert(1)",
        ] {
            assert_eq!(local(foreign), None, "{foreign}");
        }
    }
}
