//! Records that leaders have deleted from the beginning of their logs. Whatever a replica has in their place counts as the
//! committed history: nobody compares it any more, as in Kafka.

use super::*;

impl Oracle {
    /// How far a leader may delete: every producer of what lies below has its answer, or does not count its batches.
    pub fn deletable_to(&self, partition: i32) -> Offset {
        let committed = &self.committed[partition as usize];
        let from = self.deleted_to[partition as usize];
        let is_needed = |entry: &&Entry| {
            let counted = self.produced.get(&entry.batch).is_some_and(|produced| produced.producer.0 >= 0);
            counted && !self.answered.contains(&entry.batch)
        };
        let settled = committed[from as usize..].iter().take_while(|entry| !is_needed(entry)).count();
        from + settled as Offset
    }

    /// A leader is about to delete the records below `start`.
    pub fn deletes_records(&mut self, partition: i32, start: Offset) {
        let deleted_to = &mut self.deleted_to[partition as usize];
        *deleted_to = start.max(*deleted_to);
        for shadows in &mut self.shadows {
            let entries = &mut shadows[partition as usize].entries;
            forget_deleted(entries, &self.committed[partition as usize], *deleted_to);
        }
    }

    /// A replica's log begins at `start` now: nothing is gone that no leader has deleted.
    pub fn log_started(&mut self, node: usize, partition: i32, start: Offset) {
        let deleted_to = self.deleted_to[partition as usize];
        check!(
            self,
            "A17",
            start <= deleted_to && start <= self.committed_end(partition),
            "the log of {partition} on broker {} begins at {start}, but leaders have deleted up to {deleted_to} alone",
            node + 1
        );
    }

    /// A replica had nothing of what its leader has, and its log begins with nothing at `start`.
    pub fn begins_anew(&mut self, node: usize, partition: i32, start: Offset, told_by: LeaderEpoch) {
        self.log_started(node, partition, start);
        let deleted = self.committed_below(partition, start);
        let shadow = &mut self.shadows[node][partition as usize];
        let beyond = shadow.entries.split_off((start as usize).min(shadow.entries.len()));
        shadow.entries = deleted;
        shadow.entries.extend(beyond);
        self.truncated(node, partition, start, told_by);
    }

    /// A consumer was sent on to where the log begins.
    pub fn skipped(&mut self, partition: i32, from: Offset, to: Offset) {
        let deleted_to = self.deleted_to[partition as usize];
        check!(
            self,
            "A2",
            to <= deleted_to,
            "a consumer at {partition}:{from} was sent on to {to}, but records were deleted up to {deleted_to} alone"
        );
    }

    /// What a log holds from `start` on, with what was deleted before it.
    pub(super) fn with_deleted(&mut self, node: usize, partition: i32, start: Offset, rest: Vec<Entry>) -> Vec<Entry> {
        self.log_started(node, partition, start);
        let mut entries = self.committed_below(partition, start);
        entries.extend(rest);
        entries
    }

    fn committed_below(&self, partition: i32, start: Offset) -> Vec<Entry> {
        let committed = &self.committed[partition as usize];
        committed[..(start as usize).min(committed.len())].to_vec()
    }
}

/// What a replica has of the records below `deleted_to` is no matter.
pub(super) fn forget_deleted(entries: &mut [Entry], committed: &[Entry], deleted_to: Offset) {
    let deleted = (deleted_to as usize).min(entries.len());
    entries[..deleted].copy_from_slice(&committed[..deleted]);
}
