//! AVX-512, AVX2 and SSE2.

use std::arch::x86_64::{
    __m128i, __m256i, __m512i, _MM_HINT_T1, _mm_clmulepi64_si128, _mm_cmpeq_epi8, _mm_cvtsi128_si64,
    _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_prefetch, _mm_set_epi64x,
    _mm_set1_epi8, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_min_epu8, _mm256_movemask_epi8,
    _mm256_or_si256, _mm256_set1_epi8, _mm512_add_epi32, _mm512_cmpeq_epi8_mask, _mm512_cmplt_epu8_mask,
    _mm512_cvtepu8_epi32, _mm512_extracti32x4_epi32, _mm512_loadu_si512, _mm512_maskz_compress_epi8,
    _mm512_or_si512, _mm512_set1_epi8, _mm512_set1_epi32, _mm512_storeu_si512,
};

use super::{Block, Carry, Places, Scanned, append, mark_blocks, prefix_xor_shifts, scan_blocks};

#[inline(always)]
fn prefix_xor_multiply(bits: u64) -> u64 {
    // SAFETY: called only from functions that are compiled for carry-less multiplication.
    unsafe {
        let product = _mm_clmulepi64_si128::<0>(_mm_set_epi64x(0, bits as i64), _mm_set1_epi8(-1));
        _mm_cvtsi128_si64(product) as u64
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,pclmulqdq,bmi1,popcnt,avx2")]
pub(super) unsafe fn scan_avx512(bytes: &[u8], index: &mut Vec<u32>) -> Scanned {
    scan_blocks!(bytes, index, classify_avx512, prefix_xor_multiply, append_avx512)
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
    scan_blocks!(bytes, index, classify_avx2, prefix_xor_multiply, append)
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
    scan_blocks!(bytes, index, classify_sse2, prefix_xor_shifts, append)
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

/// Appends the places of the set bits: sixteen without a branch, more where there are more.
#[inline(always)]
fn append_avx512(bits: u64, at: u32, places: &mut Places<'_>) {
    const NUMBERS: [u8; 64] = {
        let mut numbers = [0; 64];
        let mut number = 0;
        while number < 64 {
            numbers[number] = number as u8;
            number += 1;
        }
        numbers
    };
    let count = bits.count_ones() as usize;
    // SAFETY: called only from functions that are compiled for AVX-512 with compression of bytes. `Places` has room for
    // 64 elements behind its length for this block; the stores of 16 start at most 48 elements behind it, and what the
    // last length counts has been written in order.
    unsafe {
        let to = places.index.as_mut_ptr().add(places.length);
        let found = _mm512_maskz_compress_epi8(bits, _mm512_loadu_si512(NUMBERS.as_ptr().cast()));
        let at = _mm512_set1_epi32(at as i32);
        macro_rules! store {
            ($quarter:literal) => {
                let numbers = _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32::<$quarter>(found));
                _mm512_storeu_si512(to.add($quarter * 16).cast(), _mm512_add_epi32(at, numbers));
            };
        }
        store!(0);
        if count > 16 {
            store!(1);
            if count > 32 {
                store!(2);
                store!(3);
            }
        }
    }
    places.length += count;
}

/// See [`super::prefetch`].
#[inline(always)]
pub(super) fn prefetch(byte: &u8) {
    // SAFETY: SSE is part of x86-64; the hint reads nothing, and the place is valid.
    unsafe { _mm_prefetch::<_MM_HINT_T1>(std::ptr::from_ref(byte).cast()) }
}

// === separated values ===

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,bmi1,popcnt,avx2")]
pub(super) unsafe fn marks_avx512(bytes: &[u8], delimiter: u8, index: &mut Vec<u32>) {
    mark_blocks!(bytes, delimiter, index, classify_marks_avx512, append_avx512)
}

#[inline(always)]
fn classify_marks_avx512(block: &[u8; 64], delimiter: u8) -> u64 {
    // SAFETY: called only from `marks_avx512`; the load is of the 64 bytes of `block`, unaligned.
    unsafe {
        let bytes: __m512i = _mm512_loadu_si512(block.as_ptr().cast());
        _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(delimiter as i8))
            | _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(b'"' as i8))
            | _mm512_cmplt_epu8_mask(bytes, _mm512_set1_epi8(0x20))
    }
}

#[target_feature(enable = "avx2,bmi1,popcnt")]
pub(super) unsafe fn marks_avx2(bytes: &[u8], delimiter: u8, index: &mut Vec<u32>) {
    mark_blocks!(bytes, delimiter, index, classify_marks_avx2, append)
}

#[inline(always)]
fn classify_marks_avx2(block: &[u8; 64], delimiter: u8) -> u64 {
    let (halves, _) = block.as_chunks::<32>();
    halves
        .iter()
        .enumerate()
        .fold(0, |marks, (number, half)| marks | half_marks_avx2(half, delimiter) << (number * 32))
}

#[inline(always)]
fn half_marks_avx2(half: &[u8; 32], delimiter: u8) -> u64 {
    // SAFETY: called only from `marks_avx2`; the load is of the 32 bytes of `half`, unaligned.
    unsafe {
        let bytes: __m256i = _mm256_loadu_si256(half.as_ptr().cast());
        let control = _mm256_cmpeq_epi8(_mm256_min_epu8(bytes, _mm256_set1_epi8(0x1F)), bytes);
        let signs = _mm256_or_si256(
            _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(delimiter as i8)),
            _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(b'"' as i8)),
        );
        u64::from(_mm256_movemask_epi8(_mm256_or_si256(signs, control)) as u32)
    }
}

#[target_feature(enable = "sse2")]
pub(super) unsafe fn marks_sse2(bytes: &[u8], delimiter: u8, index: &mut Vec<u32>) {
    mark_blocks!(bytes, delimiter, index, classify_marks_sse2, append)
}

#[inline(always)]
fn classify_marks_sse2(block: &[u8; 64], delimiter: u8) -> u64 {
    let (quarters, _) = block.as_chunks::<16>();
    quarters.iter().enumerate().fold(0, |marks, (number, quarter)| {
        // SAFETY: SSE2 is part of x86-64; the load is of the 16 bytes of `quarter`, unaligned.
        let found = unsafe {
            let bytes: __m128i = _mm_loadu_si128(quarter.as_ptr().cast());
            let control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1F)), bytes);
            let signs = _mm_or_si128(
                _mm_cmpeq_epi8(bytes, _mm_set1_epi8(delimiter as i8)),
                _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"' as i8)),
            );
            _mm_movemask_epi8(_mm_or_si128(signs, control)) as u32
        };
        marks | u64::from(found) << (number * 16)
    })
}
