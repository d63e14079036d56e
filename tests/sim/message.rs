//! What travels between the nodes, clients included.

use std::ops::Range;
use std::rc::Rc;

use bytes::Bytes;
use ottla::model::{ErrorCode, Offset};
use ottla::replication::NextFetch;
use ottla::rpc::metadata::{MetadataCommand, MetadataReply};

use crate::swarm::QUORUM;

/// A node: brokers from 0, then the quorum, then clients.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Address {
    Broker(usize),
    Quorum,
    Client(usize),
}

impl Address {
    /// Its place in tables of links.
    pub fn place(self) -> usize {
        match self {
            Self::Broker(number) => number,
            Self::Quorum => QUORUM,
            Self::Client(number) => QUORUM + 1 + number,
        }
    }
}

/// A batch as its producer made it.
#[derive(Clone, Debug)]
pub struct ProducedBatch {
    pub bytes: Bytes,
    /// Names the batch: the CRC over its content, which no broker changes.
    pub crc: u32,
    pub count: i64,
}

/// What a leader told a follower.
#[derive(Clone, Debug)]
pub enum FetchAnswer {
    Records { bytes: Bytes, high_watermark: Offset, log_start_offset: Offset },
    Diverging { epoch: i32, end_offset: Offset },
    OutOfRange { log_start_offset: Offset },
    Refused,
}

/// A message. Requests carry an id that the reply repeats.
#[derive(Clone, Debug)]
pub enum Message {
    /// To the quorum.
    Command {
        request: u64,
        command: Rc<MetadataCommand>,
    },
    Heartbeat {
        broker_epoch: i64,
        metadata_index: i64,
        stream: u64,
        wants_shut_down: bool,
    },
    StreamBroken {
        broker_epoch: i64,
        stream: u64,
    },
    /// From the quorum.
    Reply {
        request: u64,
        reply: Rc<MetadataReply>,
    },
    NotController {
        request: u64,
    },
    HeartbeatReply {
        broker_epoch: i64,
        error: ErrorCode,
        may_stop: bool,
    },
    /// Records of the metadata log by index; with `snapshot` the whole image at the range's end.
    Feed {
        records: Range<i64>,
        snapshot: bool,
    },
    /// Between brokers.
    Fetch {
        request: u64,
        partition: i32,
        broker_epoch: i64,
        next: NextFetch,
        flushed: Option<i64>,
    },
    FetchReply {
        request: u64,
        partition: i32,
        answer: FetchAnswer,
    },
    /// Between clients and brokers.
    Produce {
        request: u64,
        partition: i32,
        batch: Rc<ProducedBatch>,
        acks: i16,
    },
    ProduceReply {
        request: u64,
        error: ErrorCode,
        base_offset: Offset,
    },
    Read {
        request: u64,
        partition: i32,
        offset: Offset,
        leader_epoch: i32,
    },
    ReadReply {
        request: u64,
        error: ErrorCode,
        bytes: Bytes,
    },
    LatestOffset {
        request: u64,
        partition: i32,
        leader_epoch: i32,
    },
    LatestOffsetReply {
        request: u64,
        error: ErrorCode,
        offset: Offset,
    },
}
