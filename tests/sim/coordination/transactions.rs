//! The transaction coordinator as a broker runs it: the real machine of each transactional id over a partition of the
//! simulated cluster.
//!
//! It does what `coordinator/transactions.rs` does: append what a machine decides, replay it, answer once it is
//! committed, and write markers until every partition has its own.

use std::collections::BTreeMap;

use bytes::Bytes;
use ottla::coordinator::transaction_state_topic;
use ottla::log::LogError;
use ottla::metadata::ClusterImage;
use ottla::model::{ErrorCode, Offset, ProducerId, TopicPartition};
use ottla::record::EndTransactionMarker;
use ottla::transaction::{
    Effect, Event, Markers, Producer, Transaction, TransactionConfig, TransactionRecord, TransactionVersion,
};

use crate::context::{Context, Timer};
use crate::message::{Address, Message};
use crate::quorum::{TOPIC, node_of};
use crate::replica::{Me, Replica};

use super::host::{Change, Host, Machine};

/// An event that may have to come again with a fresh producer id.
pub type EventOf<'a> = &'a dyn Fn(Option<ProducerId>) -> Event;

/// The transactional ids of the partition.
#[derive(Default)]
pub struct Transactions(BTreeMap<String, Transaction>);

impl Machine for Transactions {
    fn replay(&mut self, _: Option<ProducerId>, key: &Bytes, value: Option<&Bytes>) {
        let (id, record) = transaction_state_topic::decode(key, value).expect("a coordinator wrote it");
        self.take(id, record);
    }
}

impl Transactions {
    fn take(&mut self, id: String, record: Option<TransactionRecord>) {
        match record {
            Some(record) => self.0.entry(id).or_default().replay(Some(record)),
            None => drop(self.0.remove(&id)),
        }
    }
}

/// Who asked, and with which request.
type Asker = (Address, u64);

/// An answer that is given once the log is committed up to an offset.
struct Waiting {
    committed: Offset,
    asker: Asker,
    answer: Result<Producer, ErrorCode>,
}

/// A decided transaction whose partitions get their markers.
struct Ending {
    decided: Offset,
    markers: Markers,
    /// The requests under way, and their partitions.
    asked: BTreeMap<u64, i32>,
    begun: bool,
}

impl Ending {
    /// Answers to what was asked so far come to nothing.
    fn forget_asked(&mut self, ctx: &mut Context) {
        for request in std::mem::take(&mut self.asked).into_keys() {
            ctx.awaited_markers.remove(&request);
        }
    }
}

pub struct Coordinator {
    host: Host<Transactions>,
    waiting: Vec<Waiting>,
    endings: BTreeMap<String, Ending>,
}

/// A transactional id is the number of its producer.
pub fn name(id: u64) -> String {
    format!("tx-{id}")
}

impl Coordinator {
    pub fn new(partition: i32) -> Self {
        Self { host: Host::new(partition), waiting: Vec::new(), endings: BTreeMap::new() }
    }

    /// Follows the replica: loads, gives answers whose records are committed, begins to write markers.
    pub fn look(
        &mut self,
        mut replica: Option<&mut Replica>,
        image: &ClusterImage,
        me: &Me,
        ctx: &mut Context,
    ) -> Result<(), LogError> {
        match self.host.look(replica.as_deref())? {
            Change::None => {}
            Change::Resigned => {
                std::mem::take(&mut self.endings).values_mut().for_each(|ending| ending.forget_asked(ctx));
                for waiting in std::mem::take(&mut self.waiting) {
                    answer(me, waiting.asker, Err(ErrorCode::NotCoordinator), ctx);
                }
            }
            Change::Loaded => {
                ctx.note(|| format!("broker {} coordinates transactions", me.id));
                let timer = Timer::TransactionTimeouts { partition: self.host.partition };
                ctx.timer(me.address(), ctx.swarm.transaction_timeout_ms / 2, timer);
                if let Some(replica) = replica.as_deref_mut() {
                    self.for_each(&Event::Loaded, replica, me, ctx)?;
                }
            }
        }
        let high_watermark = replica.map_or(0, |replica| replica.high_watermark());
        let (done, waiting) =
            std::mem::take(&mut self.waiting).into_iter().partition(|waiting| waiting.committed <= high_watermark);
        self.waiting = waiting;
        let done: Vec<Waiting> = done;
        done.into_iter().for_each(|waiting| answer(me, waiting.asker, waiting.answer, ctx));
        let begin = |(id, ending): (&String, &mut Ending)| {
            let begins = !ending.begun && ending.decided <= high_watermark;
            ending.begun |= begins;
            begins.then(|| id.clone())
        };
        let begun: Vec<String> = self.endings.iter_mut().filter_map(begin).collect();
        begun.iter().for_each(|id| self.send_markers(id, image, me, ctx));
        Ok(())
    }

    /// Lets an event into the machine of every transactional id.
    pub fn for_each(
        &mut self,
        event: &Event,
        replica: &mut Replica,
        me: &Me,
        ctx: &mut Context,
    ) -> Result<(), LogError> {
        let Ok(machine) = self.host.machine() else { return Ok(()) };
        let ids: Vec<String> = machine.0.keys().cloned().collect();
        ids.into_iter().try_for_each(|id| self.handle(&id, None, &|_| event.clone(), replica, me, ctx))
    }

    /// Lets an event into a machine, and does what it says.
    pub fn handle(
        &mut self,
        id: &str,
        asker: Option<Asker>,
        event: EventOf<'_>,
        replica: &mut Replica,
        me: &Me,
        ctx: &mut Context,
    ) -> Result<(), LogError> {
        let config = TransactionConfig { timeout_ms_max: i32::MAX, expiration_ms: i64::MAX };
        let mut effects = Vec::new();
        for fresh in [None, Some(ctx.next_request() as i64)] {
            let machine = match self.host.machine() {
                Ok(machine) => machine,
                Err(error) => {
                    asker.into_iter().for_each(|asker| answer(me, asker, Err(error), ctx));
                    return Ok(());
                }
            };
            let mut unknown = Transaction::default();
            let transaction = machine.0.get_mut(id).unwrap_or(&mut unknown);
            effects = transaction.on_event(event(fresh.map(ProducerId)), &config, me.wall);
            if effects != [Effect::NeedProducerId] {
                break;
            }
        }
        let mut reply = None;
        let decides = |effect: &Effect| matches!(effect, Effect::Append(Some(record)) if record.state.is_ending());
        let decided = effects.iter().any(decides);
        for effect in effects {
            match effect {
                Effect::NeedProducerId => unreachable!("the event came with a producer id"),
                Effect::Append(record) => {
                    if let Err(error) = self.append(id, record, replica, me, ctx)? {
                        reply = Some(Err(error));
                        break;
                    }
                }
                Effect::WriteMarkers(markers) => {
                    let decided = self.host.written;
                    let ending = Ending { decided, markers, asked: BTreeMap::new(), begun: false };
                    self.endings.insert(id.to_owned(), ending);
                }
                Effect::Reply(answer) => reply = Some(answer),
            }
        }
        if decided {
            ctx.maybe_ambush(me.node);
        }
        if let (Some(asker), Some(answer)) = (asker, reply) {
            self.waiting.push(Waiting { committed: self.host.written, asker, answer });
        }
        Ok(())
    }

    fn append(
        &mut self,
        id: &str,
        record: Option<TransactionRecord>,
        replica: &mut Replica,
        me: &Me,
        ctx: &mut Context,
    ) -> Result<Result<(), ErrorCode>, LogError> {
        let bytes: Bytes = transaction_state_topic::batch(id, record.as_ref(), me.wall);
        let Some(leader_epoch) = self.host.leader_epoch else { return Ok(Err(ErrorCode::NotCoordinator)) };
        record.iter().for_each(|record| ctx.oracle.transaction_record(&bytes, id, record));
        let appended = replica.append_internal(bytes, None, leader_epoch, me, ctx);
        if appended.is_err() {
            self.host.reload(replica);
        }
        match appended? {
            Ok(next_offset) => {
                self.host.written = next_offset;
                if let (Ok(machine), Some(record)) = (self.host.machine(), &record) {
                    ctx.note(|| {
                        format!(
                            "broker {}: {id} is {} {}@{}",
                            me.id, record.state, record.producer_id, record.producer_epoch
                        )
                    });
                    machine.take(id.to_owned(), Some(record.clone()));
                }
                Ok(Ok(()))
            }
            Err(ErrorCode::NotEnoughReplicas) => Ok(Err(ErrorCode::CoordinatorNotAvailable)),
            Err(_) => {
                self.host.reload(replica);
                Ok(Err(ErrorCode::CoordinatorNotAvailable))
            }
        }
    }

    /// Whether the producer's transaction holds the partition already.
    pub fn verify(&mut self, id: &str, asker: Asker, producer: Producer, partition: i32, me: &Me, ctx: &mut Context) {
        let unknown = Transaction::default();
        let verdict = self.host.machine().and_then(|machine| {
            let transaction = machine.0.get(id).unwrap_or(&unknown);
            transaction.verify(producer, &[TopicPartition::new(TOPIC, partition)])
        });
        let verdict = verdict.and_then(|is_in_it| match is_in_it[..] {
            [true] => Ok(producer),
            _ => Err(ErrorCode::TransactionAbortable),
        });
        match self.host.machine() {
            Ok(_) => self.waiting.push(Waiting { committed: self.host.written, asker, answer: verdict }),
            Err(error) => answer(me, asker, Err(error), ctx),
        }
    }

    /// Writes the markers that are missing, and looks again later.
    fn send_markers(&mut self, id: &str, image: &ClusterImage, me: &Me, ctx: &mut Context) {
        let Some(ending) = self.endings.get_mut(id).filter(|ending| ending.begun) else { return };
        ending.forget_asked(ctx);
        let coordinator_epoch = self.host.leader_epoch.map_or(-1, |epoch| epoch.0);
        let Markers { producer, result, version, .. } = ending.markers;
        let expires = match version {
            TransactionVersion::V1 => ctx.now + ctx.swarm.request_timeout_ms,
            TransactionVersion::V2 => u64::MAX,
        };
        for partition in ending.markers.partitions.iter().map(|partition| partition.partition) {
            let request = ctx.next_request();
            ending.asked.insert(request, partition);
            ctx.awaited_markers.insert(request);
            if let Some(leader) = leader_of(image, partition) {
                let marker = EndTransactionMarker { result, coordinator_epoch };
                let message = Message::WriteMarker { request, partition, producer, marker, version, expires };
                ctx.send(me.address(), Address::Broker(leader), message);
            }
        }
        let number = id.trim_start_matches("tx-").parse().expect("a transactional id has a number");
        ctx.timer(me.address(), ctx.swarm.request_timeout_ms, Timer::Markers { id: number });
    }
}

impl Coordinator {
    /// A partition's leader has answered.
    pub fn on_marker_reply(
        &mut self,
        request: u64,
        error: ErrorCode,
        replica: &mut Replica,
        me: &Me,
        ctx: &mut Context,
    ) -> Result<(), LogError> {
        let asked = |(id, ending): (&String, &mut Ending)| Some((id.clone(), ending.asked.remove(&request)?));
        let Some((id, partition)) = self.endings.iter_mut().find_map(asked) else { return Ok(()) };
        ctx.awaited_markers.remove(&request);
        let is_final = matches!(
            error,
            ErrorCode::None | ErrorCode::InvalidProducerEpoch | ErrorCode::TransactionCoordinatorFenced
        );
        if !is_final {
            return Ok(());
        }
        let partition = TopicPartition::new(TOPIC, partition);
        if let Some(ending) = self.endings.get_mut(&id) {
            ending.markers.partitions.remove(&partition);
        }
        self.written(&id, vec![partition], replica, me, ctx)
    }

    /// Tells the machine of markers that are written, and forgets the end once it is complete.
    fn written(
        &mut self,
        id: &str,
        partitions: Vec<TopicPartition>,
        replica: &mut Replica,
        me: &Me,
        ctx: &mut Context,
    ) -> Result<(), LogError> {
        self.handle(id, None, &|_| Event::MarkersWritten(partitions.clone()), replica, me, ctx)?;
        let machine = self.host.machine().ok();
        let record = machine.and_then(|machine| machine.0.get(id)).and_then(|transaction| transaction.record());
        let of = |ending: &Ending| ending.markers.producer;
        let is_ending = |record: &TransactionRecord, producer: Producer| {
            record.state.is_ending() && record.producer_id == producer.id && record.producer_epoch == producer.epoch
        };
        let goes_on = self.endings.get(id).map(of).is_some_and(|of| record.is_some_and(|record| is_ending(record, of)));
        if !goes_on && let Some(mut ending) = self.endings.remove(id) {
            ending.forget_asked(ctx);
        }
        Ok(())
    }

    /// Looks again after markers that are missing. When none is, the record that says so could not be appended yet.
    pub fn on_timer(
        &mut self,
        id: &str,
        image: &ClusterImage,
        replica: &mut Replica,
        me: &Me,
        ctx: &mut Context,
    ) -> Result<(), LogError> {
        if self.endings.get(id).is_some_and(|ending| ending.begun && ending.markers.partitions.is_empty()) {
            self.written(id, Vec::new(), replica, me, ctx)?;
        }
        self.send_markers(id, image, me, ctx);
        Ok(())
    }
}

/// Who leads the partition, as far as this broker knows.
pub fn leader_of(image: &ClusterImage, partition: i32) -> Option<usize> {
    image.topic_by_name(TOPIC)?.partition(partition)?.leader().map(node_of)
}

fn answer(me: &Me, (to, request): Asker, answer: Result<Producer, ErrorCode>, ctx: &mut Context) {
    ctx.send(me.address(), to, Message::TransactionReply { request, answer });
}
