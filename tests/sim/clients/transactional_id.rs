//! A transactional id and who uses it: a producer, and now and then the one before it, which goes on because nobody has
//! told it yet that it was replaced.

use ottla::model::{ErrorCode, Offset};
use ottla::transaction::Producer;

use super::send_interval;
use super::transactional::TransactionalProducer;
use crate::broker::Broker;
use crate::context::{Context, Timer, count};
use crate::message::{Address, GroupAnswer, Input};

pub struct TransactionalId {
    address: Address,
    current: TransactionalProducer,
    /// Was replaced, and goes on until somebody fences it.
    zombie: Option<TransactionalProducer>,
    /// How often it was replaced.
    pub deaths: u64,
}

impl TransactionalId {
    /// With `processes` its transactions begin with [`TransactionalId::process`] alone.
    pub fn new(address: Address, processes: bool, ctx: &mut Context) -> Self {
        Self { address, current: TransactionalProducer::new(address, processes, ctx), zombie: None, deaths: 0 }
    }

    /// Begins a transaction that has read this.
    pub fn process(&mut self, input: Input, brokers: &[Broker], ctx: &mut Context) {
        self.current.process(input, brokers, ctx);
    }

    /// True when it has nothing in flight and no transaction.
    pub fn is_settled(&self) -> bool {
        self.current.is_settled()
    }

    pub fn on_send(&mut self, brokers: &[Broker], ctx: &mut Context) {
        let pause = ctx.random.between(1, 2 * send_interval(ctx));
        ctx.timer(self.address, pause, Timer::Send);
        self.look(brokers, ctx);
    }

    pub fn look(&mut self, brokers: &[Broker], ctx: &mut Context) {
        // The end of a transaction is where a death matters most.
        let deadly = if self.current.is_ending() { 20 } else { 1 };
        if !ctx.healing && ctx.random.per_mille(deadly * ctx.rates.client_death_per_mille) {
            self.replace(ctx);
        }
        self.zombie.take_if(|zombie| ctx.healing || zombie.is_fenced());
        self.instances().for_each(|instance| instance.look(brokers, ctx));
    }

    /// Another instance begins. The one before it is dead, or merely taken for dead.
    fn replace(&mut self, ctx: &mut Context) {
        if ctx.random.per_mille(ctx.rates.zombie_per_mille) && !self.current.is_fenced() {
            ctx.message_faults[count::ZOMBIE] += 1;
            self.zombie = Some(self.current.clone());
        }
        self.current.begin_anew(None);
        self.deaths += 1;
    }

    fn instances(&mut self) -> impl Iterator<Item = &mut TransactionalProducer> {
        self.zombie.iter_mut().chain([&mut self.current])
    }

    pub fn on_produced(
        &mut self,
        request: u64,
        error: ErrorCode,
        base_offset: Offset,
        brokers: &[Broker],
        ctx: &mut Context,
    ) {
        self.instances().for_each(|instance| instance.on_produced(request, error, base_offset, ctx));
        if error == ErrorCode::None {
            self.look(brokers, ctx);
        }
    }

    pub fn on_answer(
        &mut self,
        request: u64,
        answer: Result<Producer, ErrorCode>,
        brokers: &[Broker],
        ctx: &mut Context,
    ) {
        self.instances().for_each(|instance| instance.on_answer(request, answer, ctx));
        if answer.is_ok() {
            self.look(brokers, ctx);
        }
    }

    pub fn on_offset_answer(&mut self, request: u64, answer: &GroupAnswer, brokers: &[Broker], ctx: &mut Context) {
        self.instances().for_each(|instance| instance.on_offset_answer(request, answer, ctx));
        if *answer == GroupAnswer::Committed {
            self.look(brokers, ctx);
        }
    }

    pub fn on_timeout(&mut self, request: u64) {
        self.instances().for_each(|instance| instance.on_timeout(request));
    }
}
