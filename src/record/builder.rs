//! Writes batches: the coordinators' records, markers, converted and compacted batches.

use bytes::Bytes;

use crate::model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

use super::layout::{ATTRIBUTES_AT, BATCH_HEADER_LENGTH, BATCH_LENGTH_MIN, CRC_AT};
use super::varint::{put_varint, put_varlong, varlong_size};
use super::{
    Attributes, BatchHeader, Codec, Header, NO_SEQUENCE, NO_TIMESTAMP, Record, TimestampType, compress, crc32c, header,
};

/// Collects records and makes one batch of them. Offsets count up from the base offset unless
/// [`BatchBuilder::append_at`] gives them.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    header: BatchHeader,
    level: Option<i32>,
    records: Vec<u8>,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchBuilder {
    /// An empty batch at offset 0, not compressed, of no producer.
    pub fn new() -> Self {
        let header = BatchHeader {
            base_offset: 0,
            batch_length: BATCH_LENGTH_MIN as i32,
            partition_leader_epoch: LeaderEpoch::NONE,
            crc: 0,
            attributes: Attributes::default(),
            last_offset_delta: -1,
            base_timestamp: NO_TIMESTAMP,
            max_timestamp: NO_TIMESTAMP,
            producer_id: ProducerId::NONE,
            producer_epoch: ProducerEpoch::NONE,
            base_sequence: NO_SEQUENCE,
            record_count: 0,
        };
        Self { header, level: None, records: Vec::new() }
    }

    /// A batch that takes the place of another one and keeps all of its header but record count, length, max
    /// timestamp and CRC: offsets (the last one too), epochs, producer and sequence stay, as compaction needs.
    pub fn replacing(header: &BatchHeader) -> Self {
        let max_timestamp = match header.timestamp_type() {
            TimestampType::LogAppendTime => header.max_timestamp,
            TimestampType::CreateTime => NO_TIMESTAMP,
        };
        Self { header: BatchHeader { record_count: 0, max_timestamp, ..*header }, level: None, records: Vec::new() }
    }

    /// Offset of the first record.
    #[must_use]
    pub fn base_offset(mut self, base_offset: Offset) -> Self {
        self.header.base_offset = base_offset;
        self
    }

    /// Epoch of the leader that appends.
    #[must_use]
    pub fn leader_epoch(mut self, leader_epoch: LeaderEpoch) -> Self {
        self.header.partition_leader_epoch = leader_epoch;
        self
    }

    /// Compresses the records; `level` is the codec's own, `None` its default.
    #[must_use]
    pub fn codec(mut self, codec: Codec, level: Option<i32>) -> Self {
        self.header.attributes.codec = codec;
        self.level = level;
        self
    }

    /// The idempotent producer and the sequence number of the first record.
    #[must_use]
    pub fn producer(mut self, id: ProducerId, epoch: ProducerEpoch, base_sequence: i32) -> Self {
        self.header.producer_id = id;
        self.header.producer_epoch = epoch;
        self.header.base_sequence = base_sequence;
        self
    }

    /// Marks the batch as part of a transaction.
    #[must_use]
    pub fn transactional(mut self) -> Self {
        self.header.attributes.transactional = true;
        self
    }

    /// Marks the batch as a control batch.
    #[must_use]
    pub fn control(mut self) -> Self {
        self.header.attributes.control = true;
        self
    }

    /// Stamps all records with the moment of appending.
    #[must_use]
    pub fn log_append_time(mut self, append_time_ms: i64) -> Self {
        self.header.attributes.timestamp_type = TimestampType::LogAppendTime;
        self.header.max_timestamp = append_time_ms;
        self
    }

    /// Adds a record at the next offset.
    pub fn append(&mut self, timestamp: i64, key: Option<&[u8]>, value: Option<&[u8]>, headers: &[Header<'_>]) {
        let offset_delta = self.header.last_offset_delta + 1;
        self.push(offset_delta, timestamp, key, value, headers.iter().copied());
    }

    /// Adds a record of another batch at its own offset, which must lie above those added before and not below
    /// the base offset.
    pub fn append_at(&mut self, record: &Record<'_>) {
        let offset_delta =
            i32::try_from(record.offset - self.header.base_offset).ok().filter(|delta| *delta >= 0).unwrap_or_else(
                || panic!("offset {} does not fit a batch from {}", record.offset, self.header.base_offset),
            );
        self.push(offset_delta, record.timestamp, record.key, record.value, record.headers);
    }

    /// True before the first record.
    pub fn is_empty(&self) -> bool {
        self.header.record_count == 0
    }

    /// Bytes of the batch so far, before compression.
    pub fn size(&self) -> usize {
        BATCH_HEADER_LENGTH + self.records.len()
    }

    /// The batch, with length and CRC.
    pub fn build(self) -> Bytes {
        let mut header = self.header;
        header.last_offset_delta = header.last_offset_delta.max(0);
        match header.codec() {
            Codec::None => seal(header, &self.records),
            codec => seal(header, &compress(codec, self.level, &self.records)),
        }
    }

    fn push<'h>(
        &mut self,
        offset_delta: i32,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl Iterator<Item = Header<'h>> + Clone,
    ) {
        let timestamp_delta = self.note_timestamp(timestamp);
        let bytes_size = |bytes: Option<&[u8]>| match bytes {
            None => 1,
            Some(bytes) => varlong_size(bytes.len() as i64) + bytes.len(),
        };
        let header_count = headers.clone().count();
        let headers_size: usize =
            headers.clone().map(|header| bytes_size(Some(header.key)) + bytes_size(header.value)).sum();
        let size = 1
            + varlong_size(timestamp_delta)
            + varlong_size(i64::from(offset_delta))
            + bytes_size(key)
            + bytes_size(value)
            + varlong_size(header_count as i64)
            + headers_size;
        let out = &mut self.records;
        put_varlong(out, size as i64);
        out.push(0);
        put_varlong(out, timestamp_delta);
        put_varint(out, offset_delta);
        put_bytes(out, key);
        put_bytes(out, value);
        put_varlong(out, header_count as i64);
        for header in headers {
            put_bytes(out, Some(header.key));
            put_bytes(out, header.value);
        }
        self.header.record_count += 1;
        self.header.last_offset_delta = self.header.last_offset_delta.max(offset_delta);
    }

    /// Keeps base and max timestamp; returns the record's delta to the base.
    fn note_timestamp(&mut self, timestamp: i64) -> i64 {
        let header = &mut self.header;
        if header.timestamp_type() == TimestampType::CreateTime {
            header.max_timestamp = header.max_timestamp.max(timestamp);
        }
        if header.record_count == 0 && !header.attributes.delete_horizon {
            header.base_timestamp = timestamp;
        }
        timestamp.wrapping_sub(header.base_timestamp)
    }
}

/// Puts `header` in front of `records` (as they are to lie, compressed or not), its length and CRC set to fit.
pub fn seal(header: BatchHeader, records: &[u8]) -> Bytes {
    let batch_length = i32::try_from(BATCH_LENGTH_MIN + records.len()).expect("a batch is below 2 GiB");
    let mut bytes = Vec::with_capacity(BATCH_HEADER_LENGTH + records.len());
    bytes.extend_from_slice(&BatchHeader { batch_length, crc: 0, ..header }.to_bytes());
    bytes.extend_from_slice(records);
    let crc = crc32c(bytes.get(ATTRIBUTES_AT..).unwrap_or_default());
    header::put(&mut bytes, CRC_AT, crc.to_be_bytes());
    bytes.into()
}

fn put_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => put_varint(out, -1),
        Some(bytes) => {
            put_varlong(out, bytes.len() as i64);
            out.extend_from_slice(bytes);
        }
    }
}
