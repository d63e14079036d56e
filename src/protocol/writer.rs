//! Writes Kafka's primitive types into a growing buffer.
//!
//! Records that lie in a file are not copied: the writer notes where they belong, and the connection
//! sends them from there.

use bytes::{BufMut, BytesMut};

use super::reader::STRING_LENGTH_MAX;
use super::records::Records;

/// A place in an encoded frame where bytes from outside belong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExternalMark {
    /// The bytes belong before the encoded byte with this index.
    pub position: usize,
    /// How many bytes belong there.
    pub length: usize,
    /// The caller's number for them, from [`Records::External`].
    pub slot: usize,
}

/// A buffer being filled, with the version and the encoding (classic or flexible) in force.
#[derive(Debug, Default)]
pub struct Writer {
    buffer: BytesMut,
    marks: Vec<ExternalMark>,
    version: i16,
    flexible: bool,
}

impl Writer {
    /// Appends to `buffer`, which need not be empty.
    pub fn new(buffer: BytesMut) -> Self {
        Self { buffer, ..Self::default() }
    }

    /// What was written, and where bytes from outside belong.
    pub fn finish(self) -> (BytesMut, Vec<ExternalMark>) {
        (self.buffer, self.marks)
    }

    /// The version whose fields are being written.
    pub fn version(&self) -> i16 {
        self.version
    }

    /// True where strings and arrays are compact and structs end in tagged fields.
    pub fn is_flexible(&self) -> bool {
        self.flexible
    }

    /// Says what version follows, and whether it is flexible.
    pub(super) fn set_version(&mut self, version: i16, flexible: bool) {
        self.version = version;
        self.flexible = flexible;
    }

    /// Bytes as they are.
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// UNSIGNED_VARINT: seven bits a byte, the least significant first.
    pub fn unsigned_varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.buffer.put_u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.buffer.put_u8(value as u8);
    }

    /// VARINT: zigzag, so that small negative numbers are short.
    pub fn varint(&mut self, value: i32) {
        self.unsigned_varint(((value << 1) ^ (value >> 31)) as u32);
    }

    /// VARLONG: zigzag over 64 bits.
    pub fn varlong(&mut self, value: i64) {
        let mut raw = ((value << 1) ^ (value >> 63)) as u64;
        while raw >= 0x80 {
            self.buffer.put_u8(raw as u8 | 0x80);
            raw >>= 7;
        }
        self.buffer.put_u8(raw as u8);
    }

    /// A compact length (one more than it is; zero is null), or false where the encoding is classic.
    fn compact_length(&mut self, length: Option<usize>) -> bool {
        if self.flexible {
            self.unsigned_varint(length.map_or(0, |length| wire_length(length) as u32 + 1));
        }
        self.flexible
    }

    /// Length of bytes or an array; `None` is null.
    pub(super) fn long_length(&mut self, length: Option<usize>) {
        if !self.compact_length(length) {
            self.buffer.put_i32(length.map_or(-1, wire_length));
        }
    }

    /// A string in the encoding in force; `None` is null. Kafka's strings end at 32,767 bytes: what is
    /// longer can only be a text for people, and is cut at a character.
    pub fn string(&mut self, text: Option<&str>) {
        let text = text.map(cut);
        if !self.compact_length(text.map(str::len)) {
            self.classic_length(text);
        }
        self.put(text.unwrap_or_default().as_bytes());
    }

    /// A string with an INT16 length whatever the version: the client id of every request header.
    pub(super) fn classic_string(&mut self, text: Option<&str>) {
        let text = text.map(cut);
        self.classic_length(text);
        self.put(text.unwrap_or_default().as_bytes());
    }

    fn classic_length(&mut self, text: Option<&str>) {
        self.buffer.put_i16(text.map_or(-1, |text| text.len() as i16));
    }

    /// Bytes in the encoding in force; `None` is null.
    pub fn bytes(&mut self, bytes: Option<&[u8]>) {
        self.long_length(bytes.map(<[u8]>::len));
        self.put(bytes.unwrap_or_default());
    }

    /// Records, of which those outside leave a mark only.
    pub fn records(&mut self, records: &Records) {
        match records {
            Records::Null => self.long_length(None),
            Records::Inline(bytes) => self.bytes(Some(bytes)),
            Records::External { length, slot } => {
                self.long_length(Some(*length));
                self.marks.push(ExternalMark { position: self.buffer.len(), length: *length, slot: *slot });
            }
        }
    }

    /// One tagged field: tag, size, and the value that `write` appends.
    pub(super) fn tagged_field(&mut self, tag: u32, write: &mut dyn FnMut(&mut Self)) {
        self.unsigned_varint(tag);
        let outer = std::mem::take(&mut self.buffer);
        write(self);
        let value = std::mem::replace(&mut self.buffer, outer);
        self.unsigned_varint(wire_length(value.len()) as u32);
        self.put(&value);
    }
}

/// A length as Kafka's INT32. A frame has less than 2 GiB, or it cannot be framed at all.
pub(super) fn wire_length(length: usize) -> i32 {
    i32::try_from(length).expect("a frame, and all within it, has less than 2 GiB")
}

/// The longest beginning of `text` that a Kafka string can hold.
fn cut(text: &str) -> &str {
    if text.len() <= STRING_LENGTH_MAX {
        return text;
    }
    (0..=STRING_LENGTH_MAX).rev().find_map(|end| text.split_at_checked(end)).map_or("", |(head, _)| head)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::protocol::Reader;

    fn written(flexible: bool, write: impl FnOnce(&mut Writer)) -> Bytes {
        let mut writer = Writer::new(BytesMut::new());
        writer.set_version(0, flexible);
        write(&mut writer);
        writer.finish().0.freeze()
    }

    #[test]
    fn numbers_read_back() {
        for number in [0, 1, -1, 63, 64, -64, -65, 300, i32::MAX, i32::MIN] {
            let bytes = written(false, |writer| writer.varint(number));
            assert_eq!(Reader::new(&bytes).varint(), Ok(number));
            let bytes = written(false, |writer| writer.unsigned_varint(number as u32));
            assert_eq!(Reader::new(&bytes).unsigned_varint(), Ok(number as u32));
            for number in [i64::from(number), i64::from(number) << 32, i64::MAX, i64::MIN] {
                let bytes = written(false, |writer| writer.varlong(number));
                assert_eq!(Reader::new(&bytes).varlong(), Ok(number));
            }
        }
    }

    #[test]
    fn strings_bytes_and_null() {
        assert_eq!(written(false, |writer| writer.string(Some("hi"))), b"\0\x02hi".as_slice());
        assert_eq!(written(true, |writer| writer.string(Some("hi"))), b"\x03hi".as_slice());
        assert_eq!(written(false, |writer| writer.string(None)), b"\xff\xff".as_slice());
        assert_eq!(written(true, |writer| writer.string(None)), b"\0".as_slice());
        assert_eq!(written(false, |writer| writer.bytes(Some(b"hi"))), b"\0\0\0\x02hi".as_slice());
        assert_eq!(written(true, |writer| writer.bytes(None)), b"\0".as_slice());
        assert_eq!(written(false, |writer| writer.records(&Records::Null)), b"\xff\xff\xff\xff".as_slice());
        assert_eq!(written(true, |writer| writer.records(&Records::EMPTY)), b"\x01".as_slice());
    }

    #[test]
    fn a_text_too_long_is_cut_at_a_character() {
        for flexible in [false, true] {
            let longest = "x".repeat(STRING_LENGTH_MAX);
            assert_eq!(read(&written(flexible, |writer| writer.string(Some(&longest))), flexible), longest);
            let too_long = format!("{}ß and more", "x".repeat(STRING_LENGTH_MAX - 1));
            let cut = read(&written(flexible, |writer| writer.string(Some(&too_long))), flexible);
            assert_eq!(cut, "x".repeat(STRING_LENGTH_MAX - 1));
        }
    }

    fn read(bytes: &Bytes, flexible: bool) -> String {
        let mut reader = Reader::new(bytes);
        reader.set_version(0, flexible);
        reader.string().unwrap().unwrap()
    }
}
