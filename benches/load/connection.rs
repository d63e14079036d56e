//! One blocking connection.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ottla::protocol::{Request, decode_response, encode_request};

/// Where a request's correlation id lies in its frame: after the length, the API key and the version.
const CORRELATION_ID: std::ops::Range<usize> = 8..12;

pub struct Connection {
    stream: TcpStream,
    /// Receive buffer, taken back from each answer that nobody holds any more.
    buffer: BytesMut,
}

impl Connection {
    pub fn open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(300)))?;
        Ok(Self { stream, buffer: BytesMut::new() })
    }

    /// A connection to the first of some addresses, separated by commas, that takes it.
    pub fn open_any(addresses: &str) -> io::Result<Self> {
        let mut last = io::Error::other("no address");
        for address in addresses.split(',') {
            match Self::open(address) {
                Ok(connection) => return Ok(connection),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The same connection for another thread.
    pub fn share(&self) -> io::Result<Self> {
        Ok(Self { stream: self.stream.try_clone()?, buffer: BytesMut::new() })
    }

    pub fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        self.stream.write_all(frame)
    }

    /// The next frame, without its length.
    pub fn receive(&mut self) -> io::Result<Bytes> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = usize::try_from(i32::from_be_bytes(length)).map_err(io::Error::other)?;
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(length, 0);
        self.stream.read_exact(&mut buffer)?;
        Ok(buffer.freeze())
    }

    /// Gives a frame back, to be the next receive buffer.
    pub fn recycle(&mut self, frame: Bytes) {
        if let Ok(buffer) = frame.try_into_mut() {
            self.buffer = buffer;
        }
    }

    /// Sends a request and waits for its answer.
    pub fn call<R: Request>(&mut self, version: i16, request: &R) -> io::Result<R::Response> {
        self.send(&frame(version, request))?;
        let answer = self.receive()?;
        let (_, response) =
            decode_response::<R>(&answer, version).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(response)
    }
}

/// A request's frame, length included.
pub fn frame<R: Request>(version: i16, request: &R) -> Vec<u8> {
    encode_request(version, 0, Some("load"), request).bytes.to_vec()
}

pub fn set_correlation_id(frame: &mut [u8], correlation_id: i32) {
    frame[CORRELATION_ID].copy_from_slice(&correlation_id.to_be_bytes());
}
