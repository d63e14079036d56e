//! Follows the metadata feed of a voter and publishes every image that comes of it.
//!
//! The feed is records from the index this broker has reached, or a whole image when those are no longer at hand.
//! Any voter's feed will do, since all of them serve the same log; the leader's is the freshest. When a stream
//! breaks the next voter is asked, from where this one stopped. A record that cannot be replayed ends the broker
//! (invariant D10): it is never skipped.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use tonic::Streaming;

use super::channels::{VoterAddress, with_causes};
use super::controller_calls::ControllerCalls;
use super::error::ClusterError;
use super::published_image::PublishedImage;
use crate::metadata::ClusterImage;
use crate::rpc::controller::{MetadataFeed, WatchMetadataRequest, metadata_feed::Item};
use crate::rpc::metadata::MetadataRecord;

/// Pause after every voter has been tried in vain.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// The task that keeps the published image up to date.
pub(super) struct FeedClient {
    calls: ControllerCalls,
    published: PublishedImage,
    /// The newest image; the published one is never newer.
    image: Arc<ClusterImage>,
    /// Pieces of a snapshot that has not arrived whole.
    partial: Vec<MetadataRecord>,
    /// What comes of a batch of which only the first pieces have arrived. Its records took effect together (a leader
    /// leaves the ISR and another is elected, say), so nobody may see some of them without the others.
    unfinished: Option<ClusterImage>,
}

impl FeedClient {
    pub(super) fn new(calls: ControllerCalls, published: PublishedImage) -> Self {
        let image = published.current();
        Self { calls, published, image, partial: Vec::new(), unfinished: None }
    }

    /// Runs until a record cannot be applied.
    pub(super) async fn run(mut self) -> ClusterError {
        for attempt in 0_usize.. {
            let voters = self.calls.channels().voters();
            let leader = self.calls.known_leader();
            let fallback = &voters[attempt % voters.len()];
            let voter = voters.iter().find(|voter| Some(voter.node_id) == leader).unwrap_or(fallback);
            match self.follow(voter).await {
                Ok(reason) => tracing::debug!(%voter, reason, "the metadata feed ended"),
                Err(error) => return error,
            }
            self.calls.forget_leader(voter);
            if attempt % voters.len() == voters.len() - 1 {
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
        unreachable!("attempts are not exhausted")
    }

    /// Follows one voter's feed until it breaks; the reason is for the log.
    async fn follow(&mut self, voter: &VoterAddress) -> Result<String, ClusterError> {
        self.partial.clear();
        self.unfinished = None;
        let mut feed = match self.open(voter).await {
            Ok(feed) => feed,
            Err(reason) => return Ok(reason),
        };
        let mut leader = self.calls.leader_changes();
        loop {
            tokio::select! {
                item = feed.message() => match item {
                    Ok(Some(MetadataFeed { item: Some(item) })) => self.apply(item)?,
                    Ok(_) => return Ok("closed by the controller".to_owned()),
                    Err(status) => return Ok(status.message().to_owned()),
                },
                // A follower that lost the quorum would go on serving an old image.
                changed = leader.wait_for(|leader| leader.node_id.is_some_and(|leader| leader != voter.node_id)) => {
                    drop(changed);
                    return Ok("another controller leads".to_owned());
                }
            }
        }
    }

    async fn open(&self, voter: &VoterAddress) -> Result<Streaming<MetadataFeed>, String> {
        let mut client = self.calls.channels().client(voter).await.map_err(|error| with_causes(&error))?;
        let envelope = Some(self.calls.envelope(voter));
        let request = WatchMetadataRequest { envelope, metadata_index: self.image.applied_index() };
        let response = client.watch_metadata(request).await;
        response.map(tonic::Response::into_inner).map_err(|status| {
            self.calls.channels().drop_channel(voter);
            status.message().to_owned()
        })
    }

    fn apply(&mut self, item: Item) -> Result<(), ClusterError> {
        match item {
            Item::Records(batch) => {
                let records = decode(&batch.records, batch.base_index)?;
                let mut image = self.unfinished.take().unwrap_or_else(|| ClusterImage::clone(&self.image));
                // Records this broker has already come with a stream that was opened twice.
                let known = usize::try_from(image.applied_index() - batch.base_index).unwrap_or(0);
                for record in records.iter().skip(known) {
                    let index = image.applied_index() + 1;
                    image.replay(record, index).map_err(|error| unknown_record(index, &error))?;
                }
                if batch.more {
                    self.unfinished = Some(image);
                } else {
                    self.publish(image);
                }
            }
            Item::Snapshot(piece) => {
                self.partial.extend(decode(&piece.records, piece.metadata_index)?);
                if piece.last {
                    let records = std::mem::take(&mut self.partial);
                    let image = ClusterImage::restore(&records, piece.metadata_index)
                        .map_err(|error| unknown_record(piece.metadata_index, &error))?;
                    self.publish(image);
                }
            }
        }
        Ok(())
    }

    fn publish(&mut self, image: ClusterImage) {
        // A voter that lags behind the one before it may offer a snapshot from the past.
        if image.applied_index() > self.image.applied_index() {
            self.image = Arc::new(image);
            self.published.publish(self.image.clone());
        }
    }
}

fn decode(records: &[Bytes], index: i64) -> Result<Vec<MetadataRecord>, ClusterError> {
    records
        .iter()
        .map(|record| MetadataRecord::decode(record.as_ref()).map_err(|error| unknown_record(index, &error)))
        .collect()
}

fn unknown_record(index: i64, error: &dyn std::error::Error) -> ClusterError {
    ClusterError::UnknownRecord { index, reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::uuid_bytes;
    use crate::model::Uuid;
    use crate::rpc::controller::FeedRecords;
    use crate::rpc::metadata::TopicRecord;

    fn piece(number: u8, more: bool) -> Item {
        let topic_id = uuid_bytes(Uuid([number; 16]));
        let record: MetadataRecord = TopicRecord { name: format!("topic-{number}"), topic_id }.into();
        let records = vec![record.encode_to_vec().into()];
        Item::Records(FeedRecords { base_index: i64::from(number) - 1, records, more })
    }

    #[tokio::test]
    async fn a_batch_that_comes_in_pieces_is_published_as_one() {
        let calls = ControllerCalls::new(None, 1, Vec::new(), tokio::runtime::Handle::current());
        let published = PublishedImage::new();
        let mut client = FeedClient::new(calls, published.clone());
        client.apply(piece(1, false)).unwrap();
        client.apply(piece(2, true)).unwrap();
        client.apply(piece(3, true)).unwrap();
        assert_eq!(published.current().applied_index(), 1);
        // The stream breaks: the next one goes on from what was published.
        client.unfinished = None;
        client.apply(piece(2, true)).unwrap();
        client.apply(piece(3, true)).unwrap();
        assert_eq!(published.current().applied_index(), 1);
        client.apply(piece(4, false)).unwrap();
        assert_eq!((published.current().applied_index(), published.current().topics().count()), (4, 4));
    }
}
