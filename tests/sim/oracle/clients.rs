//! What clients are told.

use super::*;

impl Oracle {
    /// A producer is asked to send a batch.
    pub fn produced(&mut self, partition: i32, header: &BatchHeader) {
        let producer = (header.producer_id.0, header.producer_epoch.0, header.base_sequence);
        let acked_before = self.highest_acked[partition as usize];
        let produced = Produced { producer, partition, acked_before, refused: false, appended: false };
        self.produced.insert(BatchId::of(header), produced);
    }

    /// A producer is told that its batch is in. Without `durable` (acks=1) nothing is promised.
    pub fn acknowledged(&mut self, batch: BatchId, base_offset: Offset, count: i64, durable: bool) {
        self.answered.insert(batch);
        if !durable {
            return;
        }
        let Some(Produced { partition, acked_before, .. }) = self.produced.get(&batch).cloned() else {
            return self.fail("A1", format!("batch {batch} was acknowledged and never sent"));
        };
        let committed = &self.committed[partition as usize];
        let at = |delta: i64| usize::try_from(base_offset + delta).ok().and_then(|at| committed.get(at));
        let there = (0..count)
            .all(|delta| at(delta).is_some_and(|entry| (entry.batch, i64::from(entry.delta)) == (batch, delta)));
        let end = committed.len();
        check!(
            self,
            "A1",
            there,
            "batch {batch} acknowledged at {partition}:{base_offset} is not committed there (end {end})"
        );
        check!(
            self,
            "A4",
            base_offset > acked_before,
            "batch {batch} lies at {base_offset}, before what was acknowledged at {acked_before}"
        );
        let highest = &mut self.highest_acked[partition as usize];
        *highest = (*highest).max(base_offset + count - 1);
        self.records_acked += count as u64;
    }

    /// A leader says that a producer's batch is out of order. One that lies in its log is not: it is a duplicate (B1).
    pub fn out_of_order(&mut self, node: usize, partition: i32, batch: BatchId) {
        let place = self.shadows[node][partition as usize].entries.iter().position(|entry| entry.batch == batch);
        check!(
            self,
            "B1",
            place.is_none(),
            "broker {} calls batch {batch} out of order, which lies in its log at {partition}:{place:?}",
            node + 1
        );
    }

    /// A producer's only attempt was refused with a promise that nothing was written.
    pub fn refused(&mut self, batch: BatchId) {
        let appended = self.produced.get_mut(&batch).is_some_and(|produced| {
            produced.refused = true;
            produced.appended
        });
        check!(self, "A16", !appended, "batch {batch} was refused and is in a log");
    }

    /// A consumer was given records from `offset` on.
    pub fn consumed(&mut self, partition: i32, offset: Offset, entries: &[Entry]) {
        let committed = &self.committed[partition as usize];
        let equal = committed.get(offset as usize..offset as usize + entries.len()) == Some(entries);
        check!(
            self,
            "A2",
            equal,
            "a consumer read {entries:?} at {partition}:{offset}, which is not what is committed"
        );
    }

    /// A client was told the latest offset; it had been told `before`.
    pub fn told_latest(&mut self, partition: i32, before: Offset, now: Offset) {
        check!(self, "A13", now >= before, "the latest offset of {partition} went from {before} to {now}");
    }
}
