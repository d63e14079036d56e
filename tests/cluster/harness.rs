//! Runs the binary on free ports in a directory of its own, and always ends it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ottla::model::ErrorCode;
use ottla::protocol::{
    self, CreatableTopic, CreateTopicsRequest, FetchPartition, FetchRequest, FetchTopic,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResource, IncrementalAlterableConfig, MetadataRequest,
    MetadataRequestTopic, ProducePartition, ProduceRequest, ProduceTopic, Records, Request,
};
use ottla::record::{BatchBuilder, Batches};

/// Longer than anything takes on a busy machine; only a failing test waits so long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How a node is to be started.
pub struct Setup {
    directory: PathBuf,
    overrides: Vec<String>,
    environment: Vec<(String, String)>,
    arguments: Vec<String>,
}

impl Setup {
    /// A combined node on a free port with its data in `directory/data`.
    pub fn new(directory: &Path) -> Self {
        Self::bare(directory)
            .set("listeners", "PLAINTEXT://127.0.0.1:0")
            .set("log.dirs", directory.join("data").to_str().expect("a path in UTF-8"))
            .set("group.initial.rebalance.delay.ms", "0")
    }

    /// Nothing configured at all; `directory` is the working directory.
    pub fn bare(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), overrides: Vec::new(), environment: Vec::new(), arguments: Vec::new() }
    }

    /// Adds `--override key=value`.
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.overrides.push(format!("{key}={value}"));
        self
    }

    /// Adds an environment variable.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds an argument, such as a properties file.
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ottla"));
        command.arg("server").args(&self.arguments).current_dir(&self.directory).stdin(Stdio::null());
        for pair in &self.overrides {
            command.args(["--override", pair]);
        }
        // What the person who runs the tests has set must not matter.
        for (name, _) in std::env::vars() {
            if name.starts_with("KAFKA_") || name.starts_with("OTTLA_") || name == "CLUSTER_ID" || name == "RUST_LOG" {
                command.env_remove(name);
            }
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts the node and waits until it is ready.
    pub fn start(self) -> Node {
        let mut process = self.spawn();
        let banner = process.banner();
        Node { process, banner }
    }

    /// Starts the node without waiting for anything.
    pub fn spawn(self) -> Process {
        let log = self.directory.join("stderr.log");
        let mut command = self.command();
        let log_file = fs::OpenOptions::new().create(true).append(true).open(&log).expect("a log file");
        command.stdout(Stdio::piped()).stderr(log_file);
        let mut child = command.spawn().expect("the binary starts");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, lines) = channel();
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Process { child, lines, log }
    }

    /// Starts a node that is not expected to live, and waits for its end.
    pub fn run_to_end(self) -> Output {
        let mut child = self.command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let deadline = Instant::now() + PATIENCE;
        while child.try_wait().expect("it can be waited for").is_none() {
            if Instant::now() > deadline {
                let _ = child.kill();
                panic!("the node was expected to refuse, and runs: {:?}", child.wait_with_output());
            }
            thread::sleep(Duration::from_millis(10));
        }
        child.wait_with_output().expect("it has ended")
    }
}

/// A process of the binary. Ends with this value.
pub struct Process {
    child: Child,
    lines: Receiver<String>,
    log: PathBuf,
}

impl Process {
    /// Waits for the banner and returns its lines.
    pub fn banner(&mut self) -> Vec<String> {
        let mut banner = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    let last = line.trim_start().starts_with("configured");
                    banner.push(line);
                    if last {
                        return banner;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("not ready after {PATIENCE:?}:\n{}", self.log()),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("ended before it was ready ({:?}):\n{}", self.child.wait(), self.log())
                }
            }
        }
    }

    /// What was logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.id().to_string()]).status();
        assert!(sent.expect("kill runs").success(), "the process takes SIG{name}");
    }

    /// Waits for the end.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                return status;
            }
            assert!(Instant::now() < deadline, "still running after {PATIENCE:?}:\n{}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A node that is ready.
pub struct Node {
    process: Process,
    /// The lines of its banner.
    pub banner: Vec<String>,
}

impl Node {
    /// `host:port` of the first listener for clients.
    pub fn address(&self) -> String {
        let line = self.banner.iter().find_map(|line| line.trim_start().strip_prefix("clients"));
        let listener = line.unwrap_or_else(|| panic!("a listener in {:?}", self.banner)).trim();
        listener.split_once("://").expect("NAME://address").1.to_owned()
    }

    /// A connection for requests.
    pub fn connect(&self) -> Connection {
        Connection::open(&self.address())
    }

    /// The process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Ends the node as a crash would.
    pub fn kill(mut self) {
        self.process.signal("KILL");
        assert_eq!(self.process.wait().signal(), Some(9));
    }

    /// Ends the node in order, and returns how it went.
    pub fn stop(mut self) -> ExitStatus {
        self.process.terminate();
        self.process.wait()
    }
}

/// A connection that speaks Kafka's protocol, one request at a time.
pub struct Connection {
    stream: TcpStream,
    correlation_id: i32,
}

impl Connection {
    /// Connects.
    pub fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        Self { stream, correlation_id: 0 }
    }

    /// Sends a request and waits for its answer.
    pub fn send<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.correlation_id += 1;
        let frame = protocol::encode_request(version, self.correlation_id, Some("test"), request);
        self.stream.write_all(&frame.bytes).expect("sent");
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).expect("an answer");
        let mut answer = vec![0; usize::try_from(i32::from_be_bytes(length)).expect("a length")];
        self.stream.read_exact(&mut answer).expect("a whole answer");
        let (header, response) = protocol::decode_response::<R>(&Bytes::from(answer), version).expect("decodes");
        assert_eq!(header.correlation_id, self.correlation_id);
        response
    }

    /// Creates a topic with one partition and waits for its leader, or panics.
    pub fn create_topic(&mut self, name: &str) {
        let topic = CreatableTopic {
            name: name.to_owned(),
            num_partitions: 1,
            replication_factor: 1,
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, ..CreateTopicsRequest::default() };
        let response = self.send(5, &request);
        assert!(!response.topics[0].error_code.is_error(), "{response:?}");
        self.await_leader(name);
    }

    /// Waits until partition 0 of a topic has a leader.
    pub fn await_leader(&mut self, topic: &str) {
        let asked = MetadataRequestTopic { name: Some(topic.to_owned()), ..MetadataRequestTopic::default() };
        let request = MetadataRequest { topics: Some(vec![asked]), ..MetadataRequest::default() };
        let deadline = Instant::now() + PATIENCE;
        loop {
            let response = self.send(4, &request);
            let partition = response.topics[0].partitions.first();
            if partition.is_some_and(|partition| !partition.error_code.is_error() && partition.leader_id >= 0) {
                return;
            }
            assert!(Instant::now() < deadline, "{topic} has no leader: {response:?}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sets a config of a resource (2 is a topic, 4 a broker), or removes it, or panics.
    pub fn alter_config(&mut self, resource_type: i8, resource: &str, key: &str, value: Option<&str>) {
        let altered = self.try_alter_config(resource_type, resource, key, value);
        assert_eq!(altered, Ok(()), "{key}={value:?}");
    }

    /// Sets a config of a resource, or removes it.
    pub fn try_alter_config(
        &mut self,
        resource_type: i8,
        resource: &str,
        key: &str,
        value: Option<&str>,
    ) -> Result<(), ErrorCode> {
        let config = IncrementalAlterableConfig {
            name: key.to_owned(),
            config_operation: i8::from(value.is_none()),
            value: value.map(str::to_owned),
        };
        let resource = IncrementalAlterConfigsResource {
            resource_type,
            resource_name: resource.to_owned(),
            configs: vec![config],
        };
        let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
        match self.send(1, &request).responses[0].error_code {
            ErrorCode::None => Ok(()),
            error => Err(error),
        }
    }

    /// Produces one record with acks=all to partition 0, and returns its offset, or panics.
    pub fn produce(&mut self, topic: &str, value: &[u8]) -> i64 {
        self.try_produce(topic, value).unwrap_or_else(|error| panic!("{topic}: {error}"))
    }

    /// Produces one record with acks=all to partition 0.
    pub fn try_produce(&mut self, topic: &str, value: &[u8]) -> Result<i64, ErrorCode> {
        let mut batch = BatchBuilder::new();
        batch.append(1_700_000_000_000, None, Some(value), &[]);
        let partition = ProducePartition { index: 0, records: Some(batch.build()) };
        let topic = ProduceTopic { name: topic.to_owned(), partitions: vec![partition], ..ProduceTopic::default() };
        let request = ProduceRequest { acks: -1, timeout_ms: 30_000, topics: vec![topic], ..ProduceRequest::default() };
        let response = self.send(8, &request);
        let partition = &response.responses[0].partition_responses[0];
        match partition.error_code {
            ErrorCode::None => Ok(partition.base_offset),
            error => Err(error),
        }
    }

    /// The values of all records of partition 0.
    pub fn fetch_all(&mut self, topic: &str) -> Vec<Vec<u8>> {
        let mut values = Vec::new();
        loop {
            let partition = FetchPartition {
                partition: 0,
                fetch_offset: values.len() as i64,
                partition_max_bytes: 1 << 20,
                ..FetchPartition::default()
            };
            let topic = FetchTopic { topic: topic.to_owned(), partitions: vec![partition], ..FetchTopic::default() };
            let request = FetchRequest { max_bytes: 1 << 20, topics: vec![topic], ..FetchRequest::default() };
            let response = self.send(11, &request);
            let partition = &response.responses[0].partitions[0];
            assert!(!partition.error_code.is_error(), "{response:?}");
            let Records::Inline(bytes) = &partition.records else { return values };
            let before = values.len();
            for batch in Batches::new(bytes) {
                let batch = batch.expect("a whole batch");
                let plain = batch.plain_records(1 << 20).expect("plain");
                for record in ottla::record::Records::new(&batch.header, &plain) {
                    values.push(record.expect("a record").value.unwrap_or_default().to_vec());
                }
            }
            if values.len() == before {
                return values;
            }
        }
    }
}
