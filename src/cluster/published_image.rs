//! The newest metadata image this broker has applied, and its changes.
//!
//! Readers take the current image without a lock and keep it as long as they like. A subscriber is told what lies
//! between the image it saw last and the newest one; what it was too slow for comes in one piece, so a slow
//! subscriber costs no memory and misses nothing. Images only ever move forward (invariant D4).

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::metadata::{ClusterImage, ImageDelta};

/// The broker's view of the cluster. Cheap to clone; all clones are the same view.
#[derive(Clone)]
pub struct PublishedImage {
    shared: Arc<Shared>,
}

struct Shared {
    current: ArcSwap<ClusterImage>,
    /// Metadata index of `current`; set after `current` was.
    index: watch::Sender<i64>,
}

/// A subscriber's place in the sequence of images.
pub struct ImageSubscription {
    shared: Arc<Shared>,
    /// What the subscriber was told of last.
    seen: Arc<ClusterImage>,
    index: watch::Receiver<i64>,
}

impl Default for PublishedImage {
    fn default() -> Self {
        Self::new()
    }
}

impl PublishedImage {
    /// An empty image at index 0.
    pub fn new() -> Self {
        let current = ArcSwap::from_pointee(ClusterImage::default());
        Self { shared: Arc::new(Shared { current, index: watch::channel(0).0 }) }
    }

    /// The newest image.
    pub fn current(&self) -> Arc<ClusterImage> {
        self.shared.current.load_full()
    }

    /// All changes from the empty image on: the first one leads to the image of that moment.
    pub fn subscribe(&self) -> ImageSubscription {
        let mut index = self.shared.index.subscribe();
        index.mark_changed();
        ImageSubscription { shared: self.shared.clone(), seen: Arc::default(), index }
    }

    /// Waits until the image has applied `index`, such as a reply's `metadata_index`.
    pub async fn wait_for_index(&self, index: i64) -> Arc<ClusterImage> {
        self.wait_for(|image| image.applied_index() >= index).await
    }

    /// Waits until `condition` holds for the newest image, and returns that image.
    pub async fn wait_for(&self, mut condition: impl FnMut(&ClusterImage) -> bool) -> Arc<ClusterImage> {
        let mut index = self.shared.index.subscribe();
        loop {
            index.borrow_and_update();
            let image = self.current();
            if condition(&image) {
                return image;
            }
            // No error can come: the sender lives in `self`.
            let _ = index.changed().await;
        }
    }

    /// Replaces the image by a newer one. Only the feed does that.
    pub(super) fn publish(&self, image: Arc<ClusterImage>) {
        let (before, after) = (self.current().applied_index(), image.applied_index());
        assert!(after >= before, "the metadata image would go back from index {before} to {after}");
        self.shared.current.store(image);
        self.shared.index.send_replace(after);
    }
}

impl ImageSubscription {
    /// Waits until there is something to see, without looking at what changed. Never ends.
    pub async fn changed(&mut self) {
        // No error can come: the sender lives in `self.shared`.
        let _ = self.index.changed().await;
        self.seen = self.shared.current.load_full();
    }

    /// Waits for a newer image than the one told of last. Never ends.
    pub async fn next(&mut self) -> ImageDelta {
        loop {
            // No error can come: the sender lives in `self.shared`.
            let _ = self.index.changed().await;
            self.index.borrow_and_update();
            let new = self.shared.current.load_full();
            if new.applied_index() > self.seen.applied_index() {
                let old = std::mem::replace(&mut self.seen, new.clone());
                return ImageDelta::between(ClusterImage::clone(&old), ClusterImage::clone(&new));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::uuid_bytes;
    use crate::model::{TopicId, Uuid};
    use crate::rpc::metadata::{MetadataRecord, TopicRecord};

    fn with_topics(count: u8) -> Arc<ClusterImage> {
        let mut image = ClusterImage::default();
        for number in 1..=count {
            let topic_id = uuid_bytes(Uuid([number; 16]));
            let record: MetadataRecord = TopicRecord { name: format!("topic-{number}"), topic_id }.into();
            image.replay(&record, image.applied_index() + 1).unwrap();
        }
        Arc::new(image)
    }

    #[tokio::test]
    async fn a_slow_subscriber_gets_all_changes_in_one() {
        let published = PublishedImage::new();
        let mut subscription = published.subscribe();
        for count in 1..=3 {
            published.publish(with_topics(count));
        }
        let delta = subscription.next().await;
        assert_eq!((delta.old.applied_index(), delta.new.applied_index()), (0, 3));
        assert_eq!(delta.changed_topics.len(), 3);
        published.publish(with_topics(4));
        let delta = subscription.next().await;
        assert_eq!(delta.old.applied_index(), 3);
        assert_eq!(delta.changed_topics.into_iter().collect::<Vec<_>>(), [TopicId(Uuid([4; 16]))]);
    }

    #[tokio::test]
    async fn a_late_subscriber_starts_with_everything() {
        let published = PublishedImage::new();
        published.publish(with_topics(2));
        assert_eq!(published.subscribe().next().await.changed_topics.len(), 2);
    }

    #[tokio::test]
    async fn waiting_ends_with_the_image_that_fits() {
        let published = PublishedImage::new();
        let waiter = tokio::spawn({
            let published = published.clone();
            async move { published.wait_for_index(2).await.applied_index() }
        });
        published.publish(with_topics(1));
        published.publish(with_topics(2));
        assert_eq!(waiter.await.unwrap(), 2);
    }

    #[test]
    #[should_panic(expected = "go back")]
    fn images_never_go_back() {
        let published = PublishedImage::new();
        published.publish(with_topics(2));
        published.publish(with_topics(1));
    }
}
