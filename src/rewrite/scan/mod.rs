//! The first stage: 64 bytes at a time into bit masks, and from these the places that matter: in JSON all brackets,
//! colons, commas and opening quotes outside strings ([`scan`]), in separated values delimiters, quotes and control
//! characters ([`marks`]). All `unsafe` of the engine is in this module, behind these two.
//!
//! One function for each instruction set, made by one macro from a classifier of 64 bytes; they do the same as the
//! scalar one, which the tests compare them with. [`Tier::best`] asks the processor once.

#[cfg(target_arch = "aarch64")]
mod arm;
#[cfg(target_arch = "x86_64")]
mod x86;

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
    /// AVX-512 that compresses bytes.
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
        let avx512 = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vbmi2");
        if avx2 && avx512 {
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

/// Appends the places of all delimiters, quotes and bytes below a space to `index`, counted from the start of `bytes`.
pub(crate) fn marks(bytes: &[u8], delimiter: u8, tier: Tier, index: &mut Vec<u32>) {
    match tier {
        // SAFETY: the tier was given by `Tier::best`, which asked the processor for these features.
        #[cfg(target_arch = "x86_64")]
        Tier::Avx512 => unsafe { x86::marks_avx512(bytes, delimiter, index) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Tier::Avx2 => unsafe { x86::marks_avx2(bytes, delimiter, index) },
        // SAFETY: SSE2 is part of every x86-64 processor.
        #[cfg(target_arch = "x86_64")]
        Tier::Baseline => unsafe { x86::marks_sse2(bytes, delimiter, index) },
        // SAFETY: NEON is part of every 64-bit ARM processor.
        #[cfg(target_arch = "aarch64")]
        Tier::Baseline | Tier::Avx2 | Tier::Avx512 => unsafe { arm::marks_neon(bytes, delimiter, index) },
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        Tier::Baseline | Tier::Avx2 | Tier::Avx512 => marks_scalar(bytes, delimiter, index),
        Tier::Scalar => marks_scalar(bytes, delimiter, index),
    }
}

/// Asks for the memory at `at`, which will be scanned soon; a hint.
#[inline(always)]
pub(crate) fn prefetch(bytes: &[u8], at: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(byte) = bytes.get(at) {
        x86::prefetch(byte);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (bytes, at);
}

/// The loop over blocks. `$classify`, `$prefix_xor` and `$append` are `inline(always)` functions.
macro_rules! scan_blocks {
    ($bytes:expr, $index:expr, $classify:path, $prefix_xor:path, $append:path) => {{
        let bytes: &[u8] = $bytes;
        let mut places = Places::new(bytes, $index);
        let mut carry = Carry::default();
        let mut at = 0usize;
        let (blocks, tail) = bytes.as_chunks::<64>();
        for block in blocks {
            let masks = $classify(block);
            let Some(bits) = carry.take(masks, at, bytes, $prefix_xor) else {
                return Scanned { clean_to: at };
            };
            $append(bits, at as u32, &mut places);
            at += 64;
        }
        let mut last = [b' '; 64];
        if let Some(to) = last.get_mut(..tail.len()) {
            to.copy_from_slice(tail);
        }
        let Some(bits) = carry.take($classify(&last), at, bytes, $prefix_xor) else {
            return Scanned { clean_to: at };
        };
        $append(bits, at as u32, &mut places);
        Scanned { clean_to: bytes.len() }
    }};
}

/// The loop over blocks of separated values.
macro_rules! mark_blocks {
    ($bytes:expr, $delimiter:expr, $index:expr, $classify:path, $append:path) => {{
        let (bytes, delimiter): (&[u8], u8) = ($bytes, $delimiter);
        let mut places = Places::new(bytes, $index);
        let mut at = 0usize;
        let (blocks, tail) = bytes.as_chunks::<64>();
        for block in blocks {
            $append($classify(block, delimiter), at as u32, &mut places);
            at += 64;
        }
        let mut last = [b' '; 64];
        if let Some(to) = last.get_mut(..tail.len()) {
            to.copy_from_slice(tail);
        }
        let within = (1u64 << tail.len()) - 1;
        $append($classify(&last, delimiter) & within, at as u32, &mut places);
    }};
}

use {mark_blocks, scan_blocks};

/// The end of an index that has room for 64 places more than there are bytes, and 64 for each block is all that is added:
/// appending need not ask.
struct Places<'i> {
    index: &'i mut Vec<u32>,
    length: usize,
}

impl<'i> Places<'i> {
    #[inline(always)]
    fn new(bytes: &[u8], index: &'i mut Vec<u32>) -> Self {
        index.reserve(bytes.len() + 128);
        let length = index.len();
        Self { index, length }
    }
}

impl Drop for Places<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: the elements up to `length` have been written, and there is room for them.
        unsafe { self.index.set_len(self.length) }
    }
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
    /// Takes a block in and gives the places that matter; `None`: something in it must be looked at byte by byte.
    #[inline(always)]
    fn take(
        &mut self,
        block: Block,
        at: usize,
        bytes: &[u8],
        prefix_xor: impl Fn(u64) -> u64,
    ) -> Option<u64> {
        let mut escaped = 0;
        if block.backslash | self.escaped != 0 {
            escaped = self.escapes(block.backslash);
            if !escapes_are_good(escaped, at, bytes) {
                return None;
            }
        }
        let quote = block.quote & !escaped;
        let in_string = prefix_xor(quote) ^ self.in_string;
        self.in_string = ((in_string as i64) >> 63) as u64;
        // Outside strings nothing is escaped: the quote behind such a backslash must not be taken for part of a string.
        if (block.control & in_string) | (escaped & !in_string) != 0 {
            return None;
        }
        // An opening quote starts a string: it is inside by the mask, a closing one is not.
        Some((block.structural & !in_string) | (quote & in_string))
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
fn append(mut bits: u64, at: u32, places: &mut Places<'_>) {
    let count = bits.count_ones() as usize;
    // SAFETY: `Places` has room for 64 elements behind its length for this block; at most 64 are written, of which
    // `count` are initialised in order before the length says so.
    unsafe {
        let mut to = places.index.as_mut_ptr().add(places.length);
        let end = to.add(count);
        while to < end {
            for step in 0..8 {
                to.add(step).write(at.wrapping_add(bits.trailing_zeros()));
                bits &= bits.wrapping_sub(1);
            }
            to = to.add(8);
        }
    }
    places.length += count;
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
    scan_blocks!(bytes, index, classify_scalar, prefix_xor_shifts, append)
}

fn marks_scalar(bytes: &[u8], delimiter: u8, index: &mut Vec<u32>) {
    mark_blocks!(bytes, delimiter, index, classify_marks_scalar, append)
}

#[inline(always)]
fn classify_marks_scalar(block: &[u8; 64], delimiter: u8) -> u64 {
    let (words, _) = block.as_chunks::<8>();
    words.iter().enumerate().fold(0, |marks, (number, word)| {
        let word = u64::from_le_bytes(*word);
        let unmarked = differs(word, delimiter) & differs(word, b'"') & not_below_space(word);
        marks | others(unmarked) << (number * 8)
    })
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
        masks.quote |= others(differs(word, b'"')) << shift;
        masks.backslash |= others(differs(word, b'\\')) << shift;
        let no_bracket = differs(folded, b'{') & differs(folded, b'}');
        masks.structural |= others(no_bracket & differs(word, b':') & differs(word, b',')) << shift;
        masks.control |= others(not_below_space(word)) << shift;
    }
    masks
}

const LOW_BITS: u64 = 0x7F7F_7F7F_7F7F_7F7F;

/// The high bit of each byte of the word that is not `byte`; the other bits mean nothing.
#[inline(always)]
fn differs(word: u64, byte: u8) -> u64 {
    let differs = word ^ (0x0101_0101_0101_0101 * u64::from(byte));
    ((differs & LOW_BITS) + LOW_BITS) | differs
}

/// The high bit of each byte of the word that is a space or more; the other bits mean nothing.
#[inline(always)]
fn not_below_space(word: u64) -> u64 {
    ((word & LOW_BITS) + 0x6060_6060_6060_6060) | word
}

/// One bit for each byte whose high bit is not set, side by side.
#[inline(always)]
fn others(high_bits: u64) -> u64 {
    (!(high_bits | LOW_BITS) >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

#[cfg(test)]
mod tests;
