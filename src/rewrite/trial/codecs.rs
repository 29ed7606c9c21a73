//! Compressed answers: what is decoded is what was encoded, for every cut, and what is damaged is cut the same way for
//! every cut. gzip and deflate are also compared with another reader.

use std::io::Read as _;

use super::super::codec::{Coding, DecodeBounds, Decoder, Encoder};
use super::super::{Cut, CutReason};
use super::Dice;

const CODINGS: [Coding; 5] = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd, Coding::Identity];
const BOUNDS: DecodeBounds = DecodeBounds { ratio: 1000, bytes: 1 << 20 };

/// The coding, then the bytes of an answer: coded already, to be coded, or to be coded and then damaged.
pub(crate) fn fuzz(data: &[u8]) {
    let Some(([mode, size, seed], rest)) = data.split_first_chunk::<3>() else { return };
    let coding = CODINGS[usize::from(*mode) % CODINGS.len()];
    let size = usize::from(*size) + 1;
    match mode / 5 % 3 {
        0 => check(coding, rest, size),
        1 => {
            let coded = encode(coding, rest, size);
            assert_eq!(decode(coding, &coded, coded.len()), (rest.to_vec(), None), "{coding:?}");
            check(coding, &coded, size);
        }
        _ => {
            let mut coded = encode(coding, rest, size);
            let mut dice = Dice::new(u64::from(*seed));
            for _ in 0..=dice.below(3) {
                let at = dice.below(coded.len().max(1));
                match dice.below(4) {
                    0 => coded.truncate(at),
                    1 => coded.insert(at.min(coded.len()), *seed),
                    2 => coded.extend_from_slice(&encode(coding, &rest[..at.min(rest.len())], size)),
                    _ => coded.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << dice.below(8)),
                }
            }
            check(coding, &coded, size);
        }
    }
}

fn check(coding: Coding, coded: &[u8], size: usize) {
    let (whole, cut) = decode(coding, coded, coded.len());
    let (pieces, same) = decode(coding, coded, size);
    // How much came out of how much is judged where a piece ends: the ratio may be exceeded in small pieces and not in
    // one, or before damage that a codec sees first when it has all at once.
    if cut != same {
        let bomb = [&cut, &same].contains(&&Some(CutReason::Bomb));
        assert!(bomb, "{coding:?} in pieces of {size}: {cut:?}, {same:?}");
    }
    if cut.is_none() && same.is_none() {
        assert_eq!(whole, pieces, "{coding:?} in pieces of {size}");
        let mut theirs = Vec::new();
        let read = match coding {
            Coding::Gzip => flate2::read::MultiGzDecoder::new(coded).read_to_end(&mut theirs),
            Coding::Deflate if is_zlib(coded) => {
                flate2::read::ZlibDecoder::new(coded).read_to_end(&mut theirs)
            }
            Coding::Deflate => flate2::read::DeflateDecoder::new(coded).read_to_end(&mut theirs),
            Coding::Brotli | Coding::Zstd | Coding::Identity => return,
        };
        assert!(read.is_ok() && theirs == whole, "{coding:?}: read as {read:?}");
    } else {
        assert!(whole.starts_with(&pieces) || pieces.starts_with(&whole), "{coding:?} in pieces of {size}");
    }
}

fn is_zlib(coded: &[u8]) -> bool {
    matches!(coded, [method, flags, ..] if method & 0x8f == 8 && (u16::from(*method) << 8 | u16::from(*flags)) % 31 == 0)
}

fn decode(coding: Coding, coded: &[u8], size: usize) -> (Vec<u8>, Option<CutReason>) {
    let (mut decoder, mut out) = (Decoder::new(coding, BOUNDS), Vec::new());
    let mut sink = |piece: &[u8]| -> Result<(), Cut> {
        out.extend_from_slice(piece);
        Ok(())
    };
    let decoded = coded.chunks(size.max(1)).try_for_each(|chunk| decoder.push(chunk, &mut sink));
    let cut = decoded.and_then(|()| decoder.finish()).err().map(|cut| cut.reason);
    assert!(out.len() as u64 <= BOUNDS.bytes);
    (out, cut)
}

fn encode(coding: Coding, text: &[u8], size: usize) -> Vec<u8> {
    let (mut encoder, mut out) = (Encoder::new(coding), Vec::new());
    for chunk in text.chunks(size) {
        encoder.push(chunk, &mut out);
        if size.is_multiple_of(3) {
            encoder.flush(&mut out);
        }
    }
    encoder.finish(&mut out);
    out
}
