//! The table: every key of Kafka 4.3's brokers, topics and groups, grouped by subject, and our own.

mod controller;
mod group_level;
mod groups;
mod log;
mod network;
mod node;
mod oauth;
mod own;
mod quotas;
mod reasons;
mod remote;
mod replication;
mod security;
mod share;
mod topic;
mod topics;
mod transactions;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::key::ConfigKey;

type Index = BTreeMap<&'static str, &'static ConfigKey>;

static BROKER_KEYS: LazyLock<Index> = LazyLock::new(|| {
    index(&[
        node::KEYS,
        network::KEYS,
        log::KEYS,
        topics::KEYS,
        replication::KEYS,
        controller::KEYS,
        groups::KEYS,
        share::KEYS,
        transactions::KEYS,
        quotas::KEYS,
        remote::KEYS,
        security::KEYS,
        oauth::KEYS,
        own::KEYS,
    ])
});
static TOPIC_KEYS: LazyLock<Index> = LazyLock::new(|| index(&[topic::KEYS]));
static GROUP_KEYS: LazyLock<Index> = LazyLock::new(|| index(&[group_level::KEYS]));

fn index(groups: &[&'static [ConfigKey]]) -> Index {
    let mut index = Index::new();
    for key in groups.iter().copied().flatten() {
        assert!(index.insert(key.name, key).is_none(), "{} is declared twice", key.name);
    }
    index
}

/// All broker keys, sorted by name, the internal ones included.
pub fn broker_keys() -> impl Iterator<Item = &'static ConfigKey> {
    BROKER_KEYS.values().copied()
}

/// All topic keys, sorted by name, the internal ones included.
pub fn topic_keys() -> impl Iterator<Item = &'static ConfigKey> {
    TOPIC_KEYS.values().copied()
}

/// All keys a group may set, sorted by name.
pub fn group_keys() -> impl Iterator<Item = &'static ConfigKey> {
    GROUP_KEYS.values().copied()
}

/// The broker key of this name.
pub fn broker_key(name: &str) -> Option<&'static ConfigKey> {
    BROKER_KEYS.get(name).copied()
}

/// The topic key of this name.
pub fn topic_key(name: &str) -> Option<&'static ConfigKey> {
    TOPIC_KEYS.get(name).copied()
}

/// The group key of this name.
pub fn group_key(name: &str) -> Option<&'static ConfigKey> {
    GROUP_KEYS.get(name).copied()
}

/// The declared name most like `name`, if one is like it at all.
pub(super) fn nearest_name(name: &str, keys: impl Iterator<Item = &'static ConfigKey>) -> Option<&'static str> {
    let (likeness, nearest) = keys
        .map(|key| (strsim::normalized_damerau_levenshtein(name, key.name), key.name))
        .max_by(|a, b| a.0.total_cmp(&b.0))?;
    (likeness >= 0.7).then_some(nearest)
}
