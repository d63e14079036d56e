//! Snappy, raw and in the framing of Java's xerial library, which Kafka's Java clients write.
//!
//! | at | bytes | field |
//! |---|---|---|
//! | 0 | 8 | 0x82 "SNAPPY" 0x00 |
//! | 8 | 4 | version 1, big-endian |
//! | 12 | 4 | lowest compatible version 1, big-endian |
//! | 16 | | chunks: length (4 bytes, big-endian), one raw Snappy block of at most 32 KiB of data |

use super::{Codec, RecordError};

const XERIAL_MAGIC: [u8; 8] = *b"\x82SNAPPY\0";
const XERIAL_HEADER: [u8; 16] = *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
const XERIAL_BLOCK_LENGTH: usize = 32 * 1024;
/// A block cannot grow by more: its densest element copies 64 bytes and takes three.
const GROWTH_MAX: usize = 22;

pub(super) fn decompress(bytes: &[u8], limit: usize) -> Result<Vec<u8>, RecordError> {
    let mut out = Vec::new();
    if !bytes.starts_with(&XERIAL_MAGIC) {
        append_block(&mut out, bytes, limit)?;
        return Ok(out);
    }
    let mut rest = bytes;
    while !rest.is_empty() {
        // Streams may be concatenated: a header can stand where a chunk is expected.
        if rest.starts_with(&XERIAL_MAGIC) {
            rest = rest
                .get(XERIAL_HEADER.len()..)
                .ok_or_else(|| RecordError::corrupt(Codec::Snappy, "cut-off stream header"))?;
            continue;
        }
        let chunk = rest
            .split_first_chunk()
            .and_then(|(length, rest)| rest.split_at_checked(u32::from_be_bytes(*length) as usize));
        let Some((block, after)) = chunk else { return Err(RecordError::corrupt(Codec::Snappy, "cut-off chunk")) };
        append_block(&mut out, block, limit)?;
        rest = after;
    }
    Ok(out)
}

/// Appends what one raw block inflates to.
fn append_block(out: &mut Vec<u8>, block: &[u8], limit: usize) -> Result<(), RecordError> {
    let claimed = snap::raw::decompress_len(block).map_err(|error| RecordError::corrupt(Codec::Snappy, error))?;
    let start = out.len();
    if claimed > limit.saturating_sub(start) {
        return Err(RecordError::TooLarge { codec: Codec::Snappy, limit });
    }
    if claimed > block.len().saturating_mul(GROWTH_MAX) {
        return Err(RecordError::corrupt(Codec::Snappy, "the block claims more data than it can hold"));
    }
    out.resize(start + claimed, 0);
    let place = out.get_mut(start..).unwrap_or_default();
    let written = snap::raw::Decoder::new()
        .decompress(block, place)
        .map_err(|error| RecordError::corrupt(Codec::Snappy, error))?;
    out.truncate(start + written);
    Ok(())
}

pub(super) fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut out = XERIAL_HEADER.to_vec();
    let mut encoder = snap::raw::Encoder::new();
    for block in bytes.chunks(XERIAL_BLOCK_LENGTH) {
        let compressed = encoder.compress_vec(block).expect("a block of 32 KiB is within Snappy's bounds");
        out.extend_from_slice(&(compressed.len() as u32).to_be_bytes());
        out.extend_from_slice(&compressed);
    }
    out
}
