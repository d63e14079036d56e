//! Every message the wire knows, as data and with its type erased.

use std::ops::RangeInclusive;
use std::sync::LazyLock;

use bytes::{Bytes, BytesMut};
use ottla::protocol::{
    ApiKey, ApiVisitor, DecodeError, FieldSchema, GroupMetadataKey, GroupMetadataValue, Message, OffsetCommitKey,
    OffsetCommitValue, Reader, Request, TransactionLogKey, TransactionLogValue, Writer, visit_apis,
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    Request(ApiKey),
    Response(ApiKey),
    /// A key or a value in an internal topic.
    Record,
}

#[derive(Clone)]
pub struct Codec {
    pub name: &'static str,
    pub part: Part,
    pub versions: RangeInclusive<i16>,
    pub flexible_from: i16,
    pub fields: Vec<FieldSchema>,
    /// Decodes and throws away.
    pub decode: fn(&Bytes, i16) -> Result<(), DecodeError>,
    /// Decodes a whole frame, encodes the value, checks that this decodes to the same value.
    pub reencode: fn(&Bytes, i16) -> Result<Bytes, DecodeError>,
}

impl Codec {
    fn of<M: Message>(part: Part) -> Self {
        Self {
            name: M::NAME,
            part,
            versions: M::VERSIONS,
            flexible_from: M::FLEXIBLE_FROM,
            fields: M::fields(),
            decode: |bytes, version| decode::<M>(bytes, version).map(drop),
            reencode: reencode::<M>,
        }
    }
}

fn decode<M: Message>(bytes: &Bytes, version: i16) -> Result<M, DecodeError> {
    let mut reader = Reader::new(bytes);
    let message = M::decode(&mut reader, version)?;
    reader.expect_end()?;
    Ok(message)
}

fn reencode<M: Message>(bytes: &Bytes, version: i16) -> Result<Bytes, DecodeError> {
    let message = decode::<M>(bytes, version)?;
    let mut writer = Writer::new(BytesMut::new());
    message.encode(&mut writer, version);
    let (encoded, marks) = writer.finish();
    assert!(marks.is_empty(), "decoding never gives external records");
    let encoded = encoded.freeze();
    assert_eq!(decode::<M>(&encoded, version)?, message, "{} {version} changed on its way", M::NAME);
    Ok(encoded)
}

struct Collect(Vec<Codec>);

impl ApiVisitor for Collect {
    fn visit<R: Request>(&mut self) {
        self.0.push(Codec::of::<R>(Part::Request(R::API_KEY)));
        self.0.push(Codec::of::<R::Response>(Part::Response(R::API_KEY)));
    }
}

pub fn all() -> Vec<Codec> {
    let mut collect = Collect(vec![
        Codec::of::<OffsetCommitKey>(Part::Record),
        Codec::of::<OffsetCommitValue>(Part::Record),
        Codec::of::<GroupMetadataKey>(Part::Record),
        Codec::of::<GroupMetadataValue>(Part::Record),
        Codec::of::<TransactionLogKey>(Part::Record),
        Codec::of::<TransactionLogValue>(Part::Record),
    ]);
    visit_apis(&mut collect);
    collect.0
}

/// Every codec with every version of it.
pub fn all_versions() -> &'static [(Codec, i16)] {
    static ALL: LazyLock<Vec<(Codec, i16)>> = LazyLock::new(|| {
        let versions = |codec: Codec| codec.versions.clone().map(move |version| (codec.clone(), version));
        all().into_iter().flat_map(versions).collect()
    });
    &ALL
}
