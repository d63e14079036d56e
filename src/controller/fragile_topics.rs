//! Tells the operator of topics that a single failure would harm: each once, when it becomes so.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::feed::AppliedMetadata;
use super::raft::Leadership;
use crate::metadata::{ClusterDefaults, Fragility, fragile_topics};

/// Between two looks, so that topics created together are told together, and a busy cluster is not looked through
/// at each change.
const LOOK_PAUSE: Duration = Duration::from_secs(5);
/// Names in one warning.
const NAMES_MAX: usize = 20;

/// Looks at the layout of topics while this node leads the quorum.
pub struct FragileTopics {
    /// What is known of the topics.
    pub applied: AppliedMetadata,
    /// Whether it is for this node to tell.
    pub leadership: watch::Receiver<Leadership>,
    /// What holds for topics that say nothing themselves.
    pub defaults: ClusterDefaults,
}

impl FragileTopics {
    /// Runs until the quorum is gone.
    pub async fn run(mut self) {
        let mut index = self.applied.index_changes();
        let mut told = BTreeMap::new();
        while self.leadership.wait_for(|leadership| leadership.leads).await.is_ok() {
            tokio::time::sleep(LOOK_PAUSE).await;
            index.borrow_and_update();
            let fragile = fragile_topics(&self.applied.image(), &self.defaults).into_iter().collect();
            for (fragility, names) in news(&told, &fragile) {
                let others = names.len().saturating_sub(NAMES_MAX);
                let more = if others > 0 { format!(" and {others} more") } else { String::new() };
                let names = names[..names.len().min(NAMES_MAX)].join(", ");
                tracing::warn!("one failure would harm {names}{more}: {fragility}");
            }
            told = fragile;
            if index.changed().await.is_err() {
                return;
            }
        }
    }
}

/// What has not been told yet, by what one failure would do.
fn news(told: &BTreeMap<Arc<str>, Fragility>, now: &BTreeMap<Arc<str>, Fragility>) -> BTreeMap<Fragility, Vec<String>> {
    let mut news: BTreeMap<Fragility, Vec<String>> = BTreeMap::new();
    for (name, fragility) in now.iter().filter(|(name, fragility)| told.get(*name) != Some(*fragility)) {
        news.entry(*fragility).or_default().push(name.to_string());
    }
    news
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(fragile: &[(&str, Fragility)]) -> BTreeMap<Arc<str>, Fragility> {
        fragile.iter().map(|(name, fragility)| (Arc::from(*name), *fragility)).collect()
    }

    #[test]
    fn a_topic_is_told_once_until_its_layout_changes() {
        let before = topics(&[("a", Fragility::OneReplica), ("b", Fragility::OneReplica)]);
        assert_eq!(news(&BTreeMap::new(), &before)[&Fragility::OneReplica], ["a", "b"]);
        assert_eq!(news(&before, &before), BTreeMap::new());
        let after = topics(&[("a", Fragility::OneInSync), ("c", Fragility::OneReplica)]);
        let told = news(&before, &after);
        assert_eq!(told[&Fragility::OneInSync], ["a"]);
        assert_eq!(told[&Fragility::OneReplica], ["c"]);
    }
}
