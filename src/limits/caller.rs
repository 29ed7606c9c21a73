//! Whom a limit counts.

use std::net::IpAddr;
use std::sync::Arc;

use crate::identity::{Method, Principal};
use crate::policy::{LimitRule, Per};

/// What limits need to know of a caller. All of it was verified, so nobody chooses which counter is charged.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'c> {
    /// Issuer and id; `None` on a public route.
    pub principal: Option<(&'c str, &'c str)>,
    /// The API key. Tokens have none: whoever logs in again has a new token, and would have a new budget.
    pub key: Option<&'c str>,
    /// The address.
    pub ip: IpAddr,
}

impl<'c> Caller<'c> {
    /// An authenticated caller.
    pub fn of(principal: &'c Principal) -> Self {
        let key = match principal.method() {
            Method::ApiKey => principal.credential(),
            Method::Jwt
            | Method::Introspection
            | Method::Certificate
            | Method::Password
            | Method::FrontProxy
            | Method::Vendor
            | Method::Assumed => None,
        };
        Self { principal: Some((principal.issuer(), principal.id())), key, ip: principal.ip() }
    }

    /// A caller of a public route, known by its address alone.
    pub fn anonymous(ip: IpAddr) -> Self {
        Self { principal: None, key: None, ip }
    }

    /// The names under which this caller is counted. Different callers never share a name: what comes first tells
    /// the kind, and a length tells where the issuer ends. Several names only for several roles: those that the caller
    /// has and the limit is about.
    pub(super) fn subjects(&self, rule: &LimitRule, roles: &[Arc<str>]) -> Vec<Arc<str>> {
        let one = match rule.per {
            Per::Principal => self.principal_name(),
            Per::Key => match self.key {
                Some(key) => format!("key {key}"),
                None => self.principal_name(),
            },
            Per::Role if roles.is_empty() => self.address_name(),
            Per::Role => {
                let meant = roles.iter().filter(|role| rule.roles.is_empty() || rule.roles.contains(role));
                let names: Vec<Arc<str>> = meant.map(|role| format!("role {role}").into()).collect();
                if !names.is_empty() {
                    return names;
                }
                self.principal_name()
            }
            Per::Ip => self.address_name(),
            Per::All => "all".to_owned(),
        };
        vec![one.into()]
    }

    fn principal_name(&self) -> String {
        match self.principal {
            Some((issuer, id)) => format!("principal {}:{issuer} {id}", issuer.len()),
            None => self.address_name(),
        }
    }

    /// An IPv6 caller has a whole /64 to take addresses from.
    fn address_name(&self) -> String {
        match self.ip.to_canonical() {
            IpAddr::V4(ip) => format!("ip {ip}"),
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.segments();
                format!("ip {a:x}:{b:x}:{c:x}:{d:x}::/64")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(ip: &str) -> Caller<'static> {
        Caller { principal: Some(("keys", "li.na")), key: Some("k1"), ip: ip.parse().unwrap() }
    }

    fn rule(per: Per, roles: &[&str]) -> LimitRule {
        LimitRule {
            name: "limit".into(),
            per,
            roles: roles.iter().map(|&role| role.into()).collect(),
            unit: crate::policy::LimitUnit::Records,
            amount: 1,
            window: std::time::Duration::from_secs(60),
            burst: None,
            warn_at: None,
            on_exceed: crate::policy::OnExceed::Refuse,
            fail_closed: false,
        }
    }

    fn name(caller: &Caller<'_>, per: Per) -> String {
        caller.subjects(&rule(per, &[]), &["sales".into()])[0].to_string()
    }

    #[test]
    fn e02_a_person_is_one_subject_whatever_key_and_address() {
        let a = caller("10.0.0.1");
        let b = Caller { key: None, ..caller("10.0.0.2") };
        assert_eq!(name(&a, Per::Principal), name(&b, Per::Principal));
        assert_ne!(name(&a, Per::Key), name(&b, Per::Key));
        assert_ne!(name(&a, Per::Ip), name(&b, Per::Ip));
        assert_eq!(name(&a, Per::All), name(&b, Per::All));
    }

    #[test]
    fn e08_no_text_of_one_kind_reads_like_another() {
        let odd = |issuer, id| Caller { principal: Some((issuer, id)), ..caller("10.0.0.1") };
        assert_ne!(name(&odd("a b", "c"), Per::Principal), name(&odd("a", "b c"), Per::Principal));
        assert_ne!(name(&odd("keys", "1"), Per::Principal), name(&odd("https://x", "1"), Per::Principal));
        let anonymous = Caller::anonymous("10.0.0.1".parse().unwrap());
        assert_eq!(name(&anonymous, Per::Principal), "ip 10.0.0.1");
        assert_eq!(name(&anonymous, Per::Key), "ip 10.0.0.1");
    }

    #[test]
    fn e08_addresses_that_one_caller_can_choose_between_are_one() {
        assert_eq!(name(&caller("2001:db8::1"), Per::Ip), name(&caller("2001:db8::ffff:2"), Per::Ip));
        assert_ne!(name(&caller("2001:db8::1"), Per::Ip), name(&caller("2001:db8:0:1::1"), Per::Ip));
        assert_eq!(name(&caller("::ffff:10.0.0.1"), Per::Ip), name(&caller("10.0.0.1"), Per::Ip));
    }

    #[test]
    fn each_role_that_the_limit_is_about_is_counted() {
        let roles = ["employee".into(), "sales".into(), "support".into()];
        let names = |about: &[&str]| caller("10.0.0.1").subjects(&rule(Per::Role, about), &roles);
        assert_eq!(names(&[]).len(), 3);
        assert_eq!(names(&["support", "finance", "sales"]), ["role sales".into(), "role support".into()]);
        assert_eq!(&*caller("10.0.0.1").subjects(&rule(Per::Role, &[]), &[])[0], "ip 10.0.0.1");
    }
}
