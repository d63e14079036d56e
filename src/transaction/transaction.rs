//! The rules.

use std::collections::BTreeSet;

use super::{
    AddPartitions, Effect, EndTransaction, Event, InitProducer, Markers, Producer, TransactionConfig,
    TransactionRecord, TransactionState, TransactionVersion,
};
use crate::model::{ErrorCode, ProducerEpoch, ProducerId, TopicPartition, Wall};
use crate::record::TransactionResult;

/// No producer gets an epoch above this one: a coordinator that aborts needs one more.
const CLIENT_EPOCH_MAX: i16 = i16::MAX - 1;

/// What is known of one transactional id. Changes only by [`Transaction::replay`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Transaction {
    record: Option<TransactionRecord>,
    /// While it ends: the partitions whose markers are not known to be written.
    unmarked: BTreeSet<TopicPartition>,
}

impl Transaction {
    /// What the log says of it.
    pub fn record(&self) -> Option<&TransactionRecord> {
        self.record.as_ref()
    }

    /// Takes over what a record states; `None` is a tombstone.
    pub fn replay(&mut self, record: Option<TransactionRecord>) {
        let ending = record.as_ref().filter(|record| record.state.is_ending());
        self.unmarked = ending.map(|record| record.partitions.clone()).unwrap_or_default();
        self.record = record;
    }

    /// Takes in one event and says what is to be done.
    pub fn on_event(&mut self, event: Event, config: &TransactionConfig, now: Wall) -> Vec<Effect> {
        match event {
            Event::Init(request) => answered(self.init(&request, config, now)),
            Event::AddPartitions(request) => answered(self.add_partitions(request, now)),
            Event::End(request) => answered(self.end(&request, now)),
            Event::MarkersWritten(partitions) => self.markers_written(&partitions, now),
            Event::Loaded if mutant!("decided-ends-not-taken-up") => Vec::new(),
            Event::Loaded => self.markers().into_iter().map(Effect::WriteMarkers).collect(),
            Event::CheckTimeout => self.check_timeout(now),
            Event::CheckExpiration => self.check_expiration(config, now),
        }
    }

    /// Tells of each partition whether it is part of the producer's transaction; nothing is changed.
    pub fn verify(&self, producer: Producer, partitions: &[TopicPartition]) -> Result<Vec<bool>, ErrorCode> {
        let record = self.vouch_for(producer)?;
        if record.state.is_ending() {
            return Err(ErrorCode::ConcurrentTransactions);
        }
        Ok(partitions.iter().map(|partition| record.partitions.contains(partition)).collect())
    }

    /// The record, if `producer` is the one that may write.
    fn of_producer(&self, producer: Producer) -> Result<&TransactionRecord, ErrorCode> {
        let record = self.record.as_ref().ok_or(ErrorCode::InvalidProducerIdMapping)?;
        if record.producer_id != producer.id {
            return Err(ErrorCode::InvalidProducerIdMapping);
        }
        if record.producer_epoch != producer.epoch {
            return Err(ErrorCode::ProducerFenced);
        }
        Ok(record)
    }

    /// The same for a partition that the producer is about to write to.
    fn vouch_for(&self, producer: Producer) -> Result<&TransactionRecord, ErrorCode> {
        match &self.record {
            Some(record) if mutant!("fenced-producers-vouched-for") => Ok(record),
            _ => self.of_producer(producer),
        }
    }

    fn init(&self, request: &InitProducer, config: &TransactionConfig, now: Wall) -> Decision {
        if request.timeout_ms <= 0 || request.timeout_ms > config.timeout_ms_max {
            return Err(ErrorCode::InvalidTransactionTimeout);
        }
        let Some(record) = &self.record else {
            let Some(fresh) = request.fresh else { return Ok(vec![Effect::NeedProducerId]) };
            return Ok(begun(empty(fresh, request.timeout_ms, now)));
        };
        check_known(record, request.known)?;
        match record.state {
            TransactionState::PrepareCommit if mutant!("decided-commit-is-aborted") => {
                Ok(self.abort_by_coordinator(record, now))
            }
            TransactionState::PrepareCommit | TransactionState::PrepareAbort => Err(ErrorCode::ConcurrentTransactions),
            // Whoever held the id before is fenced and its transaction aborted; the producer asks again.
            TransactionState::Ongoing if request.known.is_none_or(|known| known.epoch == record.producer_epoch) => {
                let mut effects = self.abort_by_coordinator(record, now);
                effects.push(Effect::Reply(Err(ErrorCode::ConcurrentTransactions)));
                Ok(effects)
            }
            TransactionState::Ongoing => Err(ErrorCode::ProducerFenced),
            _ => next_epoch(record, request, now),
        }
    }

    fn add_partitions(&self, request: AddPartitions, now: Wall) -> Decision {
        let record = self.vouch_for(request.producer)?;
        if record.state.is_ending() {
            return Err(ErrorCode::ConcurrentTransactions);
        }
        let is_ongoing = record.state == TransactionState::Ongoing;
        if is_ongoing && request.partitions.is_subset(&record.partitions) {
            let answer = vec![Effect::Reply(Ok(request.producer))];
            return Ok(match request.version {
                TransactionVersion::V1 => written_again(record, answer),
                TransactionVersion::V2 => answer,
            });
        }
        let mut next = TransactionRecord {
            state: TransactionState::Ongoing,
            started: record.started.filter(|_| is_ongoing).or(Some(now)),
            last_update: now,
            client_version: request.version,
            ..record.clone()
        };
        next.partitions.extend(request.partitions);
        Ok(vec![Effect::Append(Some(next)), Effect::Reply(Ok(request.producer))])
    }

    fn end(&self, request: &EndTransaction, now: Wall) -> Decision {
        match request.version {
            TransactionVersion::V1 => self.end_keeping_the_epoch(request, now),
            TransactionVersion::V2 => self.end_bumping_the_epoch(request, now),
        }
    }

    fn end_keeping_the_epoch(&self, request: &EndTransaction, now: Wall) -> Decision {
        let record = self.of_producer(request.producer)?;
        match (record.state, request.result) {
            (TransactionState::Ongoing, result) => {
                let next = TransactionRecord { client_version: request.version, ..ended(record, result, now) };
                Ok(prepared(next, Ok(request.producer)))
            }
            (state, result) => {
                let answer = already_ended(state, result, request.producer)?;
                Ok(written_again(record, answer))
            }
        }
    }

    fn end_bumping_the_epoch(&self, request: &EndTransaction, now: Wall) -> Decision {
        let record = self.record.as_ref().ok_or(ErrorCode::InvalidProducerIdMapping)?;
        let current = Producer { id: record.producer_id, epoch: record.producer_epoch };
        if is_retry(record, request.producer) {
            return already_ended(record.state, request.result, current);
        }
        self.of_producer(request.producer)?;
        match (record.state, request.result) {
            (TransactionState::Ongoing, _) => {}
            // An abort of nothing: a client may not know whether its only write has reached anybody.
            (state, _) if state.is_ending() => return Err(ErrorCode::ConcurrentTransactions),
            (_, TransactionResult::Abort) => {}
            _ => return Err(ErrorCode::InvalidTxnState),
        }
        let exhausted = record.producer_epoch.0 >= CLIENT_EPOCH_MAX;
        if exhausted && request.fresh.is_none() {
            return Ok(vec![Effect::NeedProducerId]);
        }
        let next = TransactionRecord {
            producer_epoch: if mutant!("end-keeps-the-epoch") {
                record.producer_epoch
            } else {
                ProducerEpoch(record.producer_epoch.0.saturating_add(1))
            },
            last_producer_epoch: record.producer_epoch,
            next_producer_id: request.fresh.filter(|_| exhausted).unwrap_or(ProducerId::NONE),
            client_version: request.version,
            ..ended(record, request.result, now)
        };
        let reply = match next.next_producer_id {
            ProducerId::NONE => Producer { id: next.producer_id, epoch: next.producer_epoch },
            id => Producer { id, epoch: ProducerEpoch(0) },
        };
        Ok(prepared(next, Ok(reply)))
    }

    /// Aborts in an epoch that nobody is told: whoever had the id is fenced.
    fn abort_by_coordinator(&self, record: &TransactionRecord, now: Wall) -> Vec<Effect> {
        let epochs = match record.client_version {
            _ if mutant!("coordinators-abort-keeps-the-epoch") => 0,
            TransactionVersion::V1 => 1,
            TransactionVersion::V2 => 2,
        };
        let next = TransactionRecord {
            producer_epoch: ProducerEpoch(record.producer_epoch.0.saturating_add(epochs)),
            last_producer_epoch: ProducerEpoch::NONE,
            ..ended(record, TransactionResult::Abort, now)
        };
        let markers = markers_of(&next, next.partitions.clone());
        std::iter::once(Effect::Append(Some(next))).chain(markers.map(Effect::WriteMarkers)).collect()
    }

    fn markers(&self) -> Option<Markers> {
        self.record.as_ref().and_then(|record| markers_of(record, self.unmarked.clone()))
    }

    fn markers_written(&mut self, partitions: &[TopicPartition], now: Wall) -> Vec<Effect> {
        partitions.iter().for_each(|partition| {
            self.unmarked.remove(partition);
        });
        let Some(record) = self.record.as_ref().filter(|record| record.state.is_ending()) else { return Vec::new() };
        let is_marked = self.unmarked.is_empty() || mutant!("one-marker-ends-all");
        if is_marked { vec![Effect::Append(Some(completed(record, now)))] } else { Vec::new() }
    }

    fn check_timeout(&self, now: Wall) -> Vec<Effect> {
        let ongoing = self.record.as_ref().filter(|record| record.state == TransactionState::Ongoing);
        let late = |started: Wall, timeout_ms: i32| now.0.saturating_sub(started.0) > i64::from(timeout_ms);
        match ongoing {
            Some(record) if record.started.is_some_and(|started| late(started, record.timeout_ms)) => {
                self.abort_by_coordinator(record, now)
            }
            _ => Vec::new(),
        }
    }

    fn check_expiration(&self, config: &TransactionConfig, now: Wall) -> Vec<Effect> {
        let at_rest =
            |record: &&TransactionRecord| record.state != TransactionState::Ongoing && !record.state.is_ending();
        match self.record.as_ref().filter(at_rest) {
            Some(record) if now.0.saturating_sub(record.last_update.0) >= config.expiration_ms => {
                vec![Effect::Append(None)]
            }
            _ => Vec::new(),
        }
    }
}

type Decision = Result<Vec<Effect>, ErrorCode>;

fn answered(decision: Decision) -> Vec<Effect> {
    decision.unwrap_or_else(|error| vec![Effect::Reply(Err(error))])
}

/// The state once more, before an answer that repeats what was said of it. With version 1 all transactions of a producer
/// have one epoch: a coordinator that is none any more, and does not know it, would take a request of the next
/// transaction for one of the last, and tell the client that something is done of which the new coordinator knows
/// nothing. Who can still write is the coordinator.
fn written_again(record: &TransactionRecord, answer: Vec<Effect>) -> Vec<Effect> {
    if mutant!("repeats-answer-from-memory") {
        return answer;
    }
    std::iter::once(Effect::Append(Some(record.clone()))).chain(answer).collect()
}

fn empty(producer_id: ProducerId, timeout_ms: i32, now: Wall) -> TransactionRecord {
    TransactionRecord {
        producer_id,
        producer_epoch: ProducerEpoch(0),
        previous_producer_id: ProducerId::NONE,
        next_producer_id: ProducerId::NONE,
        last_producer_epoch: ProducerEpoch::NONE,
        timeout_ms,
        state: TransactionState::Empty,
        partitions: BTreeSet::new(),
        started: None,
        last_update: now,
        client_version: TransactionVersion::V1,
    }
}

fn begun(record: TransactionRecord) -> Vec<Effect> {
    let producer = Producer { id: record.producer_id, epoch: record.producer_epoch };
    vec![Effect::Append(Some(record)), Effect::Reply(Ok(producer))]
}

/// What a producer says that it was must be this id, or the one before when its epochs were used up: the answer that
/// brought the new one may have been lost.
fn check_known(record: &TransactionRecord, known: Option<Producer>) -> Result<(), ErrorCode> {
    let fits = known.is_none_or(|known| {
        known.id == record.producer_id || (known.id == record.previous_producer_id && known.epoch.0 >= CLIENT_EPOCH_MAX)
    });
    if fits { Ok(()) } else { Err(ErrorCode::ProducerFenced) }
}

/// The epoch of the next producer, or of the same one after an error.
fn next_epoch(record: &TransactionRecord, request: &InitProducer, now: Wall) -> Decision {
    let last_producer_epoch = match request.known {
        None => ProducerEpoch::NONE,
        Some(known) if known.epoch == record.producer_epoch => known.epoch,
        // A retry: the answer to the first attempt was lost.
        Some(known) if known.epoch == record.last_producer_epoch => {
            let producer = Producer { id: record.producer_id, epoch: record.producer_epoch };
            return Ok(vec![Effect::Reply(Ok(producer))]);
        }
        Some(_) => return Err(ErrorCode::ProducerFenced),
    };
    let next = TransactionRecord {
        client_version: record.client_version,
        ..empty(record.producer_id, request.timeout_ms, now)
    };
    let next = if record.producer_epoch.0 < CLIENT_EPOCH_MAX {
        TransactionRecord {
            producer_epoch: if mutant!("init-keeps-the-epoch") {
                record.producer_epoch
            } else {
                ProducerEpoch(record.producer_epoch.0 + 1)
            },
            previous_producer_id: record.previous_producer_id,
            last_producer_epoch,
            ..next
        }
    } else {
        let Some(fresh) = request.fresh else { return Ok(vec![Effect::NeedProducerId]) };
        TransactionRecord { producer_id: fresh, previous_producer_id: record.producer_id, last_producer_epoch, ..next }
    };
    Ok(begun(next))
}

/// The decision to end; the epoch is the caller's.
fn ended(record: &TransactionRecord, result: TransactionResult, now: Wall) -> TransactionRecord {
    TransactionRecord {
        state: match result {
            TransactionResult::Commit => TransactionState::PrepareCommit,
            TransactionResult::Abort => TransactionState::PrepareAbort,
        },
        started: record.started.filter(|_| record.state == TransactionState::Ongoing).or(Some(now)),
        next_producer_id: ProducerId::NONE,
        last_update: now,
        ..record.clone()
    }
}

fn completed(record: &TransactionRecord, now: Wall) -> TransactionRecord {
    let state = match record.state {
        TransactionState::PrepareCommit => TransactionState::CompleteCommit,
        _ => TransactionState::CompleteAbort,
    };
    let same = TransactionRecord { state, partitions: BTreeSet::new(), last_update: now, ..record.clone() };
    match record.next_producer_id {
        ProducerId::NONE => same,
        next => TransactionRecord {
            producer_id: next,
            producer_epoch: ProducerEpoch(0),
            previous_producer_id: record.producer_id,
            next_producer_id: ProducerId::NONE,
            ..same
        },
    }
}

fn prepared(record: TransactionRecord, reply: Result<Producer, ErrorCode>) -> Vec<Effect> {
    let markers = markers_of(&record, record.partitions.clone());
    let markers = markers.map(Effect::WriteMarkers);
    if mutant!("markers-before-the-decision") {
        return markers.into_iter().chain([Effect::Append(Some(record)), Effect::Reply(reply)]).collect();
    }
    [Effect::Append(Some(record))].into_iter().chain(markers).chain([Effect::Reply(reply)]).collect()
}

fn markers_of(record: &TransactionRecord, partitions: BTreeSet<TopicPartition>) -> Option<Markers> {
    let result = match record.state {
        TransactionState::PrepareCommit => TransactionResult::Commit,
        TransactionState::PrepareAbort => TransactionResult::Abort,
        _ => return None,
    };
    let producer = Producer { id: record.producer_id, epoch: record.producer_epoch };
    Some(Markers { producer, result, version: record.client_version, partitions })
}

/// True for an EndTxn of version 2 whose end has been decided: the epoch has risen since, by one. When that used the
/// epochs up, the producer may have another id by now.
fn is_retry(record: &TransactionRecord, asked: Producer) -> bool {
    if record.client_version != TransactionVersion::V2 || record.state == TransactionState::Ongoing {
        return false;
    }
    let rotates = record.next_producer_id != ProducerId::NONE;
    let bumped = record.producer_id == asked.id
        && record.producer_epoch.0 == asked.epoch.0.saturating_add(1)
        // The last epoch of all is also reached when a coordinator aborts.
        && (record.producer_epoch.0 < i16::MAX || rotates);
    let rotated = record.previous_producer_id == asked.id
        && asked.epoch.0 == CLIENT_EPOCH_MAX
        && record.producer_epoch == ProducerEpoch(0);
    record.state != TransactionState::Empty && (bumped || rotated)
}

/// The answer to an end that was decided before, or cannot be.
fn already_ended(state: TransactionState, result: TransactionResult, current: Producer) -> Decision {
    match (state, result) {
        (TransactionState::CompleteCommit, TransactionResult::Commit)
        | (TransactionState::CompleteAbort, TransactionResult::Abort) => Ok(vec![Effect::Reply(Ok(current))]),
        (TransactionState::PrepareCommit, TransactionResult::Commit)
        | (TransactionState::PrepareAbort, TransactionResult::Abort) => Err(ErrorCode::ConcurrentTransactions),
        _ => Err(ErrorCode::InvalidTxnState),
    }
}
