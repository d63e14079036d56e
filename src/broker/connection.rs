//! One client's connection: requests are started in order and answered in order.
//!
//! A Produce that waits for replicas does not keep the next Produce from being appended; every other request
//! is a barrier that waits for what came before it. While a request waits (a long poll, a rebalance) the
//! socket is still watched, so that a client that leaves frees everything at once. Past its bounds the
//! connection stops reading, and TCP tells the client.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::Instant;

use super::call::Client;
use super::context::Context;
use super::dispatch::{self, Answer, BadRequest, Pending};
use super::hints::ForeignProtocol;
use super::receive::{Frame, FrameReader, ReceiveError, ReceiveMemory};
use super::send::{FrameSender, SendError};

/// Produces of one connection that may wait for replicas at a time; Kafka's clients send at most five.
const PRODUCES_WAITING_MAX: usize = 64;

/// The limits of a connection.
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    /// `socket.request.max.bytes`.
    pub request_bytes_max: usize,
    /// `connections.max.idle.ms`.
    pub idle_max: Duration,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionEnd {
    /// Reading ended.
    #[error(transparent)]
    Receive(#[from] ReceiveError),
    /// Sending failed.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The peer sent what is not a request we serve.
    #[error(transparent)]
    BadRequest(#[from] BadRequest),
    /// Nothing came for `connections.max.idle.ms`.
    #[error("idle for {0:?}")]
    Idle(Duration),
    /// A handler asked for it: a produce with acks=0 failed, and closing is the only way to tell.
    #[error("a request without an answer failed")]
    UnansweredFailure,
}

/// A connection being served.
pub struct Connection {
    stream: TcpStream,
    reader: FrameReader,
    sender: FrameSender,
    client: Client,
    context: Arc<Context>,
    waiting: VecDeque<Pending>,
    /// The client goes too fast for its quota: nothing is read from it until then.
    muted_until: Option<Instant>,
    limits: ConnectionLimits,
}

impl Connection {
    /// Makes a connection out of an accepted socket.
    pub fn new(
        stream: TcpStream,
        client: Client,
        context: Arc<Context>,
        memory: Arc<ReceiveMemory>,
        limits: ConnectionLimits,
    ) -> Self {
        Self {
            reader: FrameReader::new(memory, limits.request_bytes_max),
            sender: FrameSender::new(limits.idle_max),
            stream,
            client,
            context,
            waiting: VecDeque::new(),
            muted_until: None,
            limits,
        }
    }

    /// Serves until the peer leaves or breaks the rules. Logs the reason where an operator can act on it.
    pub async fn run(mut self) {
        let Err(end) = self.serve().await;
        let peer = self.client.peer;
        match &end {
            ConnectionEnd::Receive(ReceiveError::Length { length, .. }) => log_bad_length(peer, *length, &end),
            ConnectionEnd::BadRequest(_) | ConnectionEnd::Receive(ReceiveError::TooLarge { .. }) => {
                tracing::warn!(%peer, "closed the connection: {end}")
            }
            ConnectionEnd::Send(SendError::ShortFile { .. }) => tracing::error!(%peer, "closed the connection: {end}"),
            _ => tracing::debug!(%peer, "connection ended: {end}"),
        }
    }

    async fn serve(&mut self) -> Result<std::convert::Infallible, ConnectionEnd> {
        loop {
            while let Some(frame) = self.next_frame().await? {
                let (request, is_produce) = dispatch::start(&self.context, &self.client, frame)?;
                if is_produce {
                    self.start_produce(request).await?;
                } else {
                    self.finish_produces().await?;
                    let answer = self.wait_for(request).await?;
                    self.send(answer).await?;
                }
            }
            self.sender.flush(&self.stream).await?;
            self.wait_for_input().await?;
        }
    }

    /// The next request at hand, not before the client may be served again.
    async fn next_frame(&mut self) -> Result<Option<Frame>, ConnectionEnd> {
        if let Some(until) = self.muted_until.take() {
            self.finish_produces().await?;
            self.sender.flush(&self.stream).await?;
            tokio::time::sleep_until(until).await;
        }
        Ok(self.reader.next_frame()?)
    }

    /// Appends at once; the answer may come later.
    async fn start_produce(&mut self, mut request: Pending) -> Result<(), ConnectionEnd> {
        let first = poll_fn(|cx| Poll::Ready(request.as_mut().poll(cx))).await;
        match first {
            Poll::Ready(answer) if self.waiting.is_empty() => self.send(answer).await?,
            Poll::Ready(answer) => self.waiting.push_back(Box::pin(std::future::ready(answer))),
            Poll::Pending => self.waiting.push_back(request),
        }
        while self.waiting.len() > PRODUCES_WAITING_MAX {
            self.finish_first_produce().await?;
        }
        Ok(())
    }

    async fn finish_produces(&mut self) -> Result<(), ConnectionEnd> {
        while !self.waiting.is_empty() {
            self.finish_first_produce().await?;
        }
        Ok(())
    }

    async fn finish_first_produce(&mut self) -> Result<(), ConnectionEnd> {
        if let Some(first) = self.waiting.pop_front() {
            let answer = self.wait_for(first).await?;
            self.send(answer).await?;
        }
        Ok(())
    }

    /// Waits for an answer while watching the socket: earlier answers go out, a peer that leaves ends it.
    async fn wait_for(&mut self, mut request: Pending) -> Result<Answer, ConnectionEnd> {
        if let Poll::Ready(answer) = poll_fn(|cx| Poll::Ready(request.as_mut().poll(cx))).await {
            return Ok(answer);
        }
        self.sender.flush(&self.stream).await?;
        loop {
            let may_read = self.reader.has_room();
            tokio::select! {
                biased;
                answer = &mut request => return Ok(answer),
                read = self.reader.fill(&mut self.stream), if may_read => read?,
            }
        }
    }

    /// Waits for bytes, and meanwhile answers the produces that become complete.
    async fn wait_for_input(&mut self) -> Result<(), ConnectionEnd> {
        while let Some(first) = self.waiting.front_mut() {
            let answer = tokio::select! {
                biased;
                answer = first => answer,
                read = self.reader.fill(&mut self.stream) => return Ok(read?),
            };
            self.waiting.pop_front();
            self.send(answer).await?;
            self.sender.flush(&self.stream).await?;
        }
        let idle_max = self.limits.idle_max;
        let mut fill = pin!(self.reader.fill(&mut self.stream));
        if let Poll::Ready(read) = poll_fn(|cx| Poll::Ready(fill.as_mut().poll(cx))).await {
            return Ok(read?);
        }
        match tokio::time::timeout_at(Instant::now() + idle_max, fill).await {
            Ok(read) => Ok(read?),
            Err(_) => Err(ConnectionEnd::Idle(idle_max)),
        }
    }

    async fn send(&mut self, answer: Answer) -> Result<(), ConnectionEnd> {
        let pause = match answer {
            Answer::Send(outgoing, pause) => {
                self.sender.push(&self.stream, outgoing).await?;
                pause
            }
            Answer::Nothing(pause) => pause,
            Answer::Close => return Err(ConnectionEnd::UnansweredFailure),
        };
        if !pause.is_zero() {
            self.muted_until = self.muted_until.max(Some(Instant::now() + pause));
        }
        Ok(())
    }
}

fn log_bad_length(peer: SocketAddr, length: i32, end: &ConnectionEnd) {
    match ForeignProtocol::recognise(length.to_be_bytes()) {
        Some(protocol) => tracing::warn!(%peer, "closed the connection: {}", protocol.advice()),
        None => tracing::warn!(%peer, "closed the connection: {end}"),
    }
}
