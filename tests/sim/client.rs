//! Producers and consumers as Kafka's clients behave: they ask who leads, retry what may be retried, and know that a
//! request without an answer may have been carried out.

use std::collections::VecDeque;
use std::rc::Rc;

use ottla::model::{ErrorCode, Offset, ProducerEpoch, ProducerId};
use ottla::record::{BatchBuilder, BatchHeader};

use crate::broker::{Broker, parse_entries};
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
    /// Its id and the next sequence number; `None` without idempotence.
    idempotent: Option<(i64, i32)>,
    acks: i16,
    window: VecDeque<InFlight>,
    /// Something failed: one batch at a time, from the oldest on, until all are settled.
    retrying: bool,
    acked_any: bool,
    leader: usize,
    pub acked: u64,
}

/// A consumer of one partition.
pub struct Consumer {
    address: Address,
    partition: i32,
    position: Offset,
    latest: Offset,
    request: Option<u64>,
    leader: Option<(usize, i32)>,
    /// The newest leader epoch heard of.
    leader_epoch: i32,
}

pub enum Client {
    Producer(Producer),
    Consumer(Consumer),
}

/// A batch's content: unlike any other's.
fn build(client: u64, counter: u64, count: u64, producer: Option<(i64, i32)>) -> ProducedBatch {
    let mut builder = BatchBuilder::new();
    if let Some((id, sequence)) = producer {
        builder = builder.producer(ProducerId(id), ProducerEpoch(0), sequence);
    }
    for record in 0..count {
        let value = [client, counter, record].map(u64::to_be_bytes).concat();
        builder.append(1_700_000_000_000, None, Some(&value), &[]);
    }
    let bytes = builder.build();
    let header = BatchHeader::parse(&bytes).expect("a batch begins with its header");
    ProducedBatch { bytes, crc: header.crc, count: count as i64 }
}

impl Client {
    /// The clients of a run.
    pub fn all(ctx: &mut Context) -> Vec<Client> {
        let swarm = ctx.swarm.clone();
        let mut clients = Vec::new();
        for number in 0..swarm.idempotent_producers + swarm.plain_producers + swarm.consumers {
            let address = Address::Client(number);
            let partition = number as i32 % swarm.partitions;
            clients.push(if number < swarm.idempotent_producers + swarm.plain_producers {
                let idempotent = number < swarm.idempotent_producers;
                let acks = if idempotent || ctx.random.per_mille(600) { -1 } else { 1 };
                Client::Producer(Producer {
                    address,
                    partition,
                    idempotent: idempotent.then(|| (ctx.next_request() as i64, 0)),
                    acks,
                    window: VecDeque::new(),
                    retrying: false,
                    acked_any: false,
                    leader: 0,
                    acked: 0,
                })
            } else {
                let (latest, request, leader) = (-1, None, None);
                let leader_epoch = -1;
                Client::Consumer(Consumer { address, partition, position: 0, latest, request, leader, leader_epoch })
            });
            ctx.timer(address, 100, Timer::Send);
        }
        clients
    }

    pub fn on_timer(&mut self, timer: Timer, brokers: &[Broker], ctx: &mut Context) {
        match (self, timer) {
            (Client::Producer(producer), Timer::Send) => producer.on_send(brokers, ctx),
            (Client::Producer(producer), Timer::ClientTimeout { request }) => {
                producer.on_answer(request, ErrorCode::RequestTimedOut, -1, brokers, ctx);
            }
            (Client::Consumer(consumer), Timer::Send) => consumer.on_send(brokers, ctx),
            (Client::Consumer(consumer), Timer::ClientTimeout { request }) => consumer.give_up(request),
            (_, other) => unreachable!("a client has no timer {other:?}"),
        }
    }

    pub fn on_message(&mut self, message: Message, brokers: &[Broker], ctx: &mut Context) {
        match (self, message) {
            (Client::Producer(producer), Message::ProduceReply { request, error, base_offset }) => {
                producer.on_answer(request, error, base_offset, brokers, ctx);
            }
            (Client::Consumer(consumer), message) => consumer.on_answer(message, ctx),
            (_, other) => unreachable!("a producer gets no {other:?}"),
        }
    }
}

/// A healing cluster is not kept busy: it must only get on.
fn send_interval(ctx: &Context) -> u64 {
    if ctx.healing { ctx.swarm.send_interval_ms.max(200) } else { ctx.swarm.send_interval_ms }
}

/// Asks a broker that is up who leads.
fn find_leader(partition: i32, brokers: &[Broker], ctx: &mut Context) -> Option<(usize, i32)> {
    let start = ctx.random.index(brokers.len());
    (0..brokers.len()).find_map(|at| brokers[(start + at) % brokers.len()].believed_leader(partition))
}

impl Producer {
    fn on_send(&mut self, brokers: &[Broker], ctx: &mut Context) {
        let pause = ctx.random.between(1, 2 * send_interval(ctx));
        ctx.timer(self.address, pause, Timer::Send);
        // A new producer's first batch goes alone: a leader that knows nothing of a producer takes any sequence.
        let in_flight_max = if self.acked_any { ctx.swarm.in_flight_max } else { 1 };
        if self.retrying {
            return self.send_oldest(brokers, ctx);
        }
        if self.window.len() >= in_flight_max {
            return;
        }
        let (counter, count) = (ctx.next_request(), ctx.random.between(1, 3));
        let client = self.address.place() as u64;
        let batch = build(client, counter, count, self.idempotent);
        if let Some((_, sequence)) = &mut self.idempotent {
            *sequence += count as i32;
        }
        let header = BatchHeader::parse(&batch.bytes).expect("a batch begins with its header");
        ctx.oracle.produced(self.partition, &header);
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

    fn on_answer(
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
            ErrorCode::OutOfOrderSequenceNumber | ErrorCode::InvalidProducerEpoch => self.begin_anew(ctx),
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
            ctx.oracle.acknowledged(done.batch.crc, base_offset, done.batch.count, self.acks == -1);
        }
        self.acked += 1;
        self.acked_any = true;
        while self.window.front().is_some_and(|oldest| oldest.settled) {
            self.window.pop_front();
        }
        self.retrying &= !self.window.is_empty();
    }

    /// Whatever is in flight stays unknown, and the next records get a new id.
    fn begin_anew(&mut self, ctx: &mut Context) {
        self.window.clear();
        self.retrying = false;
        self.acked_any = false;
        if self.idempotent.is_some() {
            self.idempotent = Some((ctx.next_request() as i64, 0));
        }
    }

    /// An idempotent producer's batch was not acknowledged: its fate is unknown, and a retry finds it out.
    fn begin_retry(&mut self, at: usize, brokers: &[Broker], ctx: &mut Context) {
        self.retrying = true;
        self.window[at].request = None;
        let too_old = self.window[at].since + 40 * ctx.swarm.request_timeout_ms < ctx.now && !ctx.healing;
        if too_old {
            return self.begin_anew(ctx); // The delivery timeout.
        }
        if at == 0 && ctx.random.per_mille(300) {
            self.send_oldest(brokers, ctx);
        }
    }

    /// A producer without idempotence does not try again.
    fn drop_one(&mut self, at: usize, error: ErrorCode, brokers: &[Broker], ctx: &mut Context) {
        let Some(dropped) = self.window.remove(at) else { return };
        if error == ErrorCode::NotEnoughReplicas && dropped.attempts == 1 && ctx.rates.duplicate_per_mille == 0 {
            ctx.oracle.refused(dropped.batch.crc);
        }
        if let Some((leader, _)) = find_leader(self.partition, brokers, ctx) {
            self.leader = leader;
        }
    }

    /// True when nothing waits for an answer.
    pub fn is_settled(&self) -> bool {
        self.window.is_empty()
    }
}

impl Consumer {
    fn on_send(&mut self, brokers: &[Broker], ctx: &mut Context) {
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
        let (request, partition) = (ctx.next_request(), self.partition);
        self.request = Some(request);
        let message = if ctx.random.per_mille(300) {
            Message::LatestOffset { request, partition, leader_epoch }
        } else {
            Message::Read { request, partition, offset: self.position, leader_epoch }
        };
        ctx.send(self.address, Address::Broker(leader), message);
        ctx.timer(self.address, ctx.swarm.request_timeout_ms, Timer::ClientTimeout { request });
    }

    fn give_up(&mut self, request: u64) {
        if self.request == Some(request) {
            self.request = None;
            self.leader = None;
        }
    }

    fn on_answer(&mut self, message: Message, ctx: &mut Context) {
        match message {
            Message::ReadReply { request, error, bytes, .. } if self.request.take_if(|r| *r == request).is_some() => {
                if error != ErrorCode::None {
                    self.leader = None;
                    return;
                }
                let entries = parse_entries(&bytes, self.position, ctx);
                if !entries.is_empty() {
                    ctx.oracle.consumed(self.partition, self.position, &entries);
                    self.position += entries.len() as Offset;
                }
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
}
