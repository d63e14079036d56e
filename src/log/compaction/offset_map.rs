//! The newest offset of each key, in a table of bounded size.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use crate::model::Offset;

/// What an entry costs at most: 24 bytes of key and offset, a byte of bookkeeping, and the room that a growing table
/// holds ahead.
const ENTRY_BYTES: usize = 64;

/// Keys by a hash of 128 bits, whose secret is drawn anew for each table: nobody can prepare two keys that are taken
/// for one.
#[derive(Debug)]
pub struct OffsetMap {
    hashers: [RandomState; 2],
    newest: HashMap<(u64, u64), Offset>,
    entries_max: usize,
    end_offset: Offset,
}

impl OffsetMap {
    /// An empty table of at most about `bytes_max` bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            hashers: [RandomState::new(), RandomState::new()],
            newest: HashMap::new(),
            entries_max: (bytes_max / ENTRY_BYTES).max(1),
            end_offset: 0,
        }
    }

    fn hash(&self, key: &[u8]) -> (u64, u64) {
        let [first, second] = &self.hashers;
        (first.hash_one(key), second.hash_one(key))
    }

    /// Notes the record of `key` at `offset`, which is above all noted before.
    pub fn note(&mut self, key: &[u8], offset: Offset) {
        self.newest.insert(self.hash(key), offset);
    }

    /// Everything below `end_offset` has been noted.
    pub fn noted_below(&mut self, end_offset: Offset) {
        self.end_offset = end_offset;
    }

    /// What lies from here on has not been looked at, and is kept.
    pub fn end_offset(&self) -> Offset {
        self.end_offset
    }

    /// True when the table must take no more batches.
    pub fn is_full(&self) -> bool {
        self.newest.len() >= self.entries_max
    }

    /// True when no newer record of `key` is known than the one at `offset`.
    pub fn is_newest(&self, key: &[u8], offset: Offset) -> bool {
        self.newest.get(&self.hash(key)).is_none_or(|newest| offset >= *newest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_record_of_a_key_supersedes_the_others() {
        let mut map = OffsetMap::new(1 << 20);
        map.note(b"a", 3);
        map.note(b"b", 4);
        map.note(b"a", 7);
        assert_eq!([3, 7, 9].map(|offset| map.is_newest(b"a", offset)), [false, true, true]);
        assert!(map.is_newest(b"b", 4) && map.is_newest(b"c", 0));
    }

    #[test]
    fn it_says_when_it_is_full() {
        let mut map = OffsetMap::new(2 * ENTRY_BYTES);
        map.note(b"a", 0);
        map.note(b"a", 1);
        assert!(!map.is_full());
        map.note(b"b", 2);
        assert!(map.is_full());
    }
}
