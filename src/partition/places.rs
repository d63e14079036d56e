//! Which data directory each partition here lives in, and which one gets the next.

use std::collections::HashMap;

use crate::model::TopicPartition;

/// The place of each partition, by the directory's index. Partitions found at the start are in it before the metadata
/// has said a word about them.
#[derive(Debug)]
pub(super) struct Places {
    of: HashMap<TopicPartition, usize>,
    /// Partitions in each directory.
    counts: Vec<usize>,
}

impl Places {
    /// What was found in the directories, in their order; at least one.
    pub fn new(found: Vec<Vec<TopicPartition>>) -> Self {
        let counts = found.iter().map(Vec::len).collect();
        let of = (0..).zip(found).flat_map(|(at, partitions)| partitions.into_iter().map(move |found| (found, at)));
        Self { of: of.collect(), counts }
    }

    /// Where the partition lives. A new one goes where the fewest are, the first of such directories.
    pub fn place(&mut self, partition: &TopicPartition) -> usize {
        if let Some(&at) = self.of.get(partition) {
            return at;
        }
        let (at, count) =
            self.counts.iter_mut().enumerate().min_by_key(|(_, count)| **count).expect("there is a directory");
        *count += 1;
        self.of.insert(partition.clone(), at);
        at
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
}
