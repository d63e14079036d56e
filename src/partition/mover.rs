//! Moves replicas to other data directories, on threads of low urgency: one replica at a time on each.
//!
//! A copy is filled beside the log, which is served on, and then takes its place (`log::FutureLog`). What is copied
//! keeps to `replica.alter.log.dirs.io.max.bytes.per.second`, and waits while the target's disk is short of room. A copy
//! that cannot be made is dropped, and the replica stays where it is.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::clock;
use crate::log::{FutureLog, LeftBehind, LogError, OsDisk, Relocated};
use crate::model::TopicPartition;

use super::directory::{Directory, random_id};
use super::moves::Move;
use super::replica::{Place, Replica};
use super::replicas::Replicas;
use super::round_thread::RoundThread;

/// A thread without a move looks this often; whoever begins one wakes it.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// A thread that has to wait looks this often whether it has to stop.
const PAUSE_MAX: Duration = Duration::from_millis(200);
/// A round that has found no more than this to copy was the last before the copy takes the log's place.
const NEARLY_DONE_BYTES: u64 = 8 << 20;
/// The pace is kept in steps of so many bytes.
const PACE_BYTES: u64 = 64 * 1024;
/// Readers are done in no time; a cleaning that is under way may not be, and does not mind.
const READERS_MAX: Duration = Duration::from_secs(10);
const READERS_PAUSE: Duration = Duration::from_millis(5);
/// How long a move is left alone for which there was no room.
const FULL_DISK_PAUSE: Duration = Duration::from_secs(30);

/// Starts one of the threads. One that is stopped leaves its copy to the next start, which begins it anew.
pub fn start(replicas: Weak<Replicas>) -> std::io::Result<RoundThread> {
    RoundThread::start("mover", replicas, LOOK_INTERVAL, round)
}

/// Moves one replica, if there is one to move; how long to pause.
fn round(replicas: &Replicas, stop: &AtomicBool) -> Duration {
    let is_here = |partition: &TopicPartition| replicas.find(&partition.topic, partition.partition).is_ok();
    let taken = replicas.moves().take(Instant::now(), is_here);
    let Some((partition, moving)) = taken else { return LOOK_INTERVAL };
    let replica = replicas.find(&partition.topic, partition.partition).ok();
    let again = match replica.zip(replicas.directories.get(moving.target)) {
        Some((replica, target)) => {
            let outcome = Mover { replicas, replica: &replica, target, moving: &moving, stop, unpaced: 0 }.run();
            settle(replicas, &replica, target, &moving, outcome)
        }
        // It has gone offline just now.
        None => Some(Instant::now() + LOOK_INTERVAL),
    };
    replicas.moves().put_back(&partition, &moving, again);
    Duration::ZERO
}

/// How a move ends.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Done,
    /// The process stops.
    Stopped,
    /// The replica is gone, or shall not move any more.
    Dropped,
}

struct Mover<'a> {
    replicas: &'a Replicas,
    replica: &'a Arc<Replica>,
    target: &'a Directory,
    moving: &'a Move,
    stop: &'a AtomicBool,
    unpaced: u64,
}

impl Mover<'_> {
    fn run(mut self) -> Result<End, LogError> {
        let mut future = FutureLog::begin(&self.target.log, self.replica.topic_partition(), random_id())?;
        future.report_to(&self.moving.progress);
        loop {
            while let Some(bytes) = future.copy_round(&**self.replica, &mut |bytes| self.keep_pace(bytes))? {
                if bytes <= NEARLY_DONE_BYTES {
                    break;
                }
            }
            if self.stop.load(Ordering::Acquire) {
                return Ok(End::Stopped);
            }
            match self.take_place(future)? {
                Relocated::Done(left) => return self.leave(left).map(|()| End::Done),
                Relocated::Again(copy) => future = copy,
                Relocated::Gone => return Ok(End::Dropped),
            }
        }
    }

    /// Nobody ends, deletes or syncs the log meanwhile, and nobody changes their mind about where it shall be.
    fn take_place(&self, future: FutureLog<OsDisk>) -> Result<Relocated<OsDisk>, LogError> {
        let _stays = self.replica.stay();
        let flush_failed = self.replica.flush_failed.lock().unwrap_or_else(PoisonError::into_inner);
        if *flush_failed || self.is_over() {
            return Ok(Relocated::Gone);
        }
        let high_watermark = self.replica.high_watermark();
        let outcome = future.take_place(&**self.replica, high_watermark, random_id(), || {
            self.replica.set_place(Place::new(self.moving.target, self.target));
        });
        if self.is_there() {
            self.replicas.places().relocate(self.replica.topic_partition(), self.moving.target);
        }
        outcome
    }

    /// Gives up what the log has left behind, once nobody reads in it any more.
    fn leave(&self, left: LeftBehind<OsDisk>) -> Result<(), LogError> {
        let patience = Instant::now() + READERS_MAX;
        while left.is_read() && Instant::now() < patience && !self.stop.load(Ordering::Acquire) {
            std::thread::park_timeout(READERS_PAUSE);
        }
        left.give_up(random_id())
    }

    fn is_there(&self) -> bool {
        self.replica.directory() == self.moving.target
    }

    fn is_over(&self) -> bool {
        self.moving.is_ended() || self.replica.is_ended()
    }

    /// Counts `bytes` and pauses as long as they are too many; false when the move has to end.
    fn keep_pace(&mut self, bytes: u64) -> bool {
        self.unpaced += bytes;
        if self.unpaced < PACE_BYTES {
            return true;
        }
        let throttle = &self.replicas.throttles.mover;
        throttle.record(usize::try_from(self.unpaced).unwrap_or(usize::MAX), clock::monotonic());
        self.unpaced = 0;
        while !self.stop.load(Ordering::Acquire) && !self.is_over() {
            let pause = match throttle.wait_ms(clock::monotonic()) {
                Some(wait_ms) => Duration::from_millis(wait_ms).min(PAUSE_MAX),
                None if self.target.room.is_low() => PAUSE_MAX,
                None => return true,
            };
            std::thread::park_timeout(pause);
        }
        false
    }
}

/// Sees to what a move leaves; when it is to be tried again.
fn settle(
    replicas: &Replicas,
    replica: &Replica,
    target: &Directory,
    moving: &Move,
    outcome: Result<End, LogError>,
) -> Option<Instant> {
    let (partition, to) = (replica.topic_partition(), target.log.path().display());
    let is_there = replica.directory() == moving.target;
    if is_there {
        tracing::info!(%partition, "moved to {to}");
        replicas.end_in_failed(moving.target);
    }
    match outcome {
        Ok(End::Done) => return None,
        // The start after this stop begins the copy anew.
        Ok(End::Stopped) => return Some(Instant::now()),
        Ok(End::Dropped) => tracing::info!(%partition, "the move to {to} ends"),
        Err(fault) if fault.lets_flush_wait() && !is_there => {
            tracing::warn!(%partition, "no room for the move to {to}, which is begun anew later: {fault}");
            return Some(Instant::now() + FULL_DISK_PAUSE);
        }
        Err(fault) => {
            tracing::error!(%partition, "the move to {to} ends: {fault}");
            replicas.on_move_fault(&fault);
        }
    }
    if !is_there && let Err(error) = target.log.give_up_future(partition, random_id()) {
        tracing::debug!(%partition, "the copy in {to} is left to the next start: {error}");
    }
    None
}
