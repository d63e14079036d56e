//! Sends answers: bytes from memory, and slices of log files straight from the page cache.
//!
//! Answers gather in one buffer and go out in one write when the connection has no more requests at hand. Large
//! record slices go by `sendfile`, announced with `MSG_MORE` so that header and records share packets; small ones
//! are cheaper to copy into the buffer. A slice that turns out short closes the connection: the length has been
//! promised already.

use std::io;
use std::time::Duration;

use rustix::net::SendFlags;
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::log::{FileSlice, OsDisk};
use crate::protocol::EncodedFrame;

/// Up to here records are copied into the send buffer.
const COPIED_BYTES_MAX: usize = 16 * 1024;
/// The buffer is written out when it reaches this.
const BUFFER_BYTES_MAX: usize = 256 * 1024;
/// A larger buffer is not kept for the next answer.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// One encoded answer with the file slices that its marks refer to.
#[derive(Debug)]
pub struct Outgoing {
    /// Length prefix, header and body.
    pub frame: EncodedFrame,
    /// What goes where a mark with that slot is.
    pub slots: Vec<Vec<FileSlice<OsDisk>>>,
}

/// Why an answer could not be sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The socket failed, or the peer has gone.
    #[error("cannot send: {0}")]
    Io(#[from] io::Error),
    /// The peer took nothing for the whole time.
    #[error("the peer has read nothing for {0:?}")]
    Stalled(Duration),
    /// A log file ended before a slice of it did.
    #[error("a log file ended {missing} bytes before the slice that was promised")]
    ShortFile {
        /// Bytes that should have been there.
        missing: usize,
    },
}

/// The sending half of a connection.
#[derive(Debug)]
pub struct FrameSender {
    buffer: Vec<u8>,
    stall_max: Duration,
}

impl FrameSender {
    /// `stall_max`: how long a peer may take nothing before it is given up.
    pub fn new(stall_max: Duration) -> Self {
        Self { buffer: Vec::new(), stall_max }
    }

    /// Takes in one answer; what lies in the buffer may go out, or wait for [`FrameSender::flush`].
    pub async fn push(&mut self, stream: &TcpStream, outgoing: Outgoing) -> Result<(), SendError> {
        let Outgoing { frame, slots } = outgoing;
        let mut bytes = frame.bytes;
        let record_bytes: usize = slots.iter().flatten().map(|slice| slice.length).sum();
        let mut sent = 0;
        for mark in &frame.marks {
            self.buffer.extend_from_slice(&bytes.split_to(mark.position - sent));
            sent = mark.position;
            for slice in slots.get(mark.slot).into_iter().flatten() {
                if record_bytes <= COPIED_BYTES_MAX {
                    self.copy(slice)?;
                } else {
                    self.send_slice(stream, slice).await?;
                }
            }
        }
        self.buffer.extend_from_slice(&bytes);
        if self.buffer.len() >= BUFFER_BYTES_MAX { self.flush(stream).await } else { Ok(()) }
    }

    /// Sends all that is buffered.
    pub async fn flush(&mut self, stream: &TcpStream) -> Result<(), SendError> {
        self.drain(stream, SendFlags::empty()).await
    }

    fn copy(&mut self, slice: &FileSlice<OsDisk>) -> Result<(), SendError> {
        slice.read_into(&mut self.buffer).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => SendError::ShortFile { missing: slice.length },
            _ => SendError::Io(error),
        })
    }

    async fn drain(&mut self, stream: &TcpStream, flags: SendFlags) -> Result<(), SendError> {
        let mut sent = 0;
        while let Some(rest) = self.buffer.get(sent..).filter(|rest| !rest.is_empty()) {
            let flags = flags | SendFlags::NOSIGNAL;
            let attempt = stream.async_io(Interest::WRITABLE, || Ok(rustix::net::send(stream, rest, flags)?));
            sent += within(self.stall_max, attempt).await?;
        }
        self.buffer.clear();
        self.buffer.shrink_to(KEPT_BYTES_MAX);
        Ok(())
    }

    async fn send_slice(&mut self, stream: &TcpStream, slice: &FileSlice<OsDisk>) -> Result<(), SendError> {
        let Some(file) = slice.as_fd() else { return self.copy(slice) };
        self.drain(stream, SendFlags::MORE).await?;
        let mut position = slice.position;
        let mut left = slice.length;
        while left > 0 {
            let attempt = stream
                .async_io(Interest::WRITABLE, || Ok(rustix::fs::sendfile(stream, file, Some(&mut position), left)?));
            match within(self.stall_max, attempt).await? {
                0 => return Err(SendError::ShortFile { missing: left }),
                sent => left -= sent,
            }
        }
        Ok(())
    }
}

/// Polls first, so that the usual case, room in the socket, arms no timer.
async fn within(stall_max: Duration, attempt: impl Future<Output = io::Result<usize>>) -> Result<usize, SendError> {
    let mut attempt = std::pin::pin!(attempt);
    let first = std::future::poll_fn(|cx| std::task::Poll::Ready(attempt.as_mut().poll(cx))).await;
    match first {
        std::task::Poll::Ready(result) => Ok(result?),
        std::task::Poll::Pending => match tokio::time::timeout(stall_max, attempt).await {
            Ok(result) => Ok(result?),
            Err(_) => Err(SendError::Stalled(stall_max)),
        },
    }
}
