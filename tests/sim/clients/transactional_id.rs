//! A transactional id and who uses it: a producer, and now and then the one before it, which goes on because nobody has
//! told it yet that it was replaced.

use ottla::model::{ErrorCode, Offset};
use ottla::transaction::Producer;

use super::send_interval;
use super::transactional::TransactionalProducer;
use crate::broker::Broker;
use crate::context::{Context, Timer, count};
use crate::message::Address;

pub struct TransactionalId {
    address: Address,
    current: TransactionalProducer,
    /// Was replaced, and goes on until somebody fences it.
    zombie: Option<TransactionalProducer>,
}

impl TransactionalId {
    pub fn new(address: Address, ctx: &mut Context) -> Self {
        Self { address, current: TransactionalProducer::new(address, ctx), zombie: None }
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

    fn look(&mut self, brokers: &[Broker], ctx: &mut Context) {
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

    pub fn on_timeout(&mut self, request: u64) {
        self.instances().for_each(|instance| instance.on_timeout(request));
    }
}
