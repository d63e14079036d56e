//! Consumer groups: who owns what in which generation, and what has become of commits.

use ottla::group::GroupRecord;
use ottla::record::TransactionResult;

use super::offsets::Consumed;
use super::*;

/// What one batch of the group's partition says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Said {
    Generation(i32),
    Commit {
        generation: i32,
        partition: i32,
        offset: Offset,
    },
    /// Of a transaction, so that it counts once that is committed.
    Consumed(Consumed),
}

/// The oracle's books about groups.
#[derive(Default)]
pub struct Groups {
    pub(super) said: HashMap<BatchId, Said>,
    /// Who was told that it owns a partition in a generation: the client, by generation and partition.
    owners: HashMap<(i32, i32), usize>,
    /// The newest generation whose record is committed.
    pub(super) generation: i32,
    /// Commits whose records are committed.
    committed: std::collections::HashSet<(i32, i32, Offset)>,
}

impl Oracle {
    /// A coordinator is about to append these records.
    pub fn group_records(&mut self, bytes: &[u8], records: &[GroupRecord]) {
        let header = BatchHeader::parse(bytes).expect("a batch begins with its header");
        let said = records.first().and_then(|record| match record {
            GroupRecord::Metadata(Some(metadata)) => Some(Said::Generation(metadata.generation)),
            GroupRecord::Offset { partition, value: Some(value), .. } => {
                let generation = value.metadata.parse().expect("the member told its generation");
                Some(Said::Commit { generation, partition: *partition, offset: value.offset })
            }
            _ => None,
        });
        self.groups.said.extend(said.map(|said| (BatchId::of(&header), said)));
    }

    /// An entry of the group's partition is committed. Commits stand behind the record of their generation and before
    /// that of the next one (C2).
    pub(super) fn commit_group_entry(&mut self, entry: Entry) {
        match self.groups.said.get(&entry.batch).copied() {
            None => {}
            Some(Said::Generation(generation)) => self.begin_generation(generation),
            Some(Said::Consumed(consumed)) => self.commit_consumed(consumed),
            Some(Said::Commit { generation, partition, offset }) => {
                let current = self.groups.generation;
                self.groups.committed.insert((generation, partition, offset));
                check!(
                    self,
                    "C2",
                    generation == current,
                    "a commit of generation {generation} for {partition}, offset {offset}, was accepted in generation {current}"
                );
            }
        }
    }

    /// A member was told that its commit is in (C1).
    pub fn commit_told(&mut self, generation: i32, partition: i32, offset: Offset) {
        let there = self.groups.committed.contains(&(generation, partition, offset));
        check!(
            self,
            "C1",
            there,
            "the commit of generation {generation} for {partition}, offset {offset}, was acknowledged and is not committed"
        );
    }

    /// A coordinator has found this offset for a partition, and whether an open transaction may change it: what its log
    /// says up to `written` (C1, C4).
    pub fn offset_found(
        &mut self,
        node: usize,
        group_partition: i32,
        written: Offset,
        partition: i32,
        found: (Option<Offset>, bool),
    ) {
        let entries = &self.shadows[node][group_partition as usize].entries;
        let (mut last, mut open) = (None, BTreeMap::new());
        for entry in &entries[..entries.len().min(written as usize)] {
            match self.groups.said.get(&entry.batch) {
                Some(Said::Commit { partition: of, offset, .. }) if *of == partition => last = Some(*offset),
                Some(Said::Consumed(consumed)) if consumed.partition == partition => {
                    open.insert(consumed.producer.id.0, consumed.to);
                }
                Some(_) => {}
                None => {
                    let marker = self.transactions.marker(entry.batch);
                    let ended = marker.and_then(|(producer_id, result)| Some((open.remove(&producer_id)?, result)));
                    if let Some((offset, TransactionResult::Commit)) = ended {
                        last = Some(offset);
                    }
                }
            }
        }
        let said = (last, !open.is_empty());
        check!(
            self,
            "C4",
            found == said,
            "broker {} finds {found:?} for {partition}, but its log says {said:?} (the offset, and whether a transaction may change it)",
            node + 1
        );
    }

    /// A member was told that it owns these partitions in a generation (C3).
    pub fn owns(&mut self, client: usize, generation: i32, partitions: &[i32]) {
        for &partition in partitions {
            let owner = *self.groups.owners.entry((generation, partition)).or_insert(client);
            check!(
                self,
                "C3",
                owner == client,
                "clients {owner} and {client} both own {partition} in generation {generation}"
            );
        }
    }
}
