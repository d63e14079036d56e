//! Appends: of a producer's batch by the leader, of the leader's batches by a follower.

use crate::model::{LeaderEpoch, Offset, Wall};
use crate::record::{BATCH_HEAD_LENGTH, BatchHeader, Batches, RecordError};

use super::super::disk::Disk;
use super::super::producer_state::{RememberedBatch, Verdict};
use super::super::{AppendInfo, AppendOutcome, LogError, ProducerRefusal};
use super::producers::marker_of;
use super::{PartitionLog, VerificationGuard};

impl<D: Disk> PartitionLog<D> {
    /// Appends one batch of a producer, which `record::validate` has accepted: `batch` is all of its bytes and
    /// `header` its header. Checks the producer's sequence, then gives the batch the next offset and
    /// `leader_epoch` and writes it. The bytes are written as they are but for their first 16. A batch that begins a
    /// transaction here needs a `guard`, see [`PartitionLog::start_verification`].
    pub fn append_as_leader(
        &mut self,
        batch: &[u8],
        header: &BatchHeader,
        leader_epoch: LeaderEpoch,
        guard: Option<VerificationGuard>,
        now: Wall,
    ) -> Result<AppendOutcome, LogError> {
        self.check_leader_epoch(leader_epoch)?;
        let verdict = self.producers.check(header);
        match verdict {
            Verdict::Duplicate(earlier) => return Ok(AppendOutcome::Duplicate(self.info_of(&earlier))),
            _ if !self.is_verified(header, guard) => {
                let producer_id = header.producer_id;
                return Ok(AppendOutcome::Refused(ProducerRefusal::NotVerified { producer_id }));
            }
            _ if self.is_too_early(header, &verdict, now) => {
                let BatchHeader { producer_id, base_sequence, .. } = *header;
                return Ok(AppendOutcome::Refused(ProducerRefusal::TooEarly { producer_id, base_sequence }));
            }
            Verdict::Append => {}
            Verdict::Refuse(refusal) => return Ok(AppendOutcome::Refused(refusal)),
        }
        let appended = self.append_checked(batch, header, leader_epoch, now);
        match appended {
            Ok(_) => self.awaited.on_appended(header),
            Err(_) => self.awaited.on_refused(header, now),
        }
        appended.map(AppendOutcome::Appended)
    }

    /// To be called when a batch is refused, for a reason that will pass, before the log has seen it: what its producer
    /// has sent behind it is too early then.
    pub fn note_refused(&mut self, header: &BatchHeader, now: Wall) {
        self.awaited.on_refused(header, now);
    }

    /// True when the batch leaves a gap in its producer's sequence and those before it may still come: one was refused
    /// here, or the producer has been heard of by the previous leader only, who may have been sent them.
    fn is_too_early(&mut self, header: &BatchHeader, verdict: &Verdict, now: Wall) -> bool {
        let last_offset = self.producers.last_offset(header.producer_id);
        let leaves_gap = match verdict {
            Verdict::Append => last_offset.is_none() && header.has_producer_id() && header.base_sequence > 0,
            Verdict::Refuse(refusal) => matches!(refusal, ProducerRefusal::OutOfOrderSequence { .. }),
            Verdict::Duplicate(_) => false,
        };
        let unheard_of = || {
            let leadership = self.leader_epochs.latest().filter(|latest| latest.epoch > LeaderEpoch(0));
            leadership.is_some_and(|since| last_offset.is_none_or(|last_offset| last_offset < since.start_offset))
        };
        leaves_gap
            && (self.awaited.is_behind_refused(header, now)
                || (unheard_of() && self.awaited.may_be_astray(header.producer_id, now)))
    }

    /// Appends a batch that may be appended.
    pub(super) fn append_checked(
        &mut self,
        batch: &[u8],
        header: &BatchHeader,
        leader_epoch: LeaderEpoch,
        now: Wall,
    ) -> Result<AppendInfo, LogError> {
        let Some(rest) = batch.get(BATCH_HEAD_LENGTH..header.size()) else {
            return Err(RecordError::Truncated { needed: header.size(), available: batch.len() }.into());
        };
        let base_offset = self.log_end_offset();
        let placed = BatchHeader { base_offset, partition_leader_epoch: leader_epoch, ..*header };
        let marker = if header.is_control() { marker_of(header, batch) } else { None };
        self.write(&placed.head(base_offset, leader_epoch), rest, &[placed], now)?;
        self.note_leader_epoch(leader_epoch, base_offset);
        self.note_producer(&placed, marker);
        Ok(AppendInfo {
            base_offset,
            last_offset: placed.last_offset(),
            max_timestamp: placed.max_timestamp,
            log_start_offset: self.log_start_offset(),
        })
    }

    fn info_of(&self, batch: &RememberedBatch) -> AppendInfo {
        AppendInfo {
            base_offset: batch.base_offset(),
            last_offset: batch.last_offset,
            max_timestamp: batch.timestamp,
            log_start_offset: self.log_start_offset(),
        }
    }

    /// Writes batches at the end. When that began a new segment, the producers before it go into a snapshot. Without
    /// the snapshot a recovery only reads more, so the batches count as appended when it cannot be written.
    fn write(&mut self, first: &[u8], second: &[u8], headers: &[BatchHeader], now: Wall) -> Result<(), LogError> {
        let (log_end_offset, active) = (self.log_end_offset(), self.log.active_base_offset());
        self.log.append(first, second, headers, now)?;
        if self.log.active_base_offset() != active
            && let Err(error) = self.write_snapshot(log_end_offset)
        {
            if mutant!("snapshot-fault-fails-an-append") {
                return Err(error);
            }
            tracing::warn!(partition = %self.partition, "goes on without a producer snapshot: {error}");
        }
        Ok(())
    }

    /// Appends batches as the leader stored them, offsets and epochs included. Their CRCs are checked first
    /// (invariant A19); a batch cut off at the end of `batches` is left out. `None` when there was no whole batch.
    ///
    /// A leader's log may begin within the first of them, because records were deleted up to there (DeleteRecords). When
    /// this one ends there, all that it has was deleted, too: it takes in the whole batch, and begins where it ended.
    pub fn append_as_follower(
        &mut self,
        batches: &[u8],
        leader_log_start_offset: Offset,
        now: Wall,
    ) -> Result<Option<AppendInfo>, LogError> {
        let log_end_offset = self.log_end_offset();
        match self.base_offset_across_end(batches, leader_log_start_offset) {
            Some(base_offset) => {
                // What is damaged changes nothing.
                Batches::new(batches).try_for_each(|batch| batch?.verify_crc())?;
                self.truncate_fully_and_start_at(base_offset)?;
                let appended = self.append_leaders_batches(batches, now)?;
                self.advance_log_start_offset(log_end_offset)?;
                Ok(appended)
            }
            None => self.append_leaders_batches(batches, now),
        }
    }

    /// Where the first of the batches begins, when it lies on both sides of this log's end and nothing here is needed.
    fn base_offset_across_end(&self, batches: &[u8], leader_log_start_offset: Offset) -> Option<Offset> {
        let log_end_offset = self.log_end_offset();
        let is_empty = self.log_start_offset() == log_end_offset;
        if !(is_empty || leader_log_start_offset == log_end_offset) || mutant!("batch-across-the-start-refused") {
            return None;
        }
        let first = BatchHeader::parse(batches).ok()?;
        (first.base_offset < log_end_offset && log_end_offset < first.next_offset()).then_some(first.base_offset)
    }

    fn append_leaders_batches(&mut self, batches: &[u8], now: Wall) -> Result<Option<AppendInfo>, LogError> {
        let headers = self.check_leaders_batches(batches)?;
        let (Some(first), Some(last)) = (headers.first(), headers.last()) else { return Ok(None) };
        let mut rest = batches;
        let mut headers_left = headers.as_slice();
        while !headers_left.is_empty() {
            let (count, length) = fitting(headers_left, self.log.room());
            let (run, later) = headers_left.split_at_checked(count).unwrap_or((headers_left, &[]));
            let (bytes, later_bytes) = rest.split_at_checked(length).unwrap_or((rest, &[]));
            self.write(bytes, &[], run, now)?;
            self.note_leaders_batches(run, bytes);
            (headers_left, rest) = (later, later_bytes);
        }
        Ok(Some(AppendInfo {
            base_offset: first.base_offset,
            last_offset: last.last_offset(),
            max_timestamp: headers.iter().map(|header| header.max_timestamp).max().unwrap_or(-1),
            log_start_offset: self.log_start_offset(),
        }))
    }

    fn check_leaders_batches(&self, batches: &[u8]) -> Result<Vec<BatchHeader>, LogError> {
        let mut headers: Vec<BatchHeader> = Vec::new();
        let mut log_end_offset = self.log_end_offset();
        for batch in Batches::new(batches) {
            let batch = batch?;
            batch.verify_crc()?;
            let header = batch.header;
            if header.base_offset < log_end_offset {
                let (base_offset, last_offset) = (header.base_offset, header.last_offset());
                return Err(LogError::OffsetsNotContinuous { base_offset, last_offset, log_end_offset });
            }
            self.check_leader_epoch(header.partition_leader_epoch)?;
            log_end_offset = header.next_offset();
            headers.push(header);
        }
        Ok(headers)
    }

    fn note_leaders_batches(&mut self, headers: &[BatchHeader], mut bytes: &[u8]) {
        for header in headers {
            if !mutant!("followers-forget-epochs") {
                self.note_leader_epoch(header.partition_leader_epoch, header.base_offset);
            }
            let marker = if header.is_control() { marker_of(header, bytes) } else { None };
            if !mutant!("followers-forget-producers") {
                self.note_producer(header, marker);
            }
            bytes = bytes.get(header.size()..).unwrap_or_default();
        }
    }
}

/// How many of the batches fit into `room`, at least one, and their bytes.
fn fitting(headers: &[BatchHeader], room: u64) -> (usize, usize) {
    let (mut count, mut length) = (0, 0);
    for header in headers {
        if count > 0 && (length + header.size()) as u64 > room {
            break;
        }
        count += 1;
        length += header.size();
    }
    (count, length)
}
