//! The header of one batch as typed fields, its CRC, and the head that a leader writes.

use crate::model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

use super::layout::{
    ATTRIBUTES_AT, BASE_OFFSET_AT, BASE_SEQUENCE_AT, BASE_TIMESTAMP_AT, BATCH_HEAD_LENGTH, BATCH_HEADER_LENGTH,
    BATCH_LENGTH_AT, BATCH_LENGTH_MIN, CRC_AT, LAST_OFFSET_DELTA_AT, LOG_OVERHEAD, MAGIC, MAGIC_AT, MAX_TIMESTAMP_AT,
    PARTITION_LEADER_EPOCH_AT, PRODUCER_EPOCH_AT, PRODUCER_ID_AT, RECORD_COUNT_AT, field,
};
use super::{Attributes, Codec, RecordError, TimestampType};

/// All fields of a batch header (61 bytes). That the records match it is not known yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchHeader {
    /// Offset of the first record; 0 as a producer sends it. Not negative.
    pub base_offset: Offset,
    /// Bytes that follow the length field; at least [`super::BATCH_LENGTH_MIN`].
    pub batch_length: i32,
    /// Epoch of the leader that appended the batch; anything as a producer sends it.
    pub partition_leader_epoch: LeaderEpoch,
    /// CRC-32C as it was written; see [`verify_crc`].
    pub crc: u32,
    /// Codec, timestamp type, transactional, control, delete horizon.
    pub attributes: Attributes,
    /// Last offset − base offset. Not negative, and the last offset is below 2^63 − 1.
    pub last_offset_delta: i32,
    /// Timestamp of the first record, or the delete horizon; milliseconds.
    pub base_timestamp: i64,
    /// The largest timestamp of the records, or the append time; milliseconds, −1 for none.
    pub max_timestamp: i64,
    /// The idempotent producer, or [`ProducerId::NONE`].
    pub producer_id: ProducerId,
    /// Its epoch, or [`ProducerEpoch::NONE`].
    pub producer_epoch: ProducerEpoch,
    /// Sequence number of the first record, or −1. It wraps from 2^31 − 1 to 0.
    pub base_sequence: i32,
    /// Number of records. Not negative; 0 only where compaction emptied a batch.
    pub record_count: i32,
}

impl BatchHeader {
    /// Reads the header at the start of `bytes`; the records need not be there. Refuses another magic, a batch
    /// length below the header's, an unknown codec, a negative count and offsets that are no range, so that the
    /// arithmetic below cannot overflow. The CRC is not looked at.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        if let Some([magic]) = field(bytes, MAGIC_AT)
            && magic as i8 != MAGIC
        {
            return Err(RecordError::Magic { magic: magic as i8 });
        }
        let available = bytes.len();
        let header = bytes
            .first_chunk::<BATCH_HEADER_LENGTH>()
            .and_then(Fields::read)
            .ok_or(RecordError::Truncated { needed: BATCH_HEADER_LENGTH, available })?;
        header.check()
    }

    /// Bytes of the whole batch.
    pub fn size(&self) -> usize {
        // `parse` refuses a length below the header's, so it is never negative.
        LOG_OVERHEAD + self.batch_length as usize
    }

    /// Offset of the last record (or of the last one there was, before compaction).
    pub fn last_offset(&self) -> Offset {
        self.base_offset + Offset::from(self.last_offset_delta)
    }

    /// The offset after the batch.
    pub fn next_offset(&self) -> Offset {
        self.last_offset() + 1
    }

    /// Sequence number of the last record; [`super::NO_SEQUENCE`] if there are none. Wraps at 2^31 − 1 as Kafka's.
    pub fn last_sequence(&self) -> i32 {
        match self.base_sequence {
            sequence if sequence < 0 => super::NO_SEQUENCE,
            sequence => {
                let modulus = i64::from(i32::MAX) + 1;
                ((i64::from(sequence) + i64::from(self.last_offset_delta)) % modulus) as i32
            }
        }
    }

    /// How the records are compressed.
    pub fn codec(&self) -> Codec {
        self.attributes.codec
    }

    /// Who set the timestamps.
    pub fn timestamp_type(&self) -> TimestampType {
        self.attributes.timestamp_type
    }

    /// Part of a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes.transactional
    }

    /// Holds a marker instead of data.
    pub fn is_control(&self) -> bool {
        self.attributes.control
    }

    /// Written by an idempotent producer.
    pub fn has_producer_id(&self) -> bool {
        self.producer_id.0 > ProducerId::NONE.0
    }

    /// When the cleaner may drop this batch's tombstones and markers; milliseconds.
    pub fn delete_horizon(&self) -> Option<i64> {
        self.attributes.delete_horizon.then_some(self.base_timestamp)
    }

    /// A record's timestamp from its delta, by the batch's timestamp type.
    pub fn record_timestamp(&self, timestamp_delta: i64) -> i64 {
        match self.timestamp_type() {
            TimestampType::LogAppendTime => self.max_timestamp,
            TimestampType::CreateTime => self.base_timestamp.wrapping_add(timestamp_delta),
        }
    }

    /// The first 16 bytes to write in front of this batch's unchanged rest.
    pub fn head(&self, base_offset: Offset, leader_epoch: LeaderEpoch) -> [u8; BATCH_HEAD_LENGTH] {
        batch_head(base_offset, self.batch_length, leader_epoch)
    }

    /// The header as 61 bytes.
    pub fn to_bytes(&self) -> [u8; BATCH_HEADER_LENGTH] {
        let mut bytes = [0; BATCH_HEADER_LENGTH];
        put(&mut bytes, BASE_OFFSET_AT, self.head(self.base_offset, self.partition_leader_epoch));
        put(&mut bytes, MAGIC_AT, MAGIC.to_be_bytes());
        put(&mut bytes, CRC_AT, self.crc.to_be_bytes());
        put(&mut bytes, ATTRIBUTES_AT, self.attributes.to_bits().to_be_bytes());
        put(&mut bytes, LAST_OFFSET_DELTA_AT, self.last_offset_delta.to_be_bytes());
        put(&mut bytes, BASE_TIMESTAMP_AT, self.base_timestamp.to_be_bytes());
        put(&mut bytes, MAX_TIMESTAMP_AT, self.max_timestamp.to_be_bytes());
        put(&mut bytes, PRODUCER_ID_AT, self.producer_id.0.to_be_bytes());
        put(&mut bytes, PRODUCER_EPOCH_AT, self.producer_epoch.0.to_be_bytes());
        put(&mut bytes, BASE_SEQUENCE_AT, self.base_sequence.to_be_bytes());
        put(&mut bytes, RECORD_COUNT_AT, self.record_count.to_be_bytes());
        bytes
    }
}

/// The head that a leader assigns: base offset, batch length, partition leader epoch. It lies outside the CRC,
/// so it goes to disk in front of the bytes from 16 on as the producer sent them.
pub fn batch_head(base_offset: Offset, batch_length: i32, leader_epoch: LeaderEpoch) -> [u8; BATCH_HEAD_LENGTH] {
    let mut head = [0; BATCH_HEAD_LENGTH];
    put(&mut head, BASE_OFFSET_AT, base_offset.to_be_bytes());
    put(&mut head, BATCH_LENGTH_AT, batch_length.to_be_bytes());
    put(&mut head, PARTITION_LEADER_EPOCH_AT, leader_epoch.0.to_be_bytes());
    head
}

/// CRC-32C (Castagnoli).
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// Checks the CRC of the batch that `bytes` holds, all of it and nothing else.
pub fn verify_crc(bytes: &[u8]) -> Result<(), RecordError> {
    let truncated = RecordError::Truncated { needed: BATCH_HEADER_LENGTH, available: bytes.len() };
    let (Some(stored), Some(covered)) = (field(bytes, CRC_AT), bytes.get(ATTRIBUTES_AT..)) else {
        return Err(truncated);
    };
    let (stored, computed) = (u32::from_be_bytes(stored), crc32c(covered));
    if stored == computed { Ok(()) } else { Err(RecordError::Crc { stored, computed }) }
}

/// Overwrites the bytes at `at`, which the caller knows to be inside.
pub(super) fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    bytes
        .get_mut(at..)
        .and_then(|rest| rest.first_chunk_mut())
        .map(|place| *place = value)
        .expect("the field lies inside the header");
}

/// The header as it lies in the bytes, attributes not yet understood.
struct Fields {
    header: BatchHeader,
    attribute_bits: i16,
}

impl Fields {
    fn read(bytes: &[u8; BATCH_HEADER_LENGTH]) -> Option<Self> {
        let header = BatchHeader {
            base_offset: i64::from_be_bytes(field(bytes, BASE_OFFSET_AT)?),
            batch_length: i32::from_be_bytes(field(bytes, BATCH_LENGTH_AT)?),
            partition_leader_epoch: LeaderEpoch(i32::from_be_bytes(field(bytes, PARTITION_LEADER_EPOCH_AT)?)),
            crc: u32::from_be_bytes(field(bytes, CRC_AT)?),
            attributes: Attributes::default(),
            last_offset_delta: i32::from_be_bytes(field(bytes, LAST_OFFSET_DELTA_AT)?),
            base_timestamp: i64::from_be_bytes(field(bytes, BASE_TIMESTAMP_AT)?),
            max_timestamp: i64::from_be_bytes(field(bytes, MAX_TIMESTAMP_AT)?),
            producer_id: ProducerId(i64::from_be_bytes(field(bytes, PRODUCER_ID_AT)?)),
            producer_epoch: ProducerEpoch(i16::from_be_bytes(field(bytes, PRODUCER_EPOCH_AT)?)),
            base_sequence: i32::from_be_bytes(field(bytes, BASE_SEQUENCE_AT)?),
            record_count: i32::from_be_bytes(field(bytes, RECORD_COUNT_AT)?),
        };
        Some(Self { header, attribute_bits: i16::from_be_bytes(field(bytes, ATTRIBUTES_AT)?) })
    }

    fn check(self) -> Result<BatchHeader, RecordError> {
        let BatchHeader { base_offset, batch_length, last_offset_delta, record_count, .. } = self.header;
        if usize::try_from(batch_length).is_ok_and(|length| length < BATCH_LENGTH_MIN) || batch_length < 0 {
            return Err(RecordError::BatchLength { batch_length });
        }
        let next_offset = base_offset.checked_add(i64::from(last_offset_delta)).and_then(|last| last.checked_add(1));
        if base_offset < 0 || last_offset_delta < 0 || next_offset.is_none() {
            return Err(RecordError::OffsetRange { base_offset, last_offset_delta });
        }
        if record_count < 0 {
            return Err(RecordError::RecordCount { stated: record_count, found: 0 });
        }
        Ok(BatchHeader { attributes: Attributes::from_bits(self.attribute_bits)?, ..self.header })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> BatchHeader {
        BatchHeader {
            base_offset: 7,
            batch_length: 60,
            partition_leader_epoch: LeaderEpoch(3),
            crc: 0xdead_beef,
            attributes: Attributes { codec: Codec::Zstd, transactional: true, ..Attributes::default() },
            last_offset_delta: 4,
            base_timestamp: 1_000,
            max_timestamp: 2_000,
            producer_id: ProducerId(11),
            producer_epoch: ProducerEpoch(2),
            base_sequence: i32::MAX - 1,
            record_count: 5,
        }
    }

    #[test]
    fn round_trip() {
        let header = header();
        assert_eq!(BatchHeader::parse(&header.to_bytes()), Ok(header));
        assert_eq!((header.last_offset(), header.next_offset(), header.size()), (11, 12, 72));
    }

    #[test]
    fn sequences_wrap_to_zero() {
        assert_eq!(header().last_sequence(), 2);
        assert_eq!(BatchHeader { base_sequence: 5, ..header() }.last_sequence(), 9);
        assert_eq!(BatchHeader { base_sequence: -1, ..header() }.last_sequence(), -1);
    }

    #[test]
    fn the_head_is_the_start_of_the_header() {
        let header = header();
        let moved = BatchHeader { base_offset: 900, partition_leader_epoch: LeaderEpoch(8), ..header };
        assert_eq!(header.head(900, LeaderEpoch(8)), moved.to_bytes()[..BATCH_HEAD_LENGTH]);
        assert_eq!(header.to_bytes()[BATCH_HEAD_LENGTH..], moved.to_bytes()[BATCH_HEAD_LENGTH..]);
    }

    #[test]
    fn nonsense_is_refused() {
        let refused = |header: BatchHeader| BatchHeader::parse(&header.to_bytes()).unwrap_err();
        assert_eq!(
            refused(BatchHeader { batch_length: 48, ..header() }),
            RecordError::BatchLength { batch_length: 48 }
        );
        assert_eq!(
            refused(BatchHeader { batch_length: -1, ..header() }),
            RecordError::BatchLength { batch_length: -1 }
        );
        for (base_offset, last_offset_delta) in [(-1, 0), (0, -1), (i64::MAX, 0), (i64::MAX - 4, 4)] {
            assert_eq!(
                refused(BatchHeader { base_offset, last_offset_delta, ..header() }),
                RecordError::OffsetRange { base_offset, last_offset_delta }
            );
        }
        assert_eq!(
            refused(BatchHeader { record_count: -5, ..header() }),
            RecordError::RecordCount { stated: -5, found: 0 }
        );
        let mut bytes = header().to_bytes();
        bytes[MAGIC_AT] = 1;
        assert_eq!(BatchHeader::parse(&bytes), Err(RecordError::Magic { magic: 1 }));
        assert_eq!(BatchHeader::parse(&bytes[..20]), Err(RecordError::Magic { magic: 1 }));
        assert_eq!(BatchHeader::parse(&[]), Err(RecordError::Truncated { needed: 61, available: 0 }));
    }

    #[test]
    fn castagnoli() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }
}
