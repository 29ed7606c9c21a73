//! Charsets: what comes out is what one-shot decoding of the whole gives, for every cut, and never a replacement
//! character for something that could not be read.

use encoding_rs::{BIG5, EUC_JP, EUC_KR, Encoding, GB18030, GBK, SHIFT_JIS, WINDOWS_1252};

use super::super::Cut;
use super::super::charset::{Charset, Transcoder};

const TABLES: [(&str, &Encoding); 7] = [
    ("gbk", GBK),
    ("gb18030", GB18030),
    ("big5", BIG5),
    ("shift_jis", SHIFT_JIS),
    ("euc-jp", EUC_JP),
    ("euc-kr", EUC_KR),
    ("latin1", WINDOWS_1252),
];
const WIDE: [(&str, usize, Option<bool>); 6] = [
    ("utf-16", 2, None),
    ("utf-16be", 2, Some(true)),
    ("utf-16le", 2, Some(false)),
    ("utf-32", 4, None),
    ("utf-32be", 4, Some(true)),
    ("utf-32le", 4, Some(false)),
];

/// The charset and the size of the pieces, then the bytes.
pub(crate) fn fuzz(data: &[u8]) {
    let Some(([charset, size], text)) = data.split_first_chunk::<2>() else { return };
    let (charset, size) = (usize::from(*charset) % (TABLES.len() + WIDE.len()), usize::from(*size) + 1);
    let (label, expected) = match TABLES.get(charset) {
        Some((label, encoding)) => {
            let decoded = encoding.decode_without_bom_handling_and_without_replacement(text);
            (*label, decoded.map(std::borrow::Cow::into_owned))
        }
        None => {
            let (label, width, big) = WIDE[charset - TABLES.len()];
            (label, wide(text, width, big))
        }
    };
    assert_eq!(turn(label, text, text.len().max(1)), expected, "{label}");
    assert_eq!(turn(label, text, size), expected, "{label} in pieces of {size}");
}

fn turn(label: &str, text: &[u8], size: usize) -> Option<String> {
    let mut transcoder = Transcoder::new(Charset::parse(label).expect(label));
    let mut out = Vec::new();
    let mut sink = |piece: &[u8]| -> Result<(), Cut> {
        out.extend_from_slice(piece);
        Ok(())
    };
    let turned = text.chunks(size).try_for_each(|chunk| transcoder.push(chunk, &mut sink));
    turned.and_then(|()| transcoder.finish(&mut sink)).ok()?;
    Some(String::from_utf8(out).expect("utf-8"))
}

/// The order told by a mark or by the first character, which is ASCII.
fn wide(text: &[u8], width: usize, big: Option<bool>) -> Option<String> {
    if text.is_empty() {
        return Some(String::new());
    }
    let units = |big: bool| -> Option<Vec<u32>> {
        let unit = |bytes: &[u8]| {
            let fold = |number: u32, byte: &u8| number << 8 | u32::from(*byte);
            if big { bytes.iter().fold(0, fold) } else { bytes.iter().rev().fold(0, fold) }
        };
        text.len().is_multiple_of(width).then(|| text.chunks(width).map(unit).collect())
    };
    let first_is_plain = |big: bool| units(big).is_some_and(|u| matches!(u.first(), Some(0xfeff | 1..=0xff)));
    let big = match big {
        Some(big) => big,
        None if first_is_plain(true) => true,
        None if first_is_plain(false) => false,
        None => return None,
    };
    let units = units(big)?;
    let decoded: Option<String> = if width == 2 {
        let units = units.into_iter().map(|unit| u16::try_from(unit).expect("two bytes"));
        char::decode_utf16(units).collect::<Result<_, _>>().ok()
    } else {
        units.into_iter().map(char::from_u32).collect()
    };
    decoded.map(|text| text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_owned))
}
