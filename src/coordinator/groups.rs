//! The groups of one partition of `__consumer_offsets`: carries out what their machines decide.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::oneshot;

use super::alarm::Alarm;
use super::consumer_view::{ConsumerGroupLimits, TopicVersions, View};
use super::host::{Host, Machine, Shard, Written};
use super::load::Logged;
use super::{notes, offsets_topic};
use crate::clock;
use crate::group::{
    AppendId, Circumstances, Decision, Effect, Event, Group, GroupConfig, GroupRecord, JoinReply, LeaveReply, Now,
    Refusal, Reply, SyncReply, Token,
};
use crate::log::VerificationGuard;
use crate::metadata::ClusterImage;
use crate::model::{ErrorCode, Monotonic, ProducerEpoch, ProducerId, TopicId, Uuid};
use crate::partition::{MarkerRequest, PartitionError, Replicas};
use crate::protocol::DecodeError;
use crate::record::{BatchBuilder, NO_SEQUENCE, TransactionResult};

/// How long a member whose time is over stays when its departure cannot be appended, before it is tried again.
const TIMER_RETRY_MS: u64 = 500;

/// What the groups of all partitions share.
pub(super) struct Environment {
    pub config: GroupConfig,
    pub limits: ConsumerGroupLimits,
    pub commit_timeout: Duration,
    pub alarm: Alarm,
    pub replicas: Arc<Replicas>,
    pub topic_versions: TopicVersions,
}

impl Environment {
    /// What a decision about a group goes by now.
    fn view(&self, group_id: &str) -> View<'_> {
        self.topic_versions.view(self.replicas.image(), group_id, &self.config, &self.limits, now())
    }
}

/// A request of a member, on its way to its answer.
pub(super) enum Asked {
    /// The answer comes when the group has it.
    Parked(oneshot::Receiver<Reply>),
    /// The answer holds when this is committed.
    Decided(Reply, Written),
}

/// Groups by id, who waits for them, and when they must be looked at.
pub(super) struct Groups {
    environment: Arc<Environment>,
    host: Weak<Host<Groups>>,
    groups: HashMap<String, Entry>,
    waiting: HashMap<Token, oneshot::Sender<Reply>>,
    last_token: u64,
    /// Every `Entry::wake_at`, with its group.
    deadlines: BTreeSet<(Monotonic, String)>,
    /// Groups that have offsets in a producer's open transaction.
    in_transactions: HashMap<ProducerId, BTreeSet<String>>,
}

#[derive(Default)]
struct Entry {
    group: Group,
    /// Not later than the group's next deadline.
    wake_at: Option<Monotonic>,
}

impl Groups {
    pub fn new(environment: Arc<Environment>, host: Weak<Host<Groups>>) -> Self {
        Self {
            environment,
            host,
            groups: HashMap::new(),
            waiting: HashMap::new(),
            last_token: 0,
            deadlines: BTreeSet::new(),
            in_transactions: HashMap::new(),
        }
    }

    /// The group with this id.
    pub fn get(&self, group_id: &str) -> Option<&Group> {
        self.groups.get(group_id).map(|entry| &entry.group)
    }

    /// All groups, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Group)> {
        self.groups.iter().map(|(group_id, entry)| (group_id.as_str(), &entry.group))
    }

    /// The ids of all groups.
    pub fn ids(&self) -> Vec<String> {
        self.groups.keys().cloned().collect()
    }

    /// The group with this id; a new one if there is none. To be followed by [`Groups::settle`].
    pub fn get_or_create(&mut self, group_id: &str) -> &mut Group {
        &mut self.groups.entry(group_id.to_owned()).or_default().group
    }

    /// Sees to a group after something was done with it: when it must be looked at, and whether it is still there.
    pub fn settle(&mut self, group_id: &str) {
        let Some(entry) = self.groups.get_mut(group_id) else { return };
        if entry.group.is_vacant() {
            if let Some(at) = entry.wake_at {
                self.deadlines.remove(&(at, group_id.to_owned()));
            }
            self.groups.remove(group_id);
            return;
        }
        let Some(deadline) = entry.group.next_deadline() else { return };
        if entry.wake_at.is_none_or(|at| at > deadline) {
            if let Some(at) = entry.wake_at.replace(deadline) {
                self.deadlines.remove(&(at, group_id.to_owned()));
            }
            self.deadlines.insert((deadline, group_id.to_owned()));
            self.environment.alarm.not_later_than(deadline);
        }
    }

    /// Has a group looked at again later, though its time has come.
    fn postpone(&mut self, group_id: &str, at: Monotonic) {
        let Some(entry) = self.groups.get_mut(group_id) else { return };
        if let Some(earlier) = entry.wake_at.replace(at) {
            self.deadlines.remove(&(earlier, group_id.to_owned()));
        }
        self.deadlines.insert((at, group_id.to_owned()));
        self.environment.alarm.not_later_than(at);
    }

    /// Groups whose time has come. The alarm is set for the next one.
    fn take_due(&mut self, now: Monotonic) -> Vec<String> {
        let mut due = Vec::new();
        while let Some((at, _)) = self.deadlines.first() {
            if *at > now {
                self.environment.alarm.not_later_than(*at);
                break;
            }
            if let Some((_, group_id)) = self.deadlines.pop_first() {
                if let Some(entry) = self.groups.get_mut(&group_id) {
                    entry.wake_at = None;
                }
                due.push(group_id);
            }
        }
        due
    }

    fn answer(&mut self, token: Token, reply: Reply) {
        if let Some(waiting) = self.waiting.remove(&token) {
            // Nobody is there any more when the client has hung up.
            let _ = waiting.send(reply);
        }
    }

    fn replay_pending(&mut self, producer_id: ProducerId, group_id: &str, record: GroupRecord) {
        self.groups.entry(group_id.to_owned()).or_default().group.replay_pending(producer_id, record);
        self.in_transactions.entry(producer_id).or_default().insert(group_id.to_owned());
    }

    fn end_transaction(&mut self, producer_id: ProducerId, result: TransactionResult) {
        for group_id in self.in_transactions.remove(&producer_id).unwrap_or_default() {
            if let Some(entry) = self.groups.get_mut(&group_id) {
                entry.group.end_transaction(producer_id, result);
            }
            self.settle(&group_id);
        }
    }

    /// The machine's settings.
    pub fn config(&self) -> &GroupConfig {
        &self.environment.config
    }
}

/// Both clocks.
pub(super) fn now() -> Now {
    Now { monotonic: clock::monotonic(), wall: clock::wall() }
}

impl Machine for Groups {
    fn replay(&mut self, logged: Logged<'_>) -> Result<(), DecodeError> {
        let (producer_id, key, value) = match logged {
            Logged::Record { producer_id, key, value } => (producer_id, key, value),
            Logged::Marker { producer_id, result } => {
                self.end_transaction(producer_id, result);
                return Ok(());
            }
        };
        let Some((group_id, record)) = offsets_topic::decode(key, value)? else {
            tracing::debug!(?key, "passing over a record of another group protocol");
            return Ok(());
        };
        match producer_id {
            Some(producer_id) => self.replay_pending(producer_id, &group_id, record),
            None => self.groups.entry(group_id).or_default().group.replay(record),
        }
        Ok(())
    }

    fn on_loaded(shard: &mut Shard<Self>, image: &ClusterImage) {
        for group_id in shard.machine.ids() {
            let environment = shard.machine.environment.clone();
            if let Some(entry) = shard.machine.groups.get_mut(&group_id) {
                let effects = entry.group.on_loaded(&environment.view(&group_id).circumstances());
                let events = shard.execute(&group_id, effects);
                shard.handle(&group_id, events);
            }
            let is_other = |id: TopicId, now: TopicId| id != now && id != TopicId(Uuid::ZERO);
            shard.forget_deleted_topics(&group_id, |topic, id| {
                image.deleted_topic(id).is_none() && image.topic_id(topic).is_none_or(|now| is_other(id, now))
            });
        }
    }

    fn on_resigned(mut self, error: ErrorCode) {
        for mut entry in std::mem::take(&mut self.groups).into_values() {
            for effect in entry.group.on_event(Event::Resign(error), &self.environment.config, now()) {
                if let Effect::Reply { token, reply } = effect {
                    self.answer(token, reply);
                }
            }
        }
        assert!(self.waiting.is_empty(), "{} requests were parked and never answered", self.waiting.len());
    }
}

impl Shard<Groups> {
    /// Lets a request of the classic protocol into a group.
    pub fn request(&mut self, group_id: &str, event: impl FnOnce(Token) -> Event) -> Asked {
        self.machine.last_token += 1;
        let token = Token(self.machine.last_token);
        let event = event(token);
        if let Event::Join(_) = &event
            && let Err(refusal) = self.make_way_for_classic(group_id)
        {
            return Asked::Decided(refuse(event, refusal.error), self.written());
        }
        if self.machine.get(group_id).is_some_and(|group| group.consumer().is_some()) {
            return Asked::Decided(self.answer_in_consumer_group(group_id, event), self.written());
        }
        let (sender, receiver) = oneshot::channel();
        self.machine.waiting.insert(token, sender);
        self.machine.get_or_create(group_id);
        self.handle(group_id, VecDeque::from([event]));
        Asked::Parked(receiver)
    }

    fn make_way_for_classic(&mut self, group_id: &str) -> Result<(), Refusal> {
        let way = self.machine.get(group_id).and_then(Group::make_way_for_classic);
        way.map_or(Ok(()), |decision| self.carry_out(group_id, decision))
    }

    fn answer_in_consumer_group(&mut self, group_id: &str, event: Event) -> Reply {
        let decided = match &event {
            Event::Join(request) => self.decide(group_id, |group, around| group.join(request, around)).map(Reply::Join),
            Event::Sync(request) => self.decide(group_id, |group, around| group.sync(request, around)).map(Reply::Sync),
            Event::Heartbeat(request) => {
                self.decide(group_id, |group, around| group.heartbeat(request, around)).map(Reply::Heartbeat)
            }
            Event::Leave(request) => {
                self.decide(group_id, |group, around| group.leave(request, around)).map(Reply::Leave)
            }
            other => unreachable!("{other:?} is no request"),
        };
        decided.unwrap_or_else(|refusal| refuse(event, refusal.error))
    }

    /// Decides about the members of a group of the consumer protocol, appends what was decided and takes it over.
    pub fn decide<R>(
        &mut self,
        group_id: &str,
        decide: impl FnOnce(&Group, &Circumstances<'_>) -> Result<Decision<R>, Refusal>,
    ) -> Result<R, Refusal> {
        let environment = self.machine.environment.clone();
        let view = environment.view(group_id);
        let decided = decide(self.machine.get_or_create(group_id), &view.circumstances());
        match decided {
            Ok(decision) => self.carry_out(group_id, decision),
            Err(refusal) => {
                self.machine.settle(group_id);
                Err(refusal)
            }
        }
    }

    fn carry_out<R>(&mut self, group_id: &str, decision: Decision<R>) -> Result<R, Refusal> {
        if !decision.records.is_empty() {
            let appended = self.append(offsets_topic::batch(group_id, &decision.records, clock::wall()));
            if let Err(error) = appended {
                self.machine.settle(group_id);
                return Err(Refusal::new(group_error(&error), error.to_string()));
            }
        }
        let (reply, effects) = self.machine.get_or_create(group_id).accept(decision);
        let events = self.execute(group_id, effects);
        self.handle(group_id, events);
        Ok(reply)
    }

    /// Wakes the groups whose time has come.
    pub fn run_timers(&mut self) {
        for group_id in self.machine.take_due(clock::monotonic()) {
            if self.machine.get(&group_id).is_some_and(|group| group.consumer().is_some()) {
                self.run_consumer_timers(&group_id);
            } else {
                self.handle(&group_id, VecDeque::from([Event::TimersDue]));
            }
        }
    }

    fn run_consumer_timers(&mut self, group_id: &str) {
        let decided = self.decide(group_id, |group, around| {
            group.run_timers(around).ok_or_else(|| Refusal::new(ErrorCode::GroupIdNotFound, ""))
        });
        if let Err(refusal) = decided {
            tracing::warn!(group_id, error = refusal.error.name(), "silent members cannot be removed now");
            self.machine.postpone(group_id, clock::monotonic().plus_ms(TIMER_RETRY_MS));
        }
    }

    /// Appends records that a group has decided on, and takes them over.
    pub fn append_and_replay(&mut self, group_id: &str, records: Vec<GroupRecord>) -> Result<(), PartitionError> {
        if !records.is_empty() {
            self.append(offsets_topic::batch(group_id, &records, clock::wall()))?;
            let group = self.machine.get_or_create(group_id);
            records.into_iter().for_each(|record| group.replay(record));
        }
        self.machine.settle(group_id);
        Ok(())
    }

    /// Appends offsets of a producer's transaction, and takes them over as pending. Outside of the producer's own
    /// sequence: what is retried is written again, and says the same.
    pub fn append_pending(
        &mut self,
        group_id: &str,
        (producer_id, producer_epoch): (ProducerId, ProducerEpoch),
        records: Vec<GroupRecord>,
        guard: Option<VerificationGuard>,
    ) -> Result<(), PartitionError> {
        if !records.is_empty() {
            let batch = BatchBuilder::new().producer(producer_id, producer_epoch, NO_SEQUENCE).transactional();
            self.append_guarded(offsets_topic::fill(batch, group_id, &records, clock::wall()), guard)?;
            records.into_iter().for_each(|record| self.machine.replay_pending(producer_id, group_id, record));
        }
        self.machine.settle(group_id);
        Ok(())
    }

    /// Appends the end of a transaction: the offsets of its groups count from now on, or never will.
    pub fn end_transaction(&mut self, marker: MarkerRequest) -> Result<(), PartitionError> {
        self.append_marker(marker)?;
        self.machine.end_transaction(marker.producer_id, marker.marker.result);
        Ok(())
    }

    /// Drops offsets of topics that exist no more, see [`Group::forget_deleted_topics`].
    pub fn forget_deleted_topics(&mut self, group_id: &str, is_gone: impl Fn(&str, TopicId) -> bool) {
        let Some(group) = self.machine.get(group_id) else { return };
        let records = group.forget_deleted_topics(is_gone);
        self.append_tombstones(group_id, records, "of deleted topics");
    }

    /// Drops offsets whose retention is over.
    pub fn expire_offsets(&mut self, group_id: &str) {
        let Some(group) = self.machine.get(group_id) else { return };
        let records = group.expire_offsets(self.machine.config(), clock::wall());
        self.append_tombstones(group_id, records, "past their retention");
    }

    fn append_tombstones(&mut self, group_id: &str, records: Vec<GroupRecord>, what: &str) {
        if records.is_empty() {
            return;
        }
        let count = records.len();
        match self.append_and_replay(group_id, records) {
            Ok(()) => tracing::info!(group_id, count, "removed records {what}"),
            Err(error) => tracing::warn!(group_id, count, "cannot remove records {what}: {error}"),
        }
    }

    /// Feeds events to a group until nothing more follows from them.
    fn handle(&mut self, group_id: &str, mut events: VecDeque<Event>) {
        let environment = self.machine.environment.clone();
        while let Some(event) = events.pop_front() {
            let Some(entry) = self.machine.groups.get_mut(group_id) else { return };
            let effects = entry.group.on_event(event, &environment.config, now());
            events.extend(self.execute(group_id, effects));
        }
        self.machine.settle(group_id);
    }

    /// Carries out effects; returns what is known about their appends at once.
    fn execute(&mut self, group_id: &str, effects: Vec<Effect>) -> VecDeque<Event> {
        let mut events = VecDeque::new();
        for effect in effects {
            match effect {
                Effect::Reply { token, reply } => self.machine.answer(token, reply),
                Effect::Note(note) => notes::log(group_id, &note),
                Effect::Append { append, records } => {
                    match self.append(offsets_topic::batch(group_id, &records, clock::wall())) {
                        Ok(appended) if appended.committed => events.push_back(Event::Appended(append)),
                        Ok(_) => self.report_later(group_id, append),
                        Err(error) => events.push_back(Event::AppendFailed(append, group_error(&error))),
                    }
                }
            }
        }
        events
    }

    /// Tells the group when its records are committed, or that they are not in time.
    fn report_later(&self, group_id: &str, append: AppendId) {
        let written = self.written();
        let (partition, group_id) = (self.partition, group_id.to_owned());
        let (host, environment) = (self.machine.host.clone(), self.machine.environment.clone());
        tokio::spawn(async move {
            let event = match written.committed(environment.commit_timeout).await {
                Ok(()) => Event::Appended(append),
                Err(error) => Event::AppendFailed(append, group_error(&error)),
            };
            let Some(host) = host.upgrade() else { return };
            // If the partition was loaded anew meanwhile, this append is none of the group's any more.
            let _ = host.with(partition, |shard| {
                if written.is_of(shard) {
                    shard.handle(&group_id, VecDeque::from([event]));
                }
            });
        });
    }
}

/// The answer to a request that was turned away.
fn refuse(event: Event, error: ErrorCode) -> Reply {
    match event {
        Event::Join(request) => Reply::Join(JoinReply::refused(error, request.member_id)),
        Event::Sync(_) => Reply::Sync(SyncReply::refused(error)),
        Event::Leave(_) => Reply::Leave(LeaveReply { error, members: Vec::new() }),
        _ => Reply::Heartbeat(error),
    }
}

/// What members are told when records of their group cannot be committed.
pub(super) fn group_error(error: &PartitionError) -> ErrorCode {
    match error {
        PartitionError::NotLeader(_) | PartitionError::Offline(_) | PartitionError::Log(_) => ErrorCode::NotCoordinator,
        PartitionError::NotEnoughReplicas { .. }
        | PartitionError::NotEnoughReplicasAfterAppend
        | PartitionError::TimedOut
        | PartitionError::UnknownTopicOrPartition => ErrorCode::CoordinatorNotAvailable,
        _ => ErrorCode::UnknownServerError,
    }
}

/// The same for offsets: a batch that is too large is the client's doing.
pub(super) fn offset_error(error: &PartitionError) -> ErrorCode {
    match error {
        PartitionError::InvalidBatch(_) => ErrorCode::InvalidCommitOffsetSize,
        PartitionError::ProducerRefused(refusal) => refusal.error_code(),
        other => group_error(other),
    }
}
