//! Producers and consumers as Kafka's clients behave: they ask who leads, retry what may be retried, and know that a
//! request without an answer may have been carried out.

mod consumer;
mod member;
mod processor;
mod producer;
mod transactional;
mod transactional_id;

use ottla::model::{ErrorCode, ProducerEpoch, ProducerId};
use ottla::record::{BatchBuilder, BatchHeader};

use crate::broker::Broker;
use crate::context::{Context, Timer};
use crate::message::{Address, Message, ProducedBatch, Transactional};
use crate::oracle::BatchId;

use consumer::Consumer;
use member::{Conduct, Member};
use processor::Processor;
use producer::Producer;
use transactional_id::TransactionalId;

pub enum Client {
    Producer(Producer),
    Transactional(Box<TransactionalId>),
    Consumer(Consumer),
    Member(Member),
    Processor(Box<Processor>),
}

/// Who made a batch: producer id, epoch, and the batch's first sequence number.
type By = (i64, i16, i32);

/// A batch's content: unlike any other's.
fn build(
    (client, counter): (u64, u64),
    count: u64,
    producer: Option<By>,
    transactional: Option<Transactional>,
    value_bytes: u64,
) -> ProducedBatch {
    let mut builder = BatchBuilder::new();
    if let Some((id, epoch, sequence)) = producer {
        builder = builder.producer(ProducerId(id), ProducerEpoch(epoch), sequence);
    }
    if transactional.is_some() {
        builder = builder.transactional();
    }
    for record in 0..count {
        let mut value = [client, counter, record].map(u64::to_be_bytes).concat();
        // No zeros: what a torn write leaves out reads as zeros.
        value.resize(value_bytes as usize, 0xa5);
        builder.append(1_700_000_000_000, None, Some(&value), &[]);
    }
    let bytes = builder.build();
    let header = BatchHeader::parse(&bytes).expect("a batch begins with its header");
    ProducedBatch { bytes, id: BatchId::of(&header), count: count as i64, transactional }
}

impl Client {
    /// The clients of a run.
    pub fn all(ctx: &mut Context) -> Vec<Client> {
        let swarm = ctx.swarm.clone();
        let mut clients = Vec::new();
        let mut add = |ctx: &mut Context, new: &dyn Fn(Address, i32, &mut Context) -> Client| {
            let address = Address::Client(clients.len());
            let partition = clients.len() as i32 % swarm.partitions;
            clients.push(new(address, partition, ctx));
            ctx.timer(address, 100, Timer::Send);
        };
        for _ in 0..swarm.idempotent_producers {
            add(ctx, &|address, partition, ctx| Client::Producer(Producer::new(address, partition, true, ctx)));
        }
        for _ in 0..swarm.plain_producers {
            add(ctx, &|address, partition, ctx| Client::Producer(Producer::new(address, partition, false, ctx)));
        }
        for _ in 0..swarm.transactional_producers {
            add(ctx, &|address, _, ctx| Client::Transactional(Box::new(TransactionalId::new(address, false, ctx))));
        }
        for number in 0..swarm.consumers {
            // Where there are transactions, one of two readers asks for committed records alone.
            let committed = swarm.has_transactions() && number == 0;
            add(ctx, &|address, partition, _| Client::Consumer(Consumer::new(address, partition, committed)));
        }
        for _ in 0..swarm.group_members {
            match swarm.processes {
                true => add(ctx, &|address, _, ctx| Client::Processor(Box::new(Processor::new(address, ctx)))),
                false => add(ctx, &|address, _, _| Client::Member(Member::new(address, Conduct::Commits))),
            }
        }
        clients
    }

    pub fn on_timer(&mut self, timer: Timer, brokers: &[Broker], ctx: &mut Context) {
        match (self, timer) {
            (Client::Producer(producer), Timer::Send) => producer.on_send(brokers, ctx),
            (Client::Producer(producer), Timer::ClientTimeout { request }) => {
                producer.on_answer(request, ErrorCode::RequestTimedOut, -1, brokers, ctx);
            }
            (Client::Transactional(producer), Timer::Send) => producer.on_send(brokers, ctx),
            (Client::Transactional(producer), Timer::ClientTimeout { request }) => producer.on_timeout(request),
            (Client::Processor(processor), Timer::Send) => processor.on_send(brokers, ctx),
            (Client::Processor(processor), Timer::ClientTimeout { request }) => processor.on_timeout(request),
            (Client::Member(member), Timer::Send) => member.on_send(brokers, ctx),
            (Client::Member(member), Timer::ClientTimeout { request }) => member.on_timeout(request),
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
            (Client::Transactional(producer), Message::ProduceReply { request, error, base_offset }) => {
                producer.on_produced(request, error, base_offset, brokers, ctx);
            }
            (Client::Transactional(producer), Message::TransactionReply { request, answer }) => {
                producer.on_answer(request, answer, brokers, ctx);
            }
            (Client::Processor(processor), Message::ProduceReply { request, error, base_offset }) => {
                processor.on_produced(request, error, base_offset, brokers, ctx);
            }
            (Client::Processor(processor), Message::TransactionReply { request, answer }) => {
                processor.on_answer(request, answer, brokers, ctx);
            }
            (Client::Processor(processor), Message::GroupReply { request, answer }) => {
                processor.on_group_answer(request, answer, brokers, ctx);
            }
            (Client::Processor(processor), Message::ReadReply { request, error, bytes, aborted, .. }) => {
                processor.on_read(request, error, &bytes, &aborted, brokers, ctx);
            }
            (Client::Member(member), Message::GroupReply { request, answer }) => {
                member.on_answer(request, answer, ctx);
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
