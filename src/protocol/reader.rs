//! Reads Kafka's primitive types from a frame that a stranger sent.
//!
//! It never panics and never allocates by a length that the frame only claims: lengths are checked
//! against the bytes that are there, and arrays grow as their elements are decoded. Nesting is
//! bounded because schemas do not recur.

use bytes::Bytes;

use super::error::{DecodeError, DecodeFault};

/// Kafka's longest string, in bytes.
pub(super) const STRING_LENGTH_MAX: usize = i16::MAX as usize;

/// A position in a frame, with the version and the encoding (classic or flexible) in force.
#[derive(Debug)]
pub struct Reader<'a> {
    frame: &'a Bytes,
    rest: &'a [u8],
    version: i16,
    flexible: bool,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte of `frame`.
    pub fn new(frame: &'a Bytes) -> Self {
        Self { frame, rest: frame, version: 0, flexible: false }
    }

    /// The version whose fields are being read.
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

    /// Bytes not yet read.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// An error at this position.
    #[cold]
    pub(super) fn error(&self, fault: DecodeFault) -> DecodeError {
        // Addresses, because `rest` ends before the frame does while a tagged field is read.
        let offset = self.rest.as_ptr().addr().saturating_sub(self.frame.as_ptr().addr());
        DecodeError { fault, offset, field: "" }
    }

    /// Fails when bytes are left over: a message ends where its frame ends.
    pub fn expect_end(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.error(DecodeFault::TrailingBytes(self.rest.len()))) }
    }

    /// The next `length` bytes, as a part of the frame.
    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let Some((taken, rest)) = self.rest.split_at_checked(length) else {
            return Err(self.error(DecodeFault::UnexpectedEnd { needed: length, remaining: self.rest.len() }));
        };
        self.rest = rest;
        Ok(taken)
    }

    /// The next `N` bytes: the base of all numbers of fixed size, which are big-endian.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let Some((taken, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.error(DecodeFault::UnexpectedEnd { needed: N, remaining: self.rest.len() }));
        };
        self.rest = rest;
        Ok(*taken)
    }

    /// One byte.
    #[inline]
    pub fn byte(&mut self) -> Result<u8, DecodeError> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// INT16.
    #[inline]
    pub fn int16(&mut self) -> Result<i16, DecodeError> {
        self.array().map(i16::from_be_bytes)
    }

    /// INT32.
    #[inline]
    pub fn int32(&mut self) -> Result<i32, DecodeError> {
        self.array().map(i32::from_be_bytes)
    }

    /// UNSIGNED_VARINT: seven bits a byte, the least significant first, at most five bytes.
    pub fn unsigned_varint(&mut self) -> Result<u32, DecodeError> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            if shift == 28 && byte > 0x0f {
                break;
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.error(DecodeFault::VarintTooLong))
    }

    /// VARINT: zigzag, so that small negative numbers are short.
    pub fn varint(&mut self) -> Result<i32, DecodeError> {
        let raw = self.unsigned_varint()?;
        Ok((raw >> 1) as i32 ^ -((raw & 1) as i32))
    }

    /// VARLONG: zigzag over at most ten bytes.
    pub fn varlong(&mut self) -> Result<i64, DecodeError> {
        let mut raw = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            if shift == 63 && byte > 1 {
                break;
            }
            raw |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok((raw >> 1) as i64 ^ -((raw & 1) as i64));
            }
        }
        Err(self.error(DecodeFault::VarlongTooLong))
    }

    /// A compact length: one is added to it, so that zero can stand for null.
    fn compact_length(&mut self) -> Result<Option<usize>, DecodeError> {
        Ok(self.unsigned_varint()?.checked_sub(1).map(|length| length as usize))
    }

    /// A classic length, where -1 stands for null.
    fn classic_length(&mut self, length: i64) -> Result<Option<usize>, DecodeError> {
        match usize::try_from(length) {
            Ok(length) => Ok(Some(length)),
            Err(_) if length == -1 => Ok(None),
            Err(_) => Err(self.error(DecodeFault::NegativeLength(length))),
        }
    }

    /// Length of a string; `None` is null.
    fn string_length(&mut self) -> Result<Option<usize>, DecodeError> {
        if self.flexible {
            return self.compact_length();
        }
        let length = self.int16()?;
        self.classic_length(length.into())
    }

    /// Length of bytes or an array; `None` is null.
    fn long_length(&mut self) -> Result<Option<usize>, DecodeError> {
        if self.flexible {
            return self.compact_length();
        }
        let length = self.int32()?;
        self.classic_length(length.into())
    }

    /// A string in the encoding in force; `None` is null.
    pub fn string(&mut self) -> Result<Option<String>, DecodeError> {
        let Some(length) = self.string_length()? else { return Ok(None) };
        self.text(length).map(Some)
    }

    /// A string with an INT16 length whatever the version: the client id of every request header.
    pub(super) fn classic_string(&mut self) -> Result<Option<String>, DecodeError> {
        let length = self.int16()?;
        let Some(length) = self.classic_length(length.into())? else { return Ok(None) };
        self.text(length).map(Some)
    }

    fn text(&mut self, length: usize) -> Result<String, DecodeError> {
        if length > STRING_LENGTH_MAX {
            return Err(self.error(DecodeFault::StringTooLong(length)));
        }
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| self.error(DecodeFault::NotUtf8))
    }

    /// Bytes in the encoding in force, sharing the frame's memory; `None` is null.
    pub fn bytes(&mut self) -> Result<Option<Bytes>, DecodeError> {
        let Some(length) = self.long_length()? else { return Ok(None) };
        self.take(length).map(|taken| Some(self.frame.slice_ref(taken)))
    }

    /// How many elements an array has, each of at least `element_size_min` bytes (not zero); `None` is null.
    pub(super) fn array_length(&mut self, element_size_min: usize) -> Result<Option<usize>, DecodeError> {
        let length = self.long_length()?;
        if let Some(count) = length
            && count > self.rest.len() / element_size_min
        {
            return Err(self.error(DecodeFault::ArrayTooLong { count, remaining: self.rest.len() }));
        }
        Ok(length)
    }

    /// Reads the tagged fields that end a flexible struct; `read` returns false for a tag it does not
    /// know, which is skipped. Nothing is read where the encoding is classic.
    pub(super) fn tagged_fields(
        &mut self,
        read: &mut dyn FnMut(&mut Self, u32) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        if !self.flexible {
            return Ok(());
        }
        let mut lowest_tag = 0;
        for _ in 0..self.unsigned_varint()? {
            let tag = self.unsigned_varint()?;
            if tag < lowest_tag {
                return Err(self.error(DecodeFault::TagOutOfOrder(tag)));
            }
            lowest_tag = tag.saturating_add(1);
            self.tagged_field(tag, read)?;
        }
        Ok(())
    }

    /// One tagged field. While it is read, the frame seems to end where the field ends.
    fn tagged_field(
        &mut self,
        tag: u32,
        read: &mut dyn FnMut(&mut Self, u32) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        let size = self.unsigned_varint()? as usize;
        let field = self.take(size)?;
        let mut inner = Self { rest: field, ..*self };
        if !read(&mut inner, tag)? || inner.rest.is_empty() {
            return Ok(());
        }
        Err(self.error(DecodeFault::TrailingBytes(inner.rest.len())))
    }

    /// Skips the tagged fields of a struct that knows none.
    pub(super) fn skip_tagged_fields(&mut self) -> Result<(), DecodeError> {
        self.tagged_fields(&mut |_, _| Ok(false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading<T>(bytes: &[u8], flexible: bool, read: impl FnOnce(&mut Reader<'_>) -> T) -> (T, usize) {
        let frame = Bytes::copy_from_slice(bytes);
        let mut reader = Reader::new(&frame);
        reader.set_version(0, flexible);
        let value = read(&mut reader);
        (value, reader.remaining())
    }

    fn fault<T: std::fmt::Debug>(
        bytes: &[u8],
        flexible: bool,
        read: impl FnOnce(&mut Reader<'_>) -> Result<T, DecodeError>,
    ) -> DecodeFault {
        reading(bytes, flexible, read).0.unwrap_err().fault
    }

    #[test]
    fn varints_end_at_32_bits() {
        let read = |bytes: &[u8]| reading(bytes, false, |reader| reader.unsigned_varint());
        for (bytes, value) in [
            (&[0][..], 0),
            (&[0x7f], 127),
            (&[0x80, 0x01], 128),
            (&[0x80, 0x00], 0),
            (&[0xff, 0xff, 0xff, 0xff, 0x0f], u32::MAX),
        ] {
            assert_eq!(read(bytes), (Ok(value), 0));
        }
        for bytes in [&[0xff, 0xff, 0xff, 0xff, 0x10][..], &[0x80, 0x80, 0x80, 0x80, 0x80, 0x00]] {
            assert_eq!(fault(bytes, false, |reader| reader.unsigned_varint()), DecodeFault::VarintTooLong);
        }
        let cut = DecodeFault::UnexpectedEnd { needed: 1, remaining: 0 };
        assert_eq!(fault(&[0x80], false, |reader| reader.unsigned_varint()), cut);
    }

    #[test]
    fn signed_varints_zigzag() {
        for (bytes, value) in [
            (&[0][..], 0),
            (&[1], -1),
            (&[2], 1),
            (&[0xfe, 0xff, 0xff, 0xff, 0x0f], i32::MAX),
            (&[0xff, 0xff, 0xff, 0xff, 0x0f], i32::MIN),
        ] {
            assert_eq!(reading(bytes, false, |reader| reader.varint()), (Ok(value), 0));
        }
        let long = |last| [[0xff; 9].as_slice(), &[last]].concat();
        assert_eq!(reading(&long(1), false, |reader| reader.varlong()), (Ok(i64::MIN), 0));
        assert_eq!(reading(&[0x80, 0x01], false, |reader| reader.varlong()), (Ok(64), 0));
        assert_eq!(fault(&long(2), false, |reader| reader.varlong()), DecodeFault::VarlongTooLong);
        assert_eq!(fault(&long(0x81), false, |reader| reader.varlong()), DecodeFault::VarlongTooLong);
    }

    #[test]
    fn strings_in_both_encodings() {
        let read = |bytes: &[u8], flexible| reading(bytes, flexible, |reader| reader.string());
        let text = |text: &str| Ok(Some(text.to_owned()));
        assert_eq!(read(b"\0\x02hi", false), (text("hi"), 0));
        assert_eq!(read(b"\x03hi", true), (text("hi"), 0));
        assert_eq!(read(b"\0\0", false), (text(""), 0));
        assert_eq!(read(b"\x01", true), (text(""), 0));
        assert_eq!(read(b"\xff\xff", false), (Ok(None), 0));
        assert_eq!(read(b"\0", true), (Ok(None), 0));
        assert_eq!(fault(b"\xff\xfe", false, |reader| reader.string()), DecodeFault::NegativeLength(-2));
        assert_eq!(fault(b"\x02\xff", true, |reader| reader.string()), DecodeFault::NotUtf8);
        assert_eq!(fault(b"\x81\x80\x02", true, |reader| reader.string()), DecodeFault::StringTooLong(32_768));
        let cut = DecodeFault::UnexpectedEnd { needed: 2, remaining: 1 };
        assert_eq!(fault(b"\0\x02h", false, |reader| reader.string()), cut);
    }

    #[test]
    fn bytes_share_the_frame() {
        let frame = Bytes::from_static(b"\0\0\0\x03abc\xff\xff\xff\xff");
        let mut reader = Reader::new(&frame);
        let taken = reader.bytes().unwrap().unwrap();
        assert_eq!(taken.as_ref(), b"abc");
        assert_eq!(taken.as_ptr(), frame.slice(4..).as_ptr());
        assert_eq!(reader.bytes(), Ok(None));
        assert_eq!(
            fault(&[0x7f, 0xff, 0xff, 0xff, 0], false, |reader| reader.bytes()),
            DecodeFault::UnexpectedEnd { needed: i32::MAX as usize, remaining: 1 }
        );
    }

    #[test]
    fn arrays_claim_no_more_than_there_is() {
        let length = |reader: &mut Reader<'_>| reader.array_length(4);
        assert_eq!(reading(b"\0\0\0\x02........", false, length), (Ok(Some(2)), 8));
        assert_eq!(reading(b"\x03........", true, length), (Ok(Some(2)), 8));
        let beyond = DecodeFault::ArrayTooLong { count: 3, remaining: 8 };
        assert_eq!(fault(b"\0\0\0\x03........", false, length), beyond);
        assert_eq!(fault(b"\x04........", true, length), beyond);
        assert_eq!(fault(&[0xff, 0xff, 0xff, 0xfe], false, length), DecodeFault::NegativeLength(-2));
    }

    #[test]
    fn tagged_fields_rise_and_keep_to_their_size() {
        let read = |bytes: &[u8]| {
            let mut seen = Vec::new();
            let (result, remaining) = reading(bytes, true, |reader| {
                reader.tagged_fields(&mut |reader, tag| {
                    if tag == 1 {
                        seen.push(reader.int16()?);
                    }
                    Ok(tag == 1)
                })
            });
            (result.map_err(|error| (error.fault, error.offset)), seen, remaining)
        };
        assert_eq!(read(b"\0"), (Ok(()), vec![], 0));
        assert_eq!(read(b"\x03\0\x01.\x01\x02\0\x07\x09\0rest"), (Ok(()), vec![7], 4));
        assert_eq!(read(b"\x02\x01\x02\0\x07\x01\x02\0\x07").0, Err((DecodeFault::TagOutOfOrder(1), 6)));
        assert_eq!(read(b"\x01\x01\x03\0\x07.").0, Err((DecodeFault::TrailingBytes(1), 6)));
        let short = DecodeFault::UnexpectedEnd { needed: 2, remaining: 1 };
        assert_eq!(read(b"\x01\x01\x01\0\x07").0, Err((short, 3)));
        let beyond = DecodeFault::UnexpectedEnd { needed: 9, remaining: 2 };
        assert_eq!(read(b"\x01\x01\x09\0\x07").0, Err((beyond, 3)));
        let classic = reading(b"\x01", false, |reader| reader.skip_tagged_fields());
        assert_eq!(classic, (Ok(()), 1));
    }

    #[test]
    fn a_message_ends_with_its_frame() {
        assert_eq!(reading(b"", false, |reader| reader.expect_end()), (Ok(()), 0));
        assert_eq!(fault(b"xy", false, |reader| reader.expect_end()), DecodeFault::TrailingBytes(2));
    }
}
