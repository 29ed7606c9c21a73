//! What of a credential must not stand in an answer.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::base::Secret;
use crate::upstream::config::Put;

/// The texts that show a credential. No `Debug`: they are secrets.
pub struct Reflections {
    api: Arc<str>,
    texts: Vec<Secret<String>>,
}

impl Reflections {
    pub(super) fn of(api: &Arc<str>, put: &Put, token: &Secret<String>) -> Self {
        let mut texts = vec![token.clone()];
        if let Some(pair) = decoded(put, token) {
            if let Some((_, password)) = pair.expose().split_once(':') {
                texts.push(Secret::new(password.to_owned()));
            }
            texts.push(pair);
        }
        // A shorter one stands everywhere by chance.
        texts.retain(|text| text.expose().len() >= MIN_BYTES);
        Self { api: Arc::clone(api), texts }
    }

    /// For tests: these.
    #[cfg(test)]
    pub(crate) fn assumed(api: &str, texts: &[&str]) -> Self {
        let texts = texts.iter().map(|text| Secret::new((*text).to_owned())).collect();
        Self { api: api.into(), texts }
    }

    /// The upstream's api.
    pub(crate) fn api(&self) -> &str {
        &self.api
    }

    /// The texts.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &[u8]> {
        self.texts.iter().map(|text| text.expose().as_bytes())
    }
}

/// Name and password, where the token is that of HTTP Basic (RFC 7617 section 2).
fn decoded(put: &Put, token: &Secret<String>) -> Option<Secret<String>> {
    let text = match put {
        Put::Header(_, prefix) => format!("{prefix}{}", token.expose()),
        Put::Cookie(_) | Put::Query(_) => return None,
    };
    let (scheme, pair) = text.split_once(' ')?;
    let pair = scheme.eq_ignore_ascii_case("basic").then(|| STANDARD.decode(pair.trim()).ok())??;
    String::from_utf8(pair).ok().map(Secret::new)
}

const MIN_BYTES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(prefix: &str, token: &str) -> Vec<String> {
        let put = Put::Header(http::header::AUTHORIZATION, prefix.into());
        let found = Reflections::of(&"crm".into(), &put, &Secret::new(token.to_owned()));
        found.texts().map(|text| String::from_utf8(text.to_vec()).unwrap()).collect()
    }

    #[test]
    fn i18_a_password_is_recognised_however_it_is_carried() {
        let pair = STANDARD.encode("gate:pass:word-1");
        assert_eq!(texts("Basic ", &pair), [pair.as_str(), "pass:word-1", "gate:pass:word-1"]);
        assert_eq!(texts("", &format!("basic {pair}")).len(), 3);
        assert_eq!(texts("Bearer ", "token-0123"), ["token-0123"]);
        assert_eq!(texts("Bearer ", "short-1"), [""; 0], "it would be found everywhere");
    }
}
