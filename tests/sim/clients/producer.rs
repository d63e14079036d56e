//! A producer of one partition, with or without idempotence.

use std::collections::VecDeque;
use std::rc::Rc;

use ottla::model::{ErrorCode, Offset};

use super::{build, find_leader, send_interval};
use crate::broker::Broker;
use crate::context::{Context, Timer};
use crate::message::{Address, Message, ProducedBatch};

/// A batch that is not settled.
struct InFlight {
    batch: Rc<ProducedBatch>,
    /// The request that waits for an answer.
    request: Option<u64>,
    attempts: u32,
    since: u64,
    settled: bool,
}

/// A producer of one partition.
pub struct Producer {
    address: Address,
    partition: i32,
    /// Its id, epoch and next sequence number; `None` without idempotence.
    idempotent: Option<(i64, i16, i32)>,
    acks: i16,
    window: VecDeque<InFlight>,
    /// Something failed: one batch at a time, from the oldest on, until all are settled.
    retrying: bool,
    acked_any: bool,
    leader: usize,
    /// Something was acknowledged since the cluster has been healing.
    healed: bool,
}

impl Producer {
    pub fn new(address: Address, partition: i32, idempotent: bool, ctx: &mut Context) -> Self {
        Self {
            address,
            partition,
            idempotent: idempotent.then(|| (ctx.next_request() as i64, 0, 0)),
            acks: if idempotent || ctx.random.per_mille(600) { -1 } else { 1 },
            window: VecDeque::new(),
            retrying: false,
            acked_any: false,
            leader: 0,
            healed: false,
        }
    }

    pub fn on_send(&mut self, brokers: &[Broker], ctx: &mut Context) {
        let pause = ctx.random.between(1, 2 * send_interval(ctx));
        ctx.timer(self.address, pause, Timer::Send);
        let is_impatient = self.idempotent.is_some() && !self.window.is_empty() && !ctx.healing;
        if is_impatient && ctx.random.per_mille(ctx.rates.impatience_per_mille) {
            self.begin_anew(); // A delivery timeout, however short.
        }
        // A new producer's first batch goes alone: a leader that knows nothing of a producer takes any sequence.
        let in_flight_max = if self.acked_any { ctx.swarm.in_flight_max } else { 1 };
        if self.retrying {
            return self.send_oldest(brokers, ctx);
        }
        if self.window.len() >= in_flight_max || self.is_settled() {
            return;
        }
        let (counter, count) = (ctx.next_request(), ctx.random.between(1, 3));
        let client = self.address.place() as u64;
        let by = self.idempotent;
        let batch = build((client, counter), count, by, None, ctx.swarm.value_bytes);
        if let Some((.., sequence)) = &mut self.idempotent {
            *sequence += count as i32;
        }
        ctx.oracle.produced(self.partition, &batch.header());
        self.window.push_back(InFlight {
            batch: Rc::new(batch),
            request: None,
            attempts: 0,
            since: ctx.now,
            settled: false,
        });
        let last = self.window.len() - 1;
        self.send(last, ctx);
    }

    fn send(&mut self, at: usize, ctx: &mut Context) {
        let request = ctx.next_request();
        let (partition, acks) = (self.partition, self.acks);
        let Some(in_flight) = self.window.get_mut(at) else { return };
        in_flight.request = Some(request);
        in_flight.attempts += 1;
        let batch = Rc::clone(&in_flight.batch);
        let message = Message::Produce { request, partition, batch, acks };
        ctx.send(self.address, Address::Broker(self.leader), message);
        ctx.timer(self.address, 2 * ctx.swarm.request_timeout_ms, Timer::ClientTimeout { request });
    }

    fn send_oldest(&mut self, brokers: &[Broker], ctx: &mut Context) {
        if self.window.front().is_some_and(|oldest| oldest.request.is_none()) {
            if let Some((leader, _)) = find_leader(self.partition, brokers, ctx) {
                self.leader = leader;
            }
            self.send(0, ctx);
        }
    }

    pub fn on_answer(
        &mut self,
        request: u64,
        error: ErrorCode,
        base_offset: Offset,
        brokers: &[Broker],
        ctx: &mut Context,
    ) {
        let Some(at) = self.window.iter().position(|in_flight| in_flight.request == Some(request)) else { return };
        match error {
            ErrorCode::None => self.settle(at, Some(base_offset), ctx),
            ErrorCode::OutOfOrderSequenceNumber | ErrorCode::InvalidProducerEpoch if !self.retrying && at > 0 => {
                // An earlier batch was refused; all go again, in order.
                self.begin_retry(at, brokers, ctx);
            }
            // Only a leader that is one no more can say so, and it does: its log lacks what its successor has.
            ErrorCode::OutOfOrderSequenceNumber | ErrorCode::InvalidProducerEpoch => self.begin_anew(),
            // In the log, but so long ago that nobody remembers where.
            ErrorCode::DuplicateSequenceNumber => self.settle(at, None, ctx),
            _ if self.idempotent.is_some() => self.begin_retry(at, brokers, ctx),
            _ => self.drop_one(at, error, brokers, ctx),
        }
    }

    /// A batch is in. Answers come in the order of the requests on a connection, so the window moves from its front.
    fn settle(&mut self, at: usize, base_offset: Option<Offset>, ctx: &mut Context) {
        let done = &mut self.window[at];
        done.request = None;
        done.settled = true;
        if let Some(base_offset) = base_offset {
            ctx.oracle.acknowledged(done.batch.id, base_offset, done.batch.count, self.acks == -1);
        }
        self.healed |= ctx.healing;
        self.acked_any = true;
        while self.window.front().is_some_and(|oldest| oldest.settled) {
            self.window.pop_front();
        }
        self.retrying &= !self.window.is_empty();
    }

    /// Whatever is in flight stays unknown, and the next records get a new epoch (KIP-360).
    fn begin_anew(&mut self) {
        self.window.clear();
        self.retrying = false;
        self.acked_any = false;
        if let Some((_, epoch, sequence)) = &mut self.idempotent {
            (*epoch, *sequence) = (*epoch + 1, 0);
        }
    }

    /// An idempotent producer's batch was not acknowledged: its fate is unknown, and a retry finds it out.
    fn begin_retry(&mut self, at: usize, brokers: &[Broker], ctx: &mut Context) {
        self.retrying = true;
        self.window[at].request = None;
        let too_old = self.window[at].since + 40 * ctx.swarm.request_timeout_ms < ctx.now && !ctx.healing;
        if too_old {
            return self.begin_anew(); // The delivery timeout.
        }
        if at == 0 && ctx.random.per_mille(300) {
            self.send_oldest(brokers, ctx);
        }
    }

    /// A producer without idempotence does not try again.
    fn drop_one(&mut self, at: usize, error: ErrorCode, brokers: &[Broker], ctx: &mut Context) {
        let Some(dropped) = self.window.remove(at) else { return };
        // Where messages come twice, another copy may have been taken in: also one sent before the cluster healed.
        let comes_once = ctx.swarm.rates.duplicate_per_mille == 0;
        if error == ErrorCode::NotEnoughReplicas && dropped.attempts == 1 && comes_once {
            ctx.oracle.refused(dropped.batch.id);
        }
        if let Some((leader, _)) = find_leader(self.partition, brokers, ctx) {
            self.leader = leader;
        }
    }

    /// True when it has got on in the healing cluster and waits for no answer: then it is content, so that a slow
    /// cluster is not kept busy for ever.
    pub fn is_settled(&self) -> bool {
        self.healed && self.window.is_empty()
    }
}
