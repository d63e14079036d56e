//! Which leader epoch began at which offset: the table behind KIP-101's truncation.

use super::{LeaderEpoch, Offset};

/// The first offset written in one leader epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpochEntry {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// Offset of the first record appended in it.
    pub start_offset: Offset,
}

/// Entries in strictly rising order of both epoch and start offset.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LeaderEpochs {
    entries: Vec<EpochEntry>,
}

impl LeaderEpochs {
    /// A table from entries in any order; later assignments win as in [`LeaderEpochs::assign`].
    pub fn from_entries(mut entries: Vec<EpochEntry>) -> Self {
        entries.sort_by_key(|entry| entry.epoch);
        let mut table = Self::default();
        for entry in entries {
            table.assign(entry.epoch, entry.start_offset);
        }
        table
    }

    /// All entries, oldest first.
    pub fn entries(&self) -> &[EpochEntry] {
        &self.entries
    }

    /// The newest epoch that has begun.
    pub fn latest(&self) -> Option<EpochEntry> {
        self.entries.last().copied()
    }

    /// Records that `epoch` begins at `start_offset`; true when the table changed. Entries of later
    /// epochs or at later offsets are dropped: they describe a history that this one replaces.
    pub fn assign(&mut self, epoch: LeaderEpoch, start_offset: Offset) -> bool {
        if self.entries.iter().any(|entry| entry.epoch == epoch && entry.start_offset <= start_offset) {
            return false;
        }
        self.entries.retain(|entry| entry.epoch < epoch && entry.start_offset < start_offset);
        self.entries.push(EpochEntry { epoch, start_offset });
        true
    }

    /// The epoch that wrote the record at `offset`.
    pub fn epoch_for_offset(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.entries.iter().rev().find(|entry| entry.start_offset <= offset).map(|entry| entry.epoch)
    }

    /// Answers OffsetForLeaderEpoch: the largest epoch not above `requested` and the offset where it
    /// ends. An epoch older than the table ends where the table starts; an unknown newer epoch has no
    /// answer (`None`). The latest epoch ends at `log_end_offset`.
    pub fn end_offset_for(&self, requested: LeaderEpoch, log_end_offset: Offset) -> Option<(LeaderEpoch, Offset)> {
        let latest = self.latest()?;
        if requested == latest.epoch {
            return Some((requested, log_end_offset));
        }
        if requested > latest.epoch || requested == LeaderEpoch::NONE {
            return None;
        }
        let next = self.entries.iter().position(|entry| entry.epoch > requested)?;
        let end_offset = self.entries.get(next)?.start_offset;
        let epoch = next.checked_sub(1).and_then(|at| self.entries.get(at)).map_or(requested, |entry| entry.epoch);
        Some((epoch, end_offset))
    }

    /// Forgets everything at and above `end_offset`; true when the table changed.
    pub fn truncate_from(&mut self, end_offset: Offset) -> bool {
        let before = self.entries.len();
        self.entries.retain(|entry| entry.start_offset < end_offset);
        before != self.entries.len()
    }

    /// Records below `start_offset` are deleted: forgets their epochs, but that of the last of them, and where it began. By
    /// it a replica is known whose log ends there and holds something else. True when the table changed.
    pub fn advance_start(&mut self, start_offset: Offset) -> bool {
        let last = self.entries.iter().rposition(|entry| entry.start_offset < start_offset);
        let gone = last.map_or(0, |last| if mutant!("deleted-epochs-are-forgotten") { last + 1 } else { last });
        self.entries.drain(..gone);
        gone > 0
    }

    /// Forgets all entries.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(entries: &[(i32, i64)]) -> LeaderEpochs {
        LeaderEpochs::from_entries(
            entries
                .iter()
                .map(|&(epoch, start_offset)| EpochEntry { epoch: LeaderEpoch(epoch), start_offset })
                .collect(),
        )
    }

    #[test]
    fn end_of_an_epoch_is_the_start_of_the_next() {
        let epochs = table(&[(2, 0), (5, 10), (7, 30)]);
        let end = |epoch| epochs.end_offset_for(LeaderEpoch(epoch), 42).map(|(e, o)| (e.0, o));
        assert_eq!(end(7), Some((7, 42)));
        assert_eq!(end(6), Some((5, 30)));
        assert_eq!(end(5), Some((5, 30)));
        assert_eq!(end(1), Some((1, 0)));
        assert_eq!(end(8), None);
        assert_eq!(LeaderEpochs::default().end_offset_for(LeaderEpoch(0), 0), None);
    }

    #[test]
    fn a_new_history_replaces_the_old() {
        let mut epochs = table(&[(1, 0), (2, 10), (3, 20)]);
        assert!(epochs.assign(LeaderEpoch(4), 15));
        assert_eq!(epochs, table(&[(1, 0), (2, 10), (4, 15)]));
        assert!(!epochs.assign(LeaderEpoch(4), 15));
    }

    #[test]
    fn truncation_and_start() {
        let mut epochs = table(&[(1, 0), (2, 10), (3, 20)]);
        assert!(!epochs.advance_start(10), "record 9 is of the first epoch");
        assert!(epochs.advance_start(11));
        assert_eq!(epochs, table(&[(2, 10), (3, 20)]));
        assert!(!epochs.advance_start(20), "record 19 is of the second epoch");
        assert!(epochs.truncate_from(20));
        assert_eq!(epochs, table(&[(2, 10)]));
        assert!(!epochs.truncate_from(20));
        assert!(!epochs.advance_start(99));
    }
}
