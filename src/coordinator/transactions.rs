//! The transactional ids of one partition of `__transaction_state`: carries out what their machines decide.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::groups::group_error;
use super::host::{Host, Machine, Shard, Written};
use super::load::Logged;
use super::markers::MarkerWriter;
use super::transaction_state_topic;
use crate::clock;
use crate::cluster::spawn_or_abort;
use crate::metadata::ClusterImage;
use crate::model::ErrorCode;
use crate::protocol::DecodeError;
use crate::transaction::{Effect, Event, Markers, Producer, Transaction, TransactionConfig, TransactionRecord};

/// Pause before markers that could not be written are tried again.
const MARKER_RETRY_PAUSE: Duration = Duration::from_millis(100);

/// What the transactions of all partitions share.
pub(super) struct Environment {
    pub config: TransactionConfig,
    pub markers: MarkerWriter,
}

/// Transactions by transactional id.
pub(super) struct Transactions {
    environment: Arc<Environment>,
    host: Weak<Host<Transactions>>,
    by_id: HashMap<String, Transaction>,
}

/// What came of an event.
pub(super) enum Handled {
    /// It is to come again with a fresh producer id.
    NeedsProducerId,
    /// The answer, if somebody asked, and what must be committed before it is given.
    Decided(Option<Result<Producer, ErrorCode>>, Written),
}

impl Transactions {
    pub fn new(environment: Arc<Environment>, host: Weak<Host<Transactions>>) -> Self {
        Self { environment, host, by_id: HashMap::new() }
    }

    /// The transaction of this id.
    pub fn get(&self, transactional_id: &str) -> Option<&Transaction> {
        self.by_id.get(transactional_id)
    }

    /// All ids that are known, and what is known of them; in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &TransactionRecord)> {
        self.by_id.iter().filter_map(|(id, transaction)| Some((id.as_str(), transaction.record()?)))
    }

    /// The ids of all transactions.
    pub fn ids(&self) -> Vec<String> {
        self.by_id.keys().cloned().collect()
    }

    fn replay_record(&mut self, transactional_id: String, record: Option<TransactionRecord>) {
        match record {
            Some(record) => self.by_id.entry(transactional_id).or_default().replay(Some(record)),
            None => drop(self.by_id.remove(&transactional_id)),
        }
    }
}

impl Machine for Transactions {
    fn replay(&mut self, logged: Logged<'_>) -> Result<(), DecodeError> {
        // Nobody writes transactions into this topic.
        if let Logged::Record { key, value, .. } = logged {
            let (transactional_id, record) = transaction_state_topic::decode(key, value)?;
            self.replay_record(transactional_id, record);
        }
        Ok(())
    }

    /// What was decided by a former coordinator is carried out (invariant B7).
    fn on_loaded(shard: &mut Shard<Self>, _: &ClusterImage) {
        for transactional_id in shard.machine.ids() {
            shard.handle(&transactional_id, Event::Loaded);
        }
    }

    fn on_resigned(self, _: ErrorCode) {}
}

impl Shard<Transactions> {
    /// Lets an event into a transactional id's machine, and does what it says.
    pub fn handle(&mut self, transactional_id: &str, event: Event) -> Handled {
        let environment = self.machine.environment.clone();
        let mut unknown = Transaction::default();
        let transaction = self.machine.by_id.get_mut(transactional_id).unwrap_or(&mut unknown);
        let effects = transaction.on_event(event, &environment.config, clock::wall());
        let mut reply = None;
        for effect in effects {
            match effect {
                Effect::NeedProducerId => return Handled::NeedsProducerId,
                Effect::Append(record) => {
                    if let Err(error) = self.append_and_replay(transactional_id, record) {
                        reply = Some(Err(error));
                        break;
                    }
                }
                Effect::WriteMarkers(markers) => self.write_markers(transactional_id, markers),
                Effect::Reply(answer) => reply = Some(answer),
            }
        }
        Handled::Decided(reply, self.written())
    }

    fn append_and_replay(&mut self, id: &str, record: Option<TransactionRecord>) -> Result<(), ErrorCode> {
        let batch = transaction_state_topic::batch(id, record.as_ref(), clock::wall());
        self.append(batch).map_err(|error| group_error(&error))?;
        match &record {
            Some(record) => {
                let TransactionRecord { state, producer_id, producer_epoch, .. } = record;
                tracing::debug!(transactional_id = id, %state, %producer_id, %producer_epoch, "transaction");
            }
            None => tracing::info!(transactional_id = id, "forgot a transactional id that was not used for long"),
        }
        self.machine.replay_record(id.to_owned(), record);
        Ok(())
    }

    /// Ends the transaction in all its partitions, once the decision is committed, and as long as this broker
    /// coordinates it: a successor begins anew.
    fn write_markers(&self, transactional_id: &str, markers: Markers) {
        let ending = Ending {
            host: self.machine.host.clone(),
            environment: self.machine.environment.clone(),
            partition: self.partition,
            transactional_id: transactional_id.to_owned(),
            coordinator_epoch: self.leader_epoch().0,
            decided: self.written(),
            markers,
        };
        spawn_or_abort(&tokio::runtime::Handle::current(), "transaction markers", ending.run());
    }
}

/// A transaction that is decided and has to be ended in its partitions.
struct Ending {
    host: Weak<Host<Transactions>>,
    environment: Arc<Environment>,
    partition: i32,
    transactional_id: String,
    coordinator_epoch: i32,
    decided: Written,
    markers: Markers,
}

impl Ending {
    async fn run(mut self) {
        if self.decided.committed_at_last().await.is_err() {
            return;
        }
        loop {
            let written = self.environment.markers.write(&self.markers, self.coordinator_epoch).await;
            written.iter().for_each(|partition| {
                self.markers.partitions.remove(partition);
            });
            let Some(host) = self.host.upgrade() else { return };
            let is_done = host.with(self.partition, |shard| {
                if !self.decided.is_of(shard) {
                    return true;
                }
                shard.handle(&self.transactional_id, Event::MarkersWritten(written));
                !shard.machine.get(&self.transactional_id).is_some_and(|transaction| self.is_ending(transaction))
            });
            drop(host);
            if is_done.unwrap_or(true) {
                return;
            }
            tokio::time::sleep(MARKER_RETRY_PAUSE).await;
        }
    }

    fn is_ending(&self, transaction: &Transaction) -> bool {
        let producer = self.markers.producer;
        transaction.record().is_some_and(|record| {
            record.state.is_ending() && record.producer_id == producer.id && record.producer_epoch == producer.epoch
        })
    }
}
