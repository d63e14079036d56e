//! The leader's queue of commands: one batch in flight at a time.
//!
//! A batch is decided over the applied image, proposed as one entry, and answered when that entry is applied. Because
//! only one is in flight, the image that the next batch is decided on holds all earlier ones; an entry that still
//! finds another image (this node lost the lead and won it again, say) is dropped and its callers try again.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use rand::RngCore;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use super::error::{ControllerError, FaultReport};
use super::identity::Identity;
use super::metrics::Decided;
use super::mutation_quotas::MutationQuotas;
use super::raft::{Leadership, Proposed, Quorum};
use crate::clock;
use crate::metadata::{Batch, ClusterDefaults, unclean_elections, uuid_bytes};
use crate::model::{BrokerId, TopicPartition, Uuid};
use crate::rpc::metadata::{InitializeCluster, MetadataCommand, MetadataReply, metadata_command::Kind};

/// Commands that may wait. Past it, callers wait for a place.
const QUEUED_MAX: usize = 1_024;
/// Bytes of brokers' commands that may wait or be carried out at a time. Past it, commands are turned away.
const QUEUED_BYTES_MAX: usize = 32 << 20;
/// A batch takes what has queued up, up to these bounds.
const BATCH_COMMANDS_MAX: usize = 256;
const BATCH_COMMAND_BYTES_MAX: usize = 256 << 10;

/// The answer to a submitted command.
#[derive(Clone, Debug, PartialEq)]
pub enum Submitted {
    /// The quorum's answer.
    Reply(Box<MetadataReply>),
    /// Nothing was done, or nobody can tell: ask the leader.
    NotController,
    /// Nothing was done: too much is waiting already. Try again later.
    Overloaded,
}

/// Puts commands into the queue. Cheap to clone.
#[derive(Clone)]
pub struct CommandQueue {
    sender: mpsc::Sender<Submission>,
    leadership: watch::Receiver<Leadership>,
    /// As many permits as there may be more bytes of brokers' commands.
    bytes: Arc<Semaphore>,
}

struct Submission {
    command: MetadataCommand,
    answer: oneshot::Sender<Submitted>,
}

/// Works the queue off.
pub struct Decider {
    queue: mpsc::Receiver<Submission>,
    quorum: Arc<Quorum>,
    leadership: watch::Receiver<Leadership>,
    identity: Arc<Identity>,
    defaults: ClusterDefaults,
    faults: FaultReport,
    decided: Arc<Decided>,
    mutation_quotas: MutationQuotas,
    /// The term in which this node has applied everything that came before it led.
    ready_term: Option<u64>,
}

/// A batch that has been decided: what goes into the log, and what is said once it is there.
struct DecidedEntry {
    replies: Vec<MetadataReply>,
    base_index: i64,
    records: Vec<Bytes>,
    unclean_elections: Vec<(TopicPartition, BrokerId)>,
}

impl CommandQueue {
    /// The same for a command that somebody else sent: it is turned away when too many bytes wait (invariant F1).
    /// The controller's own commands are few and small, and must not wait behind what brokers ask for.
    pub async fn submit_from_outside(&self, command: MetadataCommand) -> Submitted {
        let bytes = u32::try_from(command.encoded_len()).unwrap_or(u32::MAX);
        match self.bytes.try_acquire_many(bytes) {
            Ok(_held_until_answered) => self.submit(command).await,
            Err(_) => Submitted::Overloaded,
        }
    }

    /// Has the quorum carry out a command, if this node leads it.
    pub async fn submit(&self, mut command: MetadataCommand) -> Submitted {
        draw(&mut command);
        let (answer, outcome) = oneshot::channel();
        if !self.leadership.borrow().leads || self.sender.send(Submission { command, answer }).await.is_err() {
            return Submitted::NotController;
        }
        outcome.await.unwrap_or(Submitted::NotController)
    }
}

impl Decider {
    /// A queue and the task that works it off.
    pub fn new(
        quorum: Arc<Quorum>,
        leadership: watch::Receiver<Leadership>,
        identity: Arc<Identity>,
        defaults: ClusterDefaults,
        mutation_quotas: MutationQuotas,
        faults: FaultReport,
        decided: Arc<Decided>,
    ) -> (CommandQueue, Self) {
        let (sender, queue) = mpsc::channel(QUEUED_MAX);
        let commands =
            CommandQueue { sender, leadership: leadership.clone(), bytes: Arc::new(Semaphore::new(QUEUED_BYTES_MAX)) };
        let decider =
            Self { queue, quorum, leadership, identity, defaults, faults, decided, mutation_quotas, ready_term: None };
        (commands, decider)
    }

    /// Runs until the queue is closed or the Raft machine fails.
    pub async fn run(mut self) {
        let mut queued = VecDeque::new();
        let mut leadership = self.leadership.clone();
        loop {
            let mut received = Vec::new();
            let outcome = tokio::select! {
                count = self.queue.recv_many(&mut received, BATCH_COMMANDS_MAX) => {
                    if count == 0 {
                        return;
                    }
                    queued.extend(received);
                    self.carry_out_all(&mut queued).await
                }
                // A new leader makes itself ready without being asked.
                changed = leadership.changed() => match changed {
                    Ok(()) => self.is_ready().await.map(drop),
                    Err(_) => return,
                },
            };
            if let Err(error) = outcome {
                self.faults.report(error);
                return;
            }
        }
    }

    async fn carry_out_all(&mut self, queued: &mut VecDeque<Submission>) -> Result<(), ControllerError> {
        while !queued.is_empty() {
            let mut bytes = 0;
            let fitting = queued.iter().take_while(|next| {
                bytes += next.command.encoded_len();
                bytes <= BATCH_COMMAND_BYTES_MAX
            });
            let count = fitting.count().max(1);
            self.carry_out(queued.drain(..count).collect()).await?;
        }
        Ok(())
    }

    async fn carry_out(&mut self, mut batch: Vec<Submission>) -> Result<(), ControllerError> {
        if !self.is_ready().await? {
            refuse(batch);
            return Ok(());
        }
        let commands = batch.iter_mut().map(|submission| &mut submission.command);
        let entry = self.decide(commands);
        let is_newest = || self.quorum.applied().image().applied_index() == entry.base_index;
        let carry_out = async {
            match entry.records.is_empty() {
                // An earlier batch that nobody waits for any more may have been committed meanwhile.
                true => Ok::<_, ControllerError>(self.quorum.confirm_leadership().await && is_newest()),
                false => Ok(self.quorum.propose(entry.base_index, entry.records).await? == Proposed::Replayed),
            }
        };
        let mut leadership = self.leadership.clone();
        let carried_out = tokio::select! {
            carried_out = carry_out => carried_out?,
            // Cut off from the others: the batch may still be committed, but nobody here will wait for it.
            _ = leadership.wait_for(|leadership| !leadership.leads) => false,
        };
        if !carried_out {
            refuse(batch);
            return Ok(());
        }
        for (topic_partition, leader) in &entry.unclean_elections {
            tracing::warn!(%topic_partition, %leader, "an unclean election: records that others acknowledged may be lost");
        }
        self.decided.on_unclean_elections(entry.unclean_elections.len() as u64);
        for (submission, reply) in batch.into_iter().zip(entry.replies) {
            // A caller that went away needs no answer.
            let _ = submission.answer.send(Submitted::Reply(Box::new(reply)));
        }
        Ok(())
    }

    fn decide<'a>(&mut self, commands: impl Iterator<Item = &'a mut MetadataCommand>) -> DecidedEntry {
        let image = self.quorum.applied().image();
        let mut batch = Batch::new(&image, &self.defaults);
        let now = clock::monotonic();
        let replies = commands.map(|command| self.mutation_quotas.decide(&mut batch, command, now)).collect();
        let base_index = batch.base_index();
        let decided = batch.image().clone();
        let records = batch.into_records();
        DecidedEntry {
            replies,
            base_index,
            unclean_elections: unclean_elections(&decided, &records),
            records: records.iter().map(|record| record.encode_to_vec().into()).collect(),
        }
    }

    /// True when this node leads and its image holds everything that earlier leaders committed. To get there a new
    /// leader commits an empty batch: what precedes it in the log is then applied. The first leader of all names the
    /// cluster and settles its minimum of in-sync replicas before anything else.
    async fn is_ready(&mut self) -> Result<bool, ControllerError> {
        let leadership = *self.leadership.borrow();
        if !leadership.leads {
            return Ok(false);
        }
        if self.ready_term == Some(leadership.term) {
            return Ok(true);
        }
        if !self.quorum.has_applied_all() {
            let base_index = self.quorum.applied().image().applied_index();
            if self.quorum.propose(base_index, Vec::new()).await? == Proposed::NotLeader {
                return Ok(false);
            }
        }
        let image = self.quorum.applied().image();
        let is_initialized = image.cluster_id().is_some() && image.has_agreed_minimum();
        if !is_initialized && !self.initialize_cluster().await? {
            return Ok(false);
        }
        self.ready_term = Some(leadership.term);
        Ok(true)
    }

    async fn initialize_cluster(&mut self) -> Result<bool, ControllerError> {
        let Some(cluster_id) = self.identity.cluster_id() else { return Ok(false) };
        let command = InitializeCluster { cluster_id: cluster_id.to_owned() };
        let mut command = MetadataCommand { kind: Some(Kind::InitializeCluster(command)) };
        let entry = self.decide([&mut command].into_iter());
        Ok(self.quorum.propose(entry.base_index, entry.records).await? == Proposed::Replayed)
    }
}

fn refuse(batch: Vec<Submission>) {
    for submission in batch {
        let _ = submission.answer.send(Submitted::NotController);
    }
}

/// Fills in what is random, and the time: deciding must neither draw nor look at a clock.
fn draw(command: &mut MetadataCommand) {
    let mut random = rand::rng();
    let now_ms = clock::wall().0;
    match &mut command.kind {
        Some(Kind::DeleteTopics(delete)) => delete.now_ms = now_ms,
        Some(Kind::RemoveExpiredTopics(remove)) => remove.now_ms = now_ms,
        Some(Kind::CreateTopics(create)) => {
            create.now_ms = now_ms;
            for topic in &mut create.topics {
                topic.placement_seed = random.next_u64();
                if topic.topic_id.is_empty() {
                    let mut bytes = [0; 16];
                    random.fill_bytes(&mut bytes);
                    topic.topic_id = uuid_bytes(Uuid::from_random_bytes(bytes));
                }
            }
        }
        Some(Kind::CreatePartitions(create)) => {
            create.topics.iter_mut().for_each(|topic| topic.placement_seed = random.next_u64());
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn commands_beyond_the_bytes_that_may_wait_are_turned_away() {
        let (sender, mut queue) = mpsc::channel(QUEUED_MAX);
        let leadership = watch::channel(Leadership { leads: true, ..Leadership::default() }).1;
        let bytes = Arc::new(Semaphore::new(QUEUED_BYTES_MAX));
        let commands = CommandQueue { sender, leadership, bytes };
        let large = || {
            let command = InitializeCluster { cluster_id: "x".repeat(QUEUED_BYTES_MAX / 2) };
            MetadataCommand { kind: Some(Kind::InitializeCluster(command)) }
        };
        let first = tokio::spawn({
            let commands = commands.clone();
            async move { commands.submit_from_outside(large()).await }
        });
        let waiting = queue.recv().await.expect("it waits");
        assert_eq!(commands.submit_from_outside(large()).await, Submitted::Overloaded);
        // Who leads may go on: its own commands are not counted.
        let own = tokio::spawn({
            let commands = commands.clone();
            async move { commands.submit(large()).await }
        });
        refuse(vec![waiting, queue.recv().await.expect("it waits too")]);
        assert_eq!(first.await.unwrap(), Submitted::NotController);
        assert_eq!(own.await.unwrap(), Submitted::NotController);
        let again = tokio::spawn(async move { commands.submit_from_outside(large()).await });
        assert!(queue.recv().await.is_some(), "what was answered makes room");
        drop(queue);
        again.abort();
    }
}
