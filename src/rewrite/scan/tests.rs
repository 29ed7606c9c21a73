//! Every tier against a plain loop.

use super::*;

/// Byte by byte, for comparison.
fn plain(bytes: &[u8]) -> (Vec<u32>, bool) {
    let (mut places, mut in_string, mut escaped, mut good) = (Vec::new(), false, false, true);
    for (at, byte) in bytes.iter().enumerate() {
        let was_escaped = escaped;
        escaped = *byte == b'\\' && !was_escaped;
        if was_escaped {
            good &= in_string;
            good &= match byte {
                b'u' => bytes[at + 1..bytes.len().min(at + 5)].iter().all(u8::is_ascii_hexdigit),
                byte => b"\"\\/bfnrt".contains(byte),
            };
        }
        match byte {
            b'"' if !was_escaped => {
                in_string = !in_string;
                if in_string {
                    places.push(u32::try_from(at).expect("small"));
                }
            }
            b'{' | b'}' | b'[' | b']' | b':' | b',' if !in_string => {
                places.push(u32::try_from(at).expect("small"))
            }
            0..0x20 if in_string => good = false,
            _ => {}
        }
    }
    (places, good && (in_string || !escaped))
}

#[test]
fn every_tier_finds_what_the_plain_loop_finds() {
    let tiers = [Tier::Scalar, Tier::Baseline, Tier::Avx2, Tier::Avx512];
    let mut state = 88_172_645_463_325_252u64;
    let mut next = |n: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % n as u64).expect("small")
    };
    for round in 0..4000 {
        let alphabet: &[u8] = match round % 3 {
            0 => b"\"\\{}[]:,abu0019 \nn\x80\xff",
            1 => b"\"abcdefgh:,{}[]n\\n0123[]<>;|^*zZ",
            _ => b"[]{}[]{}[],::,0",
        };
        let text: Vec<u8> = (0..next(300)).map(|_| alphabet[next(alphabet.len())]).collect();
        let (places, good) = plain(&text);
        for tier in tiers.into_iter().filter(|tier| *tier <= Tier::supported()) {
            let mut index = Vec::new();
            let scanned = scan(&text, tier, &mut index);
            if good {
                assert_eq!(index, places, "{tier:?} {:?}", String::from_utf8_lossy(&text));
                assert_eq!(scanned.clean_to, text.len(), "{tier:?}");
            } else {
                assert!(scanned.clean_to < text.len(), "{tier:?} {:?}", String::from_utf8_lossy(&text));
                assert!(places.starts_with(&index), "{tier:?}");
            }
        }
    }
}

#[test]
fn every_tier_marks_what_the_plain_loop_marks() {
    let mut state = 88_172_645_463_325_252u64;
    for length in 0..400usize {
        let text: Vec<u8> = (0..length)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                let bytes = b"abc;,\t\r\n\"\x00\x1f\x20\x80\xff\xe4\xac-\x7f!#";
                bytes[usize::try_from(state % bytes.len() as u64).expect("small")]
            })
            .collect();
        for delimiter in [b',', b';', b'\t'] {
            let marked = |byte: u8| byte == delimiter || byte == b'"' || byte < 0x20;
            let places: Vec<u32> =
                (0..).zip(&text).filter(|(_, byte)| marked(**byte)).map(|(at, _)| at).collect();
            for tier in [Tier::Scalar, Tier::Baseline, Tier::Avx2, Tier::Avx512] {
                if tier <= Tier::supported() {
                    let mut index = Vec::new();
                    marks(&text, delimiter, tier, &mut index);
                    assert_eq!(index, places, "{tier:?}");
                }
            }
        }
    }
}
