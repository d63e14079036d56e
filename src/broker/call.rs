//! One request as its handler gets it, and what the handler gives back.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::log::{FileSlice, OsDisk};

use super::quotas::Throttle;
use super::receive::MemoryShare;

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its address.
    pub peer: SocketAddr,
    /// The address it reached.
    pub local: Option<SocketAddr>,
    /// The listener it came in by; Metadata answers with that listener's addresses.
    pub listener: Arc<str>,
}

impl Client {
    /// A client that has just connected.
    pub fn new(peer: SocketAddr, local: Option<SocketAddr>, listener: Arc<str>) -> Self {
        Self { peer, local, listener }
    }
}

/// What surrounds one request.
#[derive(Debug)]
pub struct Call {
    /// The version of the request and its answer.
    pub api_version: i16,
    /// As the client calls itself.
    pub client_id: Option<String>,
    /// The connection it came by.
    pub client: Client,
    /// Bytes of the request as it came.
    pub request_bytes: usize,
    /// How long the client has to wait afterwards.
    pub throttle: Throttle,
    /// The request's share of the node's request memory. A handler that no longer holds the request's bytes
    /// may drop it early.
    pub memory: MemoryShare,
}

/// What a handler gives.
#[derive(Debug)]
pub enum Outcome<T> {
    /// A response.
    Body(T),
    /// A response whose records lie in files: `Records::External` with slot n stands for the n-th list.
    WithRecords(T, Vec<Vec<FileSlice<OsDisk>>>),
    /// No response.
    Nothing,
    /// No response, and no connection any more.
    Close,
}

impl<T> From<T> for Outcome<T> {
    fn from(body: T) -> Self {
        Self::Body(body)
    }
}
