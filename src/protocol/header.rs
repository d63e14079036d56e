//! The headers in front of every request and response.
//!
//! | request header | api_key | api_version | correlation_id | client_id                 | tags |
//! |----------------|---------|-------------|----------------|---------------------------|------|
//! | version 0      | INT16   | INT16       | INT32          | -                         | -    |
//! | version 1      | INT16   | INT16       | INT32          | nullable, INT16 length    | -    |
//! | version 2      | INT16   | INT16       | INT32          | nullable, INT16 length    | yes  |
//!
//! Version 0 was sent with ControlledShutdown 0 only, which no broker without ZooKeeper serves.
//! A response header is the correlation id, from version 1 on followed by tags. The client id
//! keeps its classic length so that any broker can read it, and an ApiVersions response keeps
//! header version 0 so that any client can.

use super::api_key::ApiKey;
use super::error::{DecodeError, DecodeFault};
use super::reader::Reader;
use super::writer::Writer;

/// What a request says about itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestHeader {
    /// The API that is asked.
    pub api_key: ApiKey,
    /// The version of request and response. Not checked against the schema: that is the body's.
    pub api_version: i16,
    /// Comes back in the response.
    pub correlation_id: i32,
    /// The name that the client gives itself, for logs and quotas.
    pub client_id: Option<String>,
}

impl RequestHeader {
    /// The header version in front of a request: 2 for flexible ones, otherwise 1.
    pub fn version(api_key: ApiKey, api_version: i16) -> i16 {
        if api_key.is_flexible(api_version) { 2 } else { 1 }
    }

    /// Reads the header. Fails for an API that has no schema here, as its header cannot be known.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let key = reader.int16()?;
        let Some(api_key) = ApiKey::from_code(key).filter(|key| key.schema_versions().is_some()) else {
            return Err(reader.error(DecodeFault::UnknownApiKey(key)).within("RequestHeader.api_key"));
        };
        let api_version = reader.int16()?;
        let correlation_id = reader.int32()?;
        let client_id = reader.classic_string().map_err(|error| error.within("RequestHeader.client_id"))?;
        let version = Self::version(api_key, api_version);
        reader.set_version(version, version >= 2);
        reader.skip_tagged_fields()?;
        Ok(Self { api_key, api_version, correlation_id, client_id })
    }

    /// Appends the header.
    pub fn encode(&self, writer: &mut Writer) {
        writer.put(&self.api_key.code().to_be_bytes());
        writer.put(&self.api_version.to_be_bytes());
        writer.put(&self.correlation_id.to_be_bytes());
        writer.classic_string(self.client_id.as_deref());
        if Self::version(self.api_key, self.api_version) >= 2 {
            writer.unsigned_varint(0);
        }
    }
}

/// What a response says about itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ResponseHeader {
    /// That of the request which is answered.
    pub correlation_id: i32,
}

impl ResponseHeader {
    /// The header version in front of a response.
    pub fn version(api_key: ApiKey, api_version: i16) -> i16 {
        i16::from(api_key != ApiKey::ApiVersions && api_key.is_flexible(api_version))
    }

    /// Reads the header in front of a response to a request of `api_key` and `api_version`.
    pub fn decode(reader: &mut Reader<'_>, api_key: ApiKey, api_version: i16) -> Result<Self, DecodeError> {
        let correlation_id = reader.int32()?;
        let version = Self::version(api_key, api_version);
        reader.set_version(version, version >= 1);
        reader.skip_tagged_fields()?;
        Ok(Self { correlation_id })
    }

    /// Appends the header.
    pub fn encode(&self, writer: &mut Writer, api_key: ApiKey, api_version: i16) {
        writer.put(&self.correlation_id.to_be_bytes());
        if Self::version(api_key, api_version) >= 1 {
            writer.unsigned_varint(0);
        }
    }
}
