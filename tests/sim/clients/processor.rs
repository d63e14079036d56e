//! A member of a group that processes what it reads: it writes in a transaction, commits there how far it has read, and
//! reads on from what the group has committed.

use ottla::log::AbortedTransaction;
use ottla::model::{ErrorCode, Offset};
use ottla::transaction::Producer;

use super::consumer::take_committed;
use super::find_leader;
use super::member::{Conduct, Member};
use super::transactional_id::TransactionalId;
use crate::broker::Broker;
use crate::context::{Context, Timer};
use crate::message::{Address, GroupAnswer, Input, Message};

pub struct Processor {
    address: Address,
    member: Member,
    producer: TransactionalId,
    /// How often its producer had died when the member began.
    deaths: u64,
    /// What it has read and not processed yet, and the request for more.
    reading: Option<(Input, Option<u64>)>,
}

impl Processor {
    pub fn new(address: Address, ctx: &mut Context) -> Self {
        let member = Member::new(address, Conduct::Processes);
        Self { address, member, producer: TransactionalId::new(address, true, ctx), deaths: 0, reading: None }
    }

    /// The generation it lives in, with the partitions it owns.
    pub fn owns(&self) -> Option<(i32, Vec<i32>)> {
        self.member.owns()
    }

    /// True when it has no transaction, and no other keeps it from learning where the group is.
    pub fn is_settled(&self) -> bool {
        self.producer.is_settled() && self.member.knows_positions()
    }

    pub fn on_send(&mut self, brokers: &[Broker], ctx: &mut Context) {
        self.member.on_send(brokers, ctx);
        self.producer.look(brokers, ctx);
        self.look(brokers, ctx);
    }

    fn look(&mut self, brokers: &[Broker], ctx: &mut Context) {
        self.settle(ctx);
        if self.producer.is_settled() && !ctx.healing {
            self.read(brokers, ctx);
        }
    }

    /// What its producer does concerns the member: its transactions move the positions, and a process that dies takes
    /// both along, if it was not a producer alone that was given up for another.
    fn settle(&mut self, ctx: &mut Context) {
        if self.deaths < self.producer.deaths {
            self.deaths = self.producer.deaths;
            if ctx.random.per_mille(200) {
                self.member.begin_anew();
            }
        }
        self.member.conduct = if self.producer.is_settled() { Conduct::Processes } else { Conduct::Waits };
        let begins = |input: &Input| self.member.inputs().any(|now| Input { to: input.to, ..now } == *input);
        self.reading.take_if(|(input, _)| !begins(input));
    }

    fn read(&mut self, brokers: &[Broker], ctx: &mut Context) {
        if self.reading.is_none() {
            let mut inputs: Vec<Input> = self.member.inputs().collect();
            if inputs.is_empty() {
                return;
            }
            self.reading = Some((inputs.swap_remove(ctx.random.index(inputs.len())), None));
        }
        let Some((input, asked @ None)) = &mut self.reading else { return };
        let (partition, offset) = (input.partition, input.to);
        if let Some((leader, leader_epoch)) = find_leader(partition, brokers, ctx) {
            let request = ctx.next_request();
            *asked = Some(request);
            let message = Message::Read { request, partition, offset, leader_epoch, committed: true };
            ctx.send(self.address, Address::Broker(leader), message);
            ctx.timer(self.address, ctx.swarm.request_timeout_ms, Timer::ClientTimeout { request });
        }
    }

    pub fn on_read(
        &mut self,
        request: u64,
        error: ErrorCode,
        bytes: &[u8],
        aborted: &[AbortedTransaction],
        brokers: &[Broker],
        ctx: &mut Context,
    ) {
        let Some((mut input, _)) = self.reading.take_if(|(_, asked)| *asked == Some(request)) else { return };
        if error != ErrorCode::None || !self.producer.is_settled() {
            return;
        }
        let (count, next) = take_committed(input.partition, input.to, bytes, aborted, ctx);
        input.to = next;
        if count == 0 {
            // Nothing but what was aborted, and the ends of transactions: there may be something behind.
            self.reading = Some((input, None));
            return;
        }
        self.member.forget_position(input.partition);
        self.producer.process(input, brokers, ctx);
        self.settle(ctx);
    }

    pub fn on_produced(
        &mut self,
        request: u64,
        error: ErrorCode,
        base_offset: Offset,
        brokers: &[Broker],
        ctx: &mut Context,
    ) {
        self.producer.on_produced(request, error, base_offset, brokers, ctx);
        self.look(brokers, ctx);
    }

    pub fn on_answer(
        &mut self,
        request: u64,
        answer: Result<Producer, ErrorCode>,
        brokers: &[Broker],
        ctx: &mut Context,
    ) {
        self.producer.on_answer(request, answer, brokers, ctx);
        self.look(brokers, ctx);
    }

    pub fn on_group_answer(&mut self, request: u64, answer: GroupAnswer, brokers: &[Broker], ctx: &mut Context) {
        self.producer.on_offset_answer(request, &answer, brokers, ctx);
        let goes_on = !matches!(answer, GroupAnswer::Failed(_));
        self.member.on_answer(request, answer, ctx);
        self.settle(ctx);
        if goes_on {
            self.member.ask_on(brokers, ctx);
        }
        self.look(brokers, ctx);
    }

    pub fn on_timeout(&mut self, request: u64) {
        self.member.on_timeout(request);
        self.producer.on_timeout(request);
        self.reading.take_if(|(_, asked)| *asked == Some(request));
    }
}
