//! A transactional producer as Kafka's client behaves, and as users do: it dies in the midst of a transaction and comes
//! back under the same transactional id.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use ottla::model::{ErrorCode, Offset};
use ottla::record::TransactionResult;
use ottla::transaction::{Producer, TransactionVersion};

use super::{build, find_leader};
use crate::broker::Broker;
use crate::context::{Context, Timer};
use crate::message::{Address, ConsumedOffset, GroupAnswer, GroupAsk, Input, Message, ProducedBatch, Transactional};

/// How often a batch is sent before its transaction is given up.
const ATTEMPTS_MAX: u32 = 12;

#[derive(Clone, PartialEq, Eq, Debug)]
enum State {
    /// To ask for a producer id and epoch; `known` is what it was, when it recovers.
    Init {
        known: Option<Producer>,
    },
    Idle,
    /// So many batches to send before the end.
    Sending {
        left: u64,
    },
    /// To commit how far it has read, before the end.
    Consuming {
        result: TransactionResult,
        attempts: u32,
    },
    Ending(TransactionResult),
}

#[derive(Clone)]
pub struct TransactionalProducer {
    address: Address,
    /// Names the transactional id.
    id: u64,
    version: TransactionVersion,
    partitions: i32,
    producer: Option<Producer>,
    state: State,
    /// The transaction's number in the oracle's books.
    transaction: u64,
    sequences: BTreeMap<i32, i32>,
    /// Partitions that were added (version 1), or written to.
    added: BTreeSet<i32>,
    /// The batch that is to be acknowledged, and how often it was sent.
    batch: Option<(i32, Rc<ProducedBatch>, u32)>,
    request: Option<u64>,
    /// A batch has an unknown outcome: version 1 needs another epoch after that.
    unknown: bool,
    /// Its transactions begin when there is something to process.
    processes: bool,
    /// What its transaction has read.
    input: Option<Rc<Input>>,
}

impl TransactionalProducer {
    pub fn new(address: Address, processes: bool, ctx: &mut Context) -> Self {
        let version = if ctx.random.per_mille(500) { TransactionVersion::V2 } else { TransactionVersion::V1 };
        Self {
            address,
            id: address.place() as u64,
            version,
            partitions: ctx.swarm.partitions,
            producer: None,
            state: State::Init { known: None },
            transaction: 0,
            sequences: BTreeMap::new(),
            added: BTreeSet::new(),
            batch: None,
            request: None,
            unknown: false,
            processes,
            input: None,
        }
    }

    /// True when it has nothing in flight and no transaction.
    pub fn is_settled(&self) -> bool {
        self.state == State::Idle
    }

    /// True when it has to ask for an epoch before it can go on.
    pub fn is_fenced(&self) -> bool {
        matches!(self.state, State::Init { .. })
    }

    /// True while the end of its transaction is under way.
    pub fn is_ending(&self) -> bool {
        matches!(self.state, State::Ending(_))
    }

    /// Does the next thing, unless it waits for an answer.
    pub fn look(&mut self, brokers: &[Broker], ctx: &mut Context) {
        if self.awaits_an_append(ctx) && !ctx.healing && ctx.random.per_mille(ctx.rates.impatience_per_mille) {
            self.request = None;
            self.give_up();
        }
        if self.request.is_none() {
            self.go_on(brokers, ctx);
        }
    }

    /// True while something is under way that its partition's leader may append.
    fn awaits_an_append(&self, ctx: &Context) -> bool {
        let consuming = Some(ctx.swarm.group_partition()).filter(|_| matches!(self.state, State::Consuming { .. }));
        let partition = self.batch.as_ref().map(|(partition, ..)| *partition).or(consuming);
        self.request.is_some() && partition.is_some_and(|partition| self.added.contains(&partition))
    }

    /// Another instance begins under the same id. What the last one has sent is on its way.
    pub fn begin_anew(&mut self, known: Option<Producer>) {
        self.state = State::Init { known };
        self.request = None;
        self.batch = None;
        self.input = None;
        self.added.clear();
        self.unknown = false;
    }

    /// Begins a transaction that has read this.
    pub fn process(&mut self, input: Input, brokers: &[Broker], ctx: &mut Context) {
        self.input = Some(Rc::new(input));
        self.begin(brokers, ctx);
    }

    fn begin(&mut self, brokers: &[Broker], ctx: &mut Context) {
        self.transaction = ctx.next_request();
        let most = if self.processes { 2 } else { 4 };
        self.state = State::Sending { left: ctx.random.between(1, most) };
        self.go_on(brokers, ctx);
    }

    fn go_on(&mut self, brokers: &[Broker], ctx: &mut Context) {
        match self.state.clone() {
            State::Init { known } => {
                let id = self.id;
                self.ask(brokers, ctx, |request| Message::InitProducer { request, id, known });
            }
            State::Idle if ctx.healing || self.processes => {}
            State::Idle => self.begin(brokers, ctx),
            State::Sending { left: 0 } => {
                let commits = ctx.random.per_mille(700);
                let result = if commits { TransactionResult::Commit } else { TransactionResult::Abort };
                self.state = match self.processes {
                    true => State::Consuming { result, attempts: 0 },
                    false => State::Ending(result),
                };
                self.go_on(brokers, ctx);
            }
            State::Consuming { result, attempts } => {
                self.state = State::Consuming { result, attempts: attempts + 1 };
                self.commit_offset(brokers, ctx);
            }
            State::Sending { .. } => self.send_batch(brokers, ctx),
            State::Ending(result) if self.added.is_empty() => self.ended(result, None),
            State::Ending(result) => {
                let (id, version, expires) = (self.id, self.version, self.expires(ctx));
                let Some(producer) = self.producer else { return };
                self.ask(brokers, ctx, |request| Message::EndTransaction {
                    request,
                    id,
                    producer,
                    result,
                    version,
                    expires,
                });
            }
        }
    }

    fn send_batch(&mut self, brokers: &[Broker], ctx: &mut Context) {
        let Some(producer) = self.producer else { return };
        let (partition, batch) = match &mut self.batch {
            Some((partition, batch, attempts)) => {
                *attempts += 1;
                (*partition, Rc::clone(batch))
            }
            None => {
                let partition = ctx.random.index(self.partitions as usize) as i32;
                let batch = Rc::new(self.build(producer, partition, ctx));
                self.batch = Some((partition, Rc::clone(&batch), 0));
                (partition, batch)
            }
        };
        if self.version == TransactionVersion::V1 && !self.added.contains(&partition) {
            return self.add_partition(producer, partition, brokers, ctx);
        }
        self.added.insert(partition);
        if let Some((leader, _)) = find_leader(partition, brokers, ctx) {
            let request = self.begin_request(ctx);
            let message = Message::Produce { request, partition, batch, acks: -1 };
            ctx.send(self.address, Address::Broker(leader), message);
        }
    }

    fn add_partition(&mut self, producer: Producer, partition: i32, brokers: &[Broker], ctx: &mut Context) {
        let (id, version, expires) = (self.id, self.version, self.expires(ctx));
        self.ask(brokers, ctx, |request| Message::AddPartition {
            request,
            id,
            producer,
            partition,
            version,
            verify: false,
            expires,
        });
    }

    /// Makes what it has read part of the transaction: with version 1 the group's partition is added first, as
    /// AddOffsetsToTxn does it.
    fn commit_offset(&mut self, brokers: &[Broker], ctx: &mut Context) {
        let (Some(producer), Some(input)) = (self.producer, self.input.clone()) else { return };
        let partition = ctx.swarm.group_partition();
        if self.version == TransactionVersion::V1 && !self.added.contains(&partition) {
            return self.add_partition(producer, partition, brokers, ctx);
        }
        self.added.insert(partition);
        if let Some((leader, _)) = find_leader(partition, brokers, ctx) {
            let of = Transactional { id: self.id, producer, version: self.version };
            let (transaction, expires) = (self.transaction, self.expires(ctx));
            let ask = GroupAsk::CommitInTransaction(ConsumedOffset { of, transaction, input, expires });
            let request = self.begin_request(ctx);
            ctx.send(self.address, Address::Broker(leader), Message::Group { request, ask });
        }
    }

    fn build(&self, producer: Producer, partition: i32, ctx: &mut Context) -> ProducedBatch {
        let (counter, count) = (ctx.next_request(), ctx.random.between(1, 3));
        let sequence = self.sequences.get(&partition).copied().unwrap_or(0);
        let transactional = Transactional { id: self.id, producer, version: self.version };
        let client = self.address.place() as u64;
        let by = Some((producer.id.0, producer.epoch.0, sequence));
        let batch = build((client, counter), count, by, Some(transactional), ctx.swarm.value_bytes);
        ctx.oracle.produced(partition, &batch.header());
        ctx.oracle.in_transaction(batch.id, self.transaction);
        batch
    }

    /// Requests of version 1 are not told apart from those of the next transaction when they come late, so here they
    /// come in time or not at all.
    fn expires(&self, ctx: &Context) -> u64 {
        match self.version {
            TransactionVersion::V1 => ctx.now + 2 * ctx.swarm.request_timeout_ms,
            TransactionVersion::V2 => u64::MAX,
        }
    }

    fn begin_request(&mut self, ctx: &mut Context) -> u64 {
        let request = ctx.next_request();
        self.request = Some(request);
        ctx.timer(self.address, 2 * ctx.swarm.request_timeout_ms, Timer::ClientTimeout { request });
        request
    }

    fn ask(&mut self, brokers: &[Broker], ctx: &mut Context, message: impl FnOnce(u64) -> Message) {
        if let Some((leader, _)) = find_leader(ctx.swarm.transaction_partition(), brokers, ctx) {
            let request = self.begin_request(ctx);
            ctx.send(self.address, Address::Broker(leader), message(request));
        }
    }

    /// A request was answered, or has had no answer for too long.
    pub fn on_produced(&mut self, request: u64, error: ErrorCode, base_offset: Offset, ctx: &mut Context) {
        if self.request.take_if(|open| *open == request).is_none() {
            return;
        }
        let Some((partition, batch, attempts)) = self.batch.clone() else { return };
        match error {
            ErrorCode::None | ErrorCode::DuplicateSequenceNumber => {
                if error == ErrorCode::None {
                    ctx.oracle.acknowledged(batch.id, base_offset, batch.count, true);
                }
                *self.sequences.entry(partition).or_insert(0) += batch.count as i32;
                self.batch = None;
                if let State::Sending { left } = &mut self.state {
                    *left -= 1;
                }
            }
            ErrorCode::InvalidProducerEpoch
            | ErrorCode::ProducerFenced
            | ErrorCode::InvalidTxnState
            | ErrorCode::InvalidProducerIdMapping => self.begin_anew(None),
            ErrorCode::OutOfOrderSequenceNumber | ErrorCode::TransactionAbortable => self.give_up(),
            _ if attempts >= ATTEMPTS_MAX => self.give_up(),
            _ => {}
        }
    }

    /// The coordinator of the group has answered.
    pub fn on_offset_answer(&mut self, request: u64, answer: &GroupAnswer, ctx: &mut Context) {
        let State::Consuming { result, attempts } = self.state else { return };
        if self.request.take_if(|open| *open == request).is_none() {
            return;
        }
        match answer {
            GroupAnswer::Committed => {
                ctx.oracle.acknowledged_offset(self.transaction);
                self.state = State::Ending(result);
            }
            GroupAnswer::Failed(
                ErrorCode::InvalidProducerEpoch
                | ErrorCode::ProducerFenced
                | ErrorCode::InvalidTxnState
                | ErrorCode::InvalidProducerIdMapping,
            ) => self.begin_anew(None),
            GroupAnswer::Failed(error) if is_retriable(*error) && attempts < ATTEMPTS_MAX => {}
            // Another member owns the partition by now, or nobody knows.
            _ => self.give_up(),
        }
    }

    fn give_up(&mut self) {
        self.batch = None;
        self.unknown = true;
        self.state = State::Ending(TransactionResult::Abort);
    }

    /// The coordinator has answered.
    pub fn on_answer(&mut self, request: u64, answer: Result<Producer, ErrorCode>, ctx: &mut Context) {
        if self.request.take_if(|open| *open == request).is_none() {
            return;
        }
        match (self.state.clone(), answer) {
            (State::Init { .. }, Ok(producer)) => {
                ctx.oracle.initialised(producer, ctx.steps);
                self.producer = Some(producer);
                self.sequences.clear();
                self.state = State::Idle;
            }
            (State::Sending { .. }, Ok(_)) => {
                let partition = self.batch.as_ref().map(|(partition, ..)| *partition);
                self.added.extend(partition);
            }
            (State::Consuming { .. }, Ok(_)) => {
                self.added.insert(ctx.swarm.group_partition());
            }
            (State::Ending(result), Ok(producer)) => {
                ctx.oracle.told_end(self.transaction, result);
                ctx.oracle.goes_on(producer);
                self.ended(result, Some(producer));
            }
            (State::Idle, _) => {}
            (_, Err(error)) if is_retriable(error) => {}
            (
                State::Init { known: Some(_) } | State::Sending { .. } | State::Consuming { .. } | State::Ending(_),
                Err(_),
            ) => self.begin_anew(None),
            (State::Init { known: None }, Err(_)) => {}
        }
    }

    fn ended(&mut self, result: TransactionResult, producer: Option<Producer>) {
        self.added.clear();
        self.input = None;
        self.state = State::Idle;
        match self.version {
            TransactionVersion::V2 => {
                if let Some(producer) = producer.filter(|producer| Some(*producer) != self.producer) {
                    self.producer = Some(producer);
                    self.sequences.clear();
                }
                // Nothing was ended that could have raised the epoch.
                if producer.is_none() && self.unknown {
                    self.begin_anew(self.producer);
                }
            }
            // Whether the last batch is in nobody knows, so neither which sequence number comes next (KIP-360).
            TransactionVersion::V1 if self.unknown && result == TransactionResult::Abort => {
                self.begin_anew(self.producer);
            }
            TransactionVersion::V1 => {}
        }
        self.unknown = false;
    }

    pub fn on_timeout(&mut self, request: u64) {
        self.request.take_if(|open| *open == request);
    }
}

fn is_retriable(error: ErrorCode) -> bool {
    matches!(error, ErrorCode::ConcurrentTransactions | ErrorCode::RequestTimedOut) || error.is_retriable()
}
