//! The feed on the wire: batches and images in messages of a bounded size.

use bytes::Bytes;
use prost::Message;

use super::feed::FeedItem;
use crate::rpc::controller::metadata_feed::Item;
use crate::rpc::controller::{FeedRecords, FeedSnapshot, MetadataFeed};

/// Bytes of records in one message; a message may be up to four times as long.
const MESSAGE_BYTES: usize = 1 << 20;

/// The messages that carry `item`; at least one.
pub fn messages(item: &FeedItem) -> Vec<MetadataFeed> {
    let items: Vec<Item> = match item {
        FeedItem::Batch(batch) => {
            let mut base_index = batch.base_index;
            let end_index = base_index + batch.records.len() as i64;
            let pieces = pieces(&batch.records).into_iter().map(|records| {
                let more = base_index + (records.len() as i64) < end_index;
                let item = Item::Records(FeedRecords { base_index, records: records.to_vec(), more });
                base_index += records.len() as i64;
                item
            });
            pieces.collect()
        }
        FeedItem::Snapshot(image) => {
            let records: Vec<Bytes> = image.to_records().iter().map(|record| record.encode_to_vec().into()).collect();
            let (metadata_index, pieces) = (image.applied_index(), pieces(&records));
            let last = pieces.len() - 1;
            let snapshot = |(number, records): (usize, &[Bytes])| {
                Item::Snapshot(FeedSnapshot { metadata_index, records: records.to_vec(), last: number == last })
            };
            pieces.into_iter().enumerate().map(snapshot).collect()
        }
    };
    items.into_iter().map(|item| MetadataFeed { item: Some(item) }).collect()
}

/// Cuts records into pieces that fit a message; at least one piece, perhaps empty.
fn pieces(records: &[Bytes]) -> Vec<&[Bytes]> {
    let mut pieces = Vec::new();
    let mut rest = records;
    loop {
        let mut bytes = 0;
        let fitting = rest.iter().take_while(|record| {
            bytes += record.len();
            bytes <= MESSAGE_BYTES
        });
        let count = fitting.count().max(1).min(rest.len());
        let (piece, later) = rest.split_at(count);
        pieces.push(piece);
        rest = later;
        if rest.is_empty() {
            return pieces;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::feed::FeedBatch;

    #[test]
    fn every_piece_of_a_batch_but_its_last_says_that_more_follows() {
        let records = vec![Bytes::from(vec![1; MESSAGE_BYTES]); 3];
        let batch = FeedItem::Batch(FeedBatch { base_index: 7, records: records.into() });
        let pieces = messages(&batch).into_iter().map(|message| match message.item {
            Some(Item::Records(piece)) => (piece.base_index, piece.more),
            other => panic!("{other:?}"),
        });
        assert_eq!(pieces.collect::<Vec<_>>(), [(7, true), (8, true), (9, false)]);
    }

    #[test]
    fn records_are_cut_by_size_and_none_is_lost() {
        let record = |bytes| Bytes::from(vec![1; bytes]);
        let records = [record(MESSAGE_BYTES / 2), record(MESSAGE_BYTES / 2), record(2 * MESSAGE_BYTES), record(1)];
        let cut: Vec<usize> = pieces(&records).into_iter().map(<[Bytes]>::len).collect();
        assert_eq!(cut, [2, 1, 1]);
        assert_eq!(pieces(&[]).len(), 1, "an empty image is an image too");
    }
}
