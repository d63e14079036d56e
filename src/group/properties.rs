//! Random histories: whatever happens in whatever order, the invariants hold, and a group whose members behave
//! becomes stable.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proptest::prelude::*;

use super::test_world::{self, TestTopics};
use super::*;
use crate::model::{ErrorCode, Monotonic, TopicId, Uuid, Wall};

/// One step of a random history. Numbers pick among the member ids and instances seen so far.
#[derive(Clone, Debug)]
enum Op {
    Join { member: usize, instance: Option<u8>, version: u8, protocols: u8 },
    Sync { member: usize, generation_delta: i32, instance: Option<u8> },
    Heartbeat { member: usize, generation_delta: i32 },
    Leave { members: Vec<usize>, instance: Option<u8> },
    Commit { member: usize, generation_delta: i32 },
    SimpleCommit,
    Advance { ms: u64 },
    ReportAppend { succeeds: bool },
    Expire,
    Delete,
    Reload,
}

fn op() -> impl Strategy<Value = Op> {
    let member = 0..12_usize;
    let delta = prop_oneof![8 => Just(0), 1 => Just(-1), 1 => Just(1)];
    let instance = prop_oneof![3 => Just(None), 1 => (0..3_u8).prop_map(Some)];
    prop_oneof![
        8 => (member.clone(), instance.clone(), 3..10_u8, 1..8_u8)
            .prop_map(|(member, instance, version, protocols)| Op::Join { member, instance, version, protocols }),
        6 => (member.clone(), delta.clone(), instance.clone())
            .prop_map(|(member, generation_delta, instance)| Op::Sync { member, generation_delta, instance }),
        3 => (member.clone(), delta.clone())
            .prop_map(|(member, generation_delta)| Op::Heartbeat { member, generation_delta }),
        1 => (prop::collection::vec(member.clone(), 0..3), instance)
            .prop_map(|(members, instance)| Op::Leave { members, instance }),
        3 => (member, delta).prop_map(|(member, generation_delta)| Op::Commit { member, generation_delta }),
        1 => Just(Op::SimpleCommit),
        3 => (0..15_000_u64).prop_map(|ms| Op::Advance { ms }),
        5 => prop::bool::weighted(0.85).prop_map(|succeeds| Op::ReportAppend { succeeds }),
        1 => Just(Op::Expire),
        1 => Just(Op::Delete),
        1 => Just(Op::Reload),
    ]
}

/// A group, what its log holds, and what its clients have been told.
#[derive(Default)]
struct World {
    group: Group,
    config: GroupConfig,
    now_ms: u64,
    tokens: u64,
    /// Requests without an answer, and who sent them.
    waiting: BTreeMap<Token, String>,
    appends: Vec<(AppendId, Vec<GroupRecord>)>,
    log: BTreeMap<String, GroupRecord>,
    member_ids: Vec<String>,
    /// Who was given which partition in which generation, by instance or member id. A leader gives each member
    /// a partition of its own, so that two holders of one partition would be the machine's fault.
    owners: BTreeMap<(i32, Bytes), String>,
}

impl World {
    fn new(initial_rebalance_delay_ms: i32, size_max: usize) -> Self {
        let config = GroupConfig {
            initial_rebalance_delay_ms,
            size_max,
            offsets_retention_ms: 20_000,
            ..GroupConfig::default()
        };
        Self { config, ..Self::default() }
    }

    fn now(&self) -> Now {
        Now { monotonic: Monotonic(self.now_ms), wall: Wall(self.now_ms as i64) }
    }

    fn member(&self, pick: usize) -> String {
        // Some picks lie past the end on purpose: "no id yet".
        self.member_ids.iter().rev().nth(pick).cloned().unwrap_or_default()
    }

    fn token(&mut self, member_id: &str) -> Token {
        self.tokens += 1;
        self.waiting.insert(Token(self.tokens), member_id.to_owned());
        Token(self.tokens)
    }

    fn run(&mut self, op: Op) {
        let generation = self.group.classic().generation();
        match op {
            Op::Join { member, instance, version, protocols } => {
                let member_id = self.member(member);
                self.join(member_id, instance.map(|i| format!("i{i}")), version, protocols);
            }
            Op::Sync { member, generation_delta, instance } => {
                let member_id = self.member(member);
                self.sync(member_id, generation + generation_delta, instance.map(|i| format!("i{i}")));
            }
            Op::Heartbeat { member, generation_delta } => {
                let member_id = self.member(member);
                let token = self.token(&member_id);
                let generation = generation + generation_delta;
                self.event(Event::Heartbeat(Heartbeat { token, member_id, group_instance_id: None, generation }));
            }
            Op::Leave { members, instance } => {
                let leaving =
                    |member_id, group_instance_id| LeavingMember { member_id, group_instance_id, reason: None };
                let mut gone: Vec<_> = members.into_iter().map(|m| leaving(self.member(m), None)).collect();
                gone.extend(instance.map(|i| leaving(String::new(), Some(format!("i{i}")))));
                let token = self.token("");
                self.event(Event::Leave(LeaveGroup { token, members: gone }));
            }
            Op::Commit { member, generation_delta } => {
                let member_id = self.member(member);
                self.commit(member_id, generation + generation_delta);
            }
            Op::SimpleCommit => self.commit(String::new(), -1),
            Op::Advance { ms } => self.advance(ms),
            Op::ReportAppend { succeeds } => self.report_append(succeeds),
            Op::Expire => {
                let records = self.group.expire_offsets(&self.config, self.now().wall);
                self.write_and_replay(records);
            }
            Op::Delete => {
                if let Ok(records) = self.group.delete() {
                    assert_eq!(self.group.classic().state(), State::Empty);
                    self.write_and_replay(records);
                }
            }
            Op::Reload => self.reload(),
        }
        self.group.classic().assert_consistent();
    }

    fn join(&mut self, member_id: String, group_instance_id: Option<String>, version: u8, protocols: u8) {
        let token = self.token(&member_id);
        let protocol = |name: &str| Protocol { name: name.to_owned(), metadata: Bytes::from_static(b"\0\0\0\0\0\0") };
        let names = ["x", "y", "z"].iter().enumerate().filter(|(bit, _)| protocols & (1 << bit) != 0);
        self.event(Event::Join(JoinGroup {
            token,
            member_id,
            random_id: self.tokens.to_string(),
            group_instance_id,
            client_id: "c".to_owned(),
            client_host: "/h".to_owned(),
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 20_000,
            protocol_type: CONSUMER_PROTOCOL_TYPE.to_owned(),
            protocols: names.map(|(_, name)| protocol(name)).collect(),
            reason: None,
            requires_known_member_id: version >= 4,
            supports_skipping_assignment: version >= 9,
        }));
    }

    /// The leader gives every member a partition of its own; anybody else brings nothing.
    fn sync(&mut self, member_id: String, generation: i32, group_instance_id: Option<String>) {
        let token = self.token(&member_id);
        let leads = self.group.classic().members().is_leader(&member_id);
        let ids = if leads { self.group.classic().members().ids() } else { Vec::new() };
        let give = |(partition, id): (usize, String)| (id, Bytes::from(format!("{token:?}-{partition}")));
        self.event(Event::Sync(SyncGroup {
            token,
            member_id,
            group_instance_id,
            generation,
            protocol_type: None,
            protocol: None,
            assignments: ids.into_iter().enumerate().map(give).collect(),
        }));
    }

    fn commit(&mut self, member_id: String, generation: i32) {
        let before = self.group.classic().clone();
        let partition = OffsetCommitPartition {
            topic: "t".into(),
            topic_id: TopicId(Uuid([1; 16])),
            partition: 0,
            offset: self.tokens as i64,
            leader_epoch: -1,
            metadata: None,
        };
        let request = OffsetCommit {
            member_id: member_id.clone(),
            group_instance_id: None,
            generation,
            knows_member_epochs: true,
            retention_time_ms: None,
            partitions: vec![partition],
        };
        let Ok(decision) = self.group.commit_offsets(&request, &self.config, self.now()) else { return };
        let simple = generation < 0 && before.state() == State::Empty;
        let current = generation == before.generation() && before.members().contains(&member_id);
        assert!(simple || (current && before.state() != State::CompletingRebalance), "{request:?} in {before:?}");
        self.write_and_replay(decision.records);
    }

    fn advance(&mut self, ms: u64) {
        let until = self.now_ms + ms;
        let mut steps = 0;
        while let Some(at) = self.group.next_deadline().filter(|at| at.0 <= until) {
            self.now_ms = self.now_ms.max(at.0);
            self.event(Event::TimersDue);
            steps += 1;
            assert!(steps < 1000, "the timers never rest: {:?}", self.group);
        }
        self.now_ms = until;
    }

    fn report_append(&mut self, succeeds: bool) {
        if self.appends.is_empty() {
            return;
        }
        let (append, records) = self.appends.remove(0);
        if succeeds {
            self.write(records);
            self.event(Event::Appended(append));
        } else {
            self.event(Event::AppendFailed(append, ErrorCode::CoordinatorNotAvailable));
        }
    }

    /// Another coordinator takes over from the log; what was not committed may or may not be in it.
    fn reload(&mut self) {
        self.event(Event::Resign(ErrorCode::NotCoordinator));
        assert!(self.waiting.is_empty(), "never answered: {:?}", self.waiting);
        self.appends.clear();
        let offsets = self.group.offsets().clone();
        self.group = Group::default();
        for record in self.log.values().cloned() {
            self.group.replay(record);
        }
        assert_eq!(self.group.offsets(), &offsets);
        let effects =
            self.group.on_loaded(&test_world::circumstances(&TestTopics::default(), &self.config, self.now()));
        self.owners.clear();
        self.execute(effects);
    }

    fn event(&mut self, event: Event) {
        let before = self.group.classic().generation();
        let resigns = matches!(event, Event::Resign(_));
        let effects = self.group.on_event(event, &self.config, self.now());
        assert!(resigns || self.group.classic().generation() >= before, "a generation went back");
        self.execute(effects);
    }

    fn execute(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Note(_) => {}
                Effect::Append { append, records } => self.appends.push((append, records)),
                Effect::Reply { token, reply } => {
                    let asked = self.waiting.remove(&token).expect("a request is answered exactly once");
                    self.check_reply(&asked, reply);
                }
            }
        }
    }

    fn check_reply(&mut self, asked: &str, reply: Reply) {
        match reply {
            Reply::Join(reply) => {
                if !reply.member_id.is_empty() && !self.member_ids.contains(&reply.member_id) {
                    self.member_ids.push(reply.member_id.clone());
                }
                if reply.error == ErrorCode::None {
                    assert_eq!(reply.generation, self.group.classic().generation());
                    let leads = reply.leader == reply.member_id;
                    assert!(leads || reply.members.is_empty(), "only the leader sees the members");
                }
            }
            Reply::Sync(reply) if reply.error == ErrorCode::None && !reply.assignment.is_empty() => {
                let group = self.group.classic();
                let member = group.members().get(asked).expect("an assignment is for a member");
                let owner = member.group_instance_id.clone().unwrap_or_else(|| asked.to_owned());
                let key = (group.generation(), reply.assignment);
                let first = self.owners.entry(key).or_insert_with(|| owner.clone());
                assert_eq!(*first, owner, "one partition, two owners");
            }
            _ => {}
        }
    }

    fn write_and_replay(&mut self, records: Vec<GroupRecord>) {
        self.write(records.clone());
        records.into_iter().for_each(|record| self.group.replay(record));
    }

    fn write(&mut self, records: Vec<GroupRecord>) {
        for record in records {
            let (key, kept) = match &record {
                GroupRecord::Metadata(value) => ("group".to_owned(), value.is_some()),
                GroupRecord::Offset { topic, partition, value } => (format!("{topic}-{partition}"), value.is_some()),
                GroupRecord::Consumer(record) => panic!("a classic group writes no {record:?}"),
            };
            if kept {
                self.log.insert(key, record)
            } else {
                self.log.remove(&key)
            };
        }
    }

    /// From now on every append succeeds and every member does what Kafka's clients do.
    fn heal(&mut self) {
        for _ in 0..40 {
            while !self.appends.is_empty() {
                self.report_append(true);
            }
            for member_id in self.group.classic().members().ids() {
                self.behave(&member_id);
            }
            if self.group.classic().state() == State::Stable && self.waiting.is_empty() && self.appends.is_empty() {
                break;
            }
            self.advance(3_000);
        }
        let group = self.group.classic();
        assert!(self.waiting.is_empty(), "never answered: {:?} in {group:?}", self.waiting);
        assert!(matches!(group.state(), State::Stable | State::Empty), "not settled: {group:?}");
        let synced: BTreeSet<_> = group.members().ids().into_iter().collect();
        assert_eq!(group.state() == State::Stable, !synced.is_empty());
    }

    fn behave(&mut self, member_id: &str) {
        let group = self.group.classic();
        let Some(member) = group.members().get(member_id) else { return };
        if member.awaiting_join.is_some() || member.awaiting_sync.is_some() {
            return;
        }
        let (instance, generation) = (member.group_instance_id.clone(), group.generation());
        match group.state() {
            State::PreparingRebalance => {
                let protocols = member.protocols.clone();
                let bits = ["x", "y", "z"].iter().enumerate();
                let known = |name: &str| protocols.iter().any(|protocol| protocol.name == name);
                let protocols = bits.map(|(bit, name)| u8::from(known(name)) << bit).sum();
                self.join(member_id.to_owned(), instance, 9, protocols);
            }
            State::CompletingRebalance => self.sync(member_id.to_owned(), generation, instance),
            _ => {
                let token = self.token(member_id);
                let member_id = member_id.to_owned();
                self.event(Event::Heartbeat(Heartbeat { token, member_id, group_instance_id: instance, generation }));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn invariants_hold_in_any_history(
        ops in prop::collection::vec(op(), 1..150),
        delay in prop_oneof![Just(0), Just(3000)],
        size_max in prop_oneof![Just(usize::MAX), 2..5_usize],
    ) {
        let mut world = World::new(delay, size_max);
        for op in ops {
            world.run(op);
        }
        world.heal();
        world.group.classic().assert_consistent();
        world.reload();
    }
}
