//! A consumer of one partition, of all records or of committed ones.

use std::collections::BTreeSet;

use ottla::log::AbortedTransaction;
use ottla::model::{ErrorCode, Offset, ProducerId};
use ottla::record::{Batch, Batches, EndTransactionMarker, Records, TransactionResult};

use super::{find_leader, send_interval};
use crate::broker::Broker;
use crate::context::{Context, Timer, count};
use crate::message::{Address, Message};
use crate::oracle::{Entry, entries_of};

/// A consumer of one partition.
pub struct Consumer {
    address: Address,
    partition: i32,
    /// It reads committed records alone.
    committed: bool,
    position: Offset,
    latest: Offset,
    request: Option<u64>,
    leader: Option<(usize, i32)>,
    /// The newest leader epoch heard of.
    leader_epoch: i32,
}

impl Consumer {
    pub fn new(address: Address, partition: i32, committed: bool) -> Self {
        let (latest, request, leader) = (-1, None, None);
        Self { address, partition, committed, position: 0, latest, request, leader, leader_epoch: -1 }
    }

    pub fn on_send(&mut self, brokers: &[Broker], ctx: &mut Context) {
        let pause = ctx.random.between(1, 4 * send_interval(ctx));
        ctx.timer(self.address, pause, Timer::Send);
        if self.request.is_some() {
            return;
        }
        if self.leader.is_none() || ctx.random.per_mille(50) {
            self.leader = find_leader(self.partition, brokers, ctx);
        }
        // Metadata older than what is known is not believed (KIP-320).
        let known = self.leader_epoch;
        let Some((leader, leader_epoch)) = self.leader.filter(|(_, epoch)| *epoch >= known) else {
            self.leader = None;
            return;
        };
        self.leader_epoch = leader_epoch;
        let (request, partition, committed) = (ctx.next_request(), self.partition, self.committed);
        self.request = Some(request);
        let message = if ctx.random.per_mille(300) {
            Message::LatestOffset { request, partition, leader_epoch, committed }
        } else {
            Message::Read { request, partition, offset: self.position, leader_epoch, committed }
        };
        ctx.send(self.address, Address::Broker(leader), message);
        ctx.timer(self.address, ctx.swarm.request_timeout_ms, Timer::ClientTimeout { request });
    }

    pub fn give_up(&mut self, request: u64) {
        if self.request == Some(request) {
            self.request = None;
            self.leader = None;
        }
    }

    pub fn on_answer(&mut self, message: Message, ctx: &mut Context) {
        match message {
            Message::ReadReply { request, error, bytes, aborted, log_start_offset }
                if self.request.take_if(|r| *r == request).is_some() =>
            {
                if error == ErrorCode::OffsetOutOfRange && self.position < log_start_offset {
                    ctx.message_faults[count::SENT_ON] += 1;
                    ctx.oracle.skipped(self.partition, self.position, log_start_offset);
                    self.position = log_start_offset;
                    return;
                }
                if error != ErrorCode::None {
                    self.leader = None;
                    return;
                }
                self.take(&bytes, &aborted, ctx);
            }
            Message::LatestOffsetReply { request, error, offset }
                if self.request.take_if(|r| *r == request).is_some() =>
            {
                if error == ErrorCode::None {
                    ctx.oracle.told_latest(self.partition, self.latest, offset);
                    self.latest = offset;
                } else {
                    self.leader = None;
                }
            }
            Message::ReadReply { .. } | Message::LatestOffsetReply { .. } => {}
            other => unreachable!("a consumer gets no {other:?}"),
        }
    }

    /// Takes in what was read.
    fn take(&mut self, bytes: &[u8], aborted: &[AbortedTransaction], ctx: &mut Context) {
        let from = self.position;
        if self.committed {
            (_, self.position) = take_committed(self.partition, from, bytes, aborted, ctx);
            return;
        }
        let Some((entries, next)) = read_through(from, bytes, None, ctx) else { return };
        self.position = next;
        if next > from {
            ctx.oracle.consumed(self.partition, from, &entries);
        }
    }
}

/// Takes in what was read of committed records from `from` on: how many there are, and where to go on.
pub(super) fn take_committed(
    partition: i32,
    from: Offset,
    bytes: &[u8],
    aborted: &[AbortedTransaction],
    ctx: &mut Context,
) -> (usize, Offset) {
    let Some((entries, next)) = read_through(from, bytes, Some(aborted), ctx) else { return (0, from) };
    if next > from {
        ctx.oracle.consumed_committed(partition, from, next, &entries);
    }
    (entries.len(), next)
}

/// The records from `from` on, and where to go on. With `aborted`, what was aborted is left out as Kafka's consumer does
/// it: by the list that came along, up to the marker.
fn read_through(
    from: Offset,
    bytes: &[u8],
    aborted: Option<&[AbortedTransaction]>,
    ctx: &mut Context,
) -> Option<(Vec<Entry>, Offset)> {
    let mut position = from;
    let mut entries = Vec::new();
    let mut skipped: BTreeSet<ProducerId> = BTreeSet::new();
    for batch in Batches::new(bytes) {
        let Ok(batch) = batch else { break };
        let header = batch.header;
        if batch.verify_crc().is_err() {
            let what = format!("a consumer was sent a damaged batch at {}", header.base_offset);
            ctx.oracle.fail("A19", what);
            return None;
        }
        let begun = aborted.into_iter().flatten().filter(|a| a.first_offset <= header.last_offset());
        let still = |a: &&AbortedTransaction| a.last_offset >= header.base_offset;
        skipped.extend(begun.filter(still).map(|aborted| aborted.producer_id));
        let is_seen = aborted.is_none() || !(header.is_control() || skipped.contains(&header.producer_id));
        if is_seen {
            let skip = (position - header.base_offset).max(0) as usize;
            entries.extend(entries_of(&header).skip(skip));
        }
        if header.is_control() && ends_with_abort(&batch) {
            skipped.remove(&header.producer_id);
        }
        position = header.next_offset();
    }
    Some((entries, position))
}

fn ends_with_abort(batch: &Batch<'_>) -> bool {
    let plain = batch.plain_records(1000).expect("a marker is not compressed");
    let marker = Records::new(&batch.header, &plain).flatten().next();
    marker
        .and_then(|record| EndTransactionMarker::from_record(&record))
        .is_some_and(|marker| marker.result == TransactionResult::Abort)
}
