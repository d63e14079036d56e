//! How a broker's processes begin and end.

use super::*;

impl Broker {
    /// A process starts on what the last one left.
    pub fn start(&mut self, ctx: &mut Context) {
        if self.process.is_some() {
            return;
        }
        self.lives += 1;
        self.stopped_cleanly = false;
        ctx.lives[self.node] = self.lives;
        match self.open(ctx) {
            Ok(process) => {
                let (id, past) = (self.id, process.past);
                ctx.note(|| format!("broker {id} starts, past life {past:?}"));
                let mut process = process;
                self.register(&mut process, ctx);
                self.process = Some(process);
                ctx.timer(self.address(), ctx.swarm.flush_interval_ms, Timer::Flush);
                ctx.timer(self.address(), ctx.swarm.heartbeat_ms(), Timer::Heartbeat);
                ctx.timer(self.address(), (ctx.swarm.lag_time_max_ms / 2).max(10), Timer::LagTick);
            }
            Err(error) => self.fault(&error, ctx),
        }
    }

    fn open(&self, ctx: &mut Context) -> Result<Process, LogError> {
        let taken = PastLife::take(&self.disk, Path::new(DATA), Some(&self.boot_id()))?;
        let pool = Arc::new(FilePool::new(self.disk.clone(), 20));
        let directory = DataDirectory::open(pool, Path::new(DATA))?;
        let past = taken.examined(&directory)?;
        let start = StartMarker::following([StartMarker::read(&self.disk, Path::new(DATA))?]);
        start.write(&self.disk, Path::new(DATA))?;
        let incarnation = (self.node as u64) << 32 | u64::from(self.lives);
        ctx.oracle.judged(self.node, incarnation, taken.broker_epoch.is_some(), past.broker_epoch.is_some());
        Ok(Process {
            lifecycle: LifecycleState::Starting,
            past,
            start_number: start.start_number,
            directory,
            incarnation,
            image: ClusterImage::default(),
            applied: ClusterImage::default(),
            noted: None,
            apply_waits: false,
            replicas: BTreeMap::new(),
            registering: None,
            coordinator: Coordinator::new(ctx.swarm.transaction_partition()),
            groups: GroupCoordinator::new(ctx.swarm.group_partition()),
            joining: BTreeMap::new(),
            stop_by: None,
        })
    }

    /// The process is gone. With `power` so is everything that was not synced, or a random part of it.
    fn crash(&mut self, power: bool, tear: u64, gives_up: bool, ctx: &mut Context) {
        let was_cut = self.doom.take().is_some();
        let up = self.process.take().is_some();
        ctx.lives[self.node] = 0;
        let may_lose = ctx.swarm.flush_before_ack || self.min_isr_allows_loss(ctx) || self.stopped_cleanly;
        let power = power && may_lose;
        if power {
            let torn = ctx.random.per_mille(ctx.rates.torn_per_mille);
            ctx.message_faults[if torn { count::TORN } else { count::UNSYNCED_LOST }] += 1;
            self.disk.crash(torn.then_some(tear));
            self.boot += 1;
            if !self.stopped_cleanly {
                ctx.oracle.tail_may_be_lost(self.node);
            }
        } else {
            self.disk.kill();
        }
        self.disk_fault = false;
        ctx.oracle.arm(self.node, false);
        ctx.note(|| format!("broker {} {}", self.id, if power { "loses power" } else { "is killed" }));
        // An append may have been cut off: what it left is found when the log is opened.
        let unknown = (power && !self.stopped_cleanly) || was_cut || gives_up;
        ctx.oracle.process_ended(self.node, unknown);
        if up && !power {
            let (epoch, stream) = (self.last_epoch(ctx), u64::from(self.lives));
            if let Some(broker_epoch) = epoch {
                ctx.send(self.address(), Address::Quorum, Message::StreamBroken { broker_epoch, stream });
            }
        }
    }

    /// As many brokers may have lost their tail at a time as leave one of the minimum ISR.
    fn min_isr_allows_loss(&self, ctx: &Context) -> bool {
        ctx.oracle.lost_tails_beside(self.node) + 1 < ctx.oracle.min_isr_in_force()
            && ctx.oracle.is_complete_beside(self.node)
    }

    fn last_epoch(&self, ctx: &Context) -> Option<i64> {
        ctx.oracle.registered_epoch(self.id)
    }

    /// Kills the process, and has it started again later.
    pub fn crash_for(&mut self, power: bool, tear: u64, down_ms: u64, ctx: &mut Context) {
        self.crash(power, tear, false, ctx);
        self.start_after(down_ms, ctx);
    }

    /// Kills the process; a record that was not synced rots before the next start. As a mere kill when there is none, or
    /// when its loss would be one too many.
    pub fn rot_for(&mut self, choice: u64, down_ms: u64, ctx: &mut Context) {
        let allowed = self.doom.is_none() && self.min_isr_allows_loss(ctx);
        let target = self.unsynced_byte(choice, ctx).filter(|_| allowed);
        self.crash(false, 0, false, ctx);
        if let Some((path, position)) = target {
            self.disk.rot(&path, position);
            ctx.note(|| format!("broker {}: byte {position} of {} rots", self.id, path.display()));
            ctx.oracle.tail_may_be_lost(self.node);
            ctx.oracle.process_ended(self.node, true);
        }
        self.start_after(down_ms, ctx);
    }

    /// A byte that a batch's CRC protects, or that holds it, in what no sync has put on the disk.
    fn unsynced_byte(&self, choice: u64, ctx: &Context) -> Option<(PathBuf, usize)> {
        let process = self.process.as_ref()?;
        let mut batches = Vec::new();
        for (index, replica) in &process.replicas {
            let synced = replica.recovery_point().max(ctx.oracle.flushed_end(self.node, *index));
            let directory = Path::new(DATA).join(format!("{TOPIC}-{index}"));
            let segments = self.disk.list(&directory).ok()?.into_iter().filter(|entry| entry.name.ends_with(".log"));
            for segment in segments {
                let path = directory.join(segment.name);
                let content = self.disk.read(&path).ok()?;
                for batch in Batches::new(&content).flatten() {
                    if batch.header.base_offset >= synced {
                        batches.push((path.clone(), batch.position, batch.header.size()));
                    }
                }
            }
        }
        let at = choice.checked_rem(batches.len() as u64)? as usize;
        let (path, position, size) = batches.swap_remove(at);
        let protected = size - PROTECTED_FROM;
        Some((path, position + PROTECTED_FROM + (choice >> 32) as usize % protected))
    }

    fn start_after(&mut self, down_ms: u64, ctx: &mut Context) {
        ctx.timer(self.address(), down_ms, Timer::Start);
    }

    /// The disk goes on for so many operations, then the process ends within one.
    pub fn cut_at(&mut self, operations: u64, power: bool, down_ms: u64, tear: u64) {
        if self.process.is_some() && !self.disk_fault && self.doom.is_none() {
            self.doom = Some(Doom { power, down_ms, tear });
            // Whether the power may fail then is judged then.
            self.disk.fail_at(self.disk.operations() + operations, DiskFault::Cut);
        }
    }

    /// One operation will fail. A sync that fails costs what it should have written, so this counts as a loss.
    pub fn fail_at(&mut self, operations: u64, fault: DiskFault, ctx: &mut Context) {
        // A flush that finds no space gives up too.
        let allowed = self.min_isr_allows_loss(ctx);
        if self.process.is_some() && self.doom.is_none() && !self.disk_fault && allowed {
            self.disk_fault = true;
            ctx.oracle.arm(self.node, true);
            self.disk.fail_at(self.disk.operations() + operations, fault);
        }
    }

    /// A disk that works again, for good.
    pub fn heal(&mut self, ctx: &mut Context) {
        self.paused_until = 0;
        if self.doom.is_some() {
            self.crash_for(false, 0, 1, ctx);
        }
        if self.disk_fault {
            self.disk.fail_at(u64::MAX, DiskFault::Error);
            self.disk_fault = false;
            ctx.oracle.arm(self.node, false);
        }
        self.start(ctx);
    }

    /// A step of the process has failed at the disk.
    pub(super) fn fault(&mut self, error: &LogError, ctx: &mut Context) {
        if let Some(Doom { power, down_ms, tear }) = self.doom {
            return self.crash_for(power, tear, down_ms, ctx);
        }
        if !self.disk_fault {
            let id = self.id;
            return ctx.oracle.fail("D2", format!("broker {id}: the disk is in order, but {error}"));
        }
        // As the flusher does: what should be durable may be gone, so the next start must not trust the page cache.
        ctx.note(|| format!("broker {} gives up: {error}", self.id));
        let unmarked = RunMarker::remove(&self.disk, Path::new(DATA)).is_ok();
        // The mark of a clean stop may stand although writing it has failed: all that it vouches for was synced before.
        self.stopped_cleanly = matches!(CleanShutdown::read(&self.disk, Path::new(DATA)), Ok(Some(_)));
        if unmarked && !self.stopped_cleanly {
            ctx.oracle.tail_may_be_lost(self.node);
        }
        let down_ms = ctx.swarm.heartbeat_ms();
        self.crash(false, 0, true, ctx);
        self.start_after(down_ms, ctx);
    }

    /// SIGTERM.
    pub fn stop(&mut self, now: u64) {
        if let Some(process) = &mut self.process {
            process.lifecycle = process.lifecycle.on_shut_down_wanted();
            process.stop_by.get_or_insert(now + CONTROLLED_SHUTDOWN_MS);
        }
    }

    /// Everything is flushed and closed, and the marker of a clean stop comes last.
    pub(super) fn stop_cleanly(&mut self, ctx: &mut Context) -> Step {
        let Some(process) = &mut self.process else { return Ok(()) };
        let mut not_open: BTreeSet<_> = process.directory.partitions()?.into_iter().collect();
        for (partition, replica) in std::mem::take(&mut process.replicas) {
            not_open.remove(&TopicPartition::new(TOPIC, partition));
            process.directory.set_high_watermark(&TopicPartition::new(TOPIC, partition), replica.high_watermark());
            replica.into_log().close()?;
        }
        process.directory.write_checkpoints()?;
        // What was not opened in this life may have a tail that was never synced.
        let complete = not_open.is_empty();
        if let Some(broker_epoch) = process.lifecycle.broker_epoch().filter(|_| complete) {
            CleanShutdown { broker_epoch }.write(&self.disk, Path::new(DATA))?;
        }
        ctx.note(|| format!("broker {} has stopped", self.id));
        self.process = None;
        self.stopped_cleanly = complete;
        self.doom = None;
        self.disk_fault = false;
        self.disk.kill();
        ctx.oracle.arm(self.node, false);
        ctx.lives[self.node] = 0;
        ctx.oracle.process_ended(self.node, false);
        let down_ms = ctx.swarm.heartbeat_ms();
        self.start_after(down_ms, ctx);
        Ok(())
    }
}
