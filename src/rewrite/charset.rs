//! Answers in declared charsets other than UTF-8, turned into UTF-8 while they stream.
//!
//! The rewriter reads UTF-8 only, and so does the caller afterwards: what was judged is what is sent. Decoding is
//! strict: a byte sequence that the charset does not have is a [`Cut`], never a replacement character, because two
//! readers could take it for different things. Charsets that switch meaning by escape sequences (UTF-7, ISO-2022, HZ)
//! are not known here for the same reason.

use encoding_rs::{
    BIG5, DecoderResult, EUC_JP, EUC_KR, Encoding, GB18030, GBK, SHIFT_JIS, UTF_8, UTF_16BE, UTF_16LE,
    WINDOWS_1252,
};

use super::plan::{Cut, CutReason};

/// A charset that answers may be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charset(Form);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Utf8,
    Utf16(Option<Order>),
    Utf32(Option<Order>),
    Table(&'static Encoding),
}

/// Which byte of a unit comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Big,
    Little,
}

/// A charset that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown charset")]
pub struct UnknownCharset;

/// Turns an answer into UTF-8 chunk by chunk.
pub struct Transcoder {
    state: State,
    given: u64,
}

enum State {
    /// UTF-8 already; the rewriter validates it.
    Plain,
    /// UTF-16 or UTF-32 whose byte order the first unit tells: by a mark, or by the zeros of the first character,
    /// which is ASCII in everything that is rewritten here.
    Sniff {
        width: usize,
        start: Vec<u8>,
    },
    Table(Box<encoding_rs::Decoder>),
    Utf32 {
        order: Order,
        unit: Vec<u8>,
        at_start: bool,
    },
    Failed(Cut),
}

type Sink<'s> = dyn FnMut(&[u8]) -> Result<(), Cut> + 's;

impl Charset {
    /// UTF-8, which is also what an answer without a declared charset is in (RFC 8259 section 8.1).
    pub const UTF_8: Self = Self(Form::Utf8);

    /// Reads the `charset` parameter of a content type. Labels as in the WHATWG encoding standard, so that
    /// `iso-8859-1` means windows-1252 and `gb2312` GBK, as the systems that send them mean it.
    pub fn parse(label: &str) -> Result<Self, UnknownCharset> {
        let label = label.trim_matches(['"', ' ', '\t']);
        if let Some((_, form)) = WIDE.iter().find(|(name, _)| label.eq_ignore_ascii_case(name)) {
            return Ok(Self(*form));
        }
        match Encoding::for_label(label.as_bytes()) {
            Some(encoding) if encoding == UTF_8 => Ok(Self::UTF_8),
            Some(encoding) if TABLES.contains(&encoding) => Ok(Self(Form::Table(encoding))),
            Some(_) | None => Err(UnknownCharset),
        }
    }

    /// Whether nothing needs to be turned.
    pub fn is_utf_8(self) -> bool {
        self == Self::UTF_8
    }
}

impl Transcoder {
    /// For one answer.
    pub fn new(charset: Charset) -> Self {
        let state = match charset.0 {
            Form::Utf8 => State::Plain,
            Form::Utf16(Some(order)) => utf_16(order),
            Form::Utf16(None) => State::Sniff { width: 2, start: Vec::new() },
            Form::Utf32(Some(order)) => State::Utf32 { order, unit: Vec::new(), at_start: true },
            Form::Utf32(None) => State::Sniff { width: 4, start: Vec::new() },
            Form::Table(encoding) => State::Table(Box::new(encoding.new_decoder_without_bom_handling())),
        };
        Self { state, given: 0 }
    }

    /// Turns `input`, handing pieces of UTF-8 of at most 64 KiB to `sink`; an error of the sink ends it.
    pub fn push(&mut self, input: &[u8], sink: &mut Sink<'_>) -> Result<(), Cut> {
        let turned = self.turn(input, sink);
        if let Err(cut) = &turned {
            self.state = State::Failed(cut.clone());
        }
        turned
    }

    /// Ends the answer; a character that is not complete is a [`Cut`].
    pub fn finish(&mut self, sink: &mut Sink<'_>) -> Result<(), Cut> {
        let complete = match &mut self.state {
            State::Plain => true,
            State::Failed(cut) => return Err(cut.clone()),
            State::Sniff { start, .. } => start.is_empty(),
            State::Utf32 { unit, .. } => unit.is_empty(),
            State::Table(decoder) => {
                let mut last = [0; 16];
                let (result, _, written) = decoder.decode_to_utf8_without_replacement(&[], &mut last, true);
                self.give(last.get(..written).unwrap_or_default(), sink)?;
                result == DecoderResult::InputEmpty
            }
        };
        let cut = self.cut(CutReason::Truncated);
        self.state = State::Failed(cut.clone());
        if complete { Ok(()) } else { Err(cut) }
    }

    fn turn(&mut self, mut input: &[u8], sink: &mut Sink<'_>) -> Result<(), Cut> {
        while !input.is_empty() {
            match std::mem::replace(&mut self.state, State::Plain) {
                State::Plain => {
                    return input.chunks(PIECE_BYTES).try_for_each(|piece| self.give(piece, sink));
                }
                State::Failed(cut) => return Err(cut),
                State::Sniff { width, mut start } => {
                    input = fill(&mut start, width, input);
                    if start.len() < width {
                        self.state = State::Sniff { width, start };
                        return Ok(());
                    }
                    self.state = sniffed(&start).ok_or_else(|| self.cut(CutReason::Encoding))?;
                    self.turn(&start, sink)?;
                }
                State::Table(decoder) => return self.by_table(decoder, input, sink),
                State::Utf32 { order, unit, at_start } => {
                    return self.by_units(order, unit, at_start, input, sink);
                }
            }
        }
        Ok(())
    }

    fn by_table(
        &mut self,
        mut decoder: Box<encoding_rs::Decoder>,
        mut input: &[u8],
        sink: &mut Sink<'_>,
    ) -> Result<(), Cut> {
        let mut piece = vec![0; PIECE_BYTES.min(input.len().saturating_mul(3) + 16)];
        loop {
            let (result, read, written) =
                decoder.decode_to_utf8_without_replacement(input, &mut piece, false);
            self.give(piece.get(..written).unwrap_or_default(), sink)?;
            input = input.get(read..).unwrap_or_default();
            match result {
                DecoderResult::InputEmpty => break,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(_, _) => return Err(self.cut(CutReason::Encoding)),
            }
        }
        self.state = State::Table(decoder);
        Ok(())
    }

    fn by_units(
        &mut self,
        order: Order,
        mut unit: Vec<u8>,
        mut at_start: bool,
        mut input: &[u8],
        sink: &mut Sink<'_>,
    ) -> Result<(), Cut> {
        let mut piece = String::new();
        while !input.is_empty() {
            input = fill(&mut unit, 4, input);
            let Ok(bytes) = <[u8; 4]>::try_from(unit.as_slice()) else { break };
            unit.clear();
            let number = match order {
                Order::Big => u32::from_be_bytes(bytes),
                Order::Little => u32::from_le_bytes(bytes),
            };
            match char::from_u32(number) {
                Some(BYTE_ORDER_MARK) if at_start => {}
                Some(c) => piece.push(c),
                None => return Err(self.cut(CutReason::Encoding)),
            }
            at_start = false;
            if piece.len() + 4 > PIECE_BYTES {
                self.give(std::mem::take(&mut piece).as_bytes(), sink)?;
            }
        }
        self.give(piece.as_bytes(), sink)?;
        self.state = State::Utf32 { order, unit, at_start };
        Ok(())
    }

    fn give(&mut self, piece: &[u8], sink: &mut Sink<'_>) -> Result<(), Cut> {
        if piece.is_empty() {
            return Ok(());
        }
        self.given = self.given.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        sink(piece)
    }

    fn cut(&self, reason: CutReason) -> Cut {
        Cut { reason, offset: self.given }
    }
}

/// Takes from `input` until `unit` has `width` bytes, and gives back the rest.
fn fill<'i>(unit: &mut Vec<u8>, width: usize, input: &'i [u8]) -> &'i [u8] {
    let (taken, rest) = input.split_at(width.saturating_sub(unit.len()).min(input.len()));
    unit.extend_from_slice(taken);
    rest
}

fn sniffed(start: &[u8]) -> Option<State> {
    let utf_32 = |order| State::Utf32 { order, unit: Vec::new(), at_start: true };
    match start {
        [0xfe, 0xff] | [0, 1..=255] => Some(utf_16(Order::Big)),
        [0xff, 0xfe] | [1..=255, 0] => Some(utf_16(Order::Little)),
        [0, 0, 0xfe, 0xff] | [0, 0, 0, 1..=255] => Some(utf_32(Order::Big)),
        [0xff, 0xfe, 0, 0] | [1..=255, 0, 0, 0] => Some(utf_32(Order::Little)),
        _ => None,
    }
}

fn utf_16(order: Order) -> State {
    let encoding = match order {
        Order::Big => UTF_16BE,
        Order::Little => UTF_16LE,
    };
    State::Table(Box::new(encoding.new_decoder_with_bom_removal()))
}

const WIDE: &[(&str, Form)] = &[
    ("utf-16", Form::Utf16(None)),
    ("utf16", Form::Utf16(None)),
    ("utf-16be", Form::Utf16(Some(Order::Big))),
    ("utf-16le", Form::Utf16(Some(Order::Little))),
    ("utf-32", Form::Utf32(None)),
    ("utf32", Form::Utf32(None)),
    ("utf-32be", Form::Utf32(Some(Order::Big))),
    ("utf-32le", Form::Utf32(Some(Order::Little))),
    // A subset of UTF-8, and validated as such; the encoding standard would take it for windows-1252.
    ("us-ascii", Form::Utf8),
    ("ascii", Form::Utf8),
];

/// What else is known, all of it without state between characters.
const TABLES: [&Encoding; 7] = [GBK, GB18030, BIG5, SHIFT_JIS, EUC_JP, EUC_KR, WINDOWS_1252];

const BYTE_ORDER_MARK: char = '\u{feff}';

/// Largest piece handed out.
const PIECE_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = r#"{"name":"王芳","note":"a\"b"}"#;

    fn turn(label: &str, input: &[u8], size: usize) -> Result<String, CutReason> {
        let mut transcoder = Transcoder::new(Charset::parse(label).unwrap());
        let mut out = Vec::new();
        let mut sink = |piece: &[u8]| {
            assert!(!piece.is_empty() && piece.len() <= PIECE_BYTES);
            out.extend_from_slice(piece);
            Ok(())
        };
        let ended = input.chunks(size).try_for_each(|chunk| transcoder.push(chunk, &mut sink));
        ended.and_then(|()| transcoder.finish(&mut sink)).map_err(|cut| cut.reason)?;
        Ok(String::from_utf8(out).unwrap())
    }

    fn both(label: &str, input: &[u8]) -> Result<String, CutReason> {
        let whole = turn(label, input, usize::MAX);
        assert_eq!(whole, turn(label, input, 1), "{label}");
        whole
    }

    fn wide(text: &str, width: usize, order: Order) -> Vec<u8> {
        let units: Vec<u32> = match width {
            2 => text.encode_utf16().map(u32::from).collect(),
            _ => text.chars().map(u32::from).collect(),
        };
        units
            .into_iter()
            .flat_map(|unit| match order {
                Order::Big => unit.to_be_bytes()[4 - width..].to_vec(),
                Order::Little => unit.to_le_bytes()[..width].to_vec(),
            })
            .collect()
    }

    #[test]
    fn turns_declared_charsets_into_utf_8() {
        for (label, encoding) in [
            ("GBK", GBK),
            ("gb2312", GBK),
            ("gb18030", GB18030),
            ("big5", BIG5),
            ("Shift_JIS", SHIFT_JIS),
            ("euc-kr", EUC_KR),
        ] {
            let text =
                if encoding == EUC_KR { TEXT.replace("王芳", "김") } else { TEXT.replace('芳', "本") };
            let (bytes, _, failed) = encoding.encode(&text);
            assert!(!failed, "{label}");
            assert_eq!(both(label, &bytes).as_deref(), Ok(&*text), "{label}");
        }
        assert_eq!(both("iso-8859-1", b"\"caf\xe9 \x80\"").as_deref(), Ok("\"café €\""));
        assert_eq!(both("utf-8", TEXT.as_bytes()).as_deref(), Ok(TEXT));
        assert!(
            Charset::parse("UTF-8").unwrap().is_utf_8() && Charset::parse("us-ascii").unwrap().is_utf_8()
        );
    }

    #[test]
    fn wide_units_come_in_both_orders_with_and_without_a_mark() {
        let text = "{\"😀\":\"王\"}";
        for (width, name) in [(2, "utf-16"), (4, "utf-32")] {
            for (order, suffix) in [(Order::Big, "be"), (Order::Little, "le")] {
                for mark in ["", "\u{feff}"] {
                    let bytes = wide(&format!("{mark}{text}"), width, order);
                    assert_eq!(both(name, &bytes).as_deref(), Ok(text), "{name} {order:?} {mark:?}");
                    assert_eq!(both(&format!("{name}{suffix}"), &bytes).as_deref(), Ok(text));
                }
            }
        }
    }

    #[test]
    fn what_a_charset_does_not_have_is_cut() {
        for (label, bytes) in [
            ("gbk", &b"\"\xff\xff\""[..]),
            ("gbk", b"\"\x81\""),
            ("big5", b"\"\x80\""),
            ("shift_jis", b"\"\xfd\""),
            ("utf-16le", b"\"\0\x00\xd8\"\0"),
            ("utf-16be", b"\0\"\xdc\x00"),
            ("utf-16", "王".as_bytes()),
            ("utf-16", b"{}"),
            ("utf-32", b"{}{}"),
            ("utf-32le", b"\x00\xd8\x00\x00"),
            ("utf-32be", b"\x00\x11\x00\x00"),
        ] {
            assert_eq!(both(label, bytes), Err(CutReason::Encoding), "{label} {bytes:?}");
        }
    }

    #[test]
    fn an_unfinished_character_is_cut() {
        for (label, bytes) in [
            ("gbk", &b"\"\x81"[..]),
            ("gb18030", b"\"\x81\x30\x81"),
            ("utf-16le", b"{\0\""),
            ("utf-16", b"{"),
            ("utf-16be", b"\0{\xd8\x3d"),
            ("utf-32le", b"{\0\0\0\""),
            ("utf-32", b"\0\0"),
        ] {
            assert_eq!(both(label, bytes), Err(CutReason::Truncated), "{label} {bytes:?}");
        }
    }

    #[test]
    fn nothing_follows_a_cut_or_the_end() {
        let mut transcoder = Transcoder::new(Charset::parse("gbk").unwrap());
        let mut sink = |_: &[u8]| panic!("nothing is given");
        assert!(transcoder.push(b"\xff", &mut sink).is_err());
        assert_eq!(transcoder.push(b"x", &mut sink).unwrap_err().reason, CutReason::Encoding);
        assert_eq!(transcoder.finish(&mut sink).unwrap_err().reason, CutReason::Encoding);
    }

    #[test]
    fn unknown_charsets_are_refused() {
        for label in [
            "",
            "utf-7",
            "hz-gb-2312",
            "iso-2022-jp",
            "iso-2022-kr",
            "x-user-defined",
            "utf-9",
            "koi8-r",
            "replacement",
        ] {
            assert_eq!(Charset::parse(label), Err(UnknownCharset), "{label}");
        }
        assert!(Charset::parse(" \"GBK\" ").is_ok());
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same(bytes in prop::collection::vec(any::<u8>(), 0..200), size in 1..9_usize, label in prop::sample::select(
            &["gbk", "gb18030", "big5", "shift_jis", "euc-jp", "utf-16", "utf-16le", "utf-32", "utf-32be", "latin1"][..]
        )) {
            let whole = turn(label, &bytes, usize::MAX);
            prop_assert_eq!(&whole, &turn(label, &bytes, size));
        }

        #[test]
        fn every_text_survives(text in "\\PC{0,100}") {
            let gb18030 = GB18030.encode(&text).0;
            prop_assert_eq!(turn("gb18030", &gb18030, 3), Ok(text.clone()));
            prop_assert_eq!(turn("utf-32le", &wide(&text, 4, Order::Little), 3), Ok(text.clone()));
            prop_assert_eq!(turn("utf-16be", &wide(&text, 2, Order::Big), 3), Ok(text));
        }
    }
}
