//! Which claims mean what: names and dotted paths.

use serde_json::{Map, Value};

use super::config::ClaimNames;

/// The claims of one issuer, compiled.
pub(super) struct Names {
    pub(super) name: ClaimPath,
    pub(super) groups: Vec<ClaimPath>,
    pub(super) mfa_amr: Vec<String>,
    pub(super) mfa_acr: Vec<String>,
}

/// The way to a claim.
pub(super) struct ClaimPath(Vec<String>);

impl Names {
    /// Compiles the names, or gives back the one that is none.
    pub(super) fn new(claims: &ClaimNames) -> Result<Self, String> {
        let groups = claims.groups.iter().map(|path| ClaimPath::parse(path)).collect::<Result<_, _>>()?;
        Ok(Self {
            name: ClaimPath::parse(&claims.name)?,
            groups,
            mfa_amr: claims.mfa_amr.clone(),
            mfa_acr: claims.mfa_acr.clone(),
        })
    }
}

impl ClaimPath {
    fn parse(text: &str) -> Result<Self, String> {
        let segments = if text.contains("://") { vec![text.to_owned()] } else { split(text) };
        if segments.iter().any(String::is_empty) { Err(text.to_owned()) } else { Ok(Self(segments)) }
    }

    /// The claim, if every step of the way is an object that has the next.
    pub(super) fn find<'c>(&self, claims: &'c Map<String, Value>) -> Option<&'c Value> {
        let (first, rest) = self.0.split_first()?;
        rest.iter().try_fold(claims.get(first)?, |value, name| value.as_object()?.get(name))
    }
}

fn split(text: &str) -> Vec<String> {
    let mut segments = vec![String::new()];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let c = match c {
            '.' => {
                segments.push(String::new());
                continue;
            }
            '\\' => chars.next().unwrap_or('\\'),
            other => other,
        };
        if let Some(last) = segments.last_mut() {
            last.push(c);
        }
    }
    segments
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn dots_separate_unless_escaped_or_in_an_address() {
        let claims = json!({
            "realm_access": {"roles": ["a"]},
            "a.b": 1,
            "https://x.example/groups": 2,
            "s": "text",
        });
        let find = |path: &str| ClaimPath::parse(path).unwrap().find(claims.as_object().unwrap()).cloned();
        assert_eq!(find("realm_access.roles"), Some(json!(["a"])));
        assert_eq!(find(r"a\.b"), Some(json!(1)));
        assert_eq!(find("https://x.example/groups"), Some(json!(2)));
        assert_eq!(find("a.b"), None);
        assert_eq!(find("s.length"), None);
        for bad in ["", ".", "a.", ".a", "a..b"] {
            assert!(ClaimPath::parse(bad).is_err(), "{bad}");
        }
    }
}
