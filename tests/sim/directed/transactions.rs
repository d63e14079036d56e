//! Histories of transactions.

use std::collections::BTreeSet;

use ottla::model::{ErrorCode, ProducerId, TopicPartition, Wall};
use ottla::record::TransactionResult;
use ottla::transaction::{
    AddPartitions, Effect, EndTransaction, Event, InitProducer, Producer, Transaction, TransactionConfig,
    TransactionVersion,
};

use super::{Verdict, must};

const VERSION: TransactionVersion = TransactionVersion::V1;

/// What a coordinator appends and answers. What it cannot append does not happen, nor what comes after it.
fn ask(machine: &mut Transaction, event: Event, can_append: bool) -> Option<Result<Producer, ErrorCode>> {
    let config = TransactionConfig { timeout_ms_max: i32::MAX, expiration_ms: i64::MAX };
    for effect in machine.on_event(event, &config, Wall(0)) {
        match effect {
            Effect::Append(_) if !can_append => return None,
            Effect::Append(record) => machine.replay(record),
            Effect::Reply(answer) => return Some(answer),
            Effect::WriteMarkers(_) | Effect::NeedProducerId => {}
        }
    }
    None
}

/// With version 1 the next transaction has the epoch of the last. A coordinator that has completed the last one is
/// deposed; the next begins at its successor, and the client asks the wrong one to end it.
pub fn an_end_that_a_deposed_coordinator_calls_done() -> Verdict {
    let mut coordinator = Transaction::default();
    let init = Event::Init(InitProducer { timeout_ms: 60_000, known: None, fresh: Some(ProducerId(7)) });
    let producer = ask(&mut coordinator, init, true).and_then(Result::ok).ok_or("no producer id")?;
    let partitions = BTreeSet::from([TopicPartition::new("t", 0)]);
    let add = Event::AddPartitions(AddPartitions { producer, partitions: partitions.clone(), version: VERSION });
    let end = Event::End(EndTransaction { producer, result: TransactionResult::Commit, version: VERSION, fresh: None });
    ask(&mut coordinator, add.clone(), true);

    let mut deposed = coordinator.clone();
    let added = ask(&mut deposed, add.clone(), false);
    must(added.is_none(), "a deposed coordinator says that a partition is part of the next transaction")?;

    ask(&mut coordinator, end.clone(), true);
    ask(&mut coordinator, Event::MarkersWritten(partitions.into_iter().collect()), true);
    let mut deposed = coordinator.clone();
    ask(&mut coordinator, add, true);
    let ended = ask(&mut deposed, end.clone(), false);
    must(ended.is_none(), "a deposed coordinator says that the next transaction is committed")?;
    let ended = ask(&mut coordinator, end, true);
    must(ended == Some(Ok(producer)), "the coordinator does not commit the transaction")
}
