//! A broker's part in transactions: leader of partitions that are written to, and coordinator.

use ottla::model::ProducerId;
use ottla::transaction::{AddPartitions, EndTransaction, Event, InitProducer, TransactionVersion};

use super::*;

impl Broker {
    /// The coordinators follow what has become of their replicas.
    pub(super) fn coordinate(&mut self, process: &mut Process, ctx: &mut Context) -> Step {
        let me = self.me(process, ctx.now);
        let Process { replicas, applied, coordinator, groups, .. } = process;
        if ctx.swarm.has_transactions() {
            let looked = coordinator.look(replicas.get_mut(&ctx.swarm.transaction_partition()), applied, &me, ctx);
            self.unless_full(looked, ctx)?;
        }
        if ctx.swarm.group_members > 0 {
            let looked = groups.look(replicas.get_mut(&ctx.swarm.group_partition()), &me, ctx);
            self.unless_full(looked, ctx)?;
        }
        Ok(())
    }

    /// A producer's batch. The first of a transaction in a partition waits for the coordinator's word (KIP-890).
    #[allow(clippy::too_many_arguments, reason = "the parts of one request")]
    pub(super) fn on_produce(
        &mut self,
        process: &mut Process,
        client: Address,
        request: u64,
        partition: i32,
        batch: &Rc<ProducedBatch>,
        acks: i16,
        ctx: &mut Context,
    ) -> Step {
        let me = self.me(process, ctx.now);
        let Some(replica) = process.replicas.get_mut(&partition) else {
            self.refuse_produce(client, request, ErrorCode::NotLeaderOrFollower, ctx);
            return Ok(());
        };
        let leads = replica.leader_epoch().is_some();
        let transaction = batch.transactional.filter(|_| leads);
        let guard = transaction.and_then(|of| Some((of, replica.start_verification(of.producer, &me)?)));
        let Some((of, guard)) = guard else {
            return replica.produce(client, request, batch, acks, None, &me, ctx);
        };
        let what = Joins::Batch { partition, batch: Rc::clone(batch) };
        self.join(process, Joining { client, request, what, guard }, partition, of, ctx);
        Ok(())
    }

    /// TxnOffsetCommit. The first offset of a transaction waits for the coordinator's word as the first batch does.
    pub(super) fn on_consumed_offset(
        &mut self,
        process: &mut Process,
        client: Address,
        request: u64,
        consumed: ConsumedOffset,
        ctx: &mut Context,
    ) -> Step {
        if ctx.now > consumed.expires {
            return Ok(());
        }
        let me = self.me(process, ctx.now);
        let partition = ctx.swarm.group_partition();
        let served = process.groups.check_served();
        let replica = process.replicas.get_mut(&partition).ok_or(ErrorCode::NotCoordinator);
        let replica = match served.and(replica) {
            Ok(replica) => replica,
            Err(error) => {
                let answer = GroupAnswer::Failed(error);
                ctx.send(self.address(), client, Message::GroupReply { request, answer });
                return Ok(());
            }
        };
        let Some(guard) = replica.start_verification(consumed.of.producer, &me) else {
            return process.groups.commit_in_transaction((client, request), &consumed, None, replica, &me, ctx);
        };
        let of = consumed.of;
        self.join(process, Joining { client, request, what: Joins::Offset(consumed), guard }, partition, of, ctx);
        Ok(())
    }

    /// Asks the coordinator of the transaction about a partition.
    fn join(&self, process: &mut Process, joining: Joining, partition: i32, of: Transactional, ctx: &mut Context) {
        let Some(coordinator) = leader_of(&process.applied, ctx.swarm.transaction_partition()) else {
            return self.refuse_joining(joining, ErrorCode::CoordinatorNotAvailable, ctx);
        };
        let asked = ctx.next_request();
        process.joining.insert(asked, joining);
        let message = Message::AddPartition {
            request: asked,
            id: of.id,
            producer: of.producer,
            partition,
            version: of.version,
            verify: of.version == TransactionVersion::V1,
            expires: u64::MAX,
        };
        ctx.send(self.address(), Address::Broker(coordinator), message);
        ctx.timer(self.address(), ctx.swarm.request_timeout_ms, Timer::JoinTimeout { request: asked });
    }

    pub(super) fn give_up_joining(&self, process: &mut Process, asked: u64, ctx: &mut Context) {
        if let Some(joining) = process.joining.remove(&asked) {
            self.refuse_joining(joining, ErrorCode::RequestTimedOut, ctx);
        }
    }

    fn refuse_joining(&self, joining: Joining, error: ErrorCode, ctx: &mut Context) {
        let Joining { client, request, what, .. } = joining;
        match what {
            Joins::Batch { .. } => {
                self.refuse_produce(client, request, told(error, ErrorCode::NotEnoughReplicas), ctx);
            }
            Joins::Offset(_) => {
                let answer = GroupAnswer::Failed(told(error, ErrorCode::CoordinatorLoadInProgress));
                ctx.send(self.address(), client, Message::GroupReply { request, answer });
            }
        }
    }

    fn refuse_produce(&self, client: Address, request: u64, error: ErrorCode, ctx: &mut Context) {
        ctx.send(self.address(), client, Message::ProduceReply { request, error, base_offset: -1 });
    }

    pub(super) fn on_transaction_message(
        &mut self,
        process: &mut Process,
        from: Address,
        message: Message,
        ctx: &mut Context,
    ) -> Step {
        let me = self.me(process, ctx.now);
        match message {
            Message::TransactionReply { request, answer } => {
                let Some(joining) = process.joining.remove(&request) else { return Ok(()) };
                match answer {
                    Ok(_) => self.joined(process, joining, &me, ctx),
                    Err(error) => {
                        self.refuse_joining(joining, error, ctx);
                        Ok(())
                    }
                }
            }
            // One of version 1 that comes after its coordinator has given it up would end the next transaction, too.
            Message::WriteMarker { request, version: TransactionVersion::V1, expires, .. }
                if ctx.now > expires || !ctx.awaited_markers.contains(&request) =>
            {
                Ok(())
            }
            Message::WriteMarker { request, partition, producer, marker, version, .. } => {
                let of_group = ctx.swarm.group_members > 0 && partition == ctx.swarm.group_partition();
                match process.replicas.get_mut(&partition) {
                    Some(replica) if of_group => {
                        let groups = &mut process.groups;
                        groups.end_transaction((from, request), producer, marker, version, replica, &me, ctx)
                    }
                    Some(replica) => replica.write_marker(from, request, producer, marker, version, &me, ctx),
                    None => {
                        let error = ErrorCode::NotLeaderOrFollower;
                        ctx.send(self.address(), from, Message::MarkerReply { request, error });
                        Ok(())
                    }
                }
            }
            message => coordinate_message(process, from, message, &me, ctx),
        }
    }

    /// What waited for the coordinator's word may be written.
    fn joined(&self, process: &mut Process, joining: Joining, me: &Me, ctx: &mut Context) -> Step {
        let Joining { client, request, what, guard } = joining;
        match what {
            Joins::Batch { partition, batch } => match process.replicas.get_mut(&partition) {
                Some(replica) => replica.produce(client, request, &batch, -1, Some(guard), me, ctx),
                None => {
                    self.refuse_produce(client, request, ErrorCode::NotLeaderOrFollower, ctx);
                    Ok(())
                }
            },
            Joins::Offset(consumed) => {
                let Some(replica) = process.replicas.get_mut(&ctx.swarm.group_partition()) else { return Ok(()) };
                let asker = (client, request);
                process.groups.commit_in_transaction(asker, &consumed, Some(guard), replica, me, ctx)
            }
        }
    }
}

/// A message to the coordinator. A broker that does not host its partition is none.
fn coordinate_message(process: &mut Process, from: Address, message: Message, me: &Me, ctx: &mut Context) -> Step {
    let Process { replicas, coordinator, .. } = process;
    let Some(replica) = replicas.get_mut(&ctx.swarm.transaction_partition()) else { return Ok(()) };
    match message {
        Message::InitProducer { request, id, known } => {
            let timeout_ms = ctx.swarm.transaction_timeout_ms as i32;
            let event = |fresh: Option<ProducerId>| Event::Init(InitProducer { timeout_ms, known, fresh });
            coordinator.handle(&name(id), Some((from, request)), &event, replica, me, ctx)
        }
        Message::AddPartition { request, id, producer, partition, verify: true, .. } => {
            coordinator.verify(&name(id), (from, request), producer, partition, me, ctx);
            Ok(())
        }
        Message::AddPartition { request, id, producer, partition, version, expires, .. } if ctx.now <= expires => {
            let partitions = [TopicPartition::new(TOPIC, partition)].into();
            let add = AddPartitions { producer, partitions, version };
            coordinator.handle(
                &name(id),
                Some((from, request)),
                &|_| Event::AddPartitions(add.clone()),
                replica,
                me,
                ctx,
            )
        }
        Message::EndTransaction { request, id, producer, result, version, expires } if ctx.now <= expires => {
            let event = |fresh| Event::End(EndTransaction { producer, result, version, fresh });
            coordinator.handle(&name(id), Some((from, request)), &event, replica, me, ctx)
        }
        Message::MarkerReply { request, error } => coordinator.on_marker_reply(request, error, replica, me, ctx),
        _ => Ok(()),
    }
}

/// As the broker's handlers have it: what a client is told of an error of the transaction's coordinator, of which it
/// knows nothing here.
fn told(error: ErrorCode, again: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::ProducerFenced => ErrorCode::InvalidProducerEpoch,
        retriable if retriable.is_retriable() => again,
        other => other,
    }
}
