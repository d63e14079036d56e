//! Which data directory each partition here lives in, and which one gets the next.

use std::collections::{BTreeSet, HashMap};

use crate::model::TopicPartition;

/// Wishes for partitions that may never come are bounded.
const PREFERRED_MAX: usize = 100_000;

/// The place of each partition, by the directory's index. Partitions found at the start are in it before the metadata
/// has said a word about them.
#[derive(Debug)]
pub(super) struct Places {
    of: HashMap<TopicPartition, usize>,
    /// Partitions in each directory.
    counts: Vec<usize>,
    /// Directories that have failed.
    failed: BTreeSet<usize>,
    /// Where partitions that are not here yet are to go.
    preferred: HashMap<TopicPartition, usize>,
}

impl Places {
    /// What was found in the directories, in their order; at least one.
    pub fn new(found: Vec<Vec<TopicPartition>>) -> Self {
        let counts = found.iter().map(Vec::len).collect();
        let of = (0..).zip(found).flat_map(|(at, partitions)| partitions.into_iter().map(move |found| (found, at)));
        Self { of: of.collect(), counts, failed: BTreeSet::new(), preferred: HashMap::new() }
    }

    /// Where the partition lives. A new one goes where the fewest are, the first of such directories, as long as one is
    /// left that has not failed.
    pub fn place(&mut self, partition: &TopicPartition) -> usize {
        if let Some(&at) = self.of.get(partition) {
            return at;
        }
        let preferred = self.preferred.remove(partition);
        if let Some(at) = preferred.filter(|at| !self.failed.contains(at)) {
            self.put(partition, at);
            return at;
        }
        let counts = self.counts.iter_mut().enumerate();
        let order = |(at, count): &(usize, &mut usize)| (self.failed.contains(at), **count);
        let (at, count) = counts.min_by_key(order).expect("there is a directory");
        *count += 1;
        self.of.insert(partition.clone(), at);
        at
    }

    /// A partition that is not here is to go there when it comes. Too many of such wishes are not remembered.
    pub fn prefer(&mut self, partition: &TopicPartition, at: usize) {
        if self.preferred.len() < PREFERRED_MAX || self.preferred.contains_key(partition) {
            self.preferred.insert(partition.clone(), at);
        }
    }

    /// The partition has moved to another directory.
    pub fn relocate(&mut self, partition: &TopicPartition, at: usize) {
        self.remove(partition);
        self.put(partition, at);
    }

    /// The directory has failed; false when it had before.
    pub fn fail(&mut self, at: usize) -> bool {
        self.failed.insert(at)
    }

    /// True for a directory that has failed.
    pub fn has_failed(&self, at: usize) -> bool {
        self.failed.contains(&at)
    }

    /// True when any directory has failed.
    pub fn any_failed(&self) -> bool {
        !self.failed.is_empty()
    }

    /// True while there is a directory that has not failed.
    pub fn has_usable(&self) -> bool {
        self.failed.len() < self.counts.len()
    }

    /// A partition that is offline is not here any more: in a failed directory it leaves nothing that counts.
    pub fn remove_offline(&mut self, partition: &TopicPartition) {
        if self.of.get(partition).is_some_and(|at| self.failed.contains(at)) {
            self.remove(partition);
        }
    }

    /// True when the partition has a place already.
    pub fn knows(&self, partition: &TopicPartition) -> bool {
        self.of.contains_key(partition)
    }

    /// Where the partition lives, if it has a place.
    pub fn find(&self, partition: &TopicPartition) -> Option<usize> {
        self.of.get(partition).copied()
    }

    /// The partition, which has no place, has been given one.
    pub fn put(&mut self, partition: &TopicPartition, at: usize) {
        if let Some(count) = self.counts.get_mut(at) {
            *count += 1;
            self.of.insert(partition.clone(), at);
        }
    }

    /// The partition's directory is gone.
    pub fn remove(&mut self, partition: &TopicPartition) {
        if let Some(count) = self.of.remove(partition).and_then(|at| self.counts.get_mut(at)) {
            *count -= 1;
        }
    }

    /// Every partition that has a place, and which.
    pub fn all(&self) -> impl Iterator<Item = (&TopicPartition, usize)> {
        self.of.iter().map(|(partition, &at)| (partition, at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(partition: i32) -> TopicPartition {
        TopicPartition::new("t", partition)
    }

    #[test]
    fn a_new_partition_goes_where_the_fewest_are_and_stays_there() {
        let mut places = Places::new(vec![vec![name(0), name(1)], vec![], vec![name(2)]]);
        assert_eq!([3, 4, 5, 6].map(|partition| places.place(&name(partition))), [1, 1, 2, 0]);
        assert_eq!([0, 2, 3].map(|partition| places.place(&name(partition))), [0, 2, 1], "known ones");
    }

    #[test]
    fn what_is_gone_leaves_room() {
        let mut places = Places::new(vec![vec![name(0)], vec![]]);
        assert_eq!(places.place(&name(1)), 1);
        places.remove(&name(1));
        places.remove(&name(9));
        assert_eq!([2, 3].map(|partition| places.place(&name(partition))), [1, 0]);
        assert_eq!(places.all().count(), 3);
    }

    #[test]
    fn a_wish_counts_once_and_only_where_it_can_be_granted() {
        let mut places = Places::new(vec![vec![name(0)], vec![], vec![]]);
        places.prefer(&name(1), 0);
        assert_eq!(places.place(&name(1)), 0, "though others have less");
        places.remove(&name(1));
        assert_eq!(places.place(&name(1)), 1, "the wish is granted");
        places.prefer(&name(2), 2);
        places.fail(2);
        assert_eq!(places.place(&name(2)), 0);
    }

    #[test]
    fn what_moves_leaves_room_and_takes_some() {
        let mut places = Places::new(vec![vec![name(0)], vec![]]);
        places.relocate(&name(0), 1);
        assert_eq!((places.find(&name(0)), places.place(&name(1))), (Some(1), 0));
    }

    #[test]
    fn a_failed_directory_gets_nothing_new_and_keeps_what_it_had() {
        let mut places = Places::new(vec![vec![], vec![name(0)]]);
        assert!(places.fail(0) && !places.fail(0) && places.has_usable());
        assert_eq!([1, 2].map(|partition| places.place(&name(partition))), [1, 1]);
        assert!(places.fail(1) && !places.has_usable());
        assert_eq!(places.place(&name(0)), 1);
        places.remove_offline(&name(0));
        assert!(!places.knows(&name(0)));
    }
}
