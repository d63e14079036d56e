//! Reading what a partition holds, without its lock where that can be.

use crate::log::{AbortedTransaction, FileSlice, LogError, OsDisk, TimestampTarget, TimestampedOffset};
use crate::model::{BrokerId, LeaderEpoch, Offset};

use super::error::PartitionError;
use super::replica::{Replica, Role};

/// How far a reader may see.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Isolation {
    /// Everything committed to the replicas.
    ReadUncommitted,
    /// Nothing of open transactions either.
    ReadCommitted,
}

/// What a fetch gets.
#[derive(Debug)]
pub struct ReadRecords {
    /// First offset that is not committed.
    pub high_watermark: Offset,
    /// First offset of an open transaction, else the high watermark.
    pub last_stable_offset: Offset,
    /// Where the log starts.
    pub log_start_offset: Offset,
    /// What a reader of committed records must skip; empty for others.
    pub aborted: Vec<AbortedTransaction>,
    /// The records, as they lie.
    pub slice: Option<FileSlice<OsDisk>>,
    /// Where the reader had to stop.
    pub readable_end: Offset,
    /// Told to a follower whose log is not the leader's: an epoch that both may know, and where it ends here. Then
    /// there are no records.
    pub diverging: Option<(LeaderEpoch, Offset)>,
    /// Told to a consumer: who is to be asked instead. Then there are no records either.
    pub preferred: Option<BrokerId>,
}

impl Replica {
    /// Where readers may stop.
    pub fn readable_end(&self, isolation: Isolation) -> Offset {
        match isolation {
            Isolation::ReadUncommitted => self.high_watermark(),
            Isolation::ReadCommitted => self.last_stable_offset(),
        }
    }

    /// Checks a client's leader epoch (KIP-320); −1 means that it knows none.
    pub fn check_leader_epoch(&self, asked: i32) -> Result<LeaderEpoch, PartitionError> {
        check_epoch(asked, self.leader_epoch().ok_or_else(|| self.not_leader())?)
    }

    /// The same for a client that may read from a follower, too (KIP-392).
    pub fn check_epoch_of_any_role(&self, asked: i32) -> Result<LeaderEpoch, PartitionError> {
        let followed = || match &self.state().role {
            Role::Follower(follower) => Some(follower.leader_epoch()),
            Role::Leader(_) | Role::Idle => None,
        };
        check_epoch(asked, self.leader_epoch().or_else(followed).ok_or_else(|| self.not_leader())?)
    }

    /// Reads up to `max_bytes` from `fetch_offset` on, of what `isolation` may see. With `min_one` the first batch
    /// comes whole, however large.
    pub fn read(
        &self,
        fetch_offset: Offset,
        max_bytes: usize,
        min_one: bool,
        isolation: Isolation,
    ) -> Result<ReadRecords, PartitionError> {
        let high_watermark = self.high_watermark();
        let last_stable_offset = self.last_stable_offset();
        let end = self.readable_end(isolation);
        let log_start_offset = self.log_start_offset();
        if fetch_offset < log_start_offset || fetch_offset > self.log_end_offset() {
            return Err(PartitionError::OffsetOutOfRange { offset: fetch_offset, log_start_offset, high_watermark });
        }
        let slice = if fetch_offset < end {
            self.read_log(fetch_offset, max_bytes, end, min_one, high_watermark)?
        } else {
            None
        };
        let aborted = match (&slice, isolation) {
            (Some(slice), Isolation::ReadCommitted) => {
                self.noted(self.reader.aborted_transactions(fetch_offset, slice.upper_offset))?
            }
            _ => Vec::new(),
        };
        Ok(ReadRecords {
            high_watermark,
            last_stable_offset,
            log_start_offset,
            aborted,
            slice,
            readable_end: end,
            diverging: None,
            preferred: None,
        })
    }

    pub(super) fn read_log(
        &self,
        offset: Offset,
        max_bytes: usize,
        end: Offset,
        min_one: bool,
        high_watermark: Offset,
    ) -> Result<Option<FileSlice<OsDisk>>, PartitionError> {
        match self.reader.read(offset, max_bytes, end, min_one) {
            Ok(read) => Ok(read.slice),
            // The log's start moved between the check and the read.
            Err(LogError::OffsetOutOfRange { offset, log_start_offset, .. }) => {
                Err(PartitionError::OffsetOutOfRange { offset, log_start_offset, high_watermark })
            }
            Err(error) => Ok(self.noted(Err(error))?),
        }
    }

    /// What the log has read; a fault of its disk is passed on to the flusher.
    pub(super) fn noted<T>(&self, outcome: Result<T, LogError>) -> Result<T, LogError> {
        outcome.inspect_err(|error| self.note_log_fault(error))
    }

    /// Answers ListOffsets below what `isolation` may see.
    pub fn offset_for(
        &self,
        target: TimestampTarget,
        isolation: Isolation,
    ) -> Result<Option<TimestampedOffset>, PartitionError> {
        self.check_offsets_available()?;
        Ok(self.noted(self.reader.offset_for_timestamp(target, self.readable_end(isolation)))?)
    }

    /// Until the high watermark has reached the start of its epoch, a new leader could answer less than its
    /// predecessor did (invariant A13).
    fn check_offsets_available(&self) -> Result<(), PartitionError> {
        let state = self.state();
        let Role::Leader(leader) = &state.role else { return Err(self.not_leader()) };
        if leader.high_watermark() < leader.leader_epoch_start_offset() {
            return Err(PartitionError::OffsetNotAvailable);
        }
        Ok(())
    }

    /// Answers OffsetForLeaderEpoch: the largest epoch not above `requested`, and where it ends.
    pub fn end_offset_for_epoch(&self, requested: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        self.reader.leader_epochs().end_offset_for(requested, self.log_end_offset())
    }
}

fn check_epoch(asked: i32, current: LeaderEpoch) -> Result<LeaderEpoch, PartitionError> {
    let asked = LeaderEpoch(asked);
    match asked {
        LeaderEpoch::NONE => Ok(current),
        _ if asked < current => Err(PartitionError::FencedLeaderEpoch { asked, current }),
        _ if asked > current => Err(PartitionError::UnknownLeaderEpoch { asked, current }),
        _ => Ok(current),
    }
}
