//! Messages that carry their version in front: how internal topics store keys and values.

use bytes::{Bytes, BytesMut};

use super::error::DecodeError;
use super::message::Message;
use super::reader::Reader;
use super::writer::Writer;

/// The message in `version`, after that version as an INT16.
pub fn encode_with_version<M: Message>(version: i16, message: &M) -> Bytes {
    let mut writer = Writer::new(BytesMut::new());
    writer.put(&version.to_be_bytes());
    message.encode(&mut writer, version);
    writer.finish().0.freeze()
}

/// Reads a message of the version it begins with. Nothing may follow it.
pub fn decode_with_version<M: Message>(bytes: &Bytes) -> Result<M, DecodeError> {
    let mut reader = Reader::new(bytes);
    let version = reader.int16()?;
    let message = M::decode(&mut reader, version)?;
    reader.expect_end()?;
    Ok(message)
}
