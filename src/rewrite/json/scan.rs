//! The first stage: 64 bytes at a time into bit masks, and from these the places of all brackets, colons, commas and
//! opening quotes outside strings. All `unsafe` of the engine is here, behind [`scan`].
//!
//! One function for each instruction set, made by one macro from a classifier of 64 bytes; they do the same as the
//! scalar one, which the tests compare them with. [`Tier::best`] asks the processor once.

use std::sync::OnceLock;

/// Instruction sets, from the fewest to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tier {
    /// None beyond the language.
    Scalar,
    /// What every 64-bit x86 or ARM processor has.
    Baseline,
    /// AVX2 with carry-less multiplication.
    Avx2,
    /// AVX-512 on bytes.
    Avx512,
}

/// Where the scan stopped to be sure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scanned {
    /// Strings up to here hold no control characters and only well-formed escapes, and escapes are only in strings.
    pub(crate) clean_to: usize,
}

/// What is at 64 places.
#[derive(Clone, Copy, Debug)]
struct Block {
    quote: u64,
    backslash: u64,
    structural: u64,
    control: u64,
}

impl Tier {
    /// The best this processor has. `FIELDGATE_SIMD` (`scalar`, `baseline`, `avx2`, `avx512`) caps it, for benches.
    pub(crate) fn best() -> Self {
        static BEST: OnceLock<Tier> = OnceLock::new();
        *BEST.get_or_init(|| {
            let cap = match std::env::var("FIELDGATE_SIMD").as_deref() {
                Ok("scalar") => Self::Scalar,
                Ok("baseline") => Self::Baseline,
                Ok("avx2") => Self::Avx2,
                _ => Self::Avx512,
            };
            Self::supported().min(cap)
        })
    }

    #[cfg(target_arch = "x86_64")]
    fn supported() -> Self {
        let avx2 = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("pclmulqdq")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("popcnt");
        if avx2 && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") {
            Self::Avx512
        } else if avx2 {
            Self::Avx2
        } else {
            Self::Baseline
        }
    }

    #[cfg(target_arch = "aarch64")]
    fn supported() -> Self {
        Self::Baseline
    }

    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    fn supported() -> Self {
        Self::Scalar
    }
}

/// Appends the places of structural characters and opening quotes in `bytes` to `index`, counted from the start of
/// `bytes`, which must not lie inside a string.
pub(crate) fn scan(bytes: &[u8], tier: Tier, index: &mut Vec<u32>) -> Scanned {
    match tier {
        // SAFETY: the tier was given by `Tier::best`, which asked the processor for these features.
        #[cfg(target_arch = "x86_64")]
        Tier::Avx512 => unsafe { x86::scan_avx512(bytes, index) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Tier::Avx2 => unsafe { x86::scan_avx2(bytes, index) },
        // SAFETY: SSE2 is part of every x86-64 processor.
        #[cfg(target_arch = "x86_64")]
        Tier::Baseline => unsafe { x86::scan_sse2(bytes, index) },
        // SAFETY: NEON is part of every 64-bit ARM processor.
        #[cfg(target_arch = "aarch64")]
        Tier::Baseline | Tier::Avx2 | Tier::Avx512 => unsafe { arm::scan_neon(bytes, index) },
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        Tier::Baseline | Tier::Avx2 | Tier::Avx512 => scan_scalar(bytes, index),
        Tier::Scalar => scan_scalar(bytes, index),
    }
}

/// The loop over blocks. `$classify` is an `inline(always)` function; `$prefix_xor` another.
macro_rules! scan_blocks {
    ($bytes:expr, $index:expr, $classify:path, $prefix_xor:path) => {{
        let (bytes, index): (&[u8], &mut Vec<u32>) = ($bytes, $index);
        let mut carry = Carry::default();
        let mut at = 0usize;
        let (blocks, tail) = bytes.as_chunks::<64>();
        for block in blocks {
            let masks = $classify(block);
            if !carry.take(masks, at, bytes, index, $prefix_xor) {
                return Scanned { clean_to: at };
            }
            at += 64;
        }
        let mut last = [b' '; 64];
        if let Some(to) = last.get_mut(..tail.len()) {
            to.copy_from_slice(tail);
        }
        if !carry.take($classify(&last), at, bytes, index, $prefix_xor) {
            return Scanned { clean_to: at };
        }
        Scanned { clean_to: bytes.len() }
    }};
}

/// What goes over from one block to the next.
#[derive(Debug, Default)]
struct Carry {
    /// The first byte of the block is escaped.
    escaped: u64,
    /// All ones: the block starts inside a string.
    in_string: u64,
}

impl Carry {
    /// Takes a block in; `false`: something in it must be looked at byte by byte.
    #[inline(always)]
    fn take(
        &mut self,
        block: Block,
        at: usize,
        bytes: &[u8],
        index: &mut Vec<u32>,
        prefix_xor: impl Fn(u64) -> u64,
    ) -> bool {
        let mut escaped = 0;
        if block.backslash | self.escaped != 0 {
            escaped = self.escapes(block.backslash);
            if !escapes_are_good(escaped, at, bytes) {
                return false;
            }
        }
        let quote = block.quote & !escaped;
        let in_string = prefix_xor(quote) ^ self.in_string;
        self.in_string = ((in_string as i64) >> 63) as u64;
        // Outside strings nothing is escaped: the quote behind such a backslash must not be taken for part of a string.
        if (block.control & in_string) | (escaped & !in_string) != 0 {
            return false;
        }
        // An opening quote starts a string: it is inside by the mask, a closing one is not.
        append((block.structural & !in_string) | (quote & in_string), at as u32, index);
        true
    }

    /// Which bytes are escaped: those behind an odd number of backslashes.
    #[inline(always)]
    fn escapes(&mut self, backslash: u64) -> u64 {
        const EVEN: u64 = 0x5555_5555_5555_5555;
        let backslash = backslash & !self.escaped;
        let follows = backslash << 1 | self.escaped;
        let odd_starts = backslash & !EVEN & !follows;
        let (sequences, over) = odd_starts.overflowing_add(backslash);
        self.escaped = u64::from(over);
        (EVEN ^ (sequences << 1)) & follows
    }
}

/// Whether all escapes that end inside `bytes` are those of RFC 8259 section 7.
fn escapes_are_good(mut escaped: u64, at: usize, bytes: &[u8]) -> bool {
    while escaped != 0 {
        let place = at + escaped.trailing_zeros() as usize;
        escaped &= escaped - 1;
        match bytes.get(place) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') | None => {}
            Some(b'u') => {
                let digits = bytes.get(place + 1..bytes.len().min(place + 5)).unwrap_or_default();
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return false;
                }
            }
            Some(_) => return false,
        }
    }
    true
}

/// Appends the places of the set bits, eight at a time without a branch for each.
#[inline(always)]
fn append(mut bits: u64, at: u32, index: &mut Vec<u32>) {
    let count = bits.count_ones() as usize;
    let length = index.len();
    index.reserve(64);
    // SAFETY: 64 elements are reserved behind `length`; at most 64 are written, of which `count` are initialised in
    // order before the length says so.
    unsafe {
        let mut to = index.as_mut_ptr().add(length);
        let end = to.add(count);
        while to < end {
            for step in 0..8 {
                to.add(step).write(at.wrapping_add(bits.trailing_zeros()));
                bits &= bits.wrapping_sub(1);
            }
            to = to.add(8);
        }
        index.set_len(length + count);
    }
}

/// Every bit becomes the exclusive or of itself and all below.
#[inline(always)]
fn prefix_xor_shifts(mut bits: u64) -> u64 {
    bits ^= bits << 1;
    bits ^= bits << 2;
    bits ^= bits << 4;
    bits ^= bits << 8;
    bits ^= bits << 16;
    bits ^ bits << 32
}

// === scalar ===

fn scan_scalar(bytes: &[u8], index: &mut Vec<u32>) -> Scanned {
    scan_blocks!(bytes, index, classify_scalar, prefix_xor_shifts)
}

/// Eight bytes at a time in one word.
#[inline(always)]
fn classify_scalar(block: &[u8; 64]) -> Block {
    let mut masks = Block { quote: 0, backslash: 0, structural: 0, control: 0 };
    let (words, _) = block.as_chunks::<8>();
    for (number, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let shift = number * 8;
        let folded = word | 0x2020_2020_2020_2020;
        masks.quote |= equal(word, b'"') << shift;
        masks.backslash |= equal(word, b'\\') << shift;
        let brackets = equal(folded, b'{') | equal(folded, b'}');
        masks.structural |= (brackets | equal(word, b':') | equal(word, b',')) << shift;
        masks.control |= below_space(word) << shift;
    }
    masks
}

const LOW_BITS: u64 = 0x7F7F_7F7F_7F7F_7F7F;

/// One bit for each byte of the word that is `byte`.
#[inline(always)]
fn equal(word: u64, byte: u8) -> u64 {
    let differs = word ^ (0x0101_0101_0101_0101 * u64::from(byte));
    gather(!(((differs & LOW_BITS) + LOW_BITS) | differs | LOW_BITS))
}

/// One bit for each byte of the word that is below a space.
#[inline(always)]
fn below_space(word: u64) -> u64 {
    gather(!(((word & LOW_BITS) + 0x6060_6060_6060_6060) | word | LOW_BITS))
}

/// The high bits of eight bytes, side by side.
#[inline(always)]
fn gather(high_bits: u64) -> u64 {
    (high_bits >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

// === x86 ===

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m128i, __m256i, __m512i, _mm_clmulepi64_si128, _mm_cmpeq_epi8, _mm_cvtsi128_si64, _mm_loadu_si128,
        _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8, _mm256_cmpeq_epi8,
        _mm256_loadu_si256, _mm256_min_epu8, _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi8,
        _mm512_cmpeq_epi8_mask, _mm512_cmplt_epu8_mask, _mm512_loadu_si512, _mm512_or_si512,
        _mm512_set1_epi8,
    };

    use super::{Block, Carry, Scanned, prefix_xor_shifts};

    #[inline(always)]
    fn prefix_xor_multiply(bits: u64) -> u64 {
        // SAFETY: called only from functions that are compiled for carry-less multiplication.
        unsafe {
            let product = _mm_clmulepi64_si128::<0>(_mm_set_epi64x(0, bits as i64), _mm_set1_epi8(-1));
            _mm_cvtsi128_si64(product) as u64
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,pclmulqdq,bmi1,popcnt,avx2")]
    pub(super) unsafe fn scan_avx512(bytes: &[u8], index: &mut Vec<u32>) -> Scanned {
        scan_blocks!(bytes, index, classify_avx512, prefix_xor_multiply)
    }

    #[inline(always)]
    fn classify_avx512(block: &[u8; 64]) -> Block {
        // SAFETY: called only from `scan_avx512`; the load is of the 64 bytes of `block`, unaligned.
        unsafe {
            let bytes: __m512i = _mm512_loadu_si512(block.as_ptr().cast());
            let folded = _mm512_or_si512(bytes, _mm512_set1_epi8(0x20));
            let is = |byte: u8| _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(byte as i8));
            let folds = |byte: u8| _mm512_cmpeq_epi8_mask(folded, _mm512_set1_epi8(byte as i8));
            Block {
                quote: is(b'"'),
                backslash: is(b'\\'),
                structural: folds(b'{') | folds(b'}') | is(b':') | is(b','),
                control: _mm512_cmplt_epu8_mask(bytes, _mm512_set1_epi8(0x20)),
            }
        }
    }

    #[target_feature(enable = "avx2,pclmulqdq,bmi1,popcnt")]
    pub(super) unsafe fn scan_avx2(bytes: &[u8], index: &mut Vec<u32>) -> Scanned {
        scan_blocks!(bytes, index, classify_avx2, prefix_xor_multiply)
    }

    #[inline(always)]
    fn classify_avx2(block: &[u8; 64]) -> Block {
        let (low, high) = block.split_at(32);
        let (low, high) = (half_avx2(low), half_avx2(high));
        join([low, high], 32)
    }

    #[inline(always)]
    fn half_avx2(half: &[u8]) -> Block {
        // SAFETY: called only from `scan_avx2` with 32 bytes; the load is unaligned.
        unsafe {
            let bytes: __m256i = _mm256_loadu_si256(half.as_ptr().cast());
            let folded = _mm256_or_si256(bytes, _mm256_set1_epi8(0x20));
            macro_rules! equal {
                ($a:expr, $byte:expr) => {
                    _mm256_cmpeq_epi8($a, _mm256_set1_epi8($byte as i8))
                };
            }
            macro_rules! mask {
                ($bits:expr) => {
                    u64::from(_mm256_movemask_epi8($bits) as u32)
                };
            }
            let brackets = _mm256_or_si256(equal!(folded, b'{'), equal!(folded, b'}'));
            let others = _mm256_or_si256(equal!(bytes, b':'), equal!(bytes, b','));
            Block {
                quote: mask!(equal!(bytes, b'"')),
                backslash: mask!(equal!(bytes, b'\\')),
                structural: mask!(_mm256_or_si256(brackets, others)),
                control: mask!(_mm256_cmpeq_epi8(_mm256_min_epu8(bytes, _mm256_set1_epi8(0x1F)), bytes)),
            }
        }
    }

    #[target_feature(enable = "sse2")]
    pub(super) unsafe fn scan_sse2(bytes: &[u8], index: &mut Vec<u32>) -> Scanned {
        scan_blocks!(bytes, index, classify_sse2, prefix_xor_shifts)
    }

    #[inline(always)]
    fn classify_sse2(block: &[u8; 64]) -> Block {
        let (quarters, _) = block.as_chunks::<16>();
        let mut joined = Block { quote: 0, backslash: 0, structural: 0, control: 0 };
        for (number, quarter) in quarters.iter().enumerate() {
            let part = quarter_sse2(quarter);
            let shift = number * 16;
            joined.quote |= part.quote << shift;
            joined.backslash |= part.backslash << shift;
            joined.structural |= part.structural << shift;
            joined.control |= part.control << shift;
        }
        joined
    }

    #[inline(always)]
    fn quarter_sse2(quarter: &[u8; 16]) -> Block {
        // SAFETY: SSE2 is part of x86-64; the load is of the 16 bytes of `quarter`, unaligned.
        unsafe {
            let bytes: __m128i = _mm_loadu_si128(quarter.as_ptr().cast());
            let folded = _mm_or_si128(bytes, _mm_set1_epi8(0x20));
            macro_rules! equal {
                ($a:expr, $byte:expr) => {
                    _mm_cmpeq_epi8($a, _mm_set1_epi8($byte as i8))
                };
            }
            macro_rules! mask {
                ($bits:expr) => {
                    u64::from(_mm_movemask_epi8($bits) as u32)
                };
            }
            let brackets = _mm_or_si128(equal!(folded, b'{'), equal!(folded, b'}'));
            let others = _mm_or_si128(equal!(bytes, b':'), equal!(bytes, b','));
            Block {
                quote: mask!(equal!(bytes, b'"')),
                backslash: mask!(equal!(bytes, b'\\')),
                structural: mask!(_mm_or_si128(brackets, others)),
                control: mask!(_mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1F)), bytes)),
            }
        }
    }

    #[inline(always)]
    fn join([low, high]: [Block; 2], shift: u32) -> Block {
        Block {
            quote: low.quote | high.quote << shift,
            backslash: low.backslash | high.backslash << shift,
            structural: low.structural | high.structural << shift,
            control: low.control | high.control << shift,
        }
    }
}

// === ARM ===

#[cfg(target_arch = "aarch64")]
mod arm {
    use std::arch::aarch64::{
        uint8x16_t, vaddv_u8, vandq_u8, vceqq_u8, vcltq_u8, vdupq_n_u8, vget_high_u8, vget_low_u8, vld1q_u8,
        vorrq_u8,
    };

    use super::{Block, Carry, Scanned, prefix_xor_shifts};

    #[target_feature(enable = "neon")]
    pub(super) unsafe fn scan_neon(bytes: &[u8], index: &mut Vec<u32>) -> Scanned {
        scan_blocks!(bytes, index, classify_neon, prefix_xor_shifts)
    }

    #[inline(always)]
    fn classify_neon(block: &[u8; 64]) -> Block {
        let mut joined = Block { quote: 0, backslash: 0, structural: 0, control: 0 };
        let (quarters, _) = block.as_chunks::<16>();
        for (number, quarter) in quarters.iter().enumerate() {
            let shift = number * 16;
            // SAFETY: NEON is part of every 64-bit ARM processor; the load is of the 16 bytes of `quarter`.
            unsafe {
                let bytes: uint8x16_t = vld1q_u8(quarter.as_ptr());
                let folded = vorrq_u8(bytes, vdupq_n_u8(0x20));
                let brackets =
                    vorrq_u8(vceqq_u8(folded, vdupq_n_u8(b'{')), vceqq_u8(folded, vdupq_n_u8(b'}')));
                let others = vorrq_u8(vceqq_u8(bytes, vdupq_n_u8(b':')), vceqq_u8(bytes, vdupq_n_u8(b',')));
                joined.quote |= mask(vceqq_u8(bytes, vdupq_n_u8(b'"'))) << shift;
                joined.backslash |= mask(vceqq_u8(bytes, vdupq_n_u8(b'\\'))) << shift;
                joined.structural |= mask(vorrq_u8(brackets, others)) << shift;
                joined.control |= mask(vcltq_u8(bytes, vdupq_n_u8(0x20))) << shift;
            }
        }
        joined
    }

    /// One bit for each byte that is all ones.
    #[inline(always)]
    unsafe fn mask(ones: uint8x16_t) -> u64 {
        const BITS: [u8; 16] = [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128];
        // SAFETY: NEON is part of every 64-bit ARM processor; the load is of the 16 bytes of `BITS`.
        unsafe {
            let bits = vandq_u8(ones, vld1q_u8(BITS.as_ptr()));
            u64::from(vaddv_u8(vget_low_u8(bits))) | u64::from(vaddv_u8(vget_high_u8(bits))) << 8
        }
    }
}

#[cfg(test)]
mod tests {
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
            let alphabet: &[u8] = if round % 2 == 0 {
                b"\"\\{}[]:,abu0019 \nn\x80\xff"
            } else {
                b"\"abcdefgh:,{}[]n\\n0123[]<>;|^*zZ"
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
}
