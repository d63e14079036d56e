//! Where each field of a record batch lies, and what its attribute bits mean.
//!
//! Persisted and on the wire: keep stable. Numbers are big-endian.
//!
//! | at | bytes | field | note |
//! |---|---|---|---|
//! | 0 | 8 | base offset | assigned by the leader, outside the CRC |
//! | 8 | 4 | batch length | bytes that follow this field |
//! | 12 | 4 | partition leader epoch | assigned by the leader, outside the CRC |
//! | 16 | 1 | magic | 2 |
//! | 17 | 4 | CRC | CRC-32C of everything from the attributes to the end |
//! | 21 | 2 | attributes | [`Attributes`] |
//! | 23 | 4 | last offset delta | last offset − base offset; kept by compaction |
//! | 27 | 8 | base timestamp | or the delete horizon, if its attribute bit is set |
//! | 35 | 8 | max timestamp | or the append time, with log append time |
//! | 43 | 8 | producer id | −1: not idempotent |
//! | 51 | 2 | producer epoch | −1: not idempotent |
//! | 53 | 4 | base sequence | −1: not idempotent |
//! | 57 | 4 | record count | |
//! | 61 | | records | compressed as one block, if there is a codec |

use super::{Codec, RecordError};

pub(super) const BASE_OFFSET_AT: usize = 0;
pub(super) const BATCH_LENGTH_AT: usize = 8;
pub(super) const PARTITION_LEADER_EPOCH_AT: usize = 12;
pub(super) const MAGIC_AT: usize = 16;
pub(super) const CRC_AT: usize = 17;
pub(super) const ATTRIBUTES_AT: usize = 21;
pub(super) const LAST_OFFSET_DELTA_AT: usize = 23;
pub(super) const BASE_TIMESTAMP_AT: usize = 27;
pub(super) const MAX_TIMESTAMP_AT: usize = 35;
pub(super) const PRODUCER_ID_AT: usize = 43;
pub(super) const PRODUCER_EPOCH_AT: usize = 51;
pub(super) const BASE_SEQUENCE_AT: usize = 53;
pub(super) const RECORD_COUNT_AT: usize = 57;

/// Bytes of base offset and batch length, which the batch length itself does not count.
pub const LOG_OVERHEAD: usize = 12;
/// Bytes that the leader assigns: base offset, batch length, partition leader epoch.
pub const BATCH_HEAD_LENGTH: usize = 16;
/// Bytes in front of the records.
pub const BATCH_HEADER_LENGTH: usize = 61;
/// The smallest batch length: a header without records.
pub const BATCH_LENGTH_MIN: usize = BATCH_HEADER_LENGTH - LOG_OVERHEAD;
/// The only format that Ottla stores.
pub const MAGIC: i8 = 2;
/// Kafka's "no timestamp".
pub const NO_TIMESTAMP: i64 = -1;
/// What a batch of a producer that is not idempotent carries as its base sequence.
pub const NO_SEQUENCE: i32 = -1;

/// Who set the timestamps of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum TimestampType {
    /// The producer, record by record.
    #[default]
    CreateTime,
    /// The leader: every record bears the batch's max timestamp.
    LogAppendTime,
}

/// The attribute bits of a batch.
///
/// | bits | meaning |
/// |---|---|
/// | 0–2 | codec |
/// | 3 | timestamp type: 0 create time, 1 log append time |
/// | 4 | transactional |
/// | 5 | control batch |
/// | 6 | the base timestamp holds the delete horizon (KIP-534) |
/// | 7–15 | unused, ignored |
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Attributes {
    /// How the records are compressed.
    pub codec: Codec,
    /// Who set the timestamps.
    pub timestamp_type: TimestampType,
    /// Part of a transaction.
    pub transactional: bool,
    /// Holds a transaction marker or a Raft control record instead of data.
    pub control: bool,
    /// The base timestamp is the moment at which the cleaner may drop tombstones and markers.
    pub delete_horizon: bool,
}

const CODEC_MASK: i16 = 0b111;
pub(super) const LOG_APPEND_TIME_BIT: i16 = 1 << 3;
const TRANSACTIONAL_BIT: i16 = 1 << 4;
const CONTROL_BIT: i16 = 1 << 5;
const DELETE_HORIZON_BIT: i16 = 1 << 6;

impl Attributes {
    /// Reads the bits; a codec that does not exist is an error.
    pub fn from_bits(bits: i16) -> Result<Self, RecordError> {
        let code = (bits & CODEC_MASK) as u8;
        let is_set = |bit| bits & bit != 0;
        Ok(Self {
            codec: Codec::from_code(code).ok_or(RecordError::UnknownCodec { code })?,
            timestamp_type: match is_set(LOG_APPEND_TIME_BIT) {
                true => TimestampType::LogAppendTime,
                false => TimestampType::CreateTime,
            },
            transactional: is_set(TRANSACTIONAL_BIT),
            control: is_set(CONTROL_BIT),
            delete_horizon: is_set(DELETE_HORIZON_BIT),
        })
    }

    /// The bits as they are written.
    pub fn to_bits(self) -> i16 {
        let bit = |set, bit| if set { bit } else { 0 };
        self.codec as i16
            | bit(self.timestamp_type == TimestampType::LogAppendTime, LOG_APPEND_TIME_BIT)
            | bit(self.transactional, TRANSACTIONAL_BIT)
            | bit(self.control, CONTROL_BIT)
            | bit(self.delete_horizon, DELETE_HORIZON_BIT)
    }
}

/// The `N` bytes at `at`, if they are there.
pub(super) fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_round_trip() {
        for bits in 0..0x80_i16 {
            match Attributes::from_bits(bits) {
                Ok(attributes) => assert_eq!(attributes.to_bits(), bits),
                Err(error) => assert_eq!(error, RecordError::UnknownCodec { code: (bits & 7) as u8 }),
            }
        }
        assert_eq!(Attributes::from_bits(0x7f80), Ok(Attributes::default()));
    }
}
