//! The records of one batch, as borrowed slices.
//!
//! Persisted and on the wire: keep stable. `varint` and `varlong` are zigzag.
//!
//! | field | type | note |
//! |---|---|---|
//! | length | varint | bytes that follow this field |
//! | attributes | 1 byte | unused, ignored |
//! | timestamp delta | varlong | to the batch's base timestamp |
//! | offset delta | varint | to the batch's base offset |
//! | key | varint length, bytes | −1: null |
//! | value | varint length, bytes | −1: null (a tombstone) |
//! | header count | varint | |
//! | headers | key as varint length and UTF-8, value as varint length (−1: null) and bytes | |

use crate::model::Offset;

use super::varint::Cursor;
use super::{BatchHeader, RecordError};

/// One record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record<'a> {
    /// Its offset, from the batch's base offset.
    pub offset: Offset,
    /// Milliseconds by the batch's timestamp type; −1 for none.
    pub timestamp: i64,
    /// The key; `None` for null.
    pub key: Option<&'a [u8]>,
    /// The value; `None` for null, a tombstone in a compacted topic.
    pub value: Option<&'a [u8]>,
    /// The headers.
    pub headers: Headers<'a>,
}

/// One header of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header<'a> {
    /// UTF-8 by contract, which nobody checks.
    pub key: &'a [u8],
    /// The value; `None` for null.
    pub value: Option<&'a [u8]>,
}

/// Iterates over the headers of a record, whose framing is known to be good.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Headers<'a> {
    count: usize,
    bytes: &'a [u8],
}

impl<'a> Headers<'a> {
    /// Walks `count` headers, which must fill the cursor exactly.
    #[inline]
    fn check(cursor: Cursor<'a>, count: i32) -> Result<Self, &'static str> {
        let count = usize::try_from(count).map_err(|_| "negative header count")?;
        let bytes = cursor.rest();
        let mut walk = cursor;
        for _ in 0..count {
            read_header(&mut walk).ok_or("malformed header")?;
        }
        if walk.is_empty() { Ok(Self { count, bytes }) } else { Err("bytes after the last header") }
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        self.count = self.count.checked_sub(1)?;
        let mut cursor = Cursor::new(self.bytes);
        let header = read_header(&mut cursor)?;
        self.bytes = cursor.rest();
        Some(header)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count, Some(self.count))
    }
}

fn read_header<'a>(cursor: &mut Cursor<'a>) -> Option<Header<'a>> {
    let key = cursor.nullable_bytes()??;
    Some(Header { key, value: cursor.nullable_bytes()? })
}

/// Iterates over the records of a batch that is not compressed, or was decompressed. It ends with an error when
/// a record is malformed, when bytes are left over, or when the header counted other than was found; after that
/// it stops for good.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    header: BatchHeader,
    cursor: Cursor<'a>,
    found: i32,
    done: bool,
}

impl<'a> Records<'a> {
    /// `bytes` are the records without the batch header, plain.
    pub fn new(header: &BatchHeader, bytes: &'a [u8]) -> Self {
        Self { header: *header, cursor: Cursor::new(bytes), found: 0, done: false }
    }

    #[inline]
    fn read(&mut self) -> Result<Option<Record<'a>>, RecordError> {
        let stated = self.header.record_count;
        if self.cursor.is_empty() || self.found == stated {
            return match self.cursor.is_empty() && self.found == stated {
                true => Ok(None),
                false if self.found < stated => Err(RecordError::RecordCount { stated, found: self.found }),
                false => Err(self.malformed("bytes after the last record")),
            };
        }
        let record = read_record(&self.header, &mut self.cursor).map_err(|reason| self.malformed(reason))?;
        self.found += 1;
        Ok(Some(record))
    }

    fn malformed(&self, reason: &'static str) -> RecordError {
        RecordError::Record { index: self.found, reason }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, RecordError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let read = self.read();
        self.done = !matches!(read, Ok(Some(_)));
        read.transpose()
    }
}

#[inline]
fn read_record<'a>(header: &BatchHeader, cursor: &mut Cursor<'a>) -> Result<Record<'a>, &'static str> {
    let length = cursor.varint().ok_or("malformed length")?;
    let length = usize::try_from(length).map_err(|_| "negative length")?;
    let mut body = Cursor::new(cursor.take(length).ok_or("longer than the batch")?);
    body.byte().ok_or("no attributes")?;
    let timestamp_delta = body.varlong().ok_or("malformed timestamp delta")?;
    let offset_delta = body.varint().ok_or("malformed offset delta")?;
    if offset_delta < 0 || offset_delta > header.last_offset_delta {
        return Err("offset outside the batch");
    }
    let key = body.nullable_bytes().ok_or("malformed key")?;
    let value = body.nullable_bytes().ok_or("malformed value")?;
    let header_count = body.varint().ok_or("malformed header count")?;
    Ok(Record {
        offset: header.base_offset + Offset::from(offset_delta),
        timestamp: header.record_timestamp(timestamp_delta),
        key,
        value,
        headers: Headers::check(body, header_count)?,
    })
}
