//! A replica that follows.

use super::*;

impl Replica {
    /// Asks the leader for what comes next, unless a fetch is in flight.
    pub fn fetch(&mut self, me: &Me, ctx: &mut Context) {
        let Role::Following(follower) = &self.role else { return };
        if self.asked.is_some() {
            return;
        }
        let next = follower.next_fetch(&follower_log(&self.log));
        let to = Address::Broker(node_of(follower.leader()));
        let flushed = self.flushed_offset(me, ctx);
        if flushed.is_some_and(|flushed| flushed < next.fetch_offset) {
            // It is asked for once what came before is on disk.
            return self.want_on_disk(me, ctx);
        }
        let (request, partition) = (ctx.next_request(), self.partition);
        self.asked = Some((request, next));
        let fetch = Message::Fetch { request, partition, broker_epoch: me.broker_epoch.0, next, flushed };
        ctx.send(me.address(), to, fetch);
        let timeout = ctx.swarm.request_timeout_ms + ctx.swarm.fetch_wait_max_ms;
        ctx.timer(me.address(), timeout, Timer::FetchTimeout { partition, request });
    }

    pub fn on_fetch_timeout(&mut self, request: u64, me: &Me, ctx: &mut Context) {
        if self.asked.is_some_and(|(asked, _)| asked == request) {
            self.asked = None;
            self.fetch(me, ctx);
        }
    }

    /// The leader has answered.
    pub fn on_fetch_answer(
        &mut self,
        request: u64,
        answer: FetchAnswer,
        me: &Me,
        ctx: &mut Context,
    ) -> Result<(), LogError> {
        let Some((_, asked)) = self.asked.take_if(|(asked, _)| *asked == request) else { return Ok(()) };
        let (answer, bytes) = match answer {
            FetchAnswer::Records { bytes, high_watermark, log_start_offset } => {
                (LeaderAnswer::Records { high_watermark, log_start_offset }, bytes)
            }
            FetchAnswer::Diverging { epoch, end_offset } => {
                (LeaderAnswer::Diverging { epoch: LeaderEpoch(epoch), end_offset }, Bytes::new())
            }
            FetchAnswer::OutOfRange { log_start_offset } => {
                (LeaderAnswer::OutOfRange { log_start_offset }, Bytes::new())
            }
            FetchAnswer::Refused => {
                let timer = Timer::FetchSoon { partition: self.partition };
                ctx.timer(me.address(), ctx.swarm.heartbeat_ms(), timer);
                return Ok(());
            }
        };
        let Role::Following(follower) = &mut self.role else { return Ok(()) };
        let effects = follower.on_answer(&asked, answer, &follower_log(&self.log));
        let stuck = effects.is_empty();
        self.act_as_follower(effects, &bytes, me, ctx)?;
        if stuck {
            ctx.timer(me.address(), ctx.swarm.heartbeat_ms(), Timer::FetchSoon { partition: self.partition });
        } else {
            self.fetch(me, ctx);
        }
        Ok(())
    }

    fn act_as_follower(
        &mut self,
        effects: Vec<FollowerEffect>,
        bytes: &Bytes,
        me: &Me,
        ctx: &mut Context,
    ) -> Result<(), LogError> {
        let Role::Following(follower) = &self.role else { return Ok(()) };
        let told_by = follower.leader_epoch();
        for effect in effects {
            match effect {
                FollowerEffect::Append { leader_log_start_offset } => {
                    self.append_as_follower(bytes, leader_log_start_offset, me, ctx)?;
                }
                FollowerEffect::TruncateTo { offset } => {
                    ctx.note(|| format!("broker {} truncates {} to {offset}", me.id, self.partition));
                    self.log.truncate_to(offset)?;
                    ctx.oracle.truncated(me.node, self.partition, self.log.log_end_offset(), told_by);
                }
                FollowerEffect::ResetTo { offset } => {
                    ctx.note(|| format!("broker {} resets {} to {offset}", me.id, self.partition));
                    self.log.truncate_fully_and_start_at(offset)?;
                    ctx.message_faults[count::BEGUN_ANEW] += 1;
                    ctx.oracle.begins_anew(me.node, self.partition, offset, told_by);
                }
                FollowerEffect::AdvanceLogStart { offset } => {
                    self.log.advance_log_start_offset(offset)?;
                    ctx.oracle.log_started(me.node, self.partition, self.log.log_start_offset());
                }
                FollowerEffect::SetHighWatermark { high_watermark } => {
                    self.high_watermark = high_watermark;
                    ctx.oracle.high_watermark(me.node, self.partition, high_watermark);
                }
            }
        }
        Ok(())
    }

    fn append_as_follower(
        &mut self,
        bytes: &Bytes,
        leader_log_start_offset: Offset,
        me: &Me,
        ctx: &mut Context,
    ) -> Result<(), LogError> {
        let before = self.log.log_end_offset();
        self.log.append_as_follower(bytes, leader_log_start_offset, me.wall)?;
        let end = self.log.log_end_offset();
        if end > before {
            let mut entries = Vec::new();
            for batch in Batches::new(bytes) {
                match batch {
                    Ok(batch) if batch.header.next_offset() <= end => {
                        // A log that begins within a batch lacks nothing of it but what was deleted.
                        let deleted = (before - batch.header.base_offset).max(0) as usize;
                        entries.extend(entries_of(&batch.header).skip(deleted));
                    }
                    _ => break,
                }
            }
            ctx.note(|| format!("broker {} copies {}:{before}..{end}", me.id, self.partition));
            ctx.oracle.appended(me.node, self.partition, before, &entries);
        }
        let Role::Following(follower) = &mut self.role else { return Ok(()) };
        let effects = follower.on_append(self.log.log_start_offset(), end);
        self.act_as_follower(effects, &Bytes::new(), me, ctx)
    }
}

fn follower_log(log: &PartitionLog<SimDisk>) -> FollowerLog<'_> {
    FollowerLog {
        log_start_offset: log.log_start_offset(),
        log_end_offset: log.log_end_offset(),
        leader_epochs: log.leader_epochs(),
    }
}
