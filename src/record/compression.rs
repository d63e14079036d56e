//! The four codecs. Inflating streams and stops at the caller's limit, whatever length the bytes claim.

use std::io::{self, Read, Write};
use std::ops::RangeInclusive;

use super::{Codec, RecordError, snappy};

/// The largest window a Zstandard frame may ask for: what Kafka's own consumers accept, and what level 22 writes.
/// The window is touched only as far as output has been written, so the claim alone costs no memory.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
/// Inflated at a time.
const READ_BYTES: usize = 64 * 1024;
/// How many times as large the buffer of what was inflated gets when it is full: 64 KiB, 4 MiB, 256 MiB.
const BUFFER_GROWTH: usize = 64;

impl Codec {
    /// The levels that `compression.<codec>.level` may name; `None` for codecs without levels.
    pub fn levels(self) -> Option<RangeInclusive<i32>> {
        match self {
            Codec::None | Codec::Snappy => None,
            Codec::Gzip => Some(1..=9),
            Codec::Lz4 => Some(1..=17),
            Codec::Zstd => Some(-131_072..=22),
        }
    }

    /// Kafka's default level. (For gzip that is −1, which leaves the choice to the library.)
    pub fn default_level(self) -> Option<i32> {
        match self {
            Codec::None | Codec::Snappy => None,
            Codec::Gzip => Some(-1),
            Codec::Lz4 => Some(9),
            Codec::Zstd => Some(3),
        }
    }
}

/// Inflates `bytes`. More than `limit` bytes of output is [`RecordError::TooLarge`], found after inflating no
/// more than that; memory stays below about the limit and a sixteenth.
pub fn decompress(codec: Codec, bytes: &[u8], limit: usize) -> Result<Vec<u8>, RecordError> {
    match codec {
        Codec::None if bytes.len() > limit => Err(RecordError::TooLarge { codec, limit }),
        Codec::None => Ok(bytes.to_vec()),
        Codec::Gzip => read_all(codec, flate2::bufread::MultiGzDecoder::new(bytes), limit),
        Codec::Snappy => snappy::decompress(bytes, limit),
        Codec::Lz4 => read_all(codec, lz4_flex::frame::FrameDecoder::new(bytes), limit),
        Codec::Zstd => read_all(codec, zstd_reader(bytes).map_err(|error| RecordError::corrupt(codec, error))?, limit),
    }
}

/// Compresses `bytes`. `level` is clamped to [`Codec::levels`]; `None`, and −1 for gzip, is the default.
/// (The LZ4 encoder has one level only; it accepts the others.)
pub fn compress(codec: Codec, level: Option<i32>, bytes: &[u8]) -> Vec<u8> {
    let level = level.or(codec.default_level()).zip(codec.levels()).map(|(level, levels)| match codec {
        Codec::Gzip if level == -1 => level,
        _ => level.clamp(*levels.start(), *levels.end()),
    });
    let compressed = match codec {
        Codec::None => Ok(bytes.to_vec()),
        Codec::Gzip => compress_gzip(level, bytes),
        Codec::Snappy => Ok(snappy::compress(bytes)),
        Codec::Lz4 => compress_lz4(bytes),
        Codec::Zstd => zstd::bulk::compress(bytes, level.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL)),
    };
    compressed.expect("compressing into memory cannot fail")
}

/// Reads to the end, or until there is more than `limit`. The buffer grows in few and large steps, never beyond the
/// limit: memory that nothing was written to is not taken from the system, while each smaller buffer that was left
/// behind stays with the allocator for a while, once for every thread that inflates.
fn read_all(codec: Codec, mut reader: impl Read, limit: usize) -> Result<Vec<u8>, RecordError> {
    let mut out = Vec::new();
    let mut piece = vec![0; READ_BYTES];
    loop {
        let length = match reader.read(&mut piece) {
            Ok(0) => return Ok(out),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(RecordError::corrupt(codec, error)),
        };
        let inflated = out.len() + length;
        if inflated > limit {
            return Err(RecordError::TooLarge { codec, limit });
        }
        if inflated > out.capacity() {
            out.reserve_exact(inflated.max(BUFFER_GROWTH * out.capacity()).min(limit) - out.len());
        }
        out.extend_from_slice(piece.get(..length).unwrap_or_default());
    }
}

fn zstd_reader(bytes: &[u8]) -> io::Result<impl Read> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    Ok(decoder)
}

fn compress_gzip(level: Option<i32>, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let level =
        level.and_then(|level| u32::try_from(level).ok()).map_or_else(Default::default, flate2::Compression::new);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// Independent blocks of 64 KiB without checksums, as Java's encoder writes them; its decoder reads no other mode.
fn compress_lz4(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let frame = lz4_flex::frame::FrameInfo::new()
        .block_size(lz4_flex::frame::BlockSize::Max64KB)
        .block_mode(lz4_flex::frame::BlockMode::Independent);
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(frame, Vec::new());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}
