use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};

use super::*;
use crate::base::ManualClock;
use crate::identity::config::{CertificateAuthority, CertificateName};
use crate::identity::principal::Kind;

struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "authority");
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate that ends with a year.
    fn issue(&self, year: i32) -> Arc<PeerCertificate> {
        let mut params = CertificateParams::new(vec!["etl.example".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::OrganizationalUnitName, "sales");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let signed = params.signed_by(&KeyPair::generate().unwrap(), &self.0).unwrap();
        PeerCertificate::new(&[signed.der().clone()]).unwrap()
    }
}

fn config(name: &str, file: &std::path::Path) -> CertificateAuthority {
    CertificateAuthority {
        name: name.into(),
        ca_file: file.to_owned(),
        crl_files: Vec::new(),
        subject: CertificateName::Dns,
        kind: Kind::Service,
        groups: vec!["machines".to_owned()],
        unit_groups: true,
        mfa: false,
    }
}

/// Authorities by the names `one`, `two`, ….
fn authorities(dir: &tempfile::TempDir, all: &[&Ca]) -> AuthoritySet {
    let configs: Vec<CertificateAuthority> = all
        .iter()
        .zip(["one", "two"])
        .map(|(ca, name)| {
            let file = dir.path().join(name);
            std::fs::write(&file, ca.0.pem()).unwrap();
            config(name, &file)
        })
        .collect();
    AuthoritySet::read(&configs).unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn clock(text: &str) -> ManualClock {
    ManualClock::at(text.parse().unwrap())
}

#[test]
fn issuer_and_id_tell_the_authority_too() {
    let (dir, one, two) = (tempfile::tempdir().unwrap(), Ca::new(), Ca::new());
    let authorities = Authorities::new(authorities(&dir, &[&one, &two]));
    let now = clock("2026-01-01T00:00:00Z");
    for (ca, name) in [(&one, "one"), (&two, "two")] {
        let found = ca.issue(2030).judge(&authorities, &now).unwrap();
        let subject = found.subject.as_ref().unwrap();
        assert_eq!((&*found.authority, &*subject.issuer, &*subject.id), (name, name, "etl.example"));
        assert_eq!(subject.groups.iter().map(|group| &**group).collect::<Vec<_>>(), ["machines", "sales"]);
        assert_eq!(subject.claims["certificate"]["dns"][0], "etl.example");
    }
    let stranger = Ca::new().issue(2030).judge(&authorities, &now).map(drop);
    assert!(matches!(stranger, Err(CertificateFault::NotVouched(_))));
}

#[test]
fn i21_the_end_of_a_certificate_is_noticed_on_an_open_connection() {
    let (dir, ca) = (tempfile::tempdir().unwrap(), Ca::new());
    let authorities = Authorities::new(authorities(&dir, &[&ca]));
    let now = clock("2026-12-31T23:59:58Z");
    let certificate = ca.issue(2027);
    assert!(certificate.judge(&authorities, &now).is_ok());
    now.advance(JUDGED_AGAIN);
    assert!(certificate.judge(&authorities, &now).is_err());
}

#[test]
fn i21_other_authorities_are_in_force_at_once_and_the_same_ones_change_nothing() {
    let (dir, ca, successor) = (tempfile::tempdir().unwrap(), Ca::new(), Ca::new());
    let in_force = Authorities::new(authorities(&dir, &[&ca]));
    let now = clock("2026-01-01T00:00:00Z");
    let certificate = ca.issue(2030);
    assert!(certificate.judge(&in_force, &now).is_ok());
    let version = in_force.current().version();
    in_force.replace(authorities(&dir, &[&ca]));
    assert_eq!(in_force.current().version(), version);
    in_force.replace(authorities(&dir, &[&successor]));
    assert!(certificate.judge(&in_force, &now).is_err());
    assert!(successor.issue(2030).judge(&in_force, &now).is_ok());
}

#[test]
fn what_cannot_be_an_authority_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (empty, absent) = (dir.path().join("empty"), dir.path().join("absent"));
    std::fs::write(&empty, "no PEM").unwrap();
    let ca = dir.path().join("ca");
    std::fs::write(&ca, Ca::new().0.pem()).unwrap();
    let broken_list = CertificateAuthority { crl_files: vec![empty.clone()], ..config("c", &ca) };
    let errors = AuthoritySet::read(&[config("a", &absent), config("b", &empty), broken_list]).err().unwrap();
    let told: Vec<(usize, bool)> =
        errors.iter().map(|error| (error.index, error.message.contains("cannot be read"))).collect();
    assert_eq!(told, [(0, true), (1, true), (2, true)]);
    assert!(PeerCertificate::new(&[]).is_none());
}
