//! For tests: which keys the typed structs have read on this thread, so that "in force" is not an empty word.

use std::cell::RefCell;
use std::collections::BTreeSet;

thread_local! {
    static BROKER: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
    static TOPIC: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
}

pub(super) fn record(name: &str) {
    BROKER.with_borrow_mut(|names| names.insert(name.to_owned()));
}

pub(super) fn record_topic(name: &str) {
    TOPIC.with_borrow_mut(|names| names.insert(name.to_owned()));
}

/// The broker keys and the topic keys that `read` reads.
pub(super) fn during(read: impl FnOnce()) -> (BTreeSet<String>, BTreeSet<String>) {
    BROKER.take();
    TOPIC.take();
    read();
    (BROKER.take(), TOPIC.take())
}
