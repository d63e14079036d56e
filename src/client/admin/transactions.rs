//! Lists, describes and ends transactions, and finds those that hang: open in a partition, and forgotten by the
//! coordinator that should end them (KIP-664).

use std::collections::{BTreeMap, BTreeSet};

use super::unanimous;
use crate::client::{ClientError, ClusterClient, ClusterError, Coordinates, Target};
use crate::model::{ErrorCode, Offset, TopicPartition};
use crate::protocol::{
    ApiKey, DescribeProducersPartitionResponse, DescribeProducersRequest, DescribeProducersTopic,
    DescribeTransactionsRequest, DescribeTransactionsResponse, InitProducerIdRequest, ListTransactionsRequest,
    WritableTxnMarker, WritableTxnMarkerTopic, WriteTxnMarkersRequest, WriteTxnMarkersResponse,
};

/// Partitions in one question to a broker about producers.
const PARTITIONS_AT_ONCE: usize = 500;

/// The transaction of a producer that takes the place of another and never writes is over at once, in milliseconds.
const SHORTEST_TIMEOUT_MS: i32 = 1;

/// Which transactions are listed; what is empty or `None` lets all pass.
#[derive(Clone, Default, Debug)]
pub struct TransactionFilter {
    /// Names of states, such as `Ongoing`.
    pub states: Vec<String>,
    /// Ids of producers.
    pub producer_ids: Vec<i64>,
    /// Open for longer than this, in milliseconds (KIP-994).
    pub longer_than_ms: Option<i64>,
    /// A regular expression for the whole of the transactional id (KIP-1152).
    pub id_pattern: Option<String>,
}

/// A transactional id as its coordinator lists it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedTransaction {
    /// The id.
    pub transactional_id: String,
    /// The broker that coordinates it.
    pub coordinator: i32,
    /// Who produces under the id.
    pub producer_id: i64,
    /// `Empty`, `Ongoing`, `PrepareCommit`, …
    pub state: String,
}

/// A transactional id as its coordinator describes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransactionDescription {
    /// The id.
    pub transactional_id: String,
    /// The broker that coordinates it.
    pub coordinator: i32,
    /// Who produces under the id.
    pub producer_id: i64,
    /// How often the producer was replaced.
    pub producer_epoch: i16,
    /// `Empty`, `Ongoing`, `PrepareCommit`, …
    pub state: String,
    /// How long a transaction may last, in milliseconds.
    pub timeout_ms: i32,
    /// When the transaction began, in milliseconds since the Unix epoch; `None` when none is open.
    pub started_ms: Option<i64>,
    /// What the transaction has written to, and is not yet told how it ended.
    pub partitions: BTreeSet<TopicPartition>,
}

/// A producer as a partition remembers it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionProducer {
    /// The producer's id.
    pub producer_id: i64,
    /// Its epoch.
    pub producer_epoch: i32,
    /// Epoch of the coordinator that ended its last transaction here; −1 when none has.
    pub coordinator_epoch: i32,
    /// The sequence number of its last record; −1 when it is not known.
    pub last_sequence: i32,
    /// Of its last record, in milliseconds since the Unix epoch.
    pub last_timestamp_ms: i64,
    /// Where its open transaction begins.
    pub transaction_start: Option<Offset>,
}

impl PartitionProducer {
    /// Its epoch as requests have it; `None` when the broker tells one that cannot be.
    pub fn epoch(&self) -> Option<i16> {
        i16::try_from(self.producer_epoch).ok()
    }
}

/// A transaction that is open in a partition although no coordinator is going to end it: consumers that read what is
/// committed wait behind it for ever.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HangingTransaction {
    /// Where.
    pub partition: TopicPartition,
    /// Whose.
    pub producer: PartitionProducer,
}

/// The transactions of all live brokers, in the order of their ids.
pub async fn list(
    client: &mut ClusterClient,
    filter: &TransactionFilter,
) -> Result<Vec<ListedTransaction>, ClusterError> {
    let request = ListTransactionsRequest {
        state_filters: filter.states.clone(),
        producer_id_filters: filter.producer_ids.clone(),
        duration_filter: filter.longer_than_ms.unwrap_or(-1),
        transactional_id_pattern: filter.id_pattern.clone(),
    };
    let brokers: Vec<i32> = client.metadata().brokers.keys().copied().collect();
    let mut found = Vec::new();
    for broker in brokers {
        let target = Target::Broker(broker);
        expect_filters(client, &target, filter).await?;
        let answer = client.ask(&target, &request, |response| response.error_code).await?;
        if answer.error_code.is_error() {
            return Err(ClusterError::refused(format!("the transactions of broker {broker}"), answer.error_code, None));
        }
        if let Some(state) = answer.unknown_state_filters.first() {
            let why = Some("there is no such state".to_owned());
            return Err(ClusterError::refused(format!("state {state:?}"), ErrorCode::InvalidRequest, why));
        }
        found.extend(answer.transaction_states.into_iter().map(|listed| ListedTransaction {
            transactional_id: listed.transactional_id,
            coordinator: broker,
            producer_id: listed.producer_id,
            state: listed.transaction_state,
        }));
    }
    found.sort_by(|a, b| a.transactional_id.cmp(&b.transactional_id));
    Ok(found)
}

/// An older broker would leave a filter out that it does not know, and list everything.
async fn expect_filters(
    client: &mut ClusterClient,
    target: &Target,
    filter: &TransactionFilter,
) -> Result<(), ClusterError> {
    let needed = match filter {
        TransactionFilter { id_pattern: Some(_), .. } => 2,
        TransactionFilter { longer_than_ms: Some(_), .. } => 1,
        _ => 0,
    };
    let connection = client.connection_to(target).await?;
    match connection.version_of::<ListTransactionsRequest>(i16::MAX) {
        Some(version) if version >= needed => Ok(()),
        _ => {
            let address = connection.address().to_owned();
            Err(ClientError::NotServed { address, api_key: ApiKey::ListTransactions }.into())
        }
    }
}

/// Describes a transactional id.
pub async fn describe(client: &mut ClusterClient, id: &str) -> Result<TransactionDescription, ClusterError> {
    let target = coordinator(id);
    let request = DescribeTransactionsRequest { transactional_ids: vec![id.to_owned()] };
    let code = |answer: &DescribeTransactionsResponse| {
        answer.transaction_states.first().map_or(ErrorCode::TransactionalIdNotFound, |found| found.error_code)
    };
    let answer = client.ask(&target, &request, code).await?;
    let coordinator = client.broker_of(&target).await?.unwrap_or(-1);
    let refused = code(&answer);
    let found = answer.transaction_states.into_iter().next().filter(|_| !refused.is_error());
    let found = found.ok_or_else(|| ClusterError::refused(format!("transactional id {id:?}"), refused, None))?;
    let partitions = found.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|partition| TopicPartition::new(topic.topic.as_str(), *partition))
    });
    Ok(TransactionDescription {
        partitions: partitions.collect(),
        transactional_id: found.transactional_id,
        coordinator,
        producer_id: found.producer_id,
        producer_epoch: found.producer_epoch,
        state: found.transaction_state,
        timeout_ms: found.transaction_timeout_ms,
        started_ms: Some(found.transaction_start_time_ms).filter(|started| *started >= 0),
    })
}

/// The producers that a partition remembers, as its leader has them, or the replica of one broker.
pub async fn producers(
    client: &mut ClusterClient,
    partition: &TopicPartition,
    broker: Option<i32>,
) -> Result<Vec<PartitionProducer>, ClusterError> {
    let target = match broker {
        Some(broker) => Target::Broker(broker),
        None => Target::Leader(partition.clone()),
    };
    let mut found = ask_producers(client, &target, std::slice::from_ref(partition)).await?;
    found
        .pop()
        .map(|(_, producers)| producers)
        .ok_or_else(|| ClusterError::refused(partition.to_string(), ErrorCode::UnknownTopicOrPartition, None))
}

/// The partitions of these topics, or of all; with `broker` only those of which it has a replica.
pub async fn partitions(
    client: &mut ClusterClient,
    topics: Option<&[String]>,
    broker: Option<i32>,
) -> Result<Vec<TopicPartition>, ClusterError> {
    let known = client.learn_topics(topics).await?;
    let named = topics.map_or_else(|| known.topics.keys().cloned().collect(), <[String]>::to_vec);
    let mut found = Vec::new();
    for name in named {
        let partitions = known.topic(&name)?.partitions.iter();
        let here = partitions.filter(|partition| broker.is_none_or(|broker| partition.replica_nodes.contains(&broker)));
        found.extend(here.map(|partition| TopicPartition::new(name.as_str(), partition.partition_index)));
    }
    Ok(found)
}

/// Finds the transactions in these partitions that hang. Only those count whose last record is older than
/// `older_than_ms`, which should be above the longest time-out of any producer. With `broker` its replicas are asked
/// instead of the leaders.
pub async fn find_hanging(
    client: &mut ClusterClient,
    partitions: &[TopicPartition],
    older_than_ms: i64,
    broker: Option<i32>,
    now_ms: i64,
) -> Result<Vec<HangingTransaction>, ClusterError> {
    let is_old = |producer: &PartitionProducer| {
        producer.transaction_start.is_some() && now_ms - producer.last_timestamp_ms > older_than_ms
    };
    let mut open = open_transactions(client, partitions, broker).await?;
    open.retain(|found| is_old(&found.producer));
    if open.is_empty() {
        return Ok(open);
    }
    let coordinated = coordinated(client, &open).await?;
    let is_coordinated = |found: &HangingTransaction| {
        let of_producer = coordinated.get(&found.producer.producer_id);
        of_producer.is_some_and(|partitions| partitions.contains(&found.partition))
    };
    open.retain(|found| !is_coordinated(found));
    // What ended between the two questions is not open any more.
    let suspects: BTreeSet<TopicPartition> = open.iter().map(|found| found.partition.clone()).collect();
    let still = open_transactions(client, &suspects.into_iter().collect::<Vec<_>>(), broker).await?;
    open.retain(|found| still.contains(found));
    Ok(open)
}

/// The partitions that coordinators are going to tell how the transaction ended, by the ids of these producers.
async fn coordinated(
    client: &mut ClusterClient,
    open: &[HangingTransaction],
) -> Result<BTreeMap<i64, BTreeSet<TopicPartition>>, ClusterError> {
    let ids: BTreeSet<i64> = open.iter().map(|found| found.producer.producer_id).collect();
    let filter = TransactionFilter { producer_ids: ids.into_iter().collect(), ..TransactionFilter::default() };
    let mut coordinated = BTreeMap::new();
    for listed in list(client, &filter).await? {
        match describe(client, &listed.transactional_id).await {
            Ok(described) => coordinated.insert(described.producer_id, described.partitions),
            Err(ClusterError::Refused { code: ErrorCode::TransactionalIdNotFound, .. }) => None,
            Err(error) => return Err(error),
        };
    }
    Ok(coordinated)
}

async fn open_transactions(
    client: &mut ClusterClient,
    partitions: &[TopicPartition],
    broker: Option<i32>,
) -> Result<Vec<HangingTransaction>, ClusterError> {
    let mut by_broker: BTreeMap<i32, Vec<TopicPartition>> = BTreeMap::new();
    for partition in partitions {
        let asked = match broker {
            Some(broker) => broker,
            None => client.metadata().leader(partition)?,
        };
        by_broker.entry(asked).or_default().push(partition.clone());
    }
    let mut open = Vec::new();
    for (broker, partitions) in by_broker {
        for some in partitions.chunks(PARTITIONS_AT_ONCE) {
            for (partition, producers) in ask_producers(client, &Target::Broker(broker), some).await? {
                let in_transaction = producers.into_iter().filter(|producer| producer.transaction_start.is_some());
                open.extend(
                    in_transaction.map(|producer| HangingTransaction { partition: partition.clone(), producer }),
                );
            }
        }
    }
    open.sort_by(|a, b| a.partition.cmp(&b.partition));
    Ok(open)
}

async fn ask_producers(
    client: &mut ClusterClient,
    target: &Target,
    partitions: &[TopicPartition],
) -> Result<Vec<(TopicPartition, Vec<PartitionProducer>)>, ClusterError> {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for partition in partitions {
        topics.entry(&partition.topic).or_default().push(partition.partition);
    }
    let topic =
        |(name, partition_indexes): (&str, _)| DescribeProducersTopic { name: name.to_owned(), partition_indexes };
    let request = DescribeProducersRequest { topics: topics.into_iter().map(topic).collect() };
    let answer = client
        .ask(target, &request, |answer| {
            unanimous(answer.topics.iter().flat_map(|topic| &topic.partitions).map(|found| found.error_code))
        })
        .await?;
    let mut found = Vec::new();
    for topic in answer.topics {
        for answered in topic.partitions {
            let partition = TopicPartition::new(topic.name.as_str(), answered.partition_index);
            if answered.error_code.is_error() {
                let why = answered.error_message;
                return Err(ClusterError::refused(partition.to_string(), answered.error_code, why));
            }
            found.push((partition, read_producers(answered)));
        }
    }
    Ok(found)
}

fn read_producers(answered: DescribeProducersPartitionResponse) -> Vec<PartitionProducer> {
    let producer = |state: crate::protocol::ProducerState| PartitionProducer {
        producer_id: state.producer_id,
        producer_epoch: state.producer_epoch,
        coordinator_epoch: state.coordinator_epoch,
        last_sequence: state.last_sequence,
        last_timestamp_ms: state.last_timestamp,
        transaction_start: Some(state.current_txn_start_offset).filter(|start| *start >= 0),
    };
    answered.active_producers.into_iter().map(producer).collect()
}

/// Ends a hanging transaction by writing the marker of an abort into its partition. The coordinator is not asked: a
/// transaction that it is going to end must be left to it.
pub async fn abort(
    client: &mut ClusterClient,
    partition: &TopicPartition,
    producer_id: i64,
    producer_epoch: i16,
    coordinator_epoch: i32,
) -> Result<(), ClusterError> {
    let marked =
        WritableTxnMarkerTopic { name: partition.topic.to_string(), partition_indexes: vec![partition.partition] };
    let marker = WritableTxnMarker {
        producer_id,
        producer_epoch,
        transaction_result: false,
        topics: vec![marked],
        // Of a producer whose first transaction hangs no coordinator is known; no coordinator's epoch is below 0.
        coordinator_epoch: coordinator_epoch.max(0),
        transaction_version: 0,
    };
    let code = |answer: &WriteTxnMarkersResponse| {
        let topics = answer.markers.iter().flat_map(|marker| &marker.topics);
        let first = topics.flat_map(|topic| &topic.partitions).next();
        first.map_or(ErrorCode::UnknownServerError, |written| written.error_code)
    };
    let request = WriteTxnMarkersRequest { markers: vec![marker] };
    let answer = client.ask(&Target::Leader(partition.clone()), &request, code).await?;
    match code(&answer) {
        ErrorCode::None => Ok(()),
        code => Err(ClusterError::refused(format!("the transaction in {partition}"), code, None)),
    }
}

/// Ends whatever transaction a transactional id has open, through its coordinator: takes the producer's place, which
/// aborts what it has not committed and refuses what it still sends.
pub async fn force_terminate(client: &mut ClusterClient, id: &str) -> Result<(), ClusterError> {
    let request = InitProducerIdRequest {
        transactional_id: Some(id.to_owned()),
        transaction_timeout_ms: SHORTEST_TIMEOUT_MS,
        ..InitProducerIdRequest::default()
    };
    let answer = client.ask(&coordinator(id), &request, |answer| answer.error_code).await?;
    match answer.error_code {
        ErrorCode::None => Ok(()),
        code => Err(ClusterError::refused(format!("transactional id {id:?}"), code, None)),
    }
}

fn coordinator(id: &str) -> Target {
    Target::Coordinator(Coordinates::Transaction, id.to_owned())
}
