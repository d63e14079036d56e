//! Reads request frames: a four-byte length, then that many bytes.
//!
//! A frame's memory grows with the bytes that have arrived, never with the length that a peer claims. Buffers
//! come from a pool shared by all connections, so that an idle connection holds none and a busy one writes to
//! pages that are already mapped (a fresh page costs more than the copy into it).

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// What one read asks for when no frame has begun.
const READ_BYTES: usize = 64 * 1024;
/// A buffer grows to a claimed length at once up to here; beyond, it doubles as bytes arrive.
const TRUSTED_BYTES: usize = 1024 * 1024;
/// Larger buffers are given back to the allocator instead of the pool.
const POOLED_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Buffers kept for re-use; more are freed.
const POOL_BUFFERS_MAX: usize = 16;
/// The least that a large frame is given at a time: with less, a request of usual size would take many reads.
const STEP_BYTES_MIN: usize = 256 * 1024;
/// A frame that holds memory others may be waiting for has to come on; a peer that lets it lie this long is gone.
const STALL_MAX: Duration = Duration::from_secs(10);
/// Only Produce carries bulk. A frame of another API decodes into up to 48 times its size (arrays of empty names),
/// so it may not be as large as `socket.request.max.bytes` allows.
const OTHER_REQUEST_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Produce's API key.
const PRODUCE: i16 = 0;
/// The shortest request header: API key, version, correlation id; a client id follows in all but one old API.
const FRAME_BYTES_MIN: usize = 8;

/// Why a connection cannot go on reading.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// The peer has closed; `partial` bytes of an unfinished frame are dropped.
    #[error("closed by the peer")]
    Closed {
        /// Bytes of a frame that never became whole.
        partial: usize,
    },
    /// The length prefix is negative, too short for a header or above `socket.request.max.bytes`.
    #[error("frame length {length} is outside {FRAME_BYTES_MIN}..={max}")]
    Length {
        /// As the peer sent it.
        length: i32,
        /// `socket.request.max.bytes`.
        max: usize,
    },
    /// A frame larger than requests of its API may be.
    #[error(
        "a request of {length} bytes for API key {api_key}; only Produce may take more than {OTHER_REQUEST_BYTES_MAX}"
    )]
    TooLarge {
        /// Bytes claimed.
        length: usize,
        /// The API.
        api_key: i16,
    },
    /// A large frame began and did not come on.
    #[error("{received} of {length} bytes of a request came, and then no more")]
    Stalled {
        /// Bytes that came.
        received: usize,
        /// Bytes claimed.
        length: usize,
    },
    /// The socket failed.
    #[error("cannot read: {0}")]
    Io(#[from] io::Error),
}

/// Recycled receive buffers and the bound on the bytes of large requests in flight, for the whole node.
///
/// Memory is taken for the bytes that have come, about as many again at a time, and not for what a peer claims: to hold
/// much of it, a peer has to send much. As frames that are half there could all wait for each other, one of them at a
/// time may go over the bound.
#[derive(Debug)]
pub struct ReceiveMemory {
    pool: Mutex<Vec<BytesMut>>,
    /// One permit per KiB of `queued.max.request.bytes`.
    budget: Arc<Semaphore>,
    /// Held by the frame that goes over the bound.
    overdraft: Arc<AsyncMutex<()>>,
}

/// What a frame has of the node's request memory. Given back on drop.
#[derive(Debug, Default)]
pub struct MemoryShare {
    permit: Option<OwnedSemaphorePermit>,
    overdraft: Option<OwnedMutexGuard<()>>,
    /// Bytes this is for, beyond those every connection may have.
    bytes: usize,
}

impl ReceiveMemory {
    /// `queued_max_request_bytes`: how much the frames above 64 KiB may take together.
    pub fn new(queued_max_request_bytes: u64) -> Self {
        let kib = u32::try_from(queued_max_request_bytes / 1024).unwrap_or(u32::MAX).clamp(1024, u32::MAX >> 4);
        let budget = Arc::new(Semaphore::new(kib as usize));
        Self { pool: Mutex::new(Vec::new()), budget, overdraft: Arc::default() }
    }

    fn take(&self) -> BytesMut {
        let pooled = self.pool.lock().unwrap_or_else(PoisonError::into_inner).pop();
        pooled.unwrap_or_else(|| BytesMut::with_capacity(READ_BYTES))
    }

    fn give_back(&self, mut buffer: BytesMut) {
        buffer.clear();
        // Frames cut from this buffer may still be alive; then its memory is not ours to re-use.
        if buffer.try_reclaim(READ_BYTES) && buffer.capacity() <= POOLED_BYTES_MAX {
            let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
            if pool.len() < POOL_BUFFERS_MAX {
                pool.push(buffer);
            }
        }
    }

    /// Waits until `share` may have that many bytes more. Safe to cancel.
    async fn enlarge(&self, share: &mut MemoryShare, bytes: usize) {
        if share.overdraft.is_none() {
            let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
            tokio::select! {
                biased;
                // The semaphore is never closed, so there is a permit.
                permit = Arc::clone(&self.budget).acquire_many_owned(kib) => share.add(permit.ok()),
                overdraft = Arc::clone(&self.overdraft).lock_owned() => share.overdraft = Some(overdraft),
            }
        }
        share.bytes += bytes;
    }
}

impl MemoryShare {
    fn add(&mut self, more: Option<OwnedSemaphorePermit>) {
        match (&mut self.permit, more) {
            (Some(permit), Some(more)) => permit.merge(more),
            (_, more) => self.permit = more,
        }
    }
}

/// One request as it came, without its length prefix.
#[derive(Debug)]
pub struct Frame {
    /// Header and body.
    pub bytes: Bytes,
    /// Its share of the node's request memory.
    pub memory: MemoryShare,
}

/// The receiving half of a connection.
#[derive(Debug)]
pub struct FrameReader {
    memory: Arc<ReceiveMemory>,
    buffer: Option<BytesMut>,
    /// Length of the frame whose prefix has been read.
    expected: Option<usize>,
    share: MemoryShare,
    stall_max: Duration,
    request_bytes_max: usize,
}

impl FrameReader {
    /// `request_bytes_max`: `socket.request.max.bytes`.
    pub fn new(memory: Arc<ReceiveMemory>, request_bytes_max: usize) -> Self {
        let share = MemoryShare::default();
        Self { memory, buffer: None, expected: None, share, stall_max: STALL_MAX, request_bytes_max }
    }

    /// The next whole frame among the bytes that have arrived.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, ReceiveError> {
        let Some(buffer) = self.buffer.as_mut() else { return Ok(None) };
        if self.expected.is_none() && buffer.len() >= 4 {
            let length = buffer.get_i32();
            let max = self.request_bytes_max;
            let valid = usize::try_from(length).ok().filter(|length| (FRAME_BYTES_MIN..=max).contains(length));
            self.expected = Some(valid.ok_or(ReceiveError::Length { length, max })?);
        }
        if let (Some(length @ OTHER_REQUEST_BYTES_MAX..), Some(key)) = (self.expected, buffer.first_chunk())
            && let api_key = i16::from_be_bytes(*key)
            && api_key != PRODUCE
        {
            return Err(ReceiveError::TooLarge { length, api_key });
        }
        match self.expected {
            Some(length) if buffer.len() >= length => {
                self.expected = None;
                let bytes = buffer.split_to(length).freeze();
                Ok(Some(Frame { bytes, memory: std::mem::take(&mut self.share) }))
            }
            _ => Ok(None),
        }
    }

    /// The bytes at hand that are not a whole frame yet; for a hint when the peer speaks another protocol.
    pub fn unread(&self) -> &[u8] {
        self.buffer.as_deref().unwrap_or_default()
    }

    /// True while reading ahead is worth it: less than one read's worth lies unhandled.
    pub fn has_room(&self) -> bool {
        self.expected.is_none() && self.unread().len() < READ_BYTES
    }

    /// Waits until there is something to read, and memory for it.
    async fn await_bytes(&mut self, stream: &TcpStream) -> Result<(), ReceiveError> {
        let received = self.unread().len();
        let Some(length) = self.expected.filter(|_| received > 0 || self.share.bytes > 0) else {
            return Ok(stream.readable().await?);
        };
        if received >= READ_BYTES + self.share.bytes {
            let more = received.max(STEP_BYTES_MIN).min(length - received);
            self.memory.enlarge(&mut self.share, more).await;
        }
        if self.share.bytes == 0 {
            return Ok(stream.readable().await?);
        }
        match timeout(self.stall_max, stream.readable()).await {
            Ok(ready) => Ok(ready?),
            Err(_) => Err(ReceiveError::Stalled { received, length }),
        }
    }

    /// Waits for bytes and takes in what one read returns. Safe to cancel: bytes that have been read stay.
    pub async fn fill(&mut self, stream: &mut TcpStream) -> Result<(), ReceiveError> {
        if self.unread().is_empty()
            && self.expected.is_none()
            && let Some(buffer) = self.buffer.take()
        {
            self.memory.give_back(buffer);
        }
        self.await_bytes(stream).await?;
        let buffer = self.buffer.get_or_insert_with(|| self.memory.take());
        let wanted = match self.expected {
            Some(length) => length.saturating_sub(buffer.len()).max(1),
            None => READ_BYTES,
        };
        let reserve = wanted.min(TRUSTED_BYTES.max(buffer.len()));
        if buffer.capacity() - buffer.len() < reserve.min(wanted) {
            buffer.reserve(reserve);
        }
        let partial = buffer.len();
        // A large frame is read to its end and no further, so that no tail of the next one has to be moved.
        // Nor further than it has memory for.
        let limit = if wanted > READ_BYTES || self.expected.is_some_and(|length| length > READ_BYTES) {
            wanted.min((READ_BYTES + self.share.bytes).saturating_sub(partial)).max(1)
        } else {
            buffer.capacity() - buffer.len()
        };
        let mut window = bytes::BufMut::limit(buffer, limit);
        let read = stream.read_buf(&mut window).await?;
        if read == 0 {
            return Err(ReceiveError::Closed { partial });
        }
        Ok(())
    }
}

impl Drop for FrameReader {
    fn drop(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            self.memory.give_back(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
        (client.unwrap(), server.unwrap().0)
    }

    fn framed(payload: &[u8]) -> Vec<u8> {
        let mut bytes = (payload.len() as i32).to_be_bytes().to_vec();
        bytes.extend_from_slice(payload);
        bytes
    }

    async fn next(reader: &mut FrameReader, stream: &mut TcpStream) -> Result<Frame, ReceiveError> {
        loop {
            if let Some(frame) = reader.next_frame()? {
                return Ok(frame);
            }
            reader.fill(stream).await?;
        }
    }

    #[tokio::test]
    async fn frames_come_whole_and_in_order_however_they_are_cut() {
        let (mut client, mut server) = pair().await;
        let memory = Arc::new(ReceiveMemory::new(64 << 20));
        let mut reader = FrameReader::new(memory, 100 << 20);
        let payloads: Vec<Vec<u8>> =
            [8, 9, 70_000, 12, 3_000_000, 100, 8].iter().map(|&n| (0..n).map(|i| (i % 251) as u8).collect()).collect();
        let sent: Vec<u8> = payloads.iter().flat_map(|payload| framed(payload)).collect();
        let writer = tokio::spawn(async move {
            for chunk in sent.chunks(7_777) {
                client.write_all(chunk).await.unwrap();
            }
            client
        });
        for payload in &payloads {
            assert_eq!(next(&mut reader, &mut server).await.unwrap().bytes, payload);
        }
        drop(writer.await.unwrap());
        assert!(matches!(next(&mut reader, &mut server).await, Err(ReceiveError::Closed { partial: 0 })));
    }

    #[tokio::test]
    async fn frames_that_exceed_the_memory_together_still_arrive() {
        // One MiB for eight frames of four.
        let memory = Arc::new(ReceiveMemory::new(1 << 20));
        let payload = Arc::new(vec![7; 4 << 20]);
        let mut tasks = Vec::new();
        for _ in 0..8 {
            let (mut client, mut server) = pair().await;
            let mut reader = FrameReader::new(Arc::clone(&memory), 100 << 20);
            let sent = Arc::clone(&payload);
            tasks.push(tokio::spawn(async move { client.write_all(&framed(&sent)).await.map(|()| client) }));
            let expected = Arc::clone(&payload);
            tasks.push(tokio::spawn(async move {
                assert!(next(&mut reader, &mut server).await.unwrap().bytes == expected[..]);
                Ok(server)
            }));
        }
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        assert_eq!(memory.budget.available_permits(), 1024);
        assert!(memory.overdraft.try_lock().is_ok());
    }

    #[tokio::test]
    async fn a_large_frame_that_does_not_come_on_is_given_up() {
        let memory = Arc::new(ReceiveMemory::new(64 << 20));
        let (mut client, mut server) = pair().await;
        let mut reader = FrameReader::new(Arc::clone(&memory), 100 << 20);
        reader.stall_max = Duration::from_millis(20);
        client.write_all(&i32::to_be_bytes(90 << 20)).await.unwrap();
        client.write_all(&[0; 100 * 1024]).await.unwrap();
        let result = next(&mut reader, &mut server).await;
        assert!(matches!(result, Err(ReceiveError::Stalled { .. })), "{result:?}");
        drop(reader);
        assert_eq!(memory.budget.available_permits(), 64 << 10);
    }

    #[tokio::test]
    async fn only_produce_may_be_huge() {
        for (api_key, refused) in [(0_i16, false), (3, true)] {
            let (mut client, mut server) = pair().await;
            let mut reader = FrameReader::new(Arc::new(ReceiveMemory::new(64 << 20)), 100 << 20);
            let mut start = i32::to_be_bytes(20 << 20).to_vec();
            start.extend_from_slice(&api_key.to_be_bytes());
            client.write_all(&start).await.unwrap();
            drop(client);
            let result = next(&mut reader, &mut server).await;
            assert_eq!(matches!(result, Err(ReceiveError::TooLarge { .. })), refused, "{api_key}: {result:?}");
        }
    }

    #[tokio::test]
    async fn bad_lengths_are_refused_before_any_memory_is_taken() {
        for length in [-1, 0, 7, i32::MIN, i32::MAX, 0x4745_5420] {
            let (mut client, mut server) = pair().await;
            let mut reader = FrameReader::new(Arc::new(ReceiveMemory::new(64 << 20)), 100 << 20);
            client.write_all(&i32::to_be_bytes(length)).await.unwrap();
            let result = next(&mut reader, &mut server).await;
            assert!(matches!(result, Err(ReceiveError::Length { length: l, .. }) if l == length), "{length}");
        }
    }
}
