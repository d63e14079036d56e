//! The batches that lie one after the other in a buffer.

use std::borrow::Cow;

use super::layout::{BATCH_HEADER_LENGTH, BATCH_LENGTH_AT, BATCH_LENGTH_MIN, LOG_OVERHEAD, field};
use super::{BatchHeader, Codec, RecordError, decompress, verify_crc};

/// One whole batch inside a buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Batch<'a> {
    /// Its header.
    pub header: BatchHeader,
    /// Where it begins in the buffer.
    pub position: usize,
    /// All of its bytes, header included.
    pub bytes: &'a [u8],
}

impl<'a> Batch<'a> {
    /// The records, still compressed if the batch has a codec.
    pub fn records_bytes(&self) -> &'a [u8] {
        self.bytes.get(BATCH_HEADER_LENGTH..).unwrap_or_default()
    }

    /// The records in plain, inflated to at most `limit` bytes if the batch has a codec.
    pub fn plain_records(&self, limit: usize) -> Result<Cow<'a, [u8]>, RecordError> {
        match self.header.codec() {
            Codec::None => Ok(Cow::Borrowed(self.records_bytes())),
            codec => decompress(codec, self.records_bytes(), limit).map(Cow::Owned),
        }
    }

    /// Checks the CRC.
    pub fn verify_crc(&self) -> Result<(), RecordError> {
        verify_crc(self.bytes)
    }
}

/// Iterates over the whole batches of a buffer. A batch that is cut off by the buffer's end is no error, for a
/// fetch may end anywhere: the iterator stops before it, and [`Batches::rest`] holds what was left. After an
/// error it stops for good.
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    rest: &'a [u8],
    position: usize,
    failed: bool,
}

impl<'a> Batches<'a> {
    /// Starts at the beginning of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, position: 0, failed: false }
    }

    /// Bytes not yet passed: at the end, a cut-off batch or nothing.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Where [`Batches::rest`] begins in the buffer: the length of the whole batches passed so far.
    pub fn position(&self) -> usize {
        self.position
    }

    fn read(&self) -> Result<Option<Batch<'a>>, RecordError> {
        let Some(batch_length) = field(self.rest, BATCH_LENGTH_AT).map(i32::from_be_bytes) else {
            return Ok(None);
        };
        let size = match usize::try_from(batch_length) {
            Ok(length) if length >= BATCH_LENGTH_MIN => length.saturating_add(LOG_OVERHEAD),
            // Message sets of the formats before v2 may be shorter: name the magic, not the length.
            _ => match BatchHeader::parse(self.rest) {
                Err(magic @ RecordError::Magic { .. }) => return Err(magic),
                _ => return Err(RecordError::BatchLength { batch_length }),
            },
        };
        let Some(bytes) = self.rest.get(..size) else { return Ok(None) };
        Ok(Some(Batch { header: BatchHeader::parse(bytes)?, position: self.position, bytes }))
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<Batch<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        match self.read() {
            Ok(batch) => {
                let batch = batch?;
                self.rest = self.rest.get(batch.bytes.len()..).unwrap_or_default();
                self.position += batch.bytes.len();
                Some(Ok(batch))
            }
            Err(error) => {
                self.failed = true;
                Some(Err(error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An empty batch with `extra` bytes where its records would be.
    fn batch(base_offset: i64, extra: usize) -> Vec<u8> {
        let mut bytes = [0; BATCH_HEADER_LENGTH + 8];
        let bytes = &mut bytes[..BATCH_HEADER_LENGTH + extra];
        bytes[16] = 2;
        bytes[..16].copy_from_slice(&crate::record::batch_head(
            base_offset,
            (BATCH_LENGTH_MIN + extra) as i32,
            crate::model::LeaderEpoch(0),
        ));
        bytes.to_vec()
    }

    #[test]
    fn stops_before_a_batch_that_is_cut_off() {
        let whole = [batch(0, 0), batch(1, 3), batch(2, 1)].concat();
        for cut in 0..=whole.len() {
            let mut batches = Batches::new(&whole[..cut]);
            let offsets: Vec<_> = batches.by_ref().map(|batch| batch.unwrap().header.base_offset).collect();
            let ends = [61, 125, 187].into_iter().filter(|end| *end <= cut);
            assert_eq!(offsets.len(), ends.clone().count());
            assert_eq!(batches.position(), ends.max().unwrap_or(0));
            assert_eq!(batches.rest().len(), cut - batches.position());
        }
    }

    #[test]
    fn stops_for_good_at_an_error() {
        let mut bytes = [batch(0, 0), batch(1, 0), batch(2, 0)].concat();
        bytes[61 + 8..61 + 12].copy_from_slice(&5_i32.to_be_bytes());
        let mut batches = Batches::new(&bytes);
        assert!(batches.next().unwrap().is_ok());
        assert_eq!(batches.next(), Some(Err(RecordError::BatchLength { batch_length: 5 })));
        assert_eq!((batches.next(), batches.position()), (None, 61));
    }
}
