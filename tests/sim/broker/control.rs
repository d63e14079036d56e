//! The control plane as a broker sees it: registration, heartbeats, the feed, and replicas that follow the image.

use super::*;

impl Broker {
    pub(super) fn register(&self, process: &mut Process, ctx: &mut Context) {
        let address = self.address();
        let previous = process.lifecycle.broker_epoch().or(process.past.broker_epoch).map_or(-1, |epoch| epoch.0);
        let request = ctx.next_request();
        process.registering = Some(request);
        let command = register(self.node, process.incarnation, previous, process.start_number);
        ctx.send(address, Address::Quorum, Message::Command { request, command });
        ctx.timer(address, ctx.swarm.request_timeout_ms, Timer::Command { request });
    }

    pub(super) fn on_reply(
        &mut self,
        process: &mut Process,
        request: u64,
        reply: Option<&MetadataReply>,
        me: &Me,
        ctx: &mut Context,
    ) -> Step {
        if process.registering == Some(request) {
            if let Some(Reply::RegisterBroker(registered)) = reply.and_then(|reply| reply.kind.as_ref()) {
                process.registering = None;
                process.lifecycle = process.lifecycle.on_registered(BrokerEpoch(registered.broker_epoch));
                ctx.oracle.registered(self.node, registered.broker_epoch);
                return self.note_image(process, ctx);
            }
            return Ok(());
        }
        let results = match reply.and_then(|reply| reply.kind.as_ref()) {
            Some(Reply::AlterPartition(reply)) => reply.partitions.first(),
            _ => None,
        };
        for replica in process.replicas.values_mut() {
            if replica.on_proposal_answer(request, results, me, ctx) {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn heartbeat(&mut self, process: &mut Process, ctx: &mut Context) {
        let pause = ctx.swarm.heartbeat_ms() * 100 / self.clock_percent.max(1);
        ctx.timer(self.address(), pause.max(1), Timer::Heartbeat);
        let Some(broker_epoch) = process.lifecycle.broker_epoch() else { return };
        let heartbeat = Message::Heartbeat {
            broker_epoch: broker_epoch.0,
            metadata_index: process.image.applied_index(),
            stream: u64::from(self.lives),
            wants_shut_down: matches!(process.lifecycle, LifecycleState::ShuttingDown { .. }),
        };
        ctx.send(self.address(), Address::Quorum, heartbeat);
        if matches!(process.lifecycle, LifecycleState::ShuttingDown { .. }) {
            let request = ctx.next_request();
            let command = crate::quorum::begin_controlled_shutdown(self.id, broker_epoch);
            ctx.send(self.address(), Address::Quorum, Message::Command { request, command });
        }
    }

    pub(super) fn on_heartbeat_reply(
        &mut self,
        process: &mut Process,
        broker_epoch: i64,
        error: ErrorCode,
        may_stop: bool,
        ctx: &mut Context,
    ) {
        let current = process.lifecycle.broker_epoch() == Some(BrokerEpoch(broker_epoch));
        if may_stop && current {
            process.lifecycle = process.lifecycle.on_shut_down_granted();
        }
        if current && matches!(error, ErrorCode::StaleBrokerEpoch | ErrorCode::BrokerIdNotRegistered) {
            // A registration of an earlier life, delayed in the network, may have taken the place of this one's.
            ctx.note(|| format!("broker {} is not registered any more", self.id));
            if process.registering.is_none() {
                self.register(process, ctx);
            }
        }
    }

    pub(super) fn on_feed(
        &mut self,
        process: &mut Process,
        records: std::ops::Range<i64>,
        snapshot: bool,
        quorum: &Quorum,
        ctx: &mut Context,
    ) -> Step {
        let applied = process.image.applied_index();
        if snapshot && applied == 0 && records.end == quorum.image().applied_index() {
            process.image = quorum.image().clone();
        } else if records.start <= applied + 1 && records.end > applied {
            let news = quorum.records(applied + 1, records.end);
            process.image.replay_all(news).expect("the feed tells what was committed");
        } else {
            return Ok(());
        }
        ctx.oracle.image_applied(self.node, &process.image);
        self.note_image(process, ctx)
    }

    /// The image or the registration moved: the replicas follow, once they may. As in the broker role, the run marker
    /// comes first.
    fn note_image(&mut self, process: &mut Process, ctx: &mut Context) -> Step {
        let registered = process.image.broker(self.id).map(|broker| (broker.epoch, broker.fenced));
        process.lifecycle = process.lifecycle.on_image(process.image.applied_index(), registered);
        if !process.lifecycle.has_caught_up() {
            return Ok(());
        }
        if let Some(broker_epoch) = process.lifecycle.broker_epoch().filter(|epoch| process.noted != Some(*epoch)) {
            RunMarker { broker_epoch, boot_id: self.boot_id() }.write(&self.disk, Path::new(DATA))?;
            process.noted = Some(broker_epoch);
        }
        if !process.apply_waits {
            process.apply_waits = true;
            let delay = ctx.feed_delay();
            ctx.timer(self.address(), delay, Timer::Apply);
        }
        Ok(())
    }

    /// The replicas follow the image.
    pub(super) fn apply(&mut self, process: &mut Process, ctx: &mut Context) -> Step {
        let before = std::mem::replace(&mut process.applied, process.image.clone());
        let changed = ImageDelta::between(before, process.applied.clone()).changed_brokers;
        self.follow_partitions(process, ctx)?;
        let me = self.me(process, ctx.now);
        for id in changed {
            let broker = process.applied.broker(id).filter(|broker| broker.is_active());
            let active = broker.map(|broker| broker.epoch);
            process.replicas.values_mut().for_each(|replica| replica.on_broker(id, active, &me, ctx));
        }
        Ok(())
    }

    fn follow_partitions(&mut self, process: &mut Process, ctx: &mut Context) -> Step {
        let Some(topic) = process.applied.topic_by_name(TOPIC).cloned() else { return Ok(()) };
        for (index, partition) in topic.partitions() {
            if partition.replicas.contains(&self.id) {
                self.follow(process, topic.id, index, partition, ctx)?;
            } else {
                self.give_up_replica(process, index, ctx)?;
            }
        }
        Ok(())
    }

    /// The partition is on other brokers now. What is found of it at a start is set aside.
    fn give_up_replica(&mut self, process: &mut Process, index: i32, ctx: &mut Context) -> Step {
        let me = self.me(process, ctx.now);
        let unique = ctx.next_request();
        let name = TopicPartition::new(TOPIC, index).to_string();
        let path = Path::new(DATA).join(&name);
        if let Some(mut replica) = process.replicas.remove(&index) {
            replica.idle(&me, ctx);
            let mut id = [0; 16];
            id[8..].copy_from_slice(&unique.to_be_bytes());
            replica.into_log().delete(Uuid(id))?;
        } else if self.disk.exists(&path) {
            let aside = Path::new(DATA).join(format!("{name}.{unique}-stray"));
            self.disk.rename(&path, &aside).map_err(LogError::io("rename", &path))?;
        } else {
            return Ok(());
        }
        ctx.note(|| format!("broker {} gives up its replica of {index}", me.id));
        ctx.oracle.deleted(self.node, index);
        Ok(())
    }

    fn follow(
        &mut self,
        process: &mut Process,
        topic_id: TopicId,
        index: i32,
        partition: &PartitionImage,
        ctx: &mut Context,
    ) -> Step {
        let me = self.me(process, ctx.now);
        if !process.replicas.contains_key(&index) {
            let replica = self.open_replica(process, topic_id, index, &me, ctx)?;
            process.replicas.insert(index, replica);
        }
        let min_isr = (ctx.swarm.min_isr as usize).min(partition.replicas.len());
        let Some(replica) = process.replicas.get_mut(&index) else { return Ok(()) };
        match partition.leader() {
            Some(leader) if leader == self.id => {
                let start = LeaderStart {
                    broker: IsrMember { broker_id: self.id, broker_epoch: me.broker_epoch },
                    leader_epoch: partition.leader_epoch,
                    partition_epoch: partition.partition_epoch,
                    replicas: partition.replicas.clone(),
                    isr: partition.isr.iter().copied().collect(),
                    min_isr,
                    replica_lag_time_max_ms: ctx.swarm.lag_time_max_ms,
                    log_end_offset: 0,
                    high_watermark: 0,
                    flushed_offset: None,
                    recovering: partition.leader_recovery_state == LeaderRecoveryState::Recovering,
                };
                replica.lead(start, &me, ctx)
            }
            Some(leader) => {
                replica.follow(leader, partition.leader_epoch, &me, ctx);
                Ok(())
            }
            None => {
                replica.idle(&me, ctx);
                Ok(())
            }
        }
    }

    fn open_replica(
        &self,
        process: &Process,
        topic_id: TopicId,
        index: i32,
        me: &Me,
        ctx: &mut Context,
    ) -> Result<Replica, LogError> {
        let name = TopicPartition::new(TOPIC, index);
        let config =
            LogConfig { segment_bytes: ctx.swarm.segment_bytes, index_interval_bytes: 200, ..LogConfig::default() };
        let (log, report) = PartitionLog::open(
            &process.directory,
            name.clone(),
            Some(topic_id),
            Arc::new(config),
            process.past.clean,
            me.wall,
        )?;
        let high_watermark = process.directory.high_watermark(&name).unwrap_or_default();
        let replica = Replica::new(index, log, high_watermark);
        let entries = replica.entries()?;
        ctx.note(|| format!("broker {} opens {index}: {} records, {report:?}", me.id, entries.len()));
        let start = replica.log_start_offset();
        ctx.oracle.opened(self.node, index, me.broker_epoch.0, (start, entries), report.cut.is_some());
        ctx.oracle.flushed(self.node, index, replica.recovery_point());
        ctx.oracle.high_watermark(self.node, index, replica.high_watermark());
        Ok(replica)
    }
}
