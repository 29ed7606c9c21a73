//! NEON.

use std::arch::aarch64::{
    uint8x16_t, vaddv_u8, vandq_u8, vceqq_u8, vcltq_u8, vdupq_n_u8, vget_high_u8, vget_low_u8, vld1q_u8,
    vorrq_u8,
};

use super::{Block, Carry, Places, Scanned, append, mark_blocks, prefix_xor_shifts, scan_blocks};

#[target_feature(enable = "neon")]
pub(super) unsafe fn scan_neon(bytes: &[u8], index: &mut Vec<u32>) -> Scanned {
    scan_blocks!(bytes, index, classify_neon, prefix_xor_shifts, append)
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
            let brackets = vorrq_u8(vceqq_u8(folded, vdupq_n_u8(b'{')), vceqq_u8(folded, vdupq_n_u8(b'}')));
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

#[target_feature(enable = "neon")]
pub(super) unsafe fn marks_neon(bytes: &[u8], delimiter: u8, index: &mut Vec<u32>) {
    mark_blocks!(bytes, delimiter, index, classify_marks_neon, append)
}

#[inline(always)]
fn classify_marks_neon(block: &[u8; 64], delimiter: u8) -> u64 {
    let (quarters, _) = block.as_chunks::<16>();
    quarters.iter().enumerate().fold(0, |marks, (number, quarter)| {
        // SAFETY: NEON is part of every 64-bit ARM processor; the load is of the 16 bytes of `quarter`.
        let found = unsafe {
            let bytes: uint8x16_t = vld1q_u8(quarter.as_ptr());
            let signs = vorrq_u8(vceqq_u8(bytes, vdupq_n_u8(delimiter)), vceqq_u8(bytes, vdupq_n_u8(b'"')));
            mask(vorrq_u8(signs, vcltq_u8(bytes, vdupq_n_u8(0x20))))
        };
        marks | found << (number * 16)
    })
}
