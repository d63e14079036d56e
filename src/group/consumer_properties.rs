//! Random histories of the consumer protocol: whatever happens in whatever order, no two members own a partition
//! (invariant C3), the log says what the group is, and members that behave reach their target.
//!
//! Clients are played as Kafka's are: they take over what they are given, need some time to give up what is taken
//! from them, say everything again when an answer was lost, and begin anew when they are fenced.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::test_world::{TestLog, TestTopics, circumstances};
use super::*;
use crate::model::{ErrorCode, Monotonic, TopicId, Wall};

const CLIENTS: usize = 5;
const TOPICS: [&str; 3] = ["t", "u", "v"];

/// One step of a random history; the numbers pick clients and topics.
#[derive(Clone, Debug)]
enum Op {
    Beat {
        client: usize,
        answer_is_lost: bool,
    },
    /// The client has given up what was taken from it.
    GiveUp {
        client: usize,
    },
    /// The client's process starts anew, without a farewell.
    Restart {
        client: usize,
    },
    Leave {
        client: usize,
        for_a_while: bool,
    },
    Subscribe {
        client: usize,
        topics: u8,
        by_regex: bool,
    },
    Topic {
        topic: usize,
        partitions: i32,
    },
    Advance {
        ms: u64,
    },
    RefuseNextAppend,
    Reload,
}

fn op() -> impl Strategy<Value = Op> {
    let client = 0..CLIENTS;
    prop_oneof![
        20 => (client.clone(), prop::bool::weighted(0.2))
            .prop_map(|(client, answer_is_lost)| Op::Beat { client, answer_is_lost }),
        8 => client.clone().prop_map(|client| Op::GiveUp { client }),
        1 => client.clone().prop_map(|client| Op::Restart { client }),
        2 => (client.clone(), any::<bool>()).prop_map(|(client, for_a_while)| Op::Leave { client, for_a_while }),
        2 => (client, 0..8_u8, any::<bool>())
            .prop_map(|(client, topics, by_regex)| Op::Subscribe { client, topics, by_regex }),
        2 => (0..TOPICS.len(), 0..5_i32).prop_map(|(topic, partitions)| Op::Topic { topic, partitions }),
        3 => (0..30_000_u64).prop_map(|ms| Op::Advance { ms }),
        1 => Just(Op::RefuseNextAppend),
        1 => Just(Op::Reload),
    ]
}

/// A consumer as it sees itself.
#[derive(Clone, Debug, Default)]
struct Client {
    member_id: String,
    instance: Option<String>,
    epoch: i32,
    topics: BTreeSet<String>,
    regex: Option<String>,
    owned: Partitions,
    /// What it was told to own, while it gives up something else.
    given: Option<Partitions>,
    /// It has to say everything: it joins, or has not had an answer.
    says_everything: bool,
    /// It has not said yet what it owns now.
    has_news: bool,
}

struct World {
    group: Group,
    config: GroupConfig,
    topics: TestTopics,
    log: TestLog,
    now_ms: u64,
    clients: Vec<Client>,
    lives: usize,
    refuses: bool,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            group: Group::default(),
            config: GroupConfig::default(),
            topics: TestTopics::default(),
            log: TestLog::default(),
            now_ms: 0,
            clients: Vec::new(),
            lives: 0,
            refuses: false,
        };
        world.topics.set("t", 3);
        for number in 0..CLIENTS {
            let instance = (number >= CLIENTS - 2).then(|| format!("i{number}"));
            world.clients.push(Client { instance, topics: ["t".to_owned()].into(), ..Client::default() });
            world.restart(number);
        }
        world
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Beat { client, answer_is_lost } => self.beat(client, answer_is_lost),
            Op::GiveUp { client } => self.give_up(client),
            Op::Restart { client } => self.restart(client),
            Op::Leave { client, for_a_while } => self.leave(client, for_a_while),
            Op::Subscribe { client, topics, by_regex } => self.subscribe(client, topics, by_regex),
            Op::Topic { topic, partitions } => self.topics.set(TOPICS[topic], partitions),
            Op::Advance { ms } => self.advance(ms),
            Op::RefuseNextAppend => self.refuses = true,
            Op::Reload => self.reload(),
        }
        self.check();
    }

    fn restart(&mut self, number: usize) {
        self.lives += 1;
        let client = &mut self.clients[number];
        client.member_id = format!("m{}", self.lives);
        client.begin();
    }

    fn beat(&mut self, number: usize, answer_is_lost: bool) {
        let request = self.clients[number].request();
        let decided = self.group.consumer_heartbeat(&request, &circumstances(&self.topics, &self.config, self.now()));
        let reply = decided.and_then(|decision| self.carry_out(decision));
        let client = &mut self.clients[number];
        match reply {
            _ if answer_is_lost => client.says_everything = true,
            Ok(reply) => client.on_reply(reply),
            Err(refusal) => self.on_refusal(number, &refusal),
        }
    }

    fn on_refusal(&mut self, number: usize, refusal: &Refusal) {
        match refusal.error {
            ErrorCode::CoordinatorNotAvailable => self.clients[number].says_everything = true,
            ErrorCode::UnreleasedInstanceId => {}
            ErrorCode::FencedMemberEpoch | ErrorCode::UnknownMemberId | ErrorCode::GroupIdNotFound => {
                self.clients[number].begin();
            }
            // Another life of its instance; in this game there is none.
            other => panic!("{} {}", other.name(), refusal.message),
        }
    }

    fn give_up(&mut self, number: usize) {
        let client = &mut self.clients[number];
        if let Some(given) = client.given.take() {
            client.owned = given;
            client.has_news = true;
        }
    }

    fn leave(&mut self, number: usize, for_a_while: bool) {
        let client = &self.clients[number];
        let for_a_while = for_a_while && client.instance.is_some();
        let request = ConsumerHeartbeat {
            member_epoch: if for_a_while { STATIC_LEAVE_EPOCH } else { LEAVE_EPOCH },
            member_id: client.member_id.clone(),
            instance_id: client.instance.clone(),
            ..ConsumerHeartbeat::default()
        };
        let decided = self.group.consumer_heartbeat(&request, &circumstances(&self.topics, &self.config, self.now()));
        if let Ok(decision) = decided {
            let _ = self.carry_out(decision);
        }
        self.restart(number);
    }

    fn subscribe(&mut self, number: usize, topics: u8, by_regex: bool) {
        let client = &mut self.clients[number];
        let wanted = TOPICS.iter().enumerate().filter(|(bit, _)| topics & (1 << bit) != 0).map(|(_, name)| *name);
        let names: BTreeSet<String> = wanted.map(str::to_owned).collect();
        client.regex = Some(if by_regex { names.iter().cloned().collect::<Vec<_>>().join("|") } else { String::new() });
        client.topics = if by_regex { BTreeSet::new() } else { names };
        client.says_everything = true;
    }

    fn advance(&mut self, ms: u64) {
        let until = self.now_ms + ms;
        let mut steps = 0;
        while let Some(at) = self.group.next_deadline().filter(|at| at.0 <= until) {
            self.now_ms = self.now_ms.max(at.0);
            let decision = self.group.run_timers(&circumstances(&self.topics, &self.config, self.now()));
            if self.carry_out(decision.expect("a group of the consumer protocol")).is_err() {
                self.now_ms += 500;
            }
            steps += 1;
            assert!(steps < 1000, "the timers never rest: {:?}", self.group);
        }
        self.now_ms = self.now_ms.max(until);
    }

    fn carry_out<R>(&mut self, decision: Decision<R>) -> Result<R, Refusal> {
        if !decision.records.is_empty() && std::mem::take(&mut self.refuses) {
            return Err(Refusal::new(ErrorCode::CoordinatorNotAvailable, "refused"));
        }
        self.log.write(&decision.records);
        Ok(self.group.accept(decision).0)
    }

    /// Another coordinator takes over; it knows what this one wrote.
    fn reload(&mut self) {
        let mut loaded = Group::default();
        self.log.records().for_each(|record| loaded.replay(record.clone()));
        match (self.group.consumer(), loaded.consumer()) {
            (Some(before), Some(after)) => after.assert_same_in_the_log(before),
            (before, after) => assert_eq!(before.is_some(), after.is_some()),
        }
        loaded.on_loaded(&circumstances(&self.topics, &self.config, self.now()));
        self.group = loaded;
    }

    fn now(&self) -> Now {
        Now { monotonic: Monotonic(self.now_ms), wall: Wall(self.now_ms as i64) }
    }

    /// C3, as the clients see it. One that was given up and has not heard of it is not a member any more.
    fn check(&self) {
        let Some(group) = self.group.consumer() else { return };
        group.assert_consistent();
        let mut owners: BTreeMap<(TopicId, i32), &str> = BTreeMap::new();
        for client in self.clients.iter().filter(|client| group.member(&client.member_id).is_some()) {
            for partition in &client.owned {
                let other = owners.insert(*partition, &client.member_id);
                assert_eq!(other, None, "{} owns {partition:?} too: {:?}", client.member_id, self.group);
            }
        }
    }

    /// From now on all answers arrive, and everybody behaves.
    fn heal(&mut self) {
        self.refuses = false;
        for _ in 0..60 {
            for client in 0..CLIENTS {
                self.beat(client, false);
                self.give_up(client);
                self.check();
            }
            self.advance(1_000);
        }
        let group = self.group.consumer().expect("its members are here");
        assert_eq!(group.state(), ConsumerState::Stable, "{group:?}");
        let mut owned = Partitions::new();
        for client in &self.clients {
            let member = group.member(&client.member_id).expect("everybody is in");
            assert_eq!((&client.owned, client.epoch), (&*member.target, group.epoch()), "{client:?} {member:?}");
            owned.extend(&client.owned);
        }
        let wanted = |name: &&&str| self.clients.iter().any(|client| client.wants(name));
        let found = TOPICS.iter().filter(wanted).filter_map(|name| self.topics.find(name));
        let all: Partitions = found.flat_map(|(id, count)| (0..count).map(move |index| (id, index))).collect();
        assert_eq!(owned, all);
    }
}

impl Client {
    fn begin(&mut self) {
        self.epoch = JOIN_EPOCH;
        self.owned.clear();
        self.given = None;
        self.says_everything = true;
    }

    fn wants(&self, name: &str) -> bool {
        let by_regex = self.regex.as_deref().is_some_and(|regex| regex.split('|').any(|part| part == name));
        self.topics.contains(name) || by_regex
    }

    fn request(&self) -> ConsumerHeartbeat {
        let full = self.says_everything;
        ConsumerHeartbeat {
            member_id: self.member_id.clone(),
            brings_member_id: true,
            member_epoch: self.epoch,
            instance_id: self.instance.clone(),
            rebalance_timeout_ms: full.then_some(20_000),
            topics: full.then(|| self.topics.clone()),
            regex: self.regex.clone().filter(|_| full),
            owned: (full || self.has_news).then(|| self.owned.clone()),
            ..ConsumerHeartbeat::default()
        }
    }

    fn on_reply(&mut self, reply: ConsumerHeartbeatReply) {
        self.says_everything = false;
        self.has_news = false;
        self.epoch = reply.member_epoch;
        let Some(given) = reply.assignment else { return };
        if self.owned.is_subset(&given) {
            self.has_news = self.owned != given;
            self.owned = given;
            self.given = None;
        } else {
            self.given = Some(given);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn no_two_members_own_a_partition_in_any_history(ops in prop::collection::vec(op(), 1..200)) {
        let mut world = World::new();
        for op in ops {
            world.run(op);
        }
        world.heal();
        world.reload();
        world.heal();
    }
}
