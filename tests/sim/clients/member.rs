//! A member of a consumer group: joins, gets partitions, moves on in them and commits how far it is. One that processes
//! what it reads leaves it to its transactions to commit.

use std::collections::BTreeMap;

use bytes::Bytes;
use ottla::group::{Reply, SyncReply};
use ottla::model::{ErrorCode, Offset};

use super::{find_leader, send_interval};
use crate::broker::Broker;
use crate::context::{Context, Timer, count};
use crate::message::{Address, GroupAnswer, GroupAsk, Input, Message};

#[derive(Clone, PartialEq, Eq, Debug)]
enum State {
    Joining,
    /// The leader gives out the partitions among these members.
    Syncing {
        members: Vec<String>,
    },
    /// Its partitions, and where it is in each; `None` until it has asked.
    Owning(BTreeMap<i32, Option<Offset>>),
}

/// Who moves the positions on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Conduct {
    /// The member itself, by as much as it likes.
    Commits,
    /// Transactions: it asks where the group is and leaves the rest to them.
    Processes,
    /// The same while one is under way: where the group is will be known when it has ended.
    Waits,
}

/// What waits for an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Asked {
    Join,
    Sync,
    Heartbeat,
    Fetch(i32),
    /// Of a partition that a transaction of its own may move on: whatever the answer is, it goes by none.
    Probe(i32),
    Commit(i32, Offset),
}

pub struct Member {
    address: Address,
    member_id: String,
    generation: i32,
    state: State,
    request: Option<(u64, Asked)>,
    /// Requests of its last generation that are under way, as of a thread that has not heard of the present one.
    strays: BTreeMap<u64, i32>,
    pub conduct: Conduct,
    /// The newest epoch of a coordinator that it has heard of. What one before says is not asked for.
    coordinator_epoch: i32,
}

impl Member {
    pub fn new(address: Address, conduct: Conduct) -> Self {
        Self {
            address,
            member_id: String::new(),
            generation: -1,
            state: State::Joining,
            request: None,
            strays: BTreeMap::new(),
            conduct,
            coordinator_epoch: -1,
        }
    }

    /// The positions that it knows in its partitions, as a member of its generation.
    pub fn inputs(&self) -> impl Iterator<Item = Input> + '_ {
        let positions = match &self.state {
            State::Owning(positions) => Some(positions),
            _ => None,
        };
        positions.into_iter().flatten().filter_map(|(&partition, &position)| {
            let (member_id, generation, from) = (self.member_id.clone(), self.generation, position?);
            Some(Input { member_id, generation, partition, from, to: from })
        })
    }

    /// A transaction begins with a partition's position.
    pub fn forget_position(&mut self, partition: i32) {
        if let State::Owning(positions) = &mut self.state {
            positions.insert(partition, None);
        }
    }

    /// True when it knows where the group is in each of its partitions.
    pub fn knows_positions(&self) -> bool {
        matches!(&self.state, State::Owning(positions) if positions.values().all(Option::is_some))
    }

    /// The generation it lives in, with the partitions it owns.
    pub fn owns(&self) -> Option<(i32, Vec<i32>)> {
        match &self.state {
            State::Owning(positions) => Some((self.generation, positions.keys().copied().collect())),
            _ => None,
        }
    }

    pub fn on_send(&mut self, brokers: &[Broker], ctx: &mut Context) {
        let pause = ctx.random.between(1, 2 * send_interval(ctx)).min(ctx.swarm.group_session_timeout_ms / 4).max(1);
        ctx.timer(self.address, pause, Timer::Send);
        // A member that dies leaves its place to nobody until its session ends.
        let may_die = self.conduct == Conduct::Commits && !ctx.healing;
        if may_die && ctx.random.per_mille(ctx.rates.client_death_per_mille / 4) {
            self.begin_anew();
        }
        if !ctx.healing && ctx.random.per_mille(ctx.rates.stray_per_mille) {
            self.stray(brokers, ctx);
        }
        if self.request.is_none() {
            let (asked, ask) = self.next(ctx);
            self.ask(asked, ask, brokers, ctx);
        }
    }

    /// Asks at once for what it must know before it can read.
    pub fn ask_on(&mut self, brokers: &[Broker], ctx: &mut Context) {
        if self.request.is_none() && !self.knows_positions() && self.conduct != Conduct::Waits {
            let (asked, ask) = self.next(ctx);
            self.ask(asked, ask, brokers, ctx);
        }
    }

    /// A commit of its last generation, or the question what it owns there: neither may have an effect in this one.
    fn stray(&mut self, brokers: &[Broker], ctx: &mut Context) {
        let State::Owning(positions) = &self.state else { return };
        let (member_id, generation) = (self.member_id.clone(), self.generation - 1);
        let ask = match positions.keys().next() {
            Some(&partition) if ctx.random.per_mille(500) => {
                let offset = ctx.random.below(100) as Offset;
                GroupAsk::Commit { member_id, generation, partition, offset }
            }
            _ => GroupAsk::Sync { member_id, generation, assignments: Vec::new() },
        };
        let Some((leader, _)) = find_leader(ctx.swarm.group_partition(), brokers, ctx) else { return };
        let request = ctx.next_request();
        self.strays.insert(request, generation);
        ctx.message_faults[count::STRAY] += 1;
        ctx.send(self.address, Address::Broker(leader), Message::Group { request, ask });
    }

    /// Another process takes its place.
    pub fn begin_anew(&mut self) {
        self.member_id.clear();
        self.join_again();
        self.request = None;
    }

    fn join_again(&mut self) {
        self.state = State::Joining;
    }

    fn next(&mut self, ctx: &mut Context) -> (Asked, GroupAsk) {
        let (member_id, generation) = (self.member_id.clone(), self.generation);
        match &mut self.state {
            State::Joining => {
                let random_id = format!("r{}", ctx.next_request());
                (Asked::Join, GroupAsk::Join { member_id, random_id })
            }
            State::Syncing { members } => {
                let assignments = assign(members, generation, ctx.swarm.partitions);
                (Asked::Sync, GroupAsk::Sync { member_id, generation, assignments })
            }
            State::Owning(positions) => {
                let unknown =
                    positions.iter().find(|(_, position)| position.is_none()).map(|(partition, _)| *partition);
                if let Some(partition) = unknown.filter(|_| self.conduct != Conduct::Waits) {
                    return (Asked::Fetch(partition), GroupAsk::Fetch { partition });
                }
                let at = ctx.random.index(positions.len() + 1);
                match positions.iter().nth(at) {
                    Some((&partition, _)) if self.conduct != Conduct::Commits => {
                        (Asked::Probe(partition), GroupAsk::Fetch { partition })
                    }
                    Some((&partition, &Some(position))) => {
                        let offset = position + ctx.random.between(1, 3) as Offset;
                        let commit = GroupAsk::Commit { member_id, generation, partition, offset };
                        (Asked::Commit(partition, offset), commit)
                    }
                    _ => (Asked::Heartbeat, GroupAsk::Heartbeat { member_id, generation }),
                }
            }
        }
    }

    fn ask(&mut self, asked: Asked, ask: GroupAsk, brokers: &[Broker], ctx: &mut Context) {
        let Some((leader, epoch)) = find_leader(ctx.swarm.group_partition(), brokers, ctx) else { return };
        if epoch < self.coordinator_epoch {
            return;
        }
        self.coordinator_epoch = epoch;
        let request = ctx.next_request();
        self.request = Some((request, asked));
        ctx.send(self.address, Address::Broker(leader), Message::Group { request, ask });
        // Joining takes as long as a rebalance.
        let patience = 2 * ctx.swarm.request_timeout_ms + 3 * ctx.swarm.group_session_timeout_ms;
        ctx.timer(self.address, patience, Timer::ClientTimeout { request });
    }

    pub fn on_timeout(&mut self, request: u64) {
        self.request.take_if(|(open, _)| *open == request);
    }

    pub fn on_answer(&mut self, request: u64, answer: GroupAnswer, ctx: &mut Context) {
        if let Some(generation) = self.strays.remove(&request) {
            if let GroupAnswer::Machine(Reply::Sync(reply)) = answer
                && reply.error == ErrorCode::None
            {
                ctx.oracle.owns(self.address.place(), generation, &partitions_of(&reply));
            }
            return;
        }
        let Some((_, asked)) = self.request.take_if(|(open, _)| *open == request) else { return };
        match (asked, answer) {
            (_, GroupAnswer::Failed(error)) => {
                if error == ErrorCode::UnstableOffsetCommit {
                    ctx.oracle.told_unstable();
                }
                self.on_error(error);
            }
            (Asked::Join, GroupAnswer::Machine(Reply::Join(reply))) => {
                if reply.error == ErrorCode::MemberIdRequired {
                    self.member_id = reply.member_id;
                } else if reply.error == ErrorCode::None {
                    self.member_id = reply.member_id;
                    self.generation = reply.generation;
                    let members = reply.members.into_iter().map(|member| member.member_id).collect();
                    self.state = State::Syncing { members };
                } else {
                    self.on_error(reply.error);
                }
            }
            (Asked::Sync, GroupAnswer::Machine(Reply::Sync(reply))) => match reply.error {
                ErrorCode::None => {
                    let partitions = partitions_of(&reply);
                    ctx.oracle.owns(self.address.place(), self.generation, &partitions);
                    self.state = State::Owning(partitions.into_iter().map(|partition| (partition, None)).collect());
                }
                error => self.on_error(error),
            },
            (Asked::Heartbeat, GroupAnswer::Machine(Reply::Heartbeat(error))) => self.on_error(error),
            (Asked::Probe(partition), GroupAnswer::Fetched(offset)) => {
                ctx.oracle.told_offset(self.generation, partition, offset);
            }
            (Asked::Fetch(partition), GroupAnswer::Fetched(offset)) => {
                if self.conduct != Conduct::Commits {
                    ctx.oracle.told_offset(self.generation, partition, offset);
                }
                if let State::Owning(positions) = &mut self.state {
                    positions.insert(partition, Some(offset.unwrap_or(0)));
                }
            }
            (Asked::Commit(partition, offset), GroupAnswer::Committed) => {
                ctx.oracle.commit_told(self.generation, partition, offset);
                if let State::Owning(positions) = &mut self.state {
                    positions.insert(partition, Some(offset));
                }
            }
            (asked, other) => unreachable!("{asked:?} was answered with {other:?}"),
        }
    }

    fn on_error(&mut self, error: ErrorCode) {
        match error {
            ErrorCode::UnknownMemberId | ErrorCode::FencedInstanceId => {
                self.member_id.clear();
                self.join_again();
            }
            ErrorCode::IllegalGeneration | ErrorCode::RebalanceInProgress => self.join_again(),
            // A coordinator that loads or moves: the same is asked again.
            _ => {}
        }
    }
}

fn partitions_of(reply: &SyncReply) -> Vec<i32> {
    reply.assignment.iter().map(|partition| i32::from(*partition)).collect()
}

/// Every partition to one member, in turn, and to another one in each generation.
fn assign(members: &[String], generation: i32, partitions: i32) -> Vec<(String, Bytes)> {
    let turn = |partition: usize| (partition + generation as usize) % members.len().max(1);
    let of = |at: usize| (0..partitions as usize).filter(move |partition| turn(*partition) == at);
    let assignment = |at: usize| of(at).map(|partition| partition as u8).collect::<Vec<u8>>();
    members.iter().enumerate().map(|(at, member)| (member.clone(), Bytes::from(assignment(at)))).collect()
}
