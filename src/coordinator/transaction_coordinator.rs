//! What handlers call: every request about transactions, answered by the partition its transactional id lives on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

use super::config::TransactionCoordinatorConfig;
use super::groups::group_error;
use super::host::{Host, Shard};
use super::markers::{LocalMarkers, MarkerWriter};
use super::offsets_topic::partition_for;
use super::peers::Peers;
use super::producer_ids::ProducerIds;
use super::topic_creation::TopicCreation;
use super::transactions::{Environment, Handled, Transactions};
use crate::cluster::{ControllerCalls, spawn_or_abort};
use crate::metadata::TopicImage;
use crate::model::{BrokerId, ErrorCode, ProducerId, TRANSACTION_STATE_TOPIC, TopicPartition};
use crate::partition::Replicas;
use crate::protocol::messages::{AddPartitionsToTxnRequest, AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction};
use crate::record::TransactionResult;
use crate::transaction::{
    AddPartitions, EndTransaction, Event, InitProducer, Producer, TransactionRecord, TransactionVersion,
};

/// What a partition's leader asks about a producer's first write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Membership {
    /// Whether the partition has been added to the transaction; clients of version 1 do that beforehand.
    Verify,
    /// To add it, for clients of version 2 (KIP-890).
    Add,
}

/// Coordinates the transactional ids whose partition of `__transaction_state` this broker leads.
pub struct TransactionCoordinator {
    broker_id: BrokerId,
    host: Arc<Host<Transactions>>,
    producer_ids: ProducerIds,
    peers: Peers,
    creation: TopicCreation,
    config: TransactionCoordinatorConfig,
}

impl TransactionCoordinator {
    /// Starts on the current runtime. Follows the leaderships that `replicas` tells of.
    pub fn start(
        config: TransactionCoordinatorConfig,
        broker_id: BrokerId,
        replicas: Arc<Replicas>,
        controller: ControllerCalls,
        producer_ids: ProducerIds,
        markers_here: Arc<LocalMarkers>,
    ) -> Arc<Self> {
        let peers = || Peers::new(replicas.clone(), config.inter_broker_listener.clone(), config.request_timeout);
        let markers = MarkerWriter::new(broker_id, replicas.clone(), markers_here, peers());
        let environment = Arc::new(Environment { config: config.transaction.clone(), markers });
        let new_machine = move |host| Transactions::new(environment.clone(), host);
        let host = Host::start(TRANSACTION_STATE_TOPIC, replicas.clone(), config.load_buffer_bytes, new_machine);
        let creation = TopicCreation::new(replicas.clone(), controller, config.topic.clone());
        let coordinator = Arc::new(Self { broker_id, host, peers: peers(), producer_ids, creation, config });
        coordinator.check_every(
            coordinator.config.timeout_check_interval,
            "transaction time-outs",
            Event::CheckTimeout,
        );
        coordinator.check_every(
            coordinator.config.expiration_check_interval,
            "transactional id expiry",
            Event::CheckExpiration,
        );
        coordinator
    }

    fn check_every(self: &Arc<Self>, interval: Duration, what: &'static str, event: Event) {
        let this = Arc::downgrade(self);
        spawn_or_abort(&Handle::current(), what, async move {
            loop {
                tokio::time::sleep(interval).await;
                let Some(this) = this.upgrade() else { return };
                this.check(&event).await;
            }
        });
    }

    /// One partition at a time, so that nobody waits long for a lock.
    async fn check(&self, event: &Event) {
        for partition in self.host.partitions() {
            // A partition that is not served any more has nothing to be checked.
            let _ = self.host.with(partition, |shard| {
                for transactional_id in shard.machine.ids() {
                    shard.handle(&transactional_id, event.clone());
                }
            });
            tokio::task::yield_now().await;
        }
    }

    /// `__transaction_state`, which is created if it does not exist: to find the coordinator of an id.
    pub async fn state_topic(&self) -> Result<Arc<TopicImage>, ErrorCode> {
        self.creation.ensure().await
    }

    /// A producer id for a producer without a transactional id.
    pub async fn next_producer_id(&self) -> Result<ProducerId, ErrorCode> {
        self.producer_ids.next().await
    }

    /// InitProducerId. `known` is what the producer says that it was.
    pub async fn init_producer(
        &self,
        transactional_id: &str,
        timeout_ms: i32,
        known: Option<Producer>,
    ) -> Result<Producer, ErrorCode> {
        self.request(transactional_id, |fresh| Event::Init(InitProducer { timeout_ms, known, fresh })).await
    }

    /// AddPartitionsToTxn. The partitions exist.
    pub async fn add_partitions(
        &self,
        transactional_id: &str,
        producer: Producer,
        partitions: &BTreeSet<TopicPartition>,
        version: TransactionVersion,
    ) -> Result<(), ErrorCode> {
        let event = |_| Event::AddPartitions(AddPartitions { producer, partitions: partitions.clone(), version });
        self.request(transactional_id, event).await.map(|_| ())
    }

    /// Tells of each partition whether it is part of the producer's transaction.
    pub async fn verify_partitions(
        &self,
        transactional_id: &str,
        producer: Producer,
        partitions: &[TopicPartition],
    ) -> Result<Vec<bool>, ErrorCode> {
        let (verified, written) = self.with(transactional_id, |shard| {
            let transaction = shard.machine.get(transactional_id);
            let verified = transaction.map(|transaction| transaction.verify(producer, partitions));
            (verified.unwrap_or(Err(ErrorCode::InvalidProducerIdMapping)), shard.written())
        })?;
        written.committed(self.config.request_timeout).await.map_err(|error| group_error(&error))?;
        verified
    }

    /// EndTxn; the producer as it goes on.
    pub async fn end(
        &self,
        transactional_id: &str,
        producer: Producer,
        result: TransactionResult,
        version: TransactionVersion,
    ) -> Result<Producer, ErrorCode> {
        let event = |fresh| Event::End(EndTransaction { producer, result, version, fresh });
        self.request(transactional_id, event).await
    }

    /// DescribeTransactions, for one id; `None` when it is not known.
    pub fn describe(&self, transactional_id: &str) -> Result<Option<TransactionRecord>, ErrorCode> {
        self.with(transactional_id, |shard| {
            shard.machine.get(transactional_id).and_then(|transaction| transaction.record().cloned())
        })
    }

    /// ListTransactions: the ids of all partitions served here that `wanted` picks; an error while some of them are
    /// being loaded.
    pub fn list(
        &self,
        wanted: impl Fn(&str, &TransactionRecord) -> bool,
    ) -> Result<Vec<(String, TransactionRecord)>, ErrorCode> {
        let mut found = Vec::new();
        for partition in self.host.partitions() {
            let collected = self.host.with(partition, |shard| {
                let wanted = shard.machine.iter().filter(|(id, record)| wanted(id, record));
                found.extend(wanted.map(|(id, record)| (id.to_owned(), record.clone())));
            });
            match collected {
                Ok(()) | Err(ErrorCode::NotCoordinator) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// What a partition's leader does before it appends a producer's first write to a partition: asks the coordinator,
    /// here or at another broker. An error for each partition, in order.
    pub async fn join(
        &self,
        transactional_id: &str,
        producer: Producer,
        partitions: &[TopicPartition],
        membership: Membership,
    ) -> Vec<ErrorCode> {
        let patient_until = Instant::now() + self.config.add_partitions_patience;
        loop {
            let outcomes = self.join_once(transactional_id, producer, partitions, membership).await;
            // The transaction before may still be on its way to its end; a client would wait longer.
            let busy = membership == Membership::Add && outcomes.contains(&ErrorCode::ConcurrentTransactions);
            if !busy || Instant::now() >= patient_until {
                return outcomes;
            }
            tokio::time::sleep(self.config.add_partitions_backoff).await;
        }
    }

    async fn join_once(
        &self,
        transactional_id: &str,
        producer: Producer,
        partitions: &[TopicPartition],
        membership: Membership,
    ) -> Vec<ErrorCode> {
        let joined = match self.leader(transactional_id) {
            None => Err(ErrorCode::CoordinatorNotAvailable),
            Some(leader) if leader == self.broker_id => {
                self.join_here(transactional_id, producer, partitions, membership).await
            }
            Some(leader) => self.join_elsewhere(leader, transactional_id, producer, partitions, membership).await,
        };
        joined.unwrap_or_else(|error| vec![error; partitions.len()])
    }

    async fn join_here(
        &self,
        transactional_id: &str,
        producer: Producer,
        partitions: &[TopicPartition],
        membership: Membership,
    ) -> Result<Vec<ErrorCode>, ErrorCode> {
        match membership {
            Membership::Verify => {
                let verified = self.verify_partitions(transactional_id, producer, partitions).await?;
                Ok(verified.into_iter().map(verified_code).collect())
            }
            Membership::Add => {
                let added: BTreeSet<_> = partitions.iter().cloned().collect();
                self.add_partitions(transactional_id, producer, &added, TransactionVersion::V2).await?;
                Ok(vec![ErrorCode::None; partitions.len()])
            }
        }
    }

    async fn join_elsewhere(
        &self,
        leader: BrokerId,
        transactional_id: &str,
        producer: Producer,
        partitions: &[TopicPartition],
        membership: Membership,
    ) -> Result<Vec<ErrorCode>, ErrorCode> {
        let topic = |partition: &TopicPartition| AddPartitionsToTxnTopic {
            name: partition.topic.to_string(),
            partitions: vec![partition.partition],
        };
        let transaction = AddPartitionsToTxnTransaction {
            transactional_id: transactional_id.to_owned(),
            producer_id: producer.id.0,
            producer_epoch: producer.epoch.0,
            verify_only: membership == Membership::Verify,
            topics: partitions.iter().map(topic).collect(),
        };
        let request = AddPartitionsToTxnRequest { transactions: vec![transaction], ..Default::default() };
        let response = self.peers.send(leader, &request).await.map_err(|error| {
            tracing::debug!("cannot ask about a transaction: {error}");
            ErrorCode::NetworkException
        })?;
        if response.error_code.is_error() {
            return Err(response.error_code);
        }
        let topics: Vec<_> =
            response.results_by_transaction.iter().flat_map(|transaction| &transaction.topic_results).collect();
        let outcome = |partition: &TopicPartition| {
            let of_topic = topics.iter().filter(|topic| *topic.name == *partition.topic);
            let mut results = of_topic.flat_map(|topic| &topic.results_by_partition);
            let found = results.find(|result| result.partition_index == partition.partition);
            found.map_or(ErrorCode::UnknownServerError, |result| result.partition_error_code)
        };
        Ok(partitions.iter().map(outcome).collect())
    }

    fn leader(&self, transactional_id: &str) -> Option<BrokerId> {
        let topic = self.creation.existing()?;
        topic.partition(self.partition(&topic, transactional_id))?.leader()
    }

    fn partition(&self, topic: &TopicImage, transactional_id: &str) -> i32 {
        partition_for(transactional_id, i32::try_from(topic.partition_count()).unwrap_or(i32::MAX))
    }

    async fn request(
        &self,
        transactional_id: &str,
        event: impl Fn(Option<ProducerId>) -> Event,
    ) -> Result<Producer, ErrorCode> {
        let mut fresh = None;
        loop {
            let handled = self.with(transactional_id, |shard| shard.handle(transactional_id, event(fresh)))?;
            match handled {
                Handled::NeedsProducerId => fresh = Some(self.producer_ids.next().await?),
                Handled::Decided(reply, written) => {
                    // What is told is committed, also when it is that another was quicker.
                    written.committed(self.config.request_timeout).await.map_err(|error| group_error(&error))?;
                    return reply.expect("every request is answered");
                }
            }
        }
    }

    fn with<T>(
        &self,
        transactional_id: &str,
        work: impl FnOnce(&mut Shard<Transactions>) -> T,
    ) -> Result<T, ErrorCode> {
        let topic = self.creation.existing().ok_or(ErrorCode::NotCoordinator)?;
        self.host.serve(self.partition(&topic, transactional_id), work)
    }
}

/// What is said of a partition that was verified. One that is missing was written to outside of the transaction.
pub fn verified_code(is_in_it: bool) -> ErrorCode {
    if is_in_it { ErrorCode::None } else { ErrorCode::TransactionAbortable }
}
