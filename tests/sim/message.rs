//! What travels between the nodes, clients included.

use std::ops::Range;
use std::rc::Rc;

use bytes::Bytes;
use ottla::group::Reply;
use ottla::log::AbortedTransaction;
use ottla::model::{ErrorCode, Offset};
use ottla::record::{BatchHeader, EndTransactionMarker, TransactionResult};
use ottla::replication::NextFetch;
use ottla::rpc::metadata::{MetadataCommand, MetadataReply};
use ottla::transaction::{Producer, TransactionVersion};

use crate::oracle::BatchId;
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
    /// Names the batch, whose content no broker changes.
    pub id: BatchId,
    pub count: i64,
    /// Whose transaction it belongs to.
    pub transactional: Option<Transactional>,
}

impl ProducedBatch {
    pub fn header(&self) -> BatchHeader {
        BatchHeader::parse(&self.bytes).expect("a batch begins with its header")
    }
}

/// What a Produce request says of a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transactional {
    /// The number in the transactional id.
    pub id: u64,
    pub producer: Producer,
    pub version: TransactionVersion,
}

/// What a transaction has read, and as which member of the group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Input {
    pub member_id: String,
    pub generation: i32,
    pub partition: i32,
    /// The group's committed offset when it began to read.
    pub from: Offset,
    /// The next offset to be read, which the transaction commits.
    pub to: Offset,
}

/// TxnOffsetCommit. Of version 1 it has no effect after `expires`, see [`Message::AddPartition`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsumedOffset {
    pub of: Transactional,
    /// The transaction's number in the oracle's books.
    pub transaction: u64,
    pub input: Rc<Input>,
    pub expires: u64,
}

/// What a member of the group asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GroupAsk {
    Join {
        member_id: String,
        random_id: String,
    },
    Sync {
        member_id: String,
        generation: i32,
        assignments: Vec<(String, Bytes)>,
    },
    Heartbeat {
        member_id: String,
        generation: i32,
    },
    Commit {
        member_id: String,
        generation: i32,
        partition: i32,
        offset: Offset,
    },
    CommitInTransaction(ConsumedOffset),
    /// As KIP-447 has it: no answer while a transaction may change the offset.
    Fetch {
        partition: i32,
    },
}

/// What it is answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GroupAnswer {
    Machine(Reply),
    Committed,
    Fetched(Option<Offset>),
    Failed(ErrorCode),
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
    /// With `committed`, nothing of open transactions; what was aborted is told in the reply.
    Read {
        request: u64,
        partition: i32,
        offset: Offset,
        leader_epoch: i32,
        committed: bool,
    },
    ReadReply {
        request: u64,
        error: ErrorCode,
        bytes: Bytes,
        aborted: Vec<AbortedTransaction>,
        log_start_offset: Offset,
    },
    LatestOffset {
        request: u64,
        partition: i32,
        leader_epoch: i32,
        committed: bool,
    },
    LatestOffsetReply {
        request: u64,
        error: ErrorCode,
        offset: Offset,
    },
    /// To the coordinator of transactions.
    InitProducer {
        request: u64,
        id: u64,
        known: Option<Producer>,
    },
    /// From a client of version 1, or from the leader of a partition that is written to first. With `verify` it only
    /// asks. What arrives after `expires` has no effect: version 1 is not safe from it.
    AddPartition {
        request: u64,
        id: u64,
        producer: Producer,
        partition: i32,
        version: TransactionVersion,
        verify: bool,
        expires: u64,
    },
    EndTransaction {
        request: u64,
        id: u64,
        producer: Producer,
        result: TransactionResult,
        version: TransactionVersion,
        expires: u64,
    },
    TransactionReply {
        request: u64,
        answer: Result<Producer, ErrorCode>,
    },
    /// From the coordinator to a partition's leader.
    WriteMarker {
        request: u64,
        partition: i32,
        producer: Producer,
        marker: EndTransactionMarker,
        version: TransactionVersion,
        expires: u64,
    },
    MarkerReply {
        request: u64,
        error: ErrorCode,
    },
    /// To the coordinator of the group.
    Group {
        request: u64,
        ask: GroupAsk,
    },
    GroupReply {
        request: u64,
        answer: GroupAnswer,
    },
}

impl Message {
    /// True for what must neither arrive twice nor late: version 1 of transactions has the same epoch in one transaction
    /// as in the next, and takes the end of the one for that of the other. Version 2 came to mend that (KIP-890).
    pub fn is_fragile(&self) -> bool {
        match self {
            Self::AddPartition { version, verify, .. } => *version == TransactionVersion::V1 && !verify,
            Self::EndTransaction { version, .. } | Self::WriteMarker { version, .. } => {
                *version == TransactionVersion::V1
            }
            Self::Group { ask: GroupAsk::CommitInTransaction(consumed), .. } => {
                consumed.of.version == TransactionVersion::V1
            }
            _ => false,
        }
    }

    /// True for what belongs to a transaction and may come again at any time later: it must do no harm then.
    pub fn may_straggle(&self) -> bool {
        match self {
            Self::Produce { batch, .. } => batch.transactional.is_some(),
            Self::AddPartition { .. }
            | Self::EndTransaction { .. }
            | Self::WriteMarker { .. }
            | Self::Group { ask: GroupAsk::CommitInTransaction(_), .. } => !self.is_fragile(),
            _ => false,
        }
    }
}
