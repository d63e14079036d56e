//! The group coordinator as a broker runs it: the real machine over a partition of the simulated cluster.
//!
//! It does what `coordinator/groups.rs` does: append what the machine decides, tell it when that is committed, and give
//! answers that depend on a record once the record is committed.

mod offsets;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use ottla::coordinator::offsets_topic;
use ottla::group::{
    AppendId, Circumstances, ConsumerSettings, Effect, Event, Group, GroupConfig, GroupRecord, Heartbeat, JoinGroup,
    Now, OffsetCommit, OffsetCommitPartition, Protocol, Reply, SyncGroup, Token, Topics,
};
use ottla::log::{LogError, VerificationGuard};
use ottla::model::{ErrorCode, Offset, ProducerId, TopicId, Uuid};
use ottla::record::{BatchBuilder, EndTransactionMarker, NO_SEQUENCE, TransactionResult};
use ottla::transaction::{Producer, TransactionVersion};

use crate::context::{Context, Timer};
use crate::message::{Address, ConsumedOffset, GroupAnswer, GroupAsk, Message};
use crate::quorum::TOPIC;
use crate::replica::{Me, Replica};

use super::host::{Change, Host, Machine};

/// The one group of a run.
pub const GROUP: &str = "g";
/// How often the group is asked whether its time has come.
const LOOK_EVERY_MS: u64 = 50;

/// The group speaks the classic protocol, which asks for no topics and none of the other's settings.
const UNUSED_SETTINGS: ConsumerSettings =
    ConsumerSettings { session_timeout_ms: 1, heartbeat_interval_ms: 1, assignment_interval_ms: 1 };

struct NoTopics;

impl Topics for NoTopics {
    fn version(&self) -> u64 {
        0
    }

    fn find(&self, _: &str) -> Option<(TopicId, i32)> {
        None
    }

    fn name(&self, _: TopicId) -> Option<Arc<str>> {
        None
    }

    fn names(&self) -> Vec<Arc<str>> {
        Vec::new()
    }
}

/// The groups of the partition.
#[derive(Default)]
pub struct Groups(BTreeMap<String, Group>);

impl Machine for Groups {
    fn replay(&mut self, producer_id: Option<ProducerId>, key: &Bytes, value: Option<&Bytes>) {
        let decoded = offsets_topic::decode(key, value).expect("a coordinator wrote it");
        let (id, record) = decoded.expect("a record of a group");
        let group = self.0.entry(id).or_default();
        match producer_id {
            Some(producer_id) => group.replay_pending(producer_id, record),
            None => group.replay(record),
        }
    }

    fn end_transaction(&mut self, producer_id: ProducerId, result: TransactionResult) {
        self.0.values_mut().for_each(|group| group.end_transaction(producer_id, result));
    }
}

type Asker = (Address, u64);

/// An answer that is given once the log is committed up to an offset.
struct Waiting {
    committed: Offset,
    asker: Asker,
    answer: Answer,
}

enum Answer {
    Group(GroupAnswer),
    /// To the coordinator of transactions: the marker is written.
    Marked,
}

/// Records of which the machine will hear.
struct Appending {
    next_offset: Offset,
    append: AppendId,
    since: u64,
}

pub struct GroupCoordinator {
    host: Host<Groups>,
    config: GroupConfig,
    /// Requests that the machine has not answered.
    parked: BTreeMap<Token, Asker>,
    tokens: u64,
    waiting: Vec<Waiting>,
    appending: Vec<Appending>,
}

impl GroupCoordinator {
    pub fn new(partition: i32) -> Self {
        let config =
            GroupConfig { session_timeout_ms_min: 1, initial_rebalance_delay_ms: 50, ..GroupConfig::default() };
        let (parked, waiting, appending) = (BTreeMap::new(), Vec::new(), Vec::new());
        Self { host: Host::new(partition), config, parked, tokens: 0, waiting, appending }
    }

    /// Follows the replica: loads, tells of commits, gives the answers that waited for them.
    pub fn look(&mut self, mut replica: Option<&mut Replica>, me: &Me, ctx: &mut Context) -> Result<(), LogError> {
        match self.host.look(replica.as_deref())? {
            Change::None => {}
            Change::Resigned => self.forget(ErrorCode::NotCoordinator, me, ctx),
            Change::Loaded => {
                ctx.note(|| format!("broker {} coordinates the group", me.id));
                ctx.timer(me.address(), LOOK_EVERY_MS, Timer::GroupTimers { partition: self.host.partition });
                let config = self.config.clone();
                let around =
                    Circumstances { topics: &NoTopics, config: &config, settings: UNUSED_SETTINGS, now: now(me) };
                let effects = self.host.machine().map_or_else(
                    |_| Vec::new(),
                    |groups| groups.0.get_mut(GROUP).map_or_else(Vec::new, |group| group.on_loaded(&around)),
                );
                if let Some(replica) = replica.as_deref_mut() {
                    self.execute(effects, replica, me, ctx)?;
                }
            }
        }
        let Some(replica) = replica else { return Ok(()) };
        self.tell_of_commits(replica, me, ctx)?;
        let high_watermark = replica.high_watermark();
        let (done, waiting) =
            std::mem::take(&mut self.waiting).into_iter().partition(|waiting| waiting.committed <= high_watermark);
        self.waiting = waiting;
        let done: Vec<Waiting> = done;
        for Waiting { asker, answer: given, .. } in done {
            match given {
                Answer::Group(given) => answer(me, asker, given, ctx),
                Answer::Marked => answer_marker(me, asker, ErrorCode::None, ctx),
            }
        }
        Ok(())
    }

    fn tell_of_commits(&mut self, replica: &mut Replica, me: &Me, ctx: &mut Context) -> Result<(), LogError> {
        let high_watermark = replica.high_watermark();
        loop {
            let settled = self.appending.iter().position(|appending| {
                appending.next_offset <= high_watermark || appending.since + ctx.swarm.request_timeout_ms < ctx.now
            });
            let Some(at) = settled else { return Ok(()) };
            let Appending { next_offset, append, .. } = self.appending.remove(at);
            let event = match next_offset <= high_watermark {
                true => Event::Appended(append),
                false => Event::AppendFailed(append, ErrorCode::CoordinatorNotAvailable),
            };
            self.handle(event, replica, me, ctx)?;
        }
    }

    /// Whoever waits is told to look for another coordinator.
    fn forget(&mut self, error: ErrorCode, me: &Me, ctx: &mut Context) {
        self.appending.clear();
        for asker in std::mem::take(&mut self.parked).into_values() {
            answer(me, asker, GroupAnswer::Failed(error), ctx);
        }
        for Waiting { asker, answer: given, .. } in std::mem::take(&mut self.waiting) {
            match given {
                Answer::Group(_) => answer(me, asker, GroupAnswer::Failed(error), ctx),
                Answer::Marked => answer_marker(me, asker, error, ctx),
            }
        }
    }

    /// An error says why the group cannot be served here.
    pub fn check_served(&mut self) -> Result<(), ErrorCode> {
        self.host.machine().map(|_| ())
    }

    /// Time passes.
    pub fn on_timer(&mut self, replica: &mut Replica, me: &Me, ctx: &mut Context) -> Result<(), LogError> {
        ctx.timer(me.address(), LOOK_EVERY_MS, Timer::GroupTimers { partition: self.host.partition });
        let groups = self.host.machine().ok();
        let due =
            groups.and_then(|groups| groups.0.get(GROUP)?.next_deadline()).is_some_and(|deadline| deadline <= me.clock);
        if due { self.handle(Event::TimersDue, replica, me, ctx) } else { Ok(()) }
    }

    /// A request of a member.
    pub fn on_request(
        &mut self,
        asker: Asker,
        ask: GroupAsk,
        replica: &mut Replica,
        me: &Me,
        ctx: &mut Context,
    ) -> Result<(), LogError> {
        if let Err(error) = self.host.machine() {
            answer(me, asker, GroupAnswer::Failed(error), ctx);
            return Ok(());
        }
        let event = match ask {
            GroupAsk::Commit { member_id, generation, partition, offset } => {
                return self.commit(asker, (member_id, generation), (partition, offset), replica, me, ctx);
            }
            GroupAsk::CommitInTransaction(_) => unreachable!("the coordinator of its transaction is asked first"),
            GroupAsk::Fetch { partition } => {
                self.fetch(asker, partition, me, ctx);
                return Ok(());
            }
            GroupAsk::Join { member_id, random_id } => {
                // As random for a request that comes twice as for two.
                Event::Join(self.join(member_id, format!("{random_id}-{}", ctx.steps), ctx))
            }
            GroupAsk::Sync { member_id, generation, assignments } => Event::Sync(SyncGroup {
                token: self.next_token(),
                member_id,
                group_instance_id: None,
                generation,
                protocol_type: None,
                protocol: None,
                assignments,
            }),
            GroupAsk::Heartbeat { member_id, generation } => {
                let token = self.next_token();
                Event::Heartbeat(Heartbeat { token, member_id, group_instance_id: None, generation })
            }
        };
        self.parked.insert(Token(self.tokens), asker);
        if let Ok(groups) = self.host.machine() {
            groups.0.entry(GROUP.to_owned()).or_default();
        }
        self.handle(event, replica, me, ctx)
    }

    fn next_token(&mut self) -> Token {
        self.tokens += 1;
        Token(self.tokens)
    }

    fn join(&mut self, member_id: String, random_id: String, ctx: &Context) -> JoinGroup {
        JoinGroup {
            token: self.next_token(),
            member_id,
            random_id,
            group_instance_id: None,
            client_id: "c".to_owned(),
            client_host: "h".to_owned(),
            session_timeout_ms: ctx.swarm.group_session_timeout_ms as i32,
            rebalance_timeout_ms: 2 * ctx.swarm.group_session_timeout_ms as i32,
            protocol_type: "consumer".to_owned(),
            protocols: vec![Protocol { name: "range".to_owned(), metadata: Bytes::new() }],
            reason: None,
            requires_known_member_id: true,
            supports_skipping_assignment: false,
        }
    }

    fn handle(&mut self, event: Event, replica: &mut Replica, me: &Me, ctx: &mut Context) -> Result<(), LogError> {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let Ok(groups) = self.host.machine() else { return Ok(()) };
            let Some(group) = groups.0.get_mut(GROUP) else { return Ok(()) };
            let effects = group.on_event(event, &self.config, now(me));
            events.extend(self.execute(effects, replica, me, ctx)?);
        }
        Ok(())
    }

    /// Carries out effects; what is known at once about their appends.
    fn execute(
        &mut self,
        effects: Vec<Effect>,
        replica: &mut Replica,
        me: &Me,
        ctx: &mut Context,
    ) -> Result<Vec<Event>, LogError> {
        let mut events = Vec::new();
        for effect in effects {
            match effect {
                Effect::Note(_) => {}
                Effect::Reply { token, reply } => {
                    if let Some(asker) = self.parked.remove(&token) {
                        ctx.note(|| format!("broker {}: the group answers {:?}: {}", me.id, asker.0, show(&reply)));
                        answer(me, asker, GroupAnswer::Machine(reply), ctx);
                    }
                }
                Effect::Append { append, records } => match self.append(&records, replica, me, ctx)? {
                    Ok(next_offset) => self.appending.push(Appending { next_offset, append, since: ctx.now }),
                    Err(error) => events.push(Event::AppendFailed(append, error)),
                },
            }
        }
        Ok(events)
    }

    fn append(
        &mut self,
        records: &[GroupRecord],
        replica: &mut Replica,
        me: &Me,
        ctx: &mut Context,
    ) -> Result<Result<Offset, ErrorCode>, LogError> {
        let Some(leader_epoch) = self.host.leader_epoch else { return Ok(Err(ErrorCode::NotCoordinator)) };
        let bytes = offsets_topic::batch(GROUP, records, me.wall);
        ctx.oracle.group_records(&bytes, records);
        let appended = replica.append_internal(bytes, None, leader_epoch, me, ctx);
        let appended = self.note(appended, replica, me, ctx)?;
        Ok(appended.map_err(|_| ErrorCode::CoordinatorNotAvailable))
    }

    /// Where the machine is in the log. When nobody knows whether something was appended, everything is read again.
    fn note(
        &mut self,
        appended: Result<Result<Offset, ErrorCode>, LogError>,
        replica: &Replica,
        me: &Me,
        ctx: &mut Context,
    ) -> Result<Result<Offset, ErrorCode>, LogError> {
        match &appended {
            Ok(Ok(next_offset)) => self.host.written = *next_offset,
            Err(_) | Ok(Err(ErrorCode::NotLeaderOrFollower)) => {
                self.host.reload(replica);
                self.forget(ErrorCode::CoordinatorNotAvailable, me, ctx);
            }
            // Refused before anything was written.
            Ok(Err(_)) => {}
        }
        appended
    }
}

fn now(me: &Me) -> Now {
    Now { monotonic: me.clock, wall: me.wall }
}

fn show(reply: &Reply) -> String {
    match reply {
        Reply::Join(join) => format!("join {} generation {} as {}", join.error, join.generation, join.member_id),
        Reply::Sync(sync) => format!("sync {}, {} bytes", sync.error, sync.assignment.len()),
        Reply::Heartbeat(error) => format!("heartbeat {error}"),
        Reply::Leave(leave) => format!("leave {}", leave.error),
    }
}

fn answer(me: &Me, (to, request): Asker, answer: GroupAnswer, ctx: &mut Context) {
    ctx.send(me.address(), to, Message::GroupReply { request, answer });
}

fn answer_marker(me: &Me, (to, request): Asker, error: ErrorCode, ctx: &mut Context) {
    ctx.send(me.address(), to, Message::MarkerReply { request, error });
}
