//! What the hostile and the picky tests share: a broker to ask, a socket for any bytes, a client that must not notice.
//!
//! With OTTLA_TEST_BOOTSTRAP=host:port these tests ask that broker instead of starting one. That is how their expectations
//! are held against Apache Kafka; memory is then not looked at, and a test that needs settings of its own is left out.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use ottla::protocol::{
    self, ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic, ProducePartition, ProducePartitionResponse,
    ProduceRequest, ProduceTopic, Request,
};
use ottla::record::BatchBuilder;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tempfile::TempDir;

use super::harness::{Connection, Node, PATIENCE, Setup};

/// A broker of the test's own, or the one that OTTLA_TEST_BOOTSTRAP names.
pub struct Broker {
    own: Option<(TempDir, Node)>,
    address: String,
}

impl Broker {
    /// One with the settings every test can live with.
    pub fn start() -> Self {
        match std::env::var("OTTLA_TEST_BOOTSTRAP") {
            Ok(address) => Self { own: None, address },
            Err(_) => Self::own(&[]),
        }
    }

    /// One with settings; none when another broker is being asked.
    pub fn start_with(settings: &[(&str, &str)]) -> Option<Self> {
        std::env::var("OTTLA_TEST_BOOTSTRAP").is_err().then(|| Self::own(settings))
    }

    fn own(settings: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let setup = settings.iter().fold(Setup::new(directory.path()), |setup, (key, value)| setup.set(key, value));
        let node = setup.start();
        let address = node.address();
        Self { own: Some((directory, node)), address }
    }

    pub fn raw(&self) -> Raw {
        Raw::open(&self.address)
    }

    pub fn connect(&self) -> Connection {
        Connection::open(&self.address)
    }

    /// The data directory, when it is ours to look at.
    pub fn data(&self) -> Option<std::path::PathBuf> {
        self.own.as_ref().map(|(directory, _)| directory.path().join("data"))
    }

    /// What was logged, when the broker is ours.
    pub fn log(&self) -> String {
        self.own.as_ref().map(|(_, node)| node.process().log()).unwrap_or_default()
    }

    /// Resident memory in KiB; zero for a broker that is not ours.
    pub fn resident_kib(&self) -> u64 {
        let Some((_, node)) = &self.own else { return 0 };
        let status = Path::new("/proc").join(node.process().id().to_string()).join("status");
        let status = std::fs::read_to_string(status).expect("the broker lives");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a VmRSS line");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Lowers how many files the broker may have open.
    pub fn limit_descriptors(&self, limit: u64) {
        let pid = Pid::from_raw(self.process_id() as i32).expect("not zero");
        let limit = Rlimit { current: Some(limit), maximum: Some(limit) };
        prlimit(Some(pid), Resource::Nofile, limit).expect("the limit is lowered");
    }

    fn process_id(&self) -> u32 {
        self.own.as_ref().expect("a broker of our own").1.process().id()
    }

    /// Does something to the broker and checks that it did not cost much memory, nor anybody else anything.
    pub fn undisturbed_by(&self, growth_kib_max: u64, attack: impl FnOnce()) {
        let mut witness = Witness::new(self);
        witness.check();
        let before = self.resident_kib();
        attack();
        let grown = self.resident_kib().saturating_sub(before);
        assert!(grown <= growth_kib_max, "resident memory grew by {grown} KiB, more than {growth_kib_max}");
        witness.check();
    }
}

/// A name that no other test uses, on a shared broker either.
pub fn unique(kind: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{kind}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A well-behaved client, connected before the trouble begins.
pub struct Witness {
    connection: Connection,
    topic: String,
    produced: i64,
}

impl Witness {
    pub fn new(broker: &Broker) -> Self {
        let mut connection = broker.connect();
        let topic = unique("witness");
        connection.create_topic(&topic);
        Self { connection, topic, produced: 0 }
    }

    /// Produces a record and reads everything back on the connection from before.
    pub fn check(&mut self) {
        assert_eq!(self.connection.produce(&self.topic, b"still here"), self.produced);
        self.produced += 1;
        assert_eq!(self.connection.fetch_all(&self.topic).len() as i64, self.produced);
    }
}

/// A connection on which any bytes can be sent.
pub struct Raw {
    pub stream: TcpStream,
}

impl Raw {
    pub fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        stream.set_nodelay(true).expect("an option");
        Self { stream }
    }

    /// Sends bytes as they are. The broker may have closed already: what comes back tells.
    pub fn send(&mut self, bytes: &[u8]) -> &mut Self {
        let _ = self.stream.write_all(bytes);
        self
    }

    /// Sends a frame: the length, then the bytes.
    pub fn send_frame(&mut self, payload: &[u8]) -> &mut Self {
        let mut frame = (payload.len() as i32).to_be_bytes().to_vec();
        frame.extend_from_slice(payload);
        self.send(&frame)
    }

    /// Says that no more bytes come.
    pub fn finish(&mut self) -> &mut Self {
        let _ = self.stream.shutdown(Shutdown::Write);
        self
    }

    /// The next answer without its length; none when the broker closes instead.
    pub fn answer(&mut self) -> Option<Vec<u8>> {
        let mut length = [0; 4];
        match self.stream.read_exact(&mut length) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => return None,
            Err(error) => panic!("neither an answer nor a close: {error}"),
        }
        let mut answer = vec![0; usize::try_from(i32::from_be_bytes(length)).expect("a length")];
        self.stream.read_exact(&mut answer).expect("a whole answer");
        Some(answer)
    }

    /// The broker must close without a word.
    #[track_caller]
    pub fn expect_close(&mut self) {
        let answer = self.answer();
        assert!(answer.is_none(), "answered {:02x?}", answer.unwrap_or_default());
    }

    /// The broker must answer this request.
    #[track_caller]
    pub fn expect_answer(&mut self, correlation_id: i32) -> Vec<u8> {
        let answer = self.answer().expect("an answer");
        assert_eq!(answer[..4], correlation_id.to_be_bytes(), "the answer's correlation id");
        answer
    }
}

/// A request header with a client id, as requests without tagged fields have it.
pub fn header(api_key: i16, version: i16, correlation_id: i32) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(api_key.to_be_bytes());
    bytes.extend(version.to_be_bytes());
    bytes.extend(correlation_id.to_be_bytes());
    bytes.extend(4_i16.to_be_bytes());
    bytes.extend(b"test");
    bytes
}

/// The header of a flexible version: the same, and no tagged fields.
pub fn flexible_header(api_key: i16, version: i16, correlation_id: i32) -> Vec<u8> {
    let mut bytes = header(api_key, version, correlation_id);
    bytes.push(0);
    bytes
}

/// A whole request without its length.
pub fn payload<R: Request>(version: i16, request: &R) -> Vec<u8> {
    protocol::encode_request(version, 1, Some("test"), request).bytes[4..].to_vec()
}

/// A batch of these values at the given time.
pub fn batch_at(timestamp: i64, values: &[&[u8]]) -> Vec<u8> {
    let mut batch = BatchBuilder::new();
    for value in values {
        batch.append(timestamp, None, Some(value), &[]);
    }
    batch.build().to_vec()
}

/// A batch of these values, now.
pub fn batch(values: &[&[u8]]) -> Vec<u8> {
    batch_at(now_ms(), values)
}

pub fn now_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    i64::try_from(now.as_millis()).expect("fits")
}

/// Computes a batch's checksum anew after its bytes were changed.
pub fn reseal(batch: &mut [u8]) {
    let crc = ottla::record::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}

/// A Produce of raw bytes to partition 0.
pub fn produce_request(topic: &str, acks: i16, records: Vec<u8>) -> ProduceRequest {
    let partition = ProducePartition { index: 0, records: Some(Bytes::from(records)) };
    let topic = ProduceTopic { name: topic.to_owned(), partitions: vec![partition], ..ProduceTopic::default() };
    ProduceRequest { acks, timeout_ms: 30_000, topics: vec![topic], ..ProduceRequest::default() }
}

/// Sends raw record bytes with acks=all and returns the partition's answer.
pub fn produce(connection: &mut Connection, topic: &str, records: Vec<u8>) -> ProducePartitionResponse {
    connection.send(8, &produce_request(topic, -1, records)).responses[0].partition_responses[0].clone()
}

/// The offset of partition 0 at a timestamp, or at one of the special ones.
pub fn offset_at(connection: &mut Connection, topic: &str, timestamp: i64) -> (i64, i64) {
    let partition = ListOffsetsPartition { timestamp, ..ListOffsetsPartition::default() };
    let topic = ListOffsetsTopic { name: topic.to_owned(), partitions: vec![partition] };
    let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..ListOffsetsRequest::default() };
    let response = connection.send(7, &request);
    let partition = &response.topics[0].partitions[0];
    assert!(!partition.error_code.is_error(), "{response:?}");
    (partition.offset, partition.timestamp)
}

/// The end of partition 0.
pub fn end_offset(connection: &mut Connection, topic: &str) -> i64 {
    offset_at(connection, topic, -1).0
}
