//! Reads records from partitions, each from its leader, all leaders at the same time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::admin::offsets::{self, OffsetSpec};
use super::cluster_client::ClusterClient;
use super::cluster_error::ClusterError;
use super::error::ClientError;
use super::repeat;
use crate::model::{ErrorCode, Offset, TopicPartition};
use crate::protocol::{
    AbortedTransaction, ApiKey, FetchPartition, FetchPartitionResponse, FetchRequest, FetchResponse, FetchTopic,
    Records as WireRecords,
};
use crate::record::{
    Batch, BatchHeader, Batches, EndTransactionMarker, Record, RecordError, Records, TransactionResult,
};

/// The last version of Fetch that names topics; later ones give their ids.
const FETCH_BY_NAME: i16 = 12;

/// What one batch may inflate to.
const INFLATED_MAX: usize = 1 << 30;

const PAUSE: Duration = Duration::from_millis(100);

/// How a consumer reads.
#[derive(Clone, Debug)]
pub struct ConsumerOptions {
    /// How long a broker waits for records when there are none.
    pub max_wait: Duration,
    /// How much a broker returns at most; a single batch may be larger.
    pub max_bytes: i32,
    /// The same for one partition.
    pub partition_max_bytes: i32,
    /// Leaves out the records of transactions that are open or were aborted.
    pub read_committed: bool,
}

impl Default for ConsumerOptions {
    fn default() -> Self {
        Self {
            max_wait: Duration::from_millis(500),
            max_bytes: 16 << 20,
            partition_max_bytes: 1 << 20,
            read_committed: false,
        }
    }
}

/// A record and where it lies.
#[derive(Clone, Copy, Debug)]
pub struct Consumed<'a> {
    /// The partition.
    pub partition: &'a TopicPartition,
    /// The record.
    pub record: &'a Record<'a>,
    /// The head of the batch that it came in.
    pub batch: &'a BatchHeader,
}

/// How far a consumer is in one partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Position {
    /// The next offset to read.
    pub offset: Offset,
    /// Reading stops before this offset.
    pub until: Option<Offset>,
}

/// What became of a position that the partition no longer has, or does not have yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Moved {
    /// The partition.
    pub partition: TopicPartition,
    /// Where reading stood.
    pub from: Offset,
    /// Where it goes on.
    pub to: Offset,
}

/// Reads records.
#[derive(Debug)]
pub struct Consumer {
    options: ConsumerOptions,
    positions: BTreeMap<TopicPartition, Position>,
    failing_since: Option<Instant>,
}

impl Consumer {
    /// A consumer that reads nothing yet.
    pub fn new(options: ConsumerOptions) -> Self {
        Self { options, positions: BTreeMap::new(), failing_since: None }
    }

    /// Reads from these positions, and from no others any more.
    pub fn assign(&mut self, positions: BTreeMap<TopicPartition, Position>) {
        self.positions = positions;
    }

    /// How far it is.
    pub fn positions(&self) -> &BTreeMap<TopicPartition, Position> {
        &self.positions
    }

    /// True when every partition has been read to where it is to end.
    pub fn is_finished(&self) -> bool {
        self.positions.values().all(|position| position.until.is_some_and(|until| position.offset >= until))
    }

    /// Asks every leader once and shows each record to `visit`, which says whether to go on. A position counts as read
    /// up to the last record that was shown.
    pub async fn poll(
        &mut self,
        client: &mut ClusterClient,
        mut visit: impl FnMut(Consumed<'_>) -> bool,
    ) -> Result<Vec<Moved>, ClusterError> {
        let mut trouble: Option<ClusterError> = None;
        let mut responses = Vec::new();
        let mut started = Vec::new();
        for (leader, request) in self.requests(client, &mut trouble).await? {
            match client.start(leader, FETCH_BY_NAME, &request).await {
                Ok(unanswered) => started.push((leader, unanswered)),
                Err(error) => trouble = Some(error),
            }
        }
        for (leader, unanswered) in started {
            match client.finish(leader, unanswered).await {
                Ok(response) => responses.push(response),
                Err(error) => trouble = Some(error),
            }
        }
        let mut lost = Vec::new();
        for response in responses {
            if !self.take(response, &mut visit, &mut lost, &mut trouble)? {
                break;
            }
        }
        let moved = self.find_again(client, lost).await?;
        self.recover(client, trouble).await?;
        Ok(moved)
    }

    /// One request for each leader of partitions that are not read to their end.
    async fn requests(
        &self,
        client: &mut ClusterClient,
        trouble: &mut Option<ClusterError>,
    ) -> Result<BTreeMap<i32, FetchRequest>, ClusterError> {
        let unread = |position: &Position| position.until.is_none_or(|until| position.offset < until);
        let wanted: Vec<_> = self.positions.iter().filter(|(_, position)| unread(position)).collect();
        let unknown: BTreeSet<String> = wanted
            .iter()
            .filter(|(partition, _)| client.metadata().topic(&partition.topic).is_err())
            .map(|(partition, _)| partition.topic.to_string())
            .collect();
        if !unknown.is_empty() {
            client.learn_topics(Some(&unknown.into_iter().collect::<Vec<_>>())).await?;
        }
        let mut requests: BTreeMap<i32, FetchRequest> = BTreeMap::new();
        for (partition, position) in wanted {
            let leader = match client.metadata().leader(partition) {
                Err(error @ ClusterError::NoLeader(_)) => {
                    *trouble = Some(error);
                    continue;
                }
                leader => leader?,
            };
            let request = requests.entry(leader).or_insert_with(|| self.request());
            let fetch = FetchPartition {
                partition: partition.partition,
                fetch_offset: position.offset,
                partition_max_bytes: self.options.partition_max_bytes,
                ..FetchPartition::default()
            };
            match request.topics.last_mut().filter(|topic| *topic.topic == *partition.topic) {
                Some(topic) => topic.partitions.push(fetch),
                None => request.topics.push(FetchTopic {
                    topic: partition.topic.to_string(),
                    partitions: vec![fetch],
                    ..FetchTopic::default()
                }),
            }
        }
        Ok(requests)
    }

    fn request(&self) -> FetchRequest {
        FetchRequest {
            max_wait_ms: i32::try_from(self.options.max_wait.as_millis()).unwrap_or(i32::MAX),
            min_bytes: 1,
            max_bytes: self.options.max_bytes,
            isolation_level: i8::from(self.options.read_committed),
            ..FetchRequest::default()
        }
    }

    /// Shows the records of one answer; false when `visit` wants no more.
    fn take(
        &mut self,
        response: FetchResponse,
        visit: &mut impl FnMut(Consumed<'_>) -> bool,
        lost: &mut Vec<TopicPartition>,
        trouble: &mut Option<ClusterError>,
    ) -> Result<bool, ClusterError> {
        if response.error_code.is_error() {
            return Err(ClusterError::refused("reading records", response.error_code, None));
        }
        for topic in response.responses {
            for answer in topic.partitions {
                let partition = TopicPartition::new(topic.topic.as_str(), answer.partition_index);
                match answer.error_code {
                    ErrorCode::None => {
                        if !self.take_partition(&partition, &answer, visit)? {
                            return Ok(false);
                        }
                    }
                    ErrorCode::OffsetOutOfRange => lost.push(partition),
                    code if repeat::after_answer(ApiKey::Fetch, code) => {
                        *trouble = Some(ClusterError::refused(partition.to_string(), code, None));
                    }
                    code => return Err(ClusterError::refused(partition.to_string(), code, None)),
                }
            }
        }
        Ok(true)
    }

    /// Shows the records of one partition; false when `visit` wants no more.
    fn take_partition(
        &mut self,
        partition: &TopicPartition,
        answer: &FetchPartitionResponse,
        visit: &mut impl FnMut(Consumed<'_>) -> bool,
    ) -> Result<bool, ClusterError> {
        let Some(position) = self.positions.get_mut(partition) else { return Ok(true) };
        let WireRecords::Inline(bytes) = &answer.records else { return Ok(true) };
        let damaged = |error: RecordError| {
            ClusterError::refused(
                format!("{partition} at offset {}", position.offset),
                ErrorCode::CorruptMessage,
                Some(error.to_string()),
            )
        };
        let mut aborted = Aborted::new(answer.aborted_transactions.as_deref().unwrap_or_default());
        let mut next = position.offset;
        for batch in Batches::new(bytes) {
            let batch = batch.map_err(damaged)?;
            if aborted.hides(&batch).map_err(damaged)? || batch.header.is_control() {
                next = next.max(batch.header.next_offset());
                continue;
            }
            let plain = batch.plain_records(INFLATED_MAX).map_err(damaged)?;
            for record in Records::new(&batch.header, &plain) {
                let record = record.map_err(damaged)?;
                if record.offset < next {
                    continue;
                }
                if position.until.is_some_and(|until| record.offset >= until) {
                    position.offset = record.offset;
                    return Ok(true);
                }
                next = record.offset + 1;
                if !visit(Consumed { partition, record: &record, batch: &batch.header }) {
                    position.offset = next;
                    return Ok(false);
                }
            }
            next = next.max(batch.header.next_offset());
        }
        position.offset = next;
        Ok(true)
    }

    /// Moves positions that a partition does not have into what it has.
    async fn find_again(
        &mut self,
        client: &mut ClusterClient,
        lost: Vec<TopicPartition>,
    ) -> Result<Vec<Moved>, ClusterError> {
        let mut moved = Vec::new();
        if lost.is_empty() {
            return Ok(moved);
        }
        let starts = offsets::list_all(client, lost.iter().cloned(), OffsetSpec::Earliest).await?;
        let ends = offsets::list_all(client, lost.iter().cloned(), OffsetSpec::Latest).await?;
        for partition in lost {
            let Some(position) = self.positions.get_mut(&partition) else { continue };
            let (Some(start), Some(end)) = (starts.get(&partition), ends.get(&partition)) else { continue };
            let (from, to) = (position.offset, if position.offset < *start { *start } else { *end });
            position.offset = to;
            moved.push(Moved { partition, from, to });
        }
        Ok(moved)
    }

    /// After trouble that may pass: waits a moment and learns the leaders anew, within the client's patience.
    async fn recover(&mut self, client: &mut ClusterClient, trouble: Option<ClusterError>) -> Result<(), ClusterError> {
        let Some(error) = trouble else {
            self.failing_since = None;
            return Ok(());
        };
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        let lost = matches!(error, ClusterError::Connection(ClientError::Broken { .. } | ClientError::TimedOut { .. }));
        if since.elapsed() > client.options().patience || !(lost || repeat::after_failure(ApiKey::Fetch, &error)) {
            return Err(error);
        }
        sleep(PAUSE).await;
        let topics: BTreeSet<String> = self.positions.keys().map(|partition| partition.topic.to_string()).collect();
        client.learn_topics(Some(&topics.into_iter().collect::<Vec<_>>())).await?;
        Ok(())
    }
}

/// Which batches belong to aborted transactions (KIP-98): those of a producer from the first offset of its aborted
/// transaction to the marker that ends it.
struct Aborted<'a> {
    /// In the order of their first offsets.
    ahead: std::iter::Peekable<std::vec::IntoIter<&'a AbortedTransaction>>,
    producers: BTreeSet<i64>,
}

impl<'a> Aborted<'a> {
    fn new(transactions: &'a [AbortedTransaction]) -> Self {
        let mut ahead: Vec<_> = transactions.iter().collect();
        ahead.sort_by_key(|transaction| transaction.first_offset);
        Self { ahead: ahead.into_iter().peekable(), producers: BTreeSet::new() }
    }

    /// Says of the batches in their order whether they are not to be seen.
    fn hides(&mut self, batch: &Batch<'_>) -> Result<bool, RecordError> {
        let header = &batch.header;
        while let Some(begun) = self.ahead.next_if(|transaction| transaction.first_offset <= header.last_offset()) {
            self.producers.insert(begun.producer_id);
        }
        if header.is_control() {
            if let Some(record) = Records::new(header, batch.records_bytes()).next() {
                let marker = EndTransactionMarker::from_record(&record?);
                if marker.is_some_and(|marker| marker.result == TransactionResult::Abort) {
                    self.producers.remove(&header.producer_id.0);
                }
            }
            return Ok(true);
        }
        Ok(header.is_transactional() && self.producers.contains(&header.producer_id.0))
    }
}
