//! As much of X.509 (RFC 5280) as tells who a certificate is for. It is read after its signature was checked, so what
//! stands in here was written by an authority; what cannot be read all the same names nobody.

/// The names in a certificate.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    /// The subject, in the order it is written: object identifier and text.
    pub(super) subject: Vec<(Vec<u8>, String)>,
    pub(super) serial: Vec<u8>,
    pub(super) emails: Vec<String>,
    pub(super) hosts: Vec<String>,
    pub(super) uris: Vec<String>,
}

/// Reads the names; `None`: it cannot be read.
pub(super) fn read(certificate: &[u8]) -> Option<Written> {
    let mut outer = Elements(certificate);
    let mut signed = Elements(outer.take(SEQUENCE)?);
    let mut fields = Elements(signed.take(SEQUENCE)?);
    let mut written = Written::default();
    fields.skip(context(0));
    written.serial = fields.take(INTEGER)?.to_vec();
    // Signature algorithm, issuer, validity.
    for _ in 0..3 {
        fields.take(SEQUENCE)?;
    }
    written.subject = name(fields.take(SEQUENCE)?)?;
    // The public key, and two fields that nobody uses.
    fields.take(SEQUENCE)?;
    fields.skip(0x81);
    fields.skip(0x82);
    if let Some(extensions) = fields.skip(context(3)) {
        let mut extensions = Elements(Elements(extensions).take(SEQUENCE)?);
        while !extensions.0.is_empty() {
            extension(extensions.take(SEQUENCE)?, &mut written)?;
        }
    }
    Some(written)
}

fn extension(bytes: &[u8], written: &mut Written) -> Option<()> {
    let mut parts = Elements(bytes);
    let id = parts.take(OBJECT_ID)?;
    parts.skip(BOOLEAN);
    let value = parts.take(OCTETS)?;
    if id != ALTERNATIVE_NAMES {
        return Some(());
    }
    let mut names = Elements(Elements(value).take(SEQUENCE)?);
    while !names.0.is_empty() {
        let (tag, value) = names.next()?;
        let list = match tag {
            0x81 => &mut written.emails,
            0x82 => &mut written.hosts,
            0x86 => &mut written.uris,
            _ => continue,
        };
        list.push(ascii(value)?);
    }
    Some(())
}

fn name(bytes: &[u8]) -> Option<Vec<(Vec<u8>, String)>> {
    let mut attributes = Vec::new();
    let mut sets = Elements(bytes);
    while !sets.0.is_empty() {
        let mut set = Elements(sets.take(SET)?);
        while !set.0.is_empty() {
            let mut pair = Elements(set.take(SEQUENCE)?);
            let id = pair.take(OBJECT_ID)?.to_vec();
            let (tag, value) = pair.next()?;
            attributes.push((id, text(tag, value)?));
        }
    }
    Some(attributes)
}

/// A text of one of the kinds that names are made of.
fn text(tag: u8, value: &[u8]) -> Option<String> {
    match tag {
        UTF8 => String::from_utf8(value.to_vec()).ok(),
        PRINTABLE | IA5 | NUMERIC => ascii(value),
        UTF16 => {
            let units = value.chunks_exact(2);
            let whole = units.remainder().is_empty();
            let units = units.map(|pair| pair.iter().fold(0, |unit, byte| unit << 8 | u16::from(*byte)));
            char::decode_utf16(units).collect::<Result<String, _>>().ok().filter(|_| whole)
        }
        _ => None,
    }
}

fn ascii(value: &[u8]) -> Option<String> {
    value.is_ascii().then(|| value.iter().copied().map(char::from).collect())
}

/// DER elements (X.690) one after the other.
struct Elements<'b>(&'b [u8]);

impl<'b> Elements<'b> {
    /// Tag and content of the next one.
    fn next(&mut self) -> Option<(u8, &'b [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = if first < 0x80 {
            (usize::from(first), rest)
        } else {
            let bytes = usize::from(first & 0x7f);
            if !(1..=4).contains(&bytes) {
                return None;
            }
            let (length, rest) = rest.split_at_checked(bytes)?;
            (length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    /// The content of the next one, which must have this tag.
    fn take(&mut self, tag: u8) -> Option<&'b [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, content)| content)
    }

    /// The content of the next one, if it has this tag.
    fn skip(&mut self, tag: u8) -> Option<&'b [u8]> {
        if self.0.first() == Some(&tag) { self.take(tag) } else { None }
    }
}

const fn context(number: u8) -> u8 {
    0xa0 | number
}

const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const OBJECT_ID: u8 = 0x06;
const UTF8: u8 = 0x0c;
const NUMERIC: u8 = 0x12;
const PRINTABLE: u8 = 0x13;
const IA5: u8 = 0x16;
const UTF16: u8 = 0x1e;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// 2.5.29.17.
const ALTERNATIVE_NAMES: [u8; 3] = [0x55, 0x1d, 0x11];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn certificate() -> Vec<u8> {
        let mut params =
            CertificateParams::new(vec!["a.example".to_owned(), "b.example".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::OrganizationName, "示例公司");
        params.distinguished_name.push(DnType::CommonName, "etl");
        params.subject_alt_names.push(SanType::URI("spiffe://prod.example/etl".try_into().unwrap()));
        params.subject_alt_names.push(SanType::Rfc822Name("etl@a.example".try_into().unwrap()));
        params.subject_alt_names.push(SanType::IpAddress([127, 0, 0, 1].into()));
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn names_are_read_as_they_were_written() {
        let written = read(&certificate()).unwrap();
        assert_eq!(written.hosts, ["a.example", "b.example"]);
        assert_eq!(written.uris, ["spiffe://prod.example/etl"]);
        assert_eq!(written.emails, ["etl@a.example"]);
        let subject: Vec<&str> = written.subject.iter().map(|(_, text)| text.as_str()).collect();
        assert!(subject.contains(&"示例公司") && subject.contains(&"etl"), "{subject:?}");
        assert!(!written.serial.is_empty());
    }

    #[test]
    fn a_certificate_that_is_cut_short_is_not_read() {
        let whole = certificate();
        for length in 0..whole.len() {
            assert_eq!(read(&whole[..length]), None, "{length}");
        }
    }

    proptest! {
        /// Whatever comes: no panic.
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }

        #[test]
        fn any_change_of_a_certificate_is_survived(at in 0_usize..400, byte in any::<u8>()) {
            let mut changed = certificate();
            let at = at % changed.len();
            changed[at] = byte;
            let _ = read(&changed);
        }
    }
}
