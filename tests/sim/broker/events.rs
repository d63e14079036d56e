//! What a process does with its timers and messages.

use super::*;

impl Broker {
    pub fn on_timer(&mut self, timer: Timer, ctx: &mut Context) {
        if timer == Timer::Start {
            return self.start(ctx);
        }
        if let Err(error) = self.handle_timer(timer, ctx) {
            self.fault(&error, ctx);
        }
    }

    fn handle_timer(&mut self, timer: Timer, ctx: &mut Context) -> Step {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        let me = self.me(&process, ctx.now);
        let replicas = &mut process.replicas;
        let outcome = match timer {
            Timer::Heartbeat => {
                self.heartbeat(&mut process, ctx);
                process.replicas.values_mut().try_for_each(|replica| replica.delete_records(&me, ctx))
            }
            Timer::Flush => {
                ctx.timer(self.address(), ctx.swarm.flush_interval_ms, Timer::Flush);
                flush(self.node, &mut process, ctx)
            }
            Timer::LagTick => {
                ctx.timer(self.address(), (ctx.swarm.lag_time_max_ms / 2).max(10), Timer::LagTick);
                replicas.values_mut().for_each(|replica| replica.tick(&me, ctx));
                Ok(())
            }
            Timer::FetchTimeout { partition, request } => {
                replicas
                    .get_mut(&partition)
                    .into_iter()
                    .for_each(|replica| replica.on_fetch_timeout(request, &me, ctx));
                Ok(())
            }
            Timer::FetchSoon { partition } => {
                replicas.get_mut(&partition).into_iter().for_each(|replica| replica.fetch(&me, ctx));
                Ok(())
            }
            Timer::ParkedFetch { partition, ticket } => {
                replicas.get_mut(&partition).map_or(Ok(()), |replica| replica.on_parked_timeout(ticket, &me, ctx))
            }
            Timer::AckTimeout { partition, ticket } => {
                replicas.get_mut(&partition).into_iter().for_each(|replica| replica.on_ack_timeout(ticket, &me, ctx));
                Ok(())
            }
            Timer::ProposalRetry { partition, request } => {
                replicas.get_mut(&partition).into_iter().for_each(|replica| replica.retry_proposal(request, &me, ctx));
                Ok(())
            }
            Timer::PutOnDisk { partition } => {
                replicas.get_mut(&partition).map_or(Ok(()), |replica| replica.put_on_disk(&me, ctx))
            }
            Timer::Apply => {
                process.apply_waits = false;
                self.apply(&mut process, ctx)
            }
            Timer::Command { request } => {
                if process.registering == Some(request) {
                    self.register(&mut process, ctx);
                }
                Ok(())
            }
            Timer::JoinTimeout { request } => {
                self.give_up_joining(&mut process, request, ctx);
                Ok(())
            }
            Timer::TransactionTimeouts { partition } => {
                ctx.timer(self.address(), ctx.swarm.transaction_timeout_ms / 2, timer);
                let check = ottla::transaction::Event::CheckTimeout;
                replicas
                    .get_mut(&partition)
                    .map_or(Ok(()), |replica| process.coordinator.for_each(&check, replica, &me, ctx))
            }
            Timer::GroupTimers { partition } => process
                .replicas
                .get_mut(&partition)
                .map_or(Ok(()), |replica| process.groups.on_timer(replica, &me, ctx)),
            Timer::Markers { id } => replicas
                .get_mut(&ctx.swarm.transaction_partition())
                .map_or(Ok(()), |replica| process.coordinator.on_timer(&name(id), &process.applied, replica, &me, ctx)),
            Timer::Start | Timer::Liveness | Timer::Commit { .. } | Timer::Send | Timer::ClientTimeout { .. } => {
                unreachable!("a broker has no timer {timer:?}")
            }
        };
        let outcome = outcome.and_then(|()| self.coordinate(&mut process, ctx));
        let stop = process
            .stop_by
            .is_some_and(|by| ctx.now >= by || matches!(process.lifecycle, LifecycleState::MayShutDown { .. }));
        self.process = Some(process);
        outcome?;
        if stop { self.stop_cleanly(ctx) } else { Ok(()) }
    }

    pub fn on_message(&mut self, from: Address, message: Message, quorum: &Quorum, ctx: &mut Context) {
        let Some(mut process) = self.process.take() else { return };
        let outcome = self.handle_message(&mut process, from, message, quorum, ctx);
        let outcome = outcome.and_then(|()| self.coordinate(&mut process, ctx));
        self.process = Some(process);
        if let Err(error) = outcome {
            self.fault(&error, ctx);
        }
    }

    fn handle_message(
        &mut self,
        process: &mut Process,
        from: Address,
        message: Message,
        quorum: &Quorum,
        ctx: &mut Context,
    ) -> Step {
        let me = self.me(process, ctx.now);
        match message {
            Message::Reply { request, reply } => return self.on_reply(process, request, Some(&reply), &me, ctx),
            Message::NotController { request } => return self.on_reply(process, request, None, &me, ctx),
            Message::HeartbeatReply { broker_epoch, error, may_stop } => {
                self.on_heartbeat_reply(process, broker_epoch, error, may_stop, ctx);
            }
            Message::Feed { records, snapshot } => return self.on_feed(process, records, snapshot, quorum, ctx),
            Message::Fetch { request, partition, broker_epoch, next, flushed } => {
                let Address::Broker(node) = from else { unreachable!("only brokers follow") };
                let follower = IsrMember { broker_id: broker_id(node), broker_epoch: BrokerEpoch(broker_epoch) };
                let eligible = process
                    .applied
                    .broker(follower.broker_id)
                    .is_some_and(|broker| broker.is_active() && broker.epoch == follower.broker_epoch);
                if let Some(replica) = process.replicas.get_mut(&partition) {
                    return replica.on_fetch(from, request, follower, eligible, next, flushed, &me, ctx);
                }
            }
            Message::FetchReply { request, partition, answer } => {
                if let Some(replica) = process.replicas.get_mut(&partition) {
                    return replica.on_fetch_answer(request, answer, &me, ctx);
                }
            }
            Message::Produce { request, partition, batch, acks } => {
                let produced = self.on_produce(process, from, request, partition, &batch, acks, ctx);
                return self.unless_full(produced, ctx);
            }
            Message::Read { request, partition, offset, leader_epoch, committed } => {
                let mut replica = process.replicas.get_mut(&partition);
                let log_start_offset = replica.as_mut().map_or(-1, |replica| replica.log().log_start_offset());
                let read = replica.map_or(Err(ErrorCode::NotLeaderOrFollower), |replica| {
                    replica.consume(offset, LeaderEpoch(leader_epoch), committed)
                });
                let (error, (bytes, aborted)) = match read {
                    Ok(read) => (ErrorCode::None, read),
                    Err(error) => (error, Default::default()),
                };
                ctx.send(self.address(), from, Message::ReadReply { request, error, bytes, aborted, log_start_offset });
            }
            Message::LatestOffset { request, partition, leader_epoch, committed } => {
                let replica = process.replicas.get_mut(&partition);
                let latest = replica.map_or(Err(ErrorCode::NotLeaderOrFollower), |replica| {
                    replica.latest_offset(LeaderEpoch(leader_epoch), committed)
                });
                let (error, offset) = match latest {
                    Ok(offset) => (ErrorCode::None, offset),
                    Err(error) => (error, -1),
                };
                ctx.send(self.address(), from, Message::LatestOffsetReply { request, error, offset });
            }
            Message::Group { request, ask: GroupAsk::CommitInTransaction(consumed) } => {
                let handled = self.on_consumed_offset(process, from, request, consumed, ctx);
                return self.unless_full(handled, ctx);
            }
            Message::Group { request, ask } => {
                if let Some(replica) = process.replicas.get_mut(&ctx.swarm.group_partition()) {
                    let handled = process.groups.on_request((from, request), ask, replica, &me, ctx);
                    return self.unless_full(handled, ctx);
                }
            }
            message @ (Message::InitProducer { .. }
            | Message::AddPartition { .. }
            | Message::EndTransaction { .. }
            | Message::TransactionReply { .. }
            | Message::WriteMarker { .. }
            | Message::MarkerReply { .. }) => {
                let handled = self.on_transaction_message(process, from, message, ctx);
                return self.unless_full(handled, ctx);
            }
            other => unreachable!("a broker gets no {other:?}"),
        }
        Ok(())
    }

    /// Whoever writes tries again when there is space.
    pub(super) fn unless_full(&mut self, outcome: Step, ctx: &mut Context) -> Step {
        match outcome {
            Err(error) if error.is_out_of_space() && self.disk_fault => {
                self.disk_fault = false;
                ctx.oracle.arm(self.node, false);
                ctx.maybe_ambush(self.node);
                Ok(())
            }
            outcome => outcome,
        }
    }
}
