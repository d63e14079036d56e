//! A broker that does nothing: an acknowledged batch goes straight to the waiting fetch. `latency` against it measures
//! the client, the sockets and the scheduler alone.

use std::collections::VecDeque;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use bytes::{Bytes, BytesMut};
use clap::Args;
use ottla::protocol::{
    ApiKey, FetchPartitionResponse, FetchResponse, FetchTopicResponse, Message, ProducePartitionResponse,
    ProduceRequest, ProduceResponse, ProduceTopicResponse, Reader, Records, RequestHeader, encode_response,
};
use serde_json::{Value, json};

use super::{fetch, produce};

#[derive(Args)]
pub struct NullBroker {
    /// host:port to listen on.
    #[arg(long)]
    listen: String,
}

#[derive(Default)]
struct Log {
    /// Batches nobody has fetched yet.
    batches: Mutex<VecDeque<Bytes>>,
    appended: Condvar,
}

impl NullBroker {
    pub fn run(self) -> Value {
        let listener = TcpListener::bind(&self.listen).expect("the address is free");
        let log = Arc::new(Log::default());
        for stream in listener.incoming().map_while(Result::ok) {
            let log = Arc::clone(&log);
            thread::spawn(move || serve(stream, &log));
        }
        json!({})
    }
}

fn serve(mut stream: TcpStream, log: &Log) -> io::Result<()> {
    use std::io::{Read, Write};
    stream.set_nodelay(true)?;
    let mut offset = 0_i64;
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let mut frame = vec![0; i32::from_be_bytes(length) as usize];
        stream.read_exact(&mut frame)?;
        let frame = Bytes::from(frame);
        let key = i16::from_be_bytes([frame[0], frame[1]]);
        let correlation_id = i32::from_be_bytes([frame[4], frame[5], frame[6], frame[7]]);
        let answer = match ApiKey::from_code(key) {
            Some(ApiKey::Produce) => {
                log.append(&frame, offset)?;
                offset += 1;
                encode_response(ApiKey::Produce, produce::VERSION, correlation_id, &acknowledged())
            }
            Some(ApiKey::Fetch) => encode_response(ApiKey::Fetch, fetch::VERSION, correlation_id, &fetched(log.wait())),
            other => return Err(io::Error::other(format!("not served: {other:?}"))),
        };
        stream.write_all(&answer.bytes)?;
    }
}

impl Log {
    fn append(&self, frame: &Bytes, offset: i64) -> io::Result<()> {
        let wrong = |error: &dyn std::fmt::Display| io::Error::other(error.to_string());
        let mut reader = Reader::new(frame);
        RequestHeader::decode(&mut reader).map_err(|error| wrong(&error))?;
        let mut request = ProduceRequest::decode(&mut reader, produce::VERSION).map_err(|error| wrong(&error))?;
        let records = request.topics[0].partitions[0].records.take().unwrap_or_default();
        let mut batch = BytesMut::from(&records[..]);
        batch[..8].copy_from_slice(&offset.to_be_bytes());
        self.batches.lock().expect("not poisoned").push_back(batch.freeze());
        self.appended.notify_one();
        Ok(())
    }

    fn wait(&self) -> Bytes {
        let batches = self.batches.lock().expect("not poisoned");
        let mut batches = self.appended.wait_while(batches, |batches| batches.is_empty()).expect("not poisoned");
        batches.pop_front().expect("not empty")
    }
}

fn acknowledged() -> ProduceResponse {
    let topic = ProduceTopicResponse {
        partition_responses: vec![ProducePartitionResponse::default()],
        ..ProduceTopicResponse::default()
    };
    ProduceResponse { responses: vec![topic], ..ProduceResponse::default() }
}

fn fetched(batch: Bytes) -> FetchResponse {
    let partition = FetchPartitionResponse { records: Records::Inline(batch), ..FetchPartitionResponse::default() };
    let topic = FetchTopicResponse { partitions: vec![partition], ..FetchTopicResponse::default() };
    FetchResponse { responses: vec![topic], ..FetchResponse::default() }
}
