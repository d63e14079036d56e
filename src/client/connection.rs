//! One connection to one broker.
//!
//! On opening it asks for the broker's versions (ApiVersions, by the fallback of KIP-35), and every request goes out in
//! the newest version that both sides know. Requests may be pipelined: [`Connection::start`] sends without waiting, and
//! answers are taken with [`Connection::finish`] in the order of the requests, as a broker gives them.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use super::error::ClientError;
use crate::model::ErrorCode;
use crate::protocol::{self, ApiVersionsRequest, ApiVersionsResponse, FRAME_LENGTH_SIZE, Request};

/// The version of ApiVersions that is tried first; a broker that does not know it says so in version 0.
const API_VERSIONS_NEWEST: i16 = 3;

/// How a connection behaves.
#[derive(Clone, Debug)]
pub struct ConnectionOptions {
    /// What the broker is told as the client's name.
    pub client_id: String,
    /// How long to wait for the connection itself.
    pub connect_timeout: Duration,
    /// How long to wait for each answer.
    pub request_timeout: Duration,
    /// The largest answer that is read, in bytes.
    pub response_bytes_max: usize,
}

impl Default for ConnectionOptions {
    fn default() -> Self {
        Self {
            client_id: "ottla".to_owned(),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            response_bytes_max: 100 << 20,
        }
    }
}

/// A request that was sent and whose answer is to be taken, in order.
#[must_use = "the answer must be taken, else the next one cannot be"]
pub struct Unanswered<R: Request> {
    correlation_id: i32,
    version: i16,
    request: PhantomData<fn() -> R>,
}

/// A connection over which requests can be sent. After an error other than [`ClientError::NotServed`] it is spent.
pub struct Connection {
    address: String,
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    options: ConnectionOptions,
    versions: BTreeMap<i16, RangeInclusive<i16>>,
    next_correlation_id: i32,
    next_answer: i32,
}

impl Connection {
    /// Connects to `address` (`host:port`) and learns what the broker serves.
    pub async fn open(address: &str, options: ConnectionOptions) -> Result<Self, ClientError> {
        let unreachable = |source| ClientError::Unreachable { address: address.to_owned(), source };
        let stream = timeout(options.connect_timeout, TcpStream::connect(address))
            .await
            .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut)))
            .map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        let (reader, writer) = stream.into_split();
        let mut connection = Self {
            address: address.to_owned(),
            reader: BufReader::new(reader),
            writer,
            options,
            versions: BTreeMap::new(),
            next_correlation_id: 0,
            next_answer: 0,
        };
        connection.learn_versions().await?;
        Ok(connection)
    }

    /// The peer, as `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What the broker serves: the range of versions by the number of the API, also of APIs that are unknown here.
    pub fn versions(&self) -> &BTreeMap<i16, RangeInclusive<i16>> {
        &self.versions
    }

    /// The newest version of `R` that both sides know and that is not above `at_most`.
    pub fn version_of<R: Request>(&self, at_most: i16) -> Option<i16> {
        let served = self.versions.get(&R::API_KEY.code())?;
        let newest = at_most.min(*served.end()).min(*R::VERSIONS.end());
        (newest >= *served.start() && newest >= *R::VERSIONS.start()).then_some(newest)
    }

    /// Sends a request in the newest common version and waits for its answer.
    pub async fn send<R: Request>(&mut self, request: &R) -> Result<R::Response, ClientError> {
        self.send_at_most(i16::MAX, request).await
    }

    /// The same, in no version above `at_most`.
    pub async fn send_at_most<R: Request>(&mut self, at_most: i16, request: &R) -> Result<R::Response, ClientError> {
        let unanswered = self.start(at_most, request).await?;
        self.finish(unanswered).await
    }

    /// Sends a request in the newest common version that is not above `at_most`, without waiting for the answer.
    pub async fn start<R: Request>(&mut self, at_most: i16, request: &R) -> Result<Unanswered<R>, ClientError> {
        let version = self
            .version_of::<R>(at_most)
            .ok_or_else(|| ClientError::NotServed { address: self.address.clone(), api_key: R::API_KEY })?;
        self.start_version(version, request).await
    }

    /// Waits for the answer to the oldest request that has none yet, which must be this one.
    pub async fn finish<R: Request>(&mut self, unanswered: Unanswered<R>) -> Result<R::Response, ClientError> {
        let frame = self.next_frame(unanswered.correlation_id).await?;
        self.decode::<R>(&frame, unanswered.version)
    }

    /// Sends a request to which a broker gives no answer (Produce with acks=0).
    pub async fn tell<R: Request>(&mut self, at_most: i16, request: &R) -> Result<(), ClientError> {
        let _ = self.start(at_most, request).await?;
        self.next_answer = self.next_correlation_id;
        Ok(())
    }

    async fn start_version<R: Request>(&mut self, version: i16, request: &R) -> Result<Unanswered<R>, ClientError> {
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id = correlation_id.wrapping_add(1);
        let frame = protocol::encode_request(version, correlation_id, Some(&self.options.client_id), request);
        assert!(frame.marks.is_empty(), "a request carries its records inline");
        let Self { writer, address, options, .. } = self;
        in_time(address, options.request_timeout, writer.write_all(&frame.bytes)).await?;
        Ok(Unanswered { correlation_id, version, request: PhantomData })
    }

    /// Reads the frame that answers the request with this number.
    async fn next_frame(&mut self, correlation_id: i32) -> Result<Bytes, ClientError> {
        assert_eq!(self.next_answer, correlation_id, "answers are taken in the order of the requests");
        self.next_answer = correlation_id.wrapping_add(1);
        let Self { reader, address, options, .. } = self;
        let length_max = options.response_bytes_max;
        let frame = in_time(address, options.request_timeout, read_frame(reader, length_max)).await?;
        match frame.first_chunk() {
            Some(got) if i32::from_be_bytes(*got) == correlation_id => Ok(frame),
            _ => Err(ClientError::NotKafka {
                address: address.clone(),
                reason: format!("the answer is not that to request {correlation_id}"),
            }),
        }
    }

    fn decode<R: Request>(&self, frame: &Bytes, version: i16) -> Result<R::Response, ClientError> {
        let decoded = protocol::decode_response::<R>(frame, version);
        decoded.map(|(_, response)| response).map_err(|error| ClientError::undecodable(&self.address, &error))
    }

    async fn learn_versions(&mut self) -> Result<(), ClientError> {
        let mut response = self.ask_versions(API_VERSIONS_NEWEST).await?;
        if response.error_code == ErrorCode::UnsupportedVersion {
            response = self.ask_versions(0).await?;
        }
        if response.error_code.is_error() {
            let reason = format!("it refuses ApiVersions with {}", response.error_code);
            return Err(ClientError::NotKafka { address: self.address.clone(), reason });
        }
        let ranges = response.api_keys.iter().map(|api| (api.api_key, api.min_version..=api.max_version));
        self.versions = ranges.collect();
        Ok(())
    }

    /// Asks in one version. A broker that does not know it answers in version 0, whose first field is the error.
    async fn ask_versions(&mut self, version: i16) -> Result<ApiVersionsResponse, ClientError> {
        let request = ApiVersionsRequest {
            client_software_name: "ottla".to_owned(),
            client_software_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let unanswered = self.start_version(version, &request).await?;
        let frame = self.next_frame(unanswered.correlation_id).await?;
        let refused = frame.get(4..6) == Some(&ErrorCode::UnsupportedVersion.code().to_be_bytes());
        self.decode::<ApiVersionsRequest>(&frame, if refused { 0 } else { version })
    }
}

async fn read_frame(reader: &mut BufReader<OwnedReadHalf>, length_max: usize) -> io::Result<Bytes> {
    let mut prefix = [0; FRAME_LENGTH_SIZE];
    reader.read_exact(&mut prefix).await?;
    let length = usize::try_from(i32::from_be_bytes(prefix)).ok().filter(|length| (4..=length_max).contains(length));
    let Some(length) = length else {
        let claimed = i32::from_be_bytes(prefix);
        let message = match prefix {
            [b'H', b'T', b'T', b'P'] => "it speaks HTTP".to_owned(),
            // A TLS record: an alert or a handshake of any version.
            [0x15 | 0x16, 3, ..] => "it speaks TLS".to_owned(),
            _ => format!("an answer of {claimed} bytes; at least 4 and at most {length_max} are expected"),
        };
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    };
    // The buffer grows with what arrives, not with what the peer claims.
    let mut frame = BytesMut::new();
    let mut rest = reader.take(length as u64);
    while frame.len() < length {
        if rest.read_buf(&mut frame).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(frame.freeze())
}

async fn in_time<T>(
    address: &str,
    limit: Duration,
    work: impl Future<Output = io::Result<T>>,
) -> Result<T, ClientError> {
    match timeout(limit, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(source)) if source.kind() == io::ErrorKind::InvalidData => {
            Err(ClientError::NotKafka { address: address.to_owned(), reason: source.to_string() })
        }
        Ok(Err(source)) => Err(ClientError::Broken { address: address.to_owned(), source }),
        Err(_) => Err(ClientError::TimedOut { address: address.to_owned(), timeout: limit }),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::protocol::{ApiKey, ApiVersion, HeartbeatRequest, MetadataRequest};

    /// A peer that answers each request with the next of `answers`, as they are.
    async fn peer(answers: Vec<Vec<u8>>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            for answer in answers {
                let length = stream.read_i32().await.unwrap();
                stream.read_exact(&mut vec![0; length as usize]).await.unwrap();
                stream.write_all(&answer).await.unwrap();
            }
        });
        address
    }

    fn versions(correlation_id: i32, version: i16, error_code: ErrorCode, range: (i16, i16)) -> Vec<u8> {
        let api_keys =
            vec![ApiVersion { api_key: ApiKey::Metadata.code(), min_version: range.0, max_version: range.1 }];
        let response = ApiVersionsResponse { error_code, api_keys, ..Default::default() };
        protocol::encode_response(ApiKey::ApiVersions, version, correlation_id, &response).bytes.to_vec()
    }

    #[tokio::test]
    async fn versions_are_learned_from_a_broker_that_knows_only_the_oldest_question() {
        let refusal = versions(0, 0, ErrorCode::UnsupportedVersion, (0, 0));
        let address = peer(vec![refusal, versions(1, 0, ErrorCode::None, (2, 5))]).await;
        let mut connection = Connection::open(&address, ConnectionOptions::default()).await.unwrap();
        assert_eq!(connection.version_of::<MetadataRequest>(i16::MAX), Some(5));
        assert_eq!(connection.version_of::<MetadataRequest>(3), Some(3));
        assert_eq!(connection.version_of::<MetadataRequest>(1), None);
        let refused = connection.send(&HeartbeatRequest::default()).await.unwrap_err();
        assert!(matches!(refused, ClientError::NotServed { api_key: ApiKey::Heartbeat, .. }), "{refused}");
    }

    #[tokio::test]
    async fn an_answer_to_another_request_is_not_taken() {
        let address = peer(vec![versions(7, 3, ErrorCode::None, (0, 0))]).await;
        let error = Connection::open(&address, ConnectionOptions::default()).await.err().unwrap();
        assert!(matches!(error, ClientError::NotKafka { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_peer_that_is_no_broker_is_named_as_such() {
        let address = peer(vec![b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()]).await;
        let error = Connection::open(&address, ConnectionOptions::default()).await.err().unwrap();
        assert!(error.to_string().ends_with("does not answer as a Kafka broker: it speaks HTTP"), "{error}");
    }

    #[tokio::test]
    async fn silence_ends_at_the_time_out() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let options = ConnectionOptions { request_timeout: Duration::from_millis(50), ..Default::default() };
        let error = Connection::open(&address, options).await.err().unwrap();
        assert!(matches!(error, ClientError::TimedOut { .. }), "{error}");
    }
}
