use proptest::prelude::*;

use super::*;
use crate::rewrite::{Cut, CutReason};

const CODINGS: [Coding; 5] = [Coding::Identity, Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd];

fn encode(coding: Coding, text: &[u8]) -> Vec<u8> {
    let (mut encoder, mut out) = (Encoder::new(coding), Vec::new());
    encoder.push(text, &mut out);
    encoder.finish(&mut out);
    out
}

fn decode_chunks<'c>(
    coding: Coding,
    bounds: DecodeBounds,
    chunks: impl IntoIterator<Item = &'c [u8]>,
) -> Result<Vec<u8>, (Cut, Vec<u8>)> {
    let (mut decoder, mut out) = (Decoder::new(coding, bounds), Vec::new());
    let mut ended = Ok(());
    for chunk in chunks {
        ended = decoder.push(chunk, &mut |piece| {
            assert!(!piece.is_empty() && piece.len() <= PIECE_BYTES);
            out.extend_from_slice(piece);
            Ok(())
        });
        if ended.is_err() {
            break;
        }
    }
    match ended.and_then(|()| decoder.finish()) {
        Ok(()) => Ok(out),
        Err(cut) => {
            assert_eq!(cut.offset, out.len() as u64);
            assert_eq!(decoder.push(b"x", &mut |_| panic!("nothing follows a cut")), Err(cut.clone()));
            assert_eq!(decoder.finish(), Err(cut.clone()));
            Err((cut, out))
        }
    }
}

fn decode(coding: Coding, encoded: &[u8]) -> Result<Vec<u8>, CutReason> {
    let bounds = DecodeBounds::default();
    let whole = decode_chunks(coding, bounds, [encoded]);
    // One byte at a time gives the same, also the same reason for a cut.
    let bytes = decode_chunks(coding, bounds, encoded.chunks(1));
    let reason =
        |result: &Result<Vec<u8>, (Cut, Vec<u8>)>| result.as_ref().map_err(|(cut, _)| cut.reason).cloned();
    assert_eq!(reason(&whole), reason(&bytes));
    reason(&whole)
}

fn sample() -> Vec<u8> {
    (0..4000)
        .flat_map(|n| format!("{{\"id\":{n},\"name\":\"王芳\",\"phone\":\"{}\"}},", n * 7919).into_bytes())
        .collect()
}

/// zlib's own output for `hello, raw deflate`, without header and checksum, by another implementation.
const RAW: &[u8] = &[
    0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0xd7, 0x51, 0x28, 0x4a, 0x2c, 0x57, 0x48, 0x49, 0x4d, 0xcb, 0x49, 0x2c,
    0x49, 0x05, 0x00,
];

#[test]
fn round_trips_in_every_coding() {
    for coding in CODINGS {
        for text in [&b""[..], b"x", &sample()] {
            assert_eq!(decode(coding, &encode(coding, text)).as_deref(), Ok(text), "{coding:?}");
        }
    }
}

#[test]
fn compresses() {
    let text = sample();
    for coding in CODINGS.into_iter().skip(1) {
        assert!(encode(coding, &text).len() < text.len() / 3, "{coding:?}");
    }
}

#[test]
fn reads_zlib_and_raw_deflate() {
    assert_eq!(decode(Coding::Deflate, RAW).as_deref(), Ok(&b"hello, raw deflate"[..]));
    assert_eq!(encode(Coding::Deflate, b"x")[0] & 0x0f, 8, "sent as zlib, as RFC 9110 says");
    assert_eq!(decode(Coding::Deflate, &[0x78]), Err(CutReason::Truncated));
}

#[test]
fn reads_gzip_of_several_members() {
    let mut members = encode(Coding::Gzip, b"one ");
    members.extend(encode(Coding::Gzip, b""));
    members.extend(encode(Coding::Gzip, b"two"));
    assert_eq!(decode(Coding::Gzip, &members).as_deref(), Ok(&b"one two"[..]));
    for length in 0..members.len() {
        let whole_member =
            [encode(Coding::Gzip, b"one ").len(), members.len() - encode(Coding::Gzip, b"two").len()];
        let expected = whole_member.contains(&length);
        assert_eq!(decode(Coding::Gzip, &members[..length]).is_ok(), expected, "cut at {length}");
    }
}

#[test]
fn reads_gzip_with_every_header_field() {
    let plain = encode(Coding::Gzip, b"named");
    // FEXTRA, FNAME, FCOMMENT (RFC 1952 section 2.3.1).
    let mut named = plain[..3].to_vec();
    named.push(0b1_1100);
    named.extend(&plain[4..10]);
    named.extend([3, 0, b'a', b'b', b'c']);
    named.extend(b"file.json\0comment\0");
    named.extend(&plain[10..]);
    assert_eq!(decode(Coding::Gzip, &named).as_deref(), Ok(&b"named"[..]));
}

/// Found by the fuzz target: another reader may take a reserved flag for a field that this one does not know.
#[test]
fn a_gzip_member_with_a_reserved_flag_is_cut() {
    let plain = encode(Coding::Gzip, b"plain");
    for bit in 5..8 {
        let mut odd = plain.clone();
        odd[3] |= 1 << bit;
        assert_eq!(decode(Coding::Gzip, &odd), Err(CutReason::Compression), "bit {bit}");
        assert_eq!(
            decode(Coding::Gzip, &[&plain[..], &odd].concat()),
            Err(CutReason::Compression),
            "bit {bit}"
        );
        assert_eq!(decode(Coding::Gzip, &[&plain[..], &plain].concat()).as_deref(), Ok(&b"plainplain"[..]));
    }
}

#[test]
fn reads_zstd_of_several_frames_and_skips_skippable_ones() {
    let mut frames = encode(Coding::Zstd, b"one ");
    frames.extend([0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
    frames.extend(encode(Coding::Zstd, b"two"));
    assert_eq!(decode(Coding::Zstd, &frames).as_deref(), Ok(&b"one two"[..]));
}

/// Found by fuzzing: libzstd compares the size only where it gets the frame whole, or its last block holds something.
#[test]
fn a_zstd_frame_that_lies_about_its_size_is_cut_however_it_comes() {
    let lying = b"\x28\xb5\x2f\xfd\x20\x40\x30\x00\x00\x01\x00\x00\x80\x9c\x90\x01\x00\x00";
    let mut honest = *lying;
    honest[5] = 6;
    for size in 1..=lying.len() {
        let in_pieces = |coded: &[u8]| {
            let decoded = decode_chunks(Coding::Zstd, DecodeBounds::default(), coded.chunks(size));
            decoded.map_err(|(cut, _)| cut.reason)
        };
        assert_eq!(in_pieces(lying), Err(CutReason::Compression), "in pieces of {size}");
        assert_eq!(in_pieces(&honest), Ok(b"\x01\x00\x00\x80\x9c\x90".to_vec()), "in pieces of {size}");
    }
}

#[test]
fn a_truncated_stream_is_cut_wherever_it_ends() {
    for coding in CODINGS.into_iter().skip(1) {
        let encoded = encode(coding, &sample()[..3000]);
        for length in 0..encoded.len() {
            assert_eq!(
                decode(coding, &encoded[..length]),
                Err(CutReason::Truncated),
                "{coding:?} at {length}"
            );
        }
    }
}

#[test]
fn what_follows_the_end_is_cut() {
    for coding in CODINGS.into_iter().skip(1) {
        for tail in [&b"garbage behind it"[..], b"{\"phone\":\"13800138000\"}", &[0; 16]] {
            let mut encoded = encode(coding, b"the answer");
            encoded.extend(tail);
            assert_eq!(decode(coding, &encoded), Err(CutReason::Compression), "{coding:?}");
        }
    }
}

#[test]
fn a_wrong_checksum_or_length_is_cut() {
    for (coding, from_end) in [
        (Coding::Gzip, 8),
        (Coding::Gzip, 5),
        (Coding::Gzip, 4),
        (Coding::Gzip, 1),
        (Coding::Deflate, 4),
        (Coding::Deflate, 1),
    ] {
        let mut encoded = encode(coding, &sample());
        let at = encoded.len() - from_end;
        encoded[at] ^= 1;
        assert_eq!(decode(coding, &encoded), Err(CutReason::Compression), "{coding:?}");
    }
}

#[test]
fn a_lying_coding_is_cut() {
    let text = br#"{"phone":"13800138000"}"#;
    for coding in [Coding::Gzip, Coding::Brotli, Coding::Zstd] {
        let reason = decode(coding, text);
        assert!(
            matches!(reason, Err(CutReason::Compression | CutReason::Truncated)),
            "{coding:?}: {reason:?}"
        );
        for other in CODINGS.into_iter().filter(|other| *other != coding) {
            assert!(decode(coding, &encode(other, text)).is_err(), "{other:?} as {coding:?}");
        }
    }
}

#[test]
fn a_bomb_is_cut_at_the_stated_ratio_with_flat_memory() {
    let zeros = vec![0; 1 << 20];
    for coding in CODINGS.into_iter().skip(1) {
        let (mut encoder, mut bomb) = (Encoder::new(coding), Vec::new());
        for _ in 0..64 {
            encoder.push(&zeros, &mut bomb);
        }
        encoder.finish(&mut bomb);
        let bounds = DecodeBounds { ratio: 100, ..DecodeBounds::default() };
        let mut decoder = Decoder::new(coding, bounds);
        let mut given = 0;
        let cut = decoder.push(&bomb, &mut |piece| {
            given += piece.len();
            Ok(())
        });
        assert_eq!(cut.unwrap_err().reason, CutReason::Bomb, "{coding:?}");
        assert!(
            given <= 100 * bomb.len() + JUDGED && decoder.buffered() <= PIECE_BYTES,
            "{coding:?} gave {given}"
        );
    }
}

const JUDGED: usize = 64 << 10;

#[test]
fn a_small_answer_may_compress_well() {
    let zeros = vec![0; JUDGED];
    for coding in CODINGS {
        let bounds = DecodeBounds { ratio: 2, ..DecodeBounds::default() };
        let encoded = encode(coding, &zeros);
        assert!(decode_chunks(coding, bounds, [&encoded[..]]).is_ok(), "{coding:?}");
    }
}

#[test]
fn the_size_is_bounded_in_every_coding() {
    let text = sample();
    let size = text.len() as u64;
    for coding in CODINGS {
        let encoded = encode(coding, &text);
        let bounds = |bytes| DecodeBounds { bytes, ..DecodeBounds::default() };
        assert!(decode_chunks(coding, bounds(size), [&encoded[..]]).is_ok());
        let (cut, given) = decode_chunks(coding, bounds(size - 1), encoded.chunks(1000)).unwrap_err();
        assert_eq!(cut.reason, CutReason::Bomb, "{coding:?}");
        assert!((given.len() as u64) < size);
    }
}

#[test]
fn a_window_beyond_the_stated_one_is_cut() {
    // A zstd frame header that asks for a window of 128 MiB (RFC 8878 section 3.1.1.1.2), then an empty block.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 17 << 3, 0x01, 0x00, 0x00];
    assert_eq!(decode(Coding::Zstd, &frame), Err(CutReason::Compression));
}

#[test]
fn an_error_of_the_sink_ends_it() {
    let encoded = encode(Coding::Gzip, &sample());
    let refusal = Cut { reason: CutReason::Depth, offset: 7 };
    let mut decoder = Decoder::new(Coding::Gzip, DecodeBounds::default());
    assert_eq!(decoder.push(&encoded, &mut |_| Err(refusal.clone())), Err(refusal.clone()));
    assert_eq!(decoder.finish(), Err(refusal));
}

#[test]
fn a_flush_makes_everything_decodable() {
    for coding in CODINGS {
        let (mut encoder, mut encoded) = (Encoder::new(coding), Vec::new());
        let (mut decoder, mut decoded) = (Decoder::new(coding, DecodeBounds::default()), Vec::new());
        for record in sample().chunks(997) {
            encoder.push(record, &mut encoded);
            encoder.flush(&mut encoded);
            let before = decoded.len();
            decoder
                .push(&std::mem::take(&mut encoded), &mut |piece| {
                    decoded.extend_from_slice(piece);
                    Ok(())
                })
                .unwrap();
            assert_eq!(&decoded[before..], record, "{coding:?}");
        }
        encoder.finish(&mut encoded);
        decoder.push(&encoded, &mut |_| Ok(())).unwrap();
        assert_eq!(decoder.finish(), Ok(()), "{coding:?}");
        let length = encoded.len();
        encoder.push(b"late", &mut encoded);
        encoder.finish(&mut encoded);
        assert_eq!(encoded.len(), length, "{coding:?}: nothing behind the end");
    }
}

#[test]
fn reads_content_encoding() {
    for (text, coding) in [
        ("", Coding::Identity),
        ("identity", Coding::Identity),
        ("gzip", Coding::Gzip),
        (" GZIP ", Coding::Gzip),
        ("x-gzip", Coding::Gzip),
        ("gzip,", Coding::Gzip),
        ("deflate", Coding::Deflate),
        ("br", Coding::Brotli),
        ("zstd", Coding::Zstd),
    ] {
        assert_eq!(Coding::parse_content_encoding(text), Ok(coding), "{text}");
        assert_eq!(Coding::parse_content_encoding(coding.name()), Ok(coding));
    }
    for text in [
        "gzip, gzip",
        "gzip, identity",
        "br,gzip",
        "compress",
        "aws-chunked",
        "gzip;q=1",
        "gzip br",
        "ｇzip",
        "*",
    ] {
        assert_eq!(Coding::parse_content_encoding(text), Err(UnknownCoding), "{text}");
    }
}

#[test]
fn negotiates_by_quality() {
    for (header, chosen) in [
        (None, Some(Coding::Identity)),
        (Some(""), Some(Coding::Identity)),
        (Some("gzip"), Some(Coding::Gzip)),
        (Some("gzip, deflate, br, zstd"), Some(Coding::Zstd)),
        (Some("gzip, deflate, br"), Some(Coding::Brotli)),
        (Some("gzip;q=1.0, br;q=0.9"), Some(Coding::Gzip)),
        (Some("gzip;q=0.5,identity"), Some(Coding::Identity)),
        (Some("gzip;q=0.001"), Some(Coding::Gzip)),
        (Some("gzip;q=0"), Some(Coding::Identity)),
        (Some("gzip ; Q = 0.8 , x-gzip;q=0"), Some(Coding::Gzip)),
        (Some("compress, lzma"), Some(Coding::Identity)),
        (Some("*"), Some(Coding::Identity)),
        (Some("*, gzip;q=0.5"), Some(Coding::Identity)),
        (Some("*;q=0.5, gzip"), Some(Coding::Gzip)),
        (Some("identity;q=0, *"), Some(Coding::Gzip)),
        (Some("identity;q=0, gzip;q=0, *"), Some(Coding::Zstd)),
        (Some("identity;q=0"), None),
        (Some("*;q=0"), None),
        (Some("*;q=0, br"), Some(Coding::Brotli)),
        (Some("gzip;q=2, br;q=-1, zstd;q=0.1234, deflate;level=9"), Some(Coding::Identity)),
        (Some("gzip;q=1.000, br;q=1.001"), Some(Coding::Gzip)),
        (Some(",,gzip,,"), Some(Coding::Gzip)),
    ] {
        assert_eq!(Coding::negotiate(header), chosen, "{header:?}");
    }
}

fn coding() -> impl Strategy<Value = Coding> {
    prop::sample::select(&CODINGS[..])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn any_cut_gives_the_same(coding in coding(), text in prop::collection::vec(any::<u8>(), 0..5000), sizes in prop::collection::vec(1..700_usize, 1..8)) {
        let (mut encoder, mut encoded) = (Encoder::new(coding), Vec::new());
        for (chunk, size) in text.chunks(sizes[0]).zip(sizes.iter().cycle()) {
            encoder.push(chunk, &mut encoded);
            if size % 3 == 0 {
                encoder.flush(&mut encoded);
            }
        }
        encoder.finish(&mut encoded);
        let mut rest = &encoded[..];
        let mut sizes = sizes.iter().cycle();
        let chunks = std::iter::from_fn(|| {
            let (chunk, left) = rest.split_at(rest.len().min(*sizes.next()?));
            rest = left;
            (!chunk.is_empty()).then_some(chunk)
        });
        prop_assert_eq!(decode_chunks(coding, DecodeBounds::default(), chunks), Ok(text));
    }

    #[test]
    fn damage_is_cut_or_harmless(coding in coding(), at in any::<prop::sample::Index>(), flip in 1..=255_u8) {
        let text = &sample()[..2000];
        let mut encoded = encode(coding, text);
        let at = at.index(encoded.len());
        encoded[at] ^= flip;
        let whole = decode_chunks(coding, DecodeBounds::default(), [&encoded[..]]);
        let bytes = decode_chunks(coding, DecodeBounds::default(), encoded.chunks(1));
        prop_assert_eq!(whole.is_ok(), bytes.is_ok());
        // gzip and zlib have checksums: what passes is what was sent.
        if matches!(coding, Coding::Gzip | Coding::Deflate) && let Ok(decoded) = whole {
            prop_assert_eq!(decoded, text);
        }
    }

    #[test]
    fn any_bytes_are_taken(coding in coding(), bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode_chunks(coding, DecodeBounds::default(), bytes.chunks(7));
    }

    #[test]
    fn any_header_is_taken(text in "[a-z*,;=q.0-9 \t-]{0,60}") {
        let _ = Coding::negotiate(Some(&text));
        let _ = Coding::parse_content_encoding(&text);
    }
}
