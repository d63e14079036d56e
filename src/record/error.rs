//! Why bytes are not a record batch.

use super::Codec;

/// A fault in the bytes of a record batch. What a producer is answered is decided in `validate`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Fewer bytes than the header, or than the batch length says.
    #[error("the batch needs {needed} bytes but only {available} are there")]
    Truncated {
        /// Bytes the batch needs.
        needed: usize,
        /// Bytes that are there.
        available: usize,
    },
    /// A batch length too small for a header.
    #[error("batch length {batch_length} is smaller than a batch header")]
    BatchLength {
        /// The length field.
        batch_length: i32,
    },
    /// Another format than v2.
    #[error("record format (magic) {magic} is not supported, only 2 is")]
    Magic {
        /// The magic byte.
        magic: i8,
    },
    /// The bytes were changed since the CRC was computed.
    #[error("CRC is {computed:#010x} but the batch says {stored:#010x}")]
    Crc {
        /// The CRC field.
        stored: u32,
        /// The CRC of the bytes.
        computed: u32,
    },
    /// A codec code that Kafka has not given out.
    #[error("compression codec {code} is unknown")]
    UnknownCodec {
        /// The three codec bits.
        code: u8,
    },
    /// Offsets that are negative, run backwards or beyond 2^63.
    #[error("base offset {base_offset} with last offset delta {last_offset_delta} is no offset range")]
    OffsetRange {
        /// The base offset field.
        base_offset: i64,
        /// The last offset delta field.
        last_offset_delta: i32,
    },
    /// A negative record count, or one that differs from the records found.
    #[error("the header counts {stated} records but {found} were found")]
    RecordCount {
        /// The record count field.
        stated: i32,
        /// Records found before the end or the fault.
        found: i32,
    },
    /// A record whose framing is broken.
    #[error("record {index} of the batch is malformed: {reason}")]
    Record {
        /// Position in the batch, from 0.
        index: i32,
        /// What is wrong.
        reason: &'static str,
    },
    /// Compressed bytes that the codec does not accept.
    #[error("{} data is corrupt: {reason}", codec.name())]
    Corrupt {
        /// The codec in the attributes.
        codec: Codec,
        /// What the codec said.
        reason: String,
    },
    /// Compressed bytes that inflate to more than the caller allows.
    #[error("{} data inflates to more than {limit} bytes", codec.name())]
    TooLarge {
        /// The codec in the attributes.
        codec: Codec,
        /// The caller's limit, in bytes.
        limit: usize,
    },
}

impl RecordError {
    pub(super) fn corrupt(codec: Codec, reason: impl ToString) -> Self {
        Self::Corrupt { codec, reason: reason.to_string() }
    }
}
