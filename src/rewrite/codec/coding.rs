//! Content codings and how their names are read (RFC 9110 sections 8.4 and 12.5.3).

/// A content coding (RFC 9110 section 8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// No coding.
    Identity,
    /// `gzip`, also of several members.
    Gzip,
    /// `deflate`: zlib (RFC 1950) as it should be, or raw deflate as some servers send it.
    Deflate,
    /// `br`.
    Brotli,
    /// `zstd`.
    Zstd,
}

/// A coding that is not known, or several on top of one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown or stacked content coding")]
pub struct UnknownCoding;

impl Coding {
    /// The name in `Content-Encoding`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    /// Reads `Content-Encoding`, several lines of it joined by commas; an empty text is no coding. Stacked codings are
    /// refused: nobody needs them, and each layer is one more place to hide something.
    pub fn parse_content_encoding(text: &str) -> Result<Self, UnknownCoding> {
        let mut names = text.split(',').map(trim).filter(|name| !name.is_empty());
        match (names.next(), names.next()) {
            (None, _) => Ok(Self::Identity),
            (Some(name), None) => Self::named(name).ok_or(UnknownCoding),
            (Some(_), Some(_)) => Err(UnknownCoding),
        }
    }

    /// Chooses what a caller gets by its `Accept-Encoding`, several lines of it joined by commas. `None`: it takes
    /// nothing of what there is, not even the answer without coding.
    ///
    /// Among codings of the highest quality that are named, zstd is chosen before br, gzip and deflate. Without the
    /// field, or by `*` alone, the answer is sent without coding: a caller that names nothing is rarely ready for it.
    pub fn negotiate(accept_encoding: Option<&str>) -> Option<Self> {
        let accepted = Accepted::read(accept_encoding.unwrap_or_default());
        let best = BY_PREFERENCE
            .into_iter()
            .filter_map(|coding| accepted.quality(coding).map(|quality| (quality, coding)))
            // The first of equals is kept.
            .reduce(|best, next| if next.0 > best.0 { next } else { best });
        best.filter(|(quality, _)| *quality > Quality::REFUSED).map(|(_, coding)| coding)
    }

    fn named(name: &str) -> Option<Self> {
        // `x-gzip` is the same (RFC 9110 section 8.4.1.3).
        if name.eq_ignore_ascii_case("x-gzip") {
            return Some(Self::Gzip);
        }
        BY_PREFERENCE.into_iter().find(|coding| name.eq_ignore_ascii_case(coding.name()))
    }
}

/// How much a coding is wanted: in thousandths, and whether it was named rather than meant by `*`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Quality {
    thousandths: u16,
    rank: u8,
}

impl Quality {
    const REFUSED: Self = Self { thousandths: 0, rank: u8::MAX };
}

/// `Accept-Encoding`, read.
struct Accepted {
    named: Vec<(Coding, u16)>,
    any: Option<u16>,
}

impl Accepted {
    /// Members that cannot be read are passed over; of two for one coding the first counts.
    fn read(text: &str) -> Self {
        let mut accepted = Self { named: Vec::new(), any: None };
        for member in text.split(',').take(MAX_MEMBERS) {
            let (name, params) = member.split_once(';').unwrap_or((member, ""));
            let name = trim(name);
            let Some(quality) = quality(trim(params)) else { continue };
            match Coding::named(name) {
                Some(coding) if !accepted.named.iter().any(|(known, _)| *known == coding) => {
                    accepted.named.push((coding, quality));
                }
                Some(_) => {}
                None if name == "*" => accepted.any = accepted.any.or(Some(quality)),
                None => {}
            }
        }
        accepted
    }

    /// Without a word about it, only the answer without coding is acceptable, and the least wanted.
    fn quality(&self, coding: Coding) -> Option<Quality> {
        let named = self.named.iter().find(|(known, _)| *known == coding).map(|(_, quality)| *quality);
        let is_identity = coding == Coding::Identity;
        match (named, self.any) {
            (Some(thousandths), _) => Some(Quality { thousandths, rank: 3 }),
            // `*` prefers no coding, then gzip, which everybody can read.
            (None, Some(thousandths)) => {
                let rank = match coding {
                    Coding::Identity => 2,
                    Coding::Gzip => 1,
                    Coding::Deflate | Coding::Brotli | Coding::Zstd => 0,
                };
                Some(Quality { thousandths, rank })
            }
            (None, None) if is_identity => Some(Quality { thousandths: 1, rank: 0 }),
            (None, None) => None,
        }
    }
}

/// The weight of a member (RFC 9110 section 12.4.2) in thousandths.
fn quality(params: &str) -> Option<u16> {
    if params.is_empty() {
        return Some(1000);
    }
    let (name, value) = params.split_once('=')?;
    if !trim(name).eq_ignore_ascii_case("q") {
        return None;
    }
    let (whole, fraction) = trim(value).split_once('.').unwrap_or((trim(value), ""));
    let is_fraction = fraction.len() <= 3 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    match (whole, is_fraction) {
        ("0", true) => format!("{fraction:0<3}").parse().ok(),
        ("1", true) if fraction.bytes().all(|byte| byte == b'0') => Some(1000),
        _ => None,
    }
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

const BY_PREFERENCE: [Coding; 5] =
    [Coding::Zstd, Coding::Brotli, Coding::Gzip, Coding::Deflate, Coding::Identity];

/// Most members of `Accept-Encoding` that are read.
const MAX_MEMBERS: usize = 32;
