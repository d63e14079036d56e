//! What is remembered of idempotent producers.

use crate::model::{Offset, ProducerEpoch, ProducerId};

/// A producer as DescribeProducers shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProducerInfo {
    /// The producer.
    pub producer_id: ProducerId,
    /// Its newest epoch.
    pub producer_epoch: ProducerEpoch,
    /// The last sequence number, −1 for none.
    pub last_sequence: i32,
    /// The largest timestamp of its last batch; milliseconds.
    pub last_timestamp: i64,
    /// Epoch of the coordinator that wrote its last marker, −1 for none.
    pub coordinator_epoch: i32,
    /// Where its open transaction began.
    pub current_txn_start_offset: Option<Offset>,
}
