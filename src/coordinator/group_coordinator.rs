//! What handlers call: every group request, answered by the partition its group lives on.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use super::config::GroupCoordinatorConfig;
use super::groups::{Asked, Environment, Groups, group_error, now, offset_error};
use super::host::{Host, Shard, Written};
use super::offsets_topic::partition_for;
use super::topic_creation::TopicCreation;
use crate::cluster::{ControllerCalls, PublishedImage, spawn_or_abort};
use crate::group::{
    CommittedOffset, Event, GroupDescription, GroupState, GroupType, Heartbeat, JoinGroup, JoinReply, LeaveGroup,
    LeaveReply, Membership, OffsetCommit, OffsetCommitDecision, Rebalance, Reply, SyncGroup, SyncReply, Token,
};
use crate::log::VerificationGuard;
use crate::metadata::{ImageDelta, TopicImage};
use crate::model::{CONSUMER_OFFSETS_TOPIC, ErrorCode, Offset, TopicId, TopicPartition, Uuid};
use crate::partition::{MarkerRequest, PartitionError, Replicas};
use crate::transaction::Producer;

/// A group as ListGroups shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedGroup {
    /// Its id.
    pub group_id: String,
    /// Empty for a group that never had members.
    pub protocol_type: String,
    /// Its state.
    pub state: GroupState,
    /// Which protocol its members speak.
    pub group_type: GroupType,
}

/// What a group has committed for one partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupProgress {
    /// The group's id.
    pub group: String,
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's index.
    pub partition: i32,
    /// The offset.
    pub offset: Offset,
}

/// Which offsets are asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OffsetsOf {
    /// Everything the group has committed.
    All,
    /// These partitions, each by topic name, topic id and index.
    Partitions(Vec<(Arc<str>, TopicId, i32)>),
}

/// A partition that was asked for, and what is committed for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchedOffset {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's index.
    pub partition: i32,
    /// `None` when nothing is.
    pub offset: Option<CommittedOffset>,
    /// An open transaction may change it (KIP-447).
    pub unstable: bool,
}

/// Why a whole OffsetCommit is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OffsetCommitError {
    /// A member of a group that does not exist. What it is told depends on the request's version.
    NoSuchGroup,
    /// Anything else.
    Refused(ErrorCode),
}

/// Coordinates the groups whose partition of `__consumer_offsets` this broker leads.
pub struct GroupCoordinator {
    host: Arc<Host<Groups>>,
    environment: Arc<Environment>,
    creation: TopicCreation,
}

impl GroupCoordinator {
    /// Starts on the current runtime. Follows the leaderships that `replicas` tells of, and the deletion of topics
    /// in `images`.
    pub fn start(
        config: GroupCoordinatorConfig,
        replicas: Arc<Replicas>,
        controller: ControllerCalls,
        images: &PublishedImage,
    ) -> Arc<Self> {
        let creation = TopicCreation::new(replicas.clone(), controller, config.topic());
        let retention_check_interval = config.retention_check_interval;
        let environment = Arc::new(Environment {
            config: config.group,
            limits: config.consumer_limits,
            commit_timeout: config.commit_timeout,
            alarm: Default::default(),
            replicas: replicas.clone(),
            topic_versions: Default::default(),
        });
        let shared = environment.clone();
        let new_machine = move |host| Groups::new(shared.clone(), host);
        let host = Host::start(CONSUMER_OFFSETS_TOPIC, replicas, config.load_buffer_bytes, new_machine);
        let coordinator = Arc::new(Self { host, environment, creation });
        coordinator.start_tasks(retention_check_interval, images);
        coordinator
    }

    fn start_tasks(self: &Arc<Self>, retention_check_interval: Duration, images: &PublishedImage) {
        let runtime = Handle::current();
        let this = Arc::downgrade(self);
        let environment = self.environment.clone();
        spawn_or_abort(&runtime, "group timers", async move {
            loop {
                environment.alarm.ring().await;
                let Some(this) = this.upgrade() else { return };
                this.host.for_each(Shard::run_timers);
            }
        });
        let this = Arc::downgrade(self);
        spawn_or_abort(&runtime, "offset expiry", async move {
            loop {
                tokio::time::sleep(retention_check_interval).await;
                let Some(this) = this.upgrade() else { return };
                this.expire_offsets().await;
            }
        });
        let this = Arc::downgrade(self);
        let mut changes = images.subscribe();
        spawn_or_abort(&runtime, "offsets of deleted topics", async move {
            loop {
                let delta = changes.next().await;
                let Some(this) = this.upgrade() else { return };
                this.on_metadata(&delta).await;
            }
        });
    }

    /// `__consumer_offsets`, which is created if it does not exist: to find the coordinator of a group.
    pub async fn offsets_topic(&self) -> Result<Arc<TopicImage>, ErrorCode> {
        self.creation.ensure().await
    }

    /// How many groups are coordinated here, and all that they have committed.
    pub fn progress(&self) -> (usize, Vec<GroupProgress>) {
        let (mut groups, mut committed) = (0, Vec::new());
        let image = self.environment.replicas.image();
        self.host.for_each(|shard| {
            for (id, group) in shard.machine.iter() {
                groups += 1;
                let exist =
                    group.offsets().iter().filter(|(_, _, offset)| image.deleted_topic(offset.topic_id).is_none());
                committed.extend(exist.map(|(topic, partition, offset)| GroupProgress {
                    group: id.to_owned(),
                    topic: Arc::clone(topic),
                    partition,
                    offset: offset.offset,
                }));
            }
        });
        (groups, committed)
    }

    /// JoinGroup. `request` gets the token it is to carry. May wait as long as a rebalance takes.
    pub async fn join(&self, group_id: &str, request: impl FnOnce(Token) -> JoinGroup) -> Result<JoinReply, ErrorCode> {
        match self.request(group_id, |token| Event::Join(request(token))).await? {
            Reply::Join(reply) => Ok(reply),
            other => unreachable!("JoinGroup was answered with {other:?}"),
        }
    }

    /// SyncGroup. May wait as long as the leader takes to assign.
    pub async fn sync(&self, group_id: &str, request: impl FnOnce(Token) -> SyncGroup) -> SyncReply {
        match self.request(group_id, |token| Event::Sync(request(token))).await {
            Ok(Reply::Sync(reply)) => reply,
            Ok(other) => unreachable!("SyncGroup was answered with {other:?}"),
            Err(error) => SyncReply::refused(error),
        }
    }

    /// Heartbeat.
    pub async fn heartbeat(&self, group_id: &str, request: impl FnOnce(Token) -> Heartbeat) -> ErrorCode {
        match self.request(group_id, |token| Event::Heartbeat(request(token))).await {
            Ok(Reply::Heartbeat(error)) => error,
            Ok(other) => unreachable!("Heartbeat was answered with {other:?}"),
            Err(error) => error,
        }
    }

    /// LeaveGroup.
    pub async fn leave(&self, group_id: &str, request: impl FnOnce(Token) -> LeaveGroup) -> LeaveReply {
        match self.request(group_id, |token| Event::Leave(request(token))).await {
            Ok(Reply::Leave(reply)) => reply,
            Ok(other) => unreachable!("LeaveGroup was answered with {other:?}"),
            Err(error) => LeaveReply { error, members: Vec::new() },
        }
    }

    /// OffsetCommit: an error code for each partition, once the offsets are committed to the log.
    pub async fn commit_offsets(
        &self,
        group_id: &str,
        request: &OffsetCommit,
    ) -> Result<Vec<ErrorCode>, OffsetCommitError> {
        let decide = |shard: &mut Shard<Groups>| {
            if shard.machine.get(group_id).is_none() && request.generation >= 0 {
                return Err(OffsetCommitError::NoSuchGroup);
            }
            let config = shard.machine.config().clone();
            let decision = shard.machine.get_or_create(group_id).commit_offsets(request, &config, now());
            shard.machine.settle(group_id);
            let decision = decision.map_err(OffsetCommitError::Refused)?;
            append(shard, group_id, decision).map_err(OffsetCommitError::Refused)
        };
        let decided = self.with(group_id, decide).map_err(OffsetCommitError::Refused)?;
        let (written, errors) = decided?;
        self.committed(&written, offset_error).await.map_err(OffsetCommitError::Refused)?;
        Ok(errors)
    }

    /// The partition of `__consumer_offsets` that a group lives on; the topic is created if it does not exist.
    pub async fn partition_of(&self, group_id: &str) -> Result<TopicPartition, ErrorCode> {
        let topic = self.creation.ensure().await?;
        let partitions = i32::try_from(topic.partition_count()).unwrap_or(i32::MAX);
        Ok(TopicPartition::new(CONSUMER_OFFSETS_TOPIC, partition_for(group_id, partitions)))
    }

    /// To be called before a coordinator is asked whether the producer's transaction has the group's partition.
    /// `None` when that is known here.
    pub fn start_verification(
        &self,
        group_id: &str,
        producer: Producer,
    ) -> Result<Option<VerificationGuard>, ErrorCode> {
        self.with(group_id, |shard| shard.start_verification(producer.id, producer.epoch))
    }

    /// TxnOffsetCommit: an error code for each partition, once the offsets are in the log. They count when the
    /// producer's transaction is committed.
    pub async fn commit_transactional_offsets(
        &self,
        group_id: &str,
        producer: Producer,
        request: &OffsetCommit,
        guard: Option<VerificationGuard>,
    ) -> Result<Vec<ErrorCode>, ErrorCode> {
        let decide = |shard: &mut Shard<Groups>| {
            if shard.machine.get(group_id).is_none() && request.generation >= 0 {
                return Err(ErrorCode::IllegalGeneration);
            }
            let config = shard.machine.config().clone();
            let decision = shard.machine.get_or_create(group_id).commit_transactional_offsets(request, &config, now());
            shard.machine.settle(group_id);
            let OffsetCommitDecision { records, errors } = decision?;
            let appended = shard.append_pending(group_id, (producer.id, producer.epoch), records, guard);
            appended.map_err(|error| offset_error(&error))?;
            Ok((shard.written(), errors))
        };
        let (written, errors) = self.with(group_id, decide)??;
        self.committed(&written, offset_error).await?;
        Ok(errors)
    }

    /// Appends the end of a transaction to a partition of `__consumer_offsets`; what must be committed.
    pub(super) fn end_transaction(&self, partition: i32, marker: MarkerRequest) -> Result<Written, ErrorCode> {
        let end = |shard: &mut Shard<Groups>| {
            shard.end_transaction(marker).map_err(|error| error.error_code())?;
            Ok(shard.written())
        };
        self.host.with(partition, end)?
    }

    /// OffsetFetch: what is committed, and known to be so by a majority of the log's replicas. `member` is who asks
    /// and with which epoch, if it says so; in a group of the consumer protocol it must be current.
    pub async fn fetch_offsets(
        &self,
        group_id: &str,
        member: (Option<&str>, i32),
        wanted: &OffsetsOf,
    ) -> Result<Vec<FetchedOffset>, ErrorCode> {
        let fetch = |shard: &mut Shard<Groups>| {
            if let Some(group) = shard.machine.get(group_id) {
                group.check_offset_fetch(member.0, member.1)?;
            }
            Ok((shard.written(), offsets_of(&shard.machine, group_id, wanted)))
        };
        let (written, offsets) = self.with(group_id, fetch)??;
        self.committed(&written, group_error).await?;
        Ok(offsets)
    }

    /// DescribeGroups; `None` for a group that does not exist or has another protocol.
    pub fn describe(&self, group_id: &str) -> Result<Option<GroupDescription>, ErrorCode> {
        self.with(group_id, |shard| match shard.machine.get(group_id)?.membership() {
            Membership::Classic(group) => Some(group.describe()),
            Membership::Consumer(_) => None,
        })
    }

    /// Why a group last shared out its partitions anew, if that was since this broker coordinates it.
    pub fn last_rebalance(&self, group_id: &str) -> Result<Option<Rebalance>, ErrorCode> {
        self.with(group_id, |shard| shard.machine.get(group_id)?.last_rebalance().cloned())
    }

    /// ListGroups: the groups of all partitions served here; an error while some of them are being loaded.
    pub fn list(&self) -> Result<Vec<ListedGroup>, ErrorCode> {
        let mut groups = Vec::new();
        for partition in self.host.partitions() {
            match self.host.with(partition, |shard| groups.extend(listed(&shard.machine))) {
                Ok(()) | Err(ErrorCode::NotCoordinator) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(groups)
    }

    /// DeleteGroups, for one group.
    pub async fn delete(&self, group_id: &str) -> ErrorCode {
        let decide = |shard: &mut Shard<Groups>| {
            let group = shard.machine.get(group_id).ok_or(ErrorCode::GroupIdNotFound)?;
            let records = group.delete()?;
            shard.append_and_replay(group_id, records).map_err(|error| group_error(&error))?;
            Ok(shard.written())
        };
        match self.with(group_id, decide) {
            Ok(Ok(written)) => self.committed(&written, group_error).await.err().unwrap_or(ErrorCode::None),
            Ok(Err(error)) | Err(error) => error,
        }
    }

    /// OffsetDelete: an error code for each partition.
    pub async fn delete_offsets(
        &self,
        group_id: &str,
        partitions: &[(Arc<str>, i32)],
    ) -> Result<Vec<ErrorCode>, ErrorCode> {
        let decide = |shard: &mut Shard<Groups>| {
            let group = shard.machine.get(group_id).ok_or(ErrorCode::GroupIdNotFound)?;
            let decision = group.delete_offsets(partitions)?;
            append(shard, group_id, decision)
        };
        let (written, errors) = self.with(group_id, decide)??;
        self.committed(&written, group_error).await?;
        Ok(errors)
    }

    async fn request(&self, group_id: &str, event: impl FnOnce(Token) -> Event) -> Result<Reply, ErrorCode> {
        match self.with(group_id, |shard| shard.request(group_id, event))? {
            // Unanswered only when this process is stopping.
            Asked::Parked(reply) => reply.await.map_err(|_| ErrorCode::NotCoordinator),
            Asked::Decided(reply, written) => {
                self.committed(&written, group_error).await?;
                Ok(reply)
            }
        }
    }

    pub(super) fn with<T>(&self, group_id: &str, work: impl FnOnce(&mut Shard<Groups>) -> T) -> Result<T, ErrorCode> {
        let topic = self.creation.existing().ok_or(ErrorCode::NotCoordinator)?;
        let partitions = i32::try_from(topic.partition_count()).unwrap_or(i32::MAX);
        self.host.serve(partition_for(group_id, partitions), work)
    }

    pub(super) async fn committed(
        &self,
        written: &Written,
        error_code: fn(&PartitionError) -> ErrorCode,
    ) -> Result<(), ErrorCode> {
        written.committed(self.environment.commit_timeout).await.map_err(|error| error_code(&error))
    }

    /// One group at a time, so that nobody waits long for the lock.
    pub(super) async fn expire_offsets(&self) {
        self.for_each_group(Shard::expire_offsets).await;
    }

    pub(super) async fn on_metadata(&self, delta: &ImageDelta) {
        let gone = gone_topics(delta);
        if gone.is_empty() {
            return;
        }
        // Only what was committed for these very topics: by now there may be new ones of the same names.
        let is_gone = |topic: &str, id: TopicId| {
            gone.iter().any(|(name, gone)| **name == *topic && (id == *gone || id == TopicId(Uuid::ZERO)))
        };
        self.for_each_group(|shard, group_id| shard.forget_deleted_topics(group_id, is_gone)).await;
    }

    async fn for_each_group(&self, work: impl Fn(&mut Shard<Groups>, &str)) {
        for partition in self.host.partitions() {
            let group_ids = self.host.with(partition, |shard| shard.machine.ids()).unwrap_or_default();
            for group_id in group_ids {
                // A partition that is not served any more has nothing to be worked on.
                let _ = self.host.with(partition, |shard| work(shard, &group_id));
                tokio::task::yield_now().await;
            }
        }
    }
}

/// The topics that are deleted for good with this change, and whose offsets go with them. The offsets of one that can be
/// restored wait with it, unless the group commits for another topic of its name.
fn gone_topics(delta: &ImageDelta) -> Vec<(Arc<str>, TopicId)> {
    let removed = delta.removed_topics().filter(|topic| delta.new.deleted_topic(topic.id).is_none());
    let expired = delta.expired_topics().map(|deleted| &deleted.topic);
    removed.chain(expired).map(|topic| (Arc::clone(&topic.name), topic.id)).collect()
}

fn append(
    shard: &mut Shard<Groups>,
    group_id: &str,
    decision: OffsetCommitDecision,
) -> Result<(Written, Vec<ErrorCode>), ErrorCode> {
    shard.append_and_replay(group_id, decision.records).map_err(|error| offset_error(&error))?;
    Ok((shard.written(), decision.errors))
}

fn offsets_of(groups: &Groups, group_id: &str, wanted: &OffsetsOf) -> Vec<FetchedOffset> {
    let group = groups.get(group_id);
    let offsets = group.map(|group| group.offsets());
    let fetched = |topic: &Arc<str>, partition: i32, offset: Option<&CommittedOffset>| FetchedOffset {
        topic: topic.clone(),
        partition,
        offset: offset.cloned(),
        unstable: group.is_some_and(|group| group.pending().contains(topic, partition)),
    };
    match wanted {
        OffsetsOf::All => {
            let all = offsets.into_iter().flat_map(|offsets| offsets.iter());
            all.map(|(topic, partition, offset)| fetched(topic, partition, Some(offset))).collect()
        }
        OffsetsOf::Partitions(partitions) => {
            let committed = |topic: &str, id, partition| offsets.and_then(|offsets| offsets.get(topic, id, partition));
            partitions.iter().map(|(topic, id, index)| fetched(topic, *index, committed(topic, *id, *index))).collect()
        }
    }
}

fn listed(groups: &Groups) -> impl Iterator<Item = ListedGroup> + '_ {
    groups.iter().map(|(group_id, group)| ListedGroup {
        group_id: group_id.to_owned(),
        protocol_type: group.protocol_type().to_owned(),
        state: group.state(),
        group_type: group.group_type(),
    })
}
