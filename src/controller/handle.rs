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
use tokio::sync::{mpsc, oneshot, watch};

use super::error::{ControllerError, FaultReport};
use super::identity::Identity;
use super::metrics::Decided;
use super::raft::{Leadership, Proposed, Quorum};
use crate::metadata::{Batch, ClusterDefaults, unclean_elections, uuid_bytes};
use crate::model::{BrokerId, TopicPartition, Uuid};
use crate::rpc::metadata::{InitializeCluster, MetadataCommand, MetadataReply, metadata_command::Kind};

/// Commands that may wait. Past it, callers wait for a place.
const QUEUED_MAX: usize = 1_024;
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
}

/// Puts commands into the queue. Cheap to clone.
#[derive(Clone)]
pub struct CommandQueue {
    sender: mpsc::Sender<Submission>,
    leadership: watch::Receiver<Leadership>,
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
        faults: FaultReport,
        decided: Arc<Decided>,
    ) -> (CommandQueue, Self) {
        let (sender, queue) = mpsc::channel(QUEUED_MAX);
        let commands = CommandQueue { sender, leadership: leadership.clone() };
        (commands, Self { queue, quorum, leadership, identity, defaults, faults, decided, ready_term: None })
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

    async fn carry_out(&mut self, batch: Vec<Submission>) -> Result<(), ControllerError> {
        if !self.is_ready().await? {
            refuse(batch);
            return Ok(());
        }
        let commands = batch.iter().map(|submission| &submission.command);
        let entry = self.decide(commands);
        let carry_out = async {
            match entry.records.is_empty() {
                true => Ok::<_, ControllerError>(self.quorum.confirm_leadership().await),
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

    fn decide<'a>(&self, commands: impl Iterator<Item = &'a MetadataCommand>) -> DecidedEntry {
        let image = self.quorum.applied().image();
        let mut batch = Batch::new(&image, &self.defaults);
        let replies = commands.map(|command| batch.decide(command)).collect();
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
    /// cluster before anything else.
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
        if self.quorum.applied().image().cluster_id().is_none() && !self.name_cluster().await? {
            return Ok(false);
        }
        self.ready_term = Some(leadership.term);
        Ok(true)
    }

    async fn name_cluster(&self) -> Result<bool, ControllerError> {
        let Some(cluster_id) = self.identity.cluster_id() else { return Ok(false) };
        let command = InitializeCluster { cluster_id: cluster_id.to_owned() };
        let command = MetadataCommand { kind: Some(Kind::InitializeCluster(command)) };
        let entry = self.decide([&command].into_iter());
        Ok(self.quorum.propose(entry.base_index, entry.records).await? == Proposed::Replayed)
    }
}

fn refuse(batch: Vec<Submission>) {
    for submission in batch {
        let _ = submission.answer.send(Submitted::NotController);
    }
}

/// Fills in what is random: deciding must not draw.
fn draw(command: &mut MetadataCommand) {
    let mut random = rand::rng();
    match &mut command.kind {
        Some(Kind::CreateTopics(create)) => {
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
