//! Frames: a length of four bytes, a header, a body.

use bytes::{Bytes, BytesMut};

use super::api_key::ApiKey;
use super::api_key::Request;
use super::error::DecodeError;
use super::header::{RequestHeader, ResponseHeader};
use super::message::Message;
use super::reader::Reader;
use super::writer::{ExternalMark, Writer, wire_length};

/// Bytes of the length in front of a frame; it does not count itself.
pub const FRAME_LENGTH_SIZE: usize = size_of::<i32>();

/// Room for most responses of the hot path, so that a new buffer need not grow.
const FRAME_CAPACITY: usize = 256;

/// A frame ready to be sent, length in front, with gaps for what is sent from elsewhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EncodedFrame {
    /// The frame without the external bytes. Its length in front counts them.
    pub bytes: BytesMut,
    /// Where the external bytes belong, in rising order of position.
    pub marks: Vec<ExternalMark>,
}

/// A response of `version` as a frame.
pub fn encode_response<M: Message>(api_key: ApiKey, version: i16, correlation_id: i32, response: &M) -> EncodedFrame {
    encode_response_into(BytesMut::with_capacity(FRAME_CAPACITY), api_key, version, correlation_id, response)
}

/// The same in a buffer that may have been used before; what is in it is dropped.
pub fn encode_response_into<M: Message>(
    buffer: BytesMut,
    api_key: ApiKey,
    version: i16,
    correlation_id: i32,
    response: &M,
) -> EncodedFrame {
    encode_frame(buffer, |writer| {
        ResponseHeader { correlation_id }.encode(writer, api_key, version);
        response.encode(writer, version);
    })
}

/// A request of `version` as a frame.
pub fn encode_request<R: Request>(
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
    request: &R,
) -> EncodedFrame {
    encode_frame(BytesMut::with_capacity(FRAME_CAPACITY), |writer| {
        let client_id = client_id.map(str::to_owned);
        RequestHeader { api_key: R::API_KEY, api_version: version, correlation_id, client_id }.encode(writer);
        request.encode(writer, version);
    })
}

/// Reads a response to a request of type `R`, from a frame without its length.
pub fn decode_response<R: Request>(frame: &Bytes, version: i16) -> Result<(ResponseHeader, R::Response), DecodeError> {
    let mut reader = Reader::new(frame);
    let header = ResponseHeader::decode(&mut reader, R::API_KEY, version)?;
    let response = R::Response::decode(&mut reader, version)?;
    reader.expect_end()?;
    Ok((header, response))
}

fn encode_frame(mut buffer: BytesMut, write: impl FnOnce(&mut Writer)) -> EncodedFrame {
    buffer.clear();
    buffer.extend_from_slice(&[0; FRAME_LENGTH_SIZE]);
    let mut writer = Writer::new(buffer);
    write(&mut writer);
    let (mut bytes, marks) = writer.finish();
    let external: usize = marks.iter().map(|mark| mark.length).sum();
    let length = wire_length(bytes.len() - FRAME_LENGTH_SIZE + external);
    if let Some(front) = bytes.first_chunk_mut() {
        *front = length.to_be_bytes();
    }
    EncodedFrame { bytes, marks }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ErrorCode;
    use crate::protocol::messages::*;
    use crate::protocol::{DecodeFault, Records};

    fn body(frame: &EncodedFrame) -> Bytes {
        Bytes::copy_from_slice(frame.bytes.get(FRAME_LENGTH_SIZE..).unwrap())
    }

    #[test]
    fn a_request_comes_back_as_it_was() {
        let request = ProduceRequest {
            acks: -1,
            timeout_ms: 1500,
            topics: vec![ProduceTopic {
                name: "events".to_owned(),
                partitions: vec![ProducePartition { index: 2, records: Some(Bytes::from_static(b"batch")) }],
                ..Default::default()
            }],
            ..Default::default()
        };
        for version in [3, 8, 9, 12] {
            let frame = body(&encode_request(version, 77, Some("me"), &request));
            let mut reader = Reader::new(&frame);
            let header = RequestHeader::decode(&mut reader).unwrap();
            assert_eq!((header.api_key, header.api_version, header.correlation_id), (ApiKey::Produce, version, 77));
            assert_eq!(header.client_id.as_deref(), Some("me"));
            assert_eq!(ProduceRequest::decode(&mut reader, version).as_ref(), Ok(&request));
            assert_eq!(reader.expect_end(), Ok(()));
        }
    }

    #[test]
    fn external_records_are_counted_and_marked_but_not_written() {
        let partition = |records| FetchPartitionResponse { records, ..Default::default() };
        let response = |first, second| FetchResponse {
            responses: vec![FetchTopicResponse {
                topic: "t".to_owned(),
                partitions: vec![partition(first), partition(second)],
                ..Default::default()
            }],
            ..Default::default()
        };
        let inline = response(Records::Inline(b"12345".as_slice().into()), Records::Inline(b"678".as_slice().into()));
        let external = response(Records::External { length: 5, slot: 0 }, Records::External { length: 3, slot: 9 });
        for version in [4, 12, 16] {
            let whole = encode_response(ApiKey::Fetch, version, 1, &inline);
            let gaps = encode_response(ApiKey::Fetch, version, 1, &external);
            let [first, second] = gaps.marks.as_slice() else { panic!("{:?}", gaps.marks) };
            assert_eq!((first.slot, second.slot, whole.marks.len()), (0, 9, 0));
            let mut filled = gaps.bytes.to_vec();
            filled.splice(second.position..second.position, *b"678");
            filled.splice(first.position..first.position, *b"12345");
            assert_eq!(filled, whole.bytes);
        }
    }

    #[test]
    fn an_api_versions_response_never_has_tags_in_its_header() {
        let response = ApiVersionsResponse { error_code: ErrorCode::UnsupportedVersion, ..Default::default() };
        let frame = encode_response(ApiKey::ApiVersions, 3, 5, &response);
        assert_eq!(frame.bytes.as_ref(), [0, 0, 0, 12, 0, 0, 0, 5, 0, 35, 1, 0, 0, 0, 0, 0]);
        let heartbeat = encode_response(ApiKey::Heartbeat, 4, 5, &HeartbeatResponse::default());
        assert_eq!(heartbeat.bytes.as_ref(), [0, 0, 0, 12, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0]);
        let (header, decoded) = decode_response::<HeartbeatRequest>(&body(&heartbeat), 4).unwrap();
        assert_eq!((header.correlation_id, decoded), (5, HeartbeatResponse::default()));
    }

    #[test]
    fn a_header_of_an_unknown_api_is_refused() {
        for key in [999i16, -1, 4] {
            let frame = Bytes::copy_from_slice(&[&key.to_be_bytes()[..], &[0; 20]].concat());
            let error = RequestHeader::decode(&mut Reader::new(&frame)).unwrap_err();
            assert_eq!(error.fault, DecodeFault::UnknownApiKey(key));
        }
    }

    #[test]
    fn errors_say_what_and_where() {
        let frame = Bytes::from_static(&[0, 1, 0, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff]);
        let error = HeartbeatRequest::decode(&mut Reader::new(&frame), 0).unwrap_err();
        assert_eq!(error.to_string(), "127 bytes are needed, 3 remain at byte 9 in HeartbeatRequest.member_id");
    }
}
