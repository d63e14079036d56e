//! The follower's side: what to fetch next, and what an answer of the leader does to the log.
//!
//! ```text
//!   next_fetch --request--> leader --answer--> on_answer --Append--> log --on_append--> high watermark
//!                                                 |
//!                                                 +--TruncateTo / ResetTo--> log, then fetch again
//! ```
//!
//! A log is truncated by leader epoch and never by high watermark (KIP-101, KIP-279, invariant A17): the leader says
//! where the epoch of the follower's last record ends in its own log, the follower goes back to the lower of the two
//! ends, and asks again until the leader sees no divergence. The high watermark here is the leader's as far as the log
//! reaches. A new leader may know less of it than its predecessor did, so it goes back only where the log does (A13).

use crate::model::{BrokerId, LeaderEpoch, LeaderEpochs, Offset};

/// How a broker begins to follow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FollowerStart {
    /// Whom to fetch from.
    pub leader: BrokerId,
    /// The epoch that broker leads in.
    pub leader_epoch: LeaderEpoch,
    /// The last high watermark known here.
    pub high_watermark: Offset,
}

/// The follower's own log at the moment of an event.
#[derive(Clone, Copy, Debug)]
pub struct FollowerLog<'a> {
    /// Offset of the first record.
    pub log_start_offset: Offset,
    /// One past the last record.
    pub log_end_offset: Offset,
    /// Which leader epoch began where.
    pub leader_epochs: &'a LeaderEpochs,
}

/// What a follower's Fetch says of a partition. Asking for `fetch_offset` acknowledges everything below.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NextFetch {
    /// The epoch in which the leader is asked; in any other it refuses (KIP-320).
    pub leader_epoch: LeaderEpoch,
    /// The follower's log end offset.
    pub fetch_offset: Offset,
    /// The newest epoch of the follower's log, [`LeaderEpoch::NONE`] when it has none: by it the leader sees a
    /// divergence.
    pub last_fetched_epoch: LeaderEpoch,
    /// Where the follower's log starts.
    pub log_start_offset: Offset,
}

/// What the leader answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LeaderAnswer {
    /// The histories agree up to the fetch offset; what lies behind it came along, if there is anything.
    Records {
        /// The leader's high watermark.
        high_watermark: Offset,
        /// Where the leader's log starts.
        log_start_offset: Offset,
    },
    /// They do not: `epoch`, the newest that the leader knows and that is not above the follower's last, ends at
    /// `end_offset` in its log.
    Diverging {
        /// The leader's epoch.
        epoch: LeaderEpoch,
        /// Its end there.
        end_offset: Offset,
    },
    /// OFFSET_OUT_OF_RANGE.
    OutOfRange {
        /// Where the leader's log starts.
        log_start_offset: Offset,
    },
}

/// What the follower asks its shell to do with the log, in the order given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FollowerEffect {
    /// Append the records of the answer as they are, then tell [`Follower::on_append`].
    Append {
        /// Where the leader's log begins; it may be within the first of the batches.
        leader_log_start_offset: Offset,
    },
    /// Drop everything from `offset` on, and every leader epoch that begins there.
    TruncateTo {
        /// At most the log end offset; at least the log start offset.
        offset: Offset,
    },
    /// Drop the whole log and go on at `offset`.
    ResetTo {
        /// The new start and end.
        offset: Offset,
    },
    /// The leader has deleted what is below `offset`; so does the follower.
    AdvanceLogStart {
        /// The new start, not above the high watermark.
        offset: Offset,
    },
    /// Publish this high watermark, which is lower than before when the log is cut below it.
    SetHighWatermark {
        /// First offset that is not known to be committed.
        high_watermark: Offset,
    },
}

/// One followership of one partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Follower {
    leader: BrokerId,
    leader_epoch: LeaderEpoch,
    high_watermark: Offset,
    /// The leader's, as of its last answer with records.
    leader_high_watermark: Offset,
    leader_log_start_offset: Offset,
}

impl Follower {
    /// Begins to follow. The log stays as it is until the leader has answered.
    pub fn new(start: FollowerStart) -> Self {
        let FollowerStart { leader, leader_epoch, high_watermark } = start;
        Self { leader, leader_epoch, high_watermark, leader_high_watermark: high_watermark, leader_log_start_offset: 0 }
    }

    /// Whom it fetches from.
    pub fn leader(&self) -> BrokerId {
        self.leader
    }

    /// The epoch of that leadership.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    /// First offset that is not known to be committed.
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// What to ask the leader for.
    pub fn next_fetch(&self, log: &FollowerLog<'_>) -> NextFetch {
        NextFetch {
            leader_epoch: self.leader_epoch,
            fetch_offset: log.log_end_offset,
            last_fetched_epoch: log.leader_epochs.latest().map_or(LeaderEpoch::NONE, |latest| latest.epoch),
            log_start_offset: log.log_start_offset,
        }
    }

    /// The leader has answered `asked`. An answer to what this follower would not ask any more, because the leader
    /// or the log has changed since, changes nothing.
    pub fn on_answer(&mut self, asked: &NextFetch, answer: LeaderAnswer, log: &FollowerLog<'_>) -> Vec<FollowerEffect> {
        if *asked != self.next_fetch(log) {
            return Vec::new();
        }
        match answer {
            LeaderAnswer::Records { high_watermark, log_start_offset } => {
                self.leader_high_watermark = high_watermark;
                self.leader_log_start_offset = log_start_offset;
                vec![FollowerEffect::Append { leader_log_start_offset: log_start_offset }]
            }
            LeaderAnswer::Diverging { .. } if mutant!("divergence-left-alone") => Vec::new(),
            LeaderAnswer::Diverging { .. } if mutant!("truncates-to-high-watermark") => {
                self.cut(self.high_watermark, log)
            }
            LeaderAnswer::Diverging { epoch, end_offset } => self.cut(common_end(epoch, end_offset, log), log),
            LeaderAnswer::OutOfRange { log_start_offset } if is_unrelated(asked, log_start_offset) => {
                self.reset(log_start_offset)
            }
            // A leader that disagrees about the end tells of the divergence; without that nothing is dropped.
            LeaderAnswer::OutOfRange { .. } => Vec::new(),
        }
    }

    /// The records of the last answer, if there were any, have been appended: the log now ends at `log_end_offset`.
    pub fn on_append(&mut self, log_start_offset: Offset, log_end_offset: Offset) -> Vec<FollowerEffect> {
        let high_watermark = self.known_high_watermark(log_end_offset).max(self.high_watermark);
        let mut effects: Vec<_> = self.set_high_watermark(high_watermark).collect();
        let start = self.leader_log_start_offset.min(self.high_watermark);
        if start > log_start_offset {
            effects.push(FollowerEffect::AdvanceLogStart { offset: start });
        }
        effects
    }

    fn known_high_watermark(&self, log_end_offset: Offset) -> Offset {
        if mutant!("follower-commits-what-it-lacks") {
            return self.leader_high_watermark;
        }
        if mutant!("follower-commits-all-it-has") {
            return log_end_offset;
        }
        self.leader_high_watermark.min(log_end_offset)
    }

    /// Goes back to `end`. A log that starts above has nothing in common with the leader's.
    fn cut(&mut self, end: Offset, log: &FollowerLog<'_>) -> Vec<FollowerEffect> {
        if end < log.log_start_offset {
            return self.reset(end);
        }
        let lowered = self.set_high_watermark(self.high_watermark.min(end));
        lowered.chain([FollowerEffect::TruncateTo { offset: end }]).collect()
    }

    /// The high watermark never shows more than the log has, not even in between.
    fn reset(&mut self, offset: Offset) -> Vec<FollowerEffect> {
        let reset = [FollowerEffect::ResetTo { offset }];
        if offset > self.high_watermark {
            return reset.into_iter().chain(self.set_high_watermark(offset)).collect();
        }
        self.set_high_watermark(offset).chain(reset).collect()
    }

    fn set_high_watermark(&mut self, high_watermark: Offset) -> impl Iterator<Item = FollowerEffect> + use<> {
        let changed = self.high_watermark != high_watermark;
        self.high_watermark = high_watermark;
        changed.then_some(FollowerEffect::SetHighWatermark { high_watermark }).into_iter()
    }
}

/// The highest end at which the two logs may still agree, when `epoch` ends at `end_offset` in the leader's: above the
/// lower of both ends one of them has records of other epochs. When the follower never saw `epoch`, what it has of
/// earlier ones is judged by the next answer (KIP-279).
fn common_end(epoch: LeaderEpoch, end_offset: Offset, log: &FollowerLog<'_>) -> Offset {
    let own_end = log.leader_epochs.end_offset_for(epoch, log.log_end_offset).map(|(_, end)| end);
    if mutant!("cut-by-the-leaders-end-alone") {
        return log.log_end_offset.min(end_offset);
    }
    own_end.unwrap_or(log.log_end_offset).min(end_offset)
}

/// True when nothing of the follower's log can go on in the leader's, which starts at `log_start_offset`.
fn is_unrelated(asked: &NextFetch, log_start_offset: Offset) -> bool {
    log_start_offset >= 0 && (asked.fetch_offset < log_start_offset || asked.last_fetched_epoch == LeaderEpoch::NONE)
}
