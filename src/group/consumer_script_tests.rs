//! Runs the text scripts in `consumer/testscripts/`: requests go in, decisions come out.
//!
//! Appends succeed at once unless `refuse` comes before the request. Time stands still until `advance`. A member
//! brings the epoch it was told last, unless the script gives another. `UPDATE_GOLDENFILES=1 cargo test group::`
//! writes the expected output.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write;
use std::path::Path;

use bytes::Bytes;
use goldenscript::{ArgumentConsumer, Command, Context, Runner};

use super::consumer_protocol::{self, NamedPartitions};
use super::test_world::{SETTINGS, TestLog, TestTopics};
use super::*;
use crate::model::{ErrorCode, Monotonic, TopicId, Uuid, Wall};

type Outcome = Result<(), Box<dyn Error>>;

const WALL_START: i64 = 1_000_000;

struct Script {
    group: Group,
    config: GroupConfig,
    settings: ConsumerSettings,
    topics: TestTopics,
    now_ms: u64,
    log: TestLog,
    /// The epoch that each member was told last.
    told: BTreeMap<String, i32>,
    /// Nothing can be appended.
    refuses: bool,
    output: String,
}

#[test]
fn scripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/group/consumer/testscripts");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() > 9, "the scripts are gone");
    for path in paths {
        goldenscript::run(&mut Script::new(), &path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

impl Runner for Script {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> Result<String, Box<dyn Error>> {
        let mut args = command.consume_args();
        match command.name.as_str() {
            "set" => self.set(&mut args)?,
            "topics" => self.set_topics(&mut args)?,
            "join" => self.beat(&mut args, Some(JOIN_EPOCH))?,
            "beat" => self.beat(&mut args, None)?,
            "leave" => self.beat(&mut args, Some(LEAVE_EPOCH))?,
            "leave_for_a_while" => self.beat(&mut args, Some(STATIC_LEAVE_EPOCH))?,
            "classic_join" => self.classic_join(&mut args)?,
            "classic_sync" => self.classic_sync(&mut args)?,
            "classic_heartbeat" => self.classic_heartbeat(&mut args)?,
            "classic_leave" => self.classic_leave(&mut args)?,
            "commit" => self.commit(&mut args)?,
            "fetch" => self.fetch(&mut args)?,
            "delete" => self.delete()?,
            "delete_offsets" => self.delete_offsets(&mut args)?,
            "advance" => self.advance(required(&mut args)?.parse()?),
            "refuse" => self.refuses = true,
            "reload" => self.reload(),
            "group" => self.print_group(),
            "log" => writeln!(self.output, "{}", self.log.keys().join(", "))?,
            other => return Err(format!("unknown command {other}").into()),
        }
        args.reject_next()?;
        if let Some(group) = self.group.consumer() {
            group.assert_consistent();
        }
        let output = std::mem::take(&mut self.output);
        Ok(if output.is_empty() { output } else { format!("> {command}\n{output}") })
    }
}

impl Script {
    fn new() -> Self {
        Self {
            group: Group::default(),
            config: GroupConfig { initial_rebalance_delay_ms: 0, ..GroupConfig::default() },
            settings: SETTINGS,
            topics: TestTopics::default(),
            now_ms: 0,
            log: TestLog::default(),
            told: BTreeMap::new(),
            refuses: false,
            output: String::new(),
        }
    }

    fn set(&mut self, args: &mut ArgumentConsumer) -> Outcome {
        while let Some((key, value)) = args.next_key() {
            match key {
                "session" => self.settings.session_timeout_ms = value.parse()?,
                "interval" => self.settings.assignment_interval_ms = value.parse()?,
                "max_size" => self.config.consumer.size_max = value.parse()?,
                "policy" => self.config.consumer.migration = MigrationPolicy::from_name(value),
                "assignors" => {
                    self.config.consumer.assignors = value.split(',').filter_map(Assignor::from_name).collect();
                }
                "enabled" => self.config.consumer.enabled = value.parse()?,
                other => return Err(format!("unknown setting {other}").into()),
            }
        }
        Ok(())
    }

    fn set_topics(&mut self, args: &mut ArgumentConsumer) -> Outcome {
        while let Some((name, partitions)) = args.next_key() {
            self.topics.set(name, partitions.parse()?);
        }
        Ok(())
    }

    fn beat(&mut self, args: &mut ArgumentConsumer, epoch: Option<i32>) -> Outcome {
        let member = required(args)?.to_owned();
        let joins = epoch == Some(JOIN_EPOCH);
        let told = self.told.get(&member).copied().unwrap_or_default();
        let epoch = args.take_key("epoch").map(str::parse).transpose()?.or(epoch).unwrap_or(told);
        let version: i16 = args.take_key("v").map_or(Ok(1), str::parse)?;
        let owned = args.take_key("owned").map(|text| self.partitions(text)).transpose()?;
        let request = ConsumerHeartbeat {
            member_id: if member == "-" { String::new() } else { member.clone() },
            random_id: "drawn".to_owned(),
            brings_member_id: version >= 1,
            member_epoch: epoch,
            instance_id: args.take_key("instance").map(str::to_owned),
            rack_id: args.take_key("rack").map(str::to_owned),
            rebalance_timeout_ms: args.take_key("rebalance").map(str::parse).transpose()?.or(joins.then_some(60_000)),
            client_id: "client".to_owned(),
            client_host: format!("/{member}"),
            topics: args.take_key("topics").map(names),
            regex: args.take_key("regex").map(str::to_owned),
            assignor: args.take_key("assignor").map(str::to_owned),
            owned: owned.or(joins.then(Partitions::new)),
        };
        let config = self.config.clone();
        let topics = self.topics.clone();
        let around = Circumstances { topics: &topics, config: &config, settings: self.settings, now: self.now() };
        match self.group.consumer_heartbeat(&request, &around) {
            Err(refusal) => self.print_refusal(&member, &refusal)?,
            Ok(decision) => {
                if let Some(reply) = self.carry_out(decision) {
                    self.told.insert(reply.member_id.clone(), reply.member_epoch);
                    let assignment = reply.assignment.map(|partitions| format!(" [{}]", self.display(&partitions)));
                    let next = Some(reply.heartbeat_interval_ms).filter(|&ms| ms != 5000 && ms != 0);
                    writeln!(
                        self.output,
                        "{}: epoch={}{}{}",
                        reply.member_id,
                        reply.member_epoch,
                        assignment.unwrap_or_default(),
                        next.map(|ms| format!(" again in {ms} ms")).unwrap_or_default()
                    )?;
                }
            }
        }
        Ok(())
    }

    fn classic_join(&mut self, args: &mut ArgumentConsumer) -> Outcome {
        let name = required(args)?.to_owned();
        let topics = names(args.take_key("topics").unwrap_or("t"));
        let owned = args.take_key("owned").unwrap_or_default().to_owned();
        let request = JoinGroup {
            token: Token(1),
            member_id: args.take_key("as").unwrap_or_default().to_owned(),
            random_id: "1".to_owned(),
            group_instance_id: args.take_key("instance").map(str::to_owned),
            client_id: name.clone(),
            client_host: format!("/{name}"),
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 60_000,
            protocol_type: args.take_key("type").unwrap_or(CONSUMER_PROTOCOL_TYPE).to_owned(),
            protocols: vec![Protocol {
                name: args.take_key("protocol").unwrap_or("cooperative-sticky").to_owned(),
                metadata: self.subscription(&topics, &owned)?,
            }],
            reason: None,
            requires_known_member_id: false,
            supports_skipping_assignment: true,
        };
        if let Some(decision) = self.group.make_way_for_classic() {
            self.carry_out(decision);
        }
        self.classic(Event::Join(request.clone()), |group, around| {
            group.join(&request, around).map(|d| (d, Reply::Join))
        })
    }

    fn classic_sync(&mut self, args: &mut ArgumentConsumer) -> Outcome {
        let member_id = required(args)?.to_owned();
        let mut assignments = Vec::new();
        let generation = args.take_key("gen").map(str::parse).transpose()?;
        while let Some((member, partitions)) = args.next_key() {
            assignments.push((member.to_owned(), consumer_protocol::encode_assignment(0, &named(partitions)?)));
        }
        let request = SyncGroup {
            token: Token(1),
            generation: generation.unwrap_or(self.told.get(&member_id).copied().unwrap_or_default()),
            member_id,
            group_instance_id: None,
            protocol_type: None,
            protocol: None,
            assignments,
        };
        self.classic(Event::Sync(request.clone()), |group, around| {
            group.sync(&request, around).map(|d| (d, Reply::Sync))
        })
    }

    fn classic_heartbeat(&mut self, args: &mut ArgumentConsumer) -> Outcome {
        let member_id = required(args)?.to_owned();
        let generation = args.take_key("gen").map(str::parse).transpose()?;
        let generation = generation.unwrap_or(self.told.get(&member_id).copied().unwrap_or_default());
        let request = Heartbeat { token: Token(1), member_id, group_instance_id: None, generation };
        self.classic(Event::Heartbeat(request.clone()), |group, around| {
            group.heartbeat(&request, around).map(|d| (d, Reply::Heartbeat))
        })
    }

    fn classic_leave(&mut self, args: &mut ArgumentConsumer) -> Outcome {
        let member_id = required(args)?.to_owned();
        let members = vec![LeavingMember { member_id, group_instance_id: None, reason: None }];
        let request = LeaveGroup { token: Token(1), members };
        self.classic(Event::Leave(request.clone()), |group, around| {
            group.leave(&request, around).map(|d| (d, Reply::Leave))
        })
    }

    /// A request of the classic protocol, to a group of either kind.
    fn classic<R, F: FnOnce(R) -> Reply>(
        &mut self,
        event: Event,
        decide: impl FnOnce(&Group, &Circumstances<'_>) -> Result<(Decision<R>, F), Refusal>,
    ) -> Outcome {
        if self.group.consumer().is_none() {
            self.event(event);
            return Ok(());
        }
        let (config, topics) = (self.config.clone(), self.topics.clone());
        let around = Circumstances { topics: &topics, config: &config, settings: self.settings, now: self.now() };
        match decide(&self.group, &around) {
            Err(refusal) => self.print_refusal("classic", &refusal)?,
            Ok((decision, reply)) => {
                if let Some(answer) = self.carry_out(decision) {
                    self.print_reply(&reply(answer));
                }
            }
        }
        Ok(())
    }

    fn event(&mut self, event: Event) {
        let effects = self.group.on_event(event, &self.config, self.now());
        self.execute(effects);
    }

    fn execute(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Note(note) => self.print_note(&note),
                Effect::Reply { reply, .. } => self.print_reply(&reply),
                Effect::Append { append, records } => {
                    self.log.write(&records);
                    self.event(Event::Appended(append));
                }
            }
        }
    }

    fn carry_out<R>(&mut self, decision: Decision<R>) -> Option<R> {
        if !decision.records.is_empty() && std::mem::take(&mut self.refuses) {
            writeln!(self.output, "(nothing could be appended)").unwrap();
            return None;
        }
        self.log.write(&decision.records);
        let (reply, effects) = self.group.accept(decision);
        self.execute(effects);
        Some(reply)
    }

    fn commit(&mut self, args: &mut ArgumentConsumer) -> Outcome {
        let mut request = OffsetCommit {
            member_id: args.next_pos().unwrap_or_default().to_owned(),
            group_instance_id: None,
            generation: args.take_key("epoch").map_or(Ok(-1), str::parse)?,
            knows_member_epochs: args.take_key("v").is_none_or(|version| version != "8"),
            retention_time_ms: None,
            partitions: Vec::new(),
        };
        while let Some((partition, offset)) = args.next_key() {
            let (topic, index) = partition.rsplit_once('-').ok_or("not a partition")?;
            request.partitions.push(OffsetCommitPartition {
                topic: topic.into(),
                topic_id: self.topics.find(topic).map_or(TopicId(Uuid::ZERO), |found| found.0),
                partition: index.parse()?,
                offset: offset.parse()?,
                leader_epoch: -1,
                metadata: None,
            });
        }
        let now = self.now();
        match self.group.commit_offsets(&request, &self.config, now) {
            Err(error) => writeln!(self.output, "commit: {}", error.name())?,
            Ok(decision) => {
                self.log.write(&decision.records);
                decision.records.into_iter().for_each(|record| self.group.replay(record));
                writeln!(self.output, "commit: NONE")?;
            }
        }
        Ok(())
    }

    fn fetch(&mut self, args: &mut ArgumentConsumer) -> Outcome {
        let epoch = args.take_key("epoch").map_or(Ok(-1), str::parse)?;
        let error = self.group.check_offset_fetch(args.next_pos(), epoch).err().unwrap_or(ErrorCode::None);
        writeln!(self.output, "fetch: {}", error.name())?;
        Ok(())
    }

    fn delete(&mut self) -> Outcome {
        match self.group.delete() {
            Err(error) => writeln!(self.output, "delete: {}", error.name())?,
            Ok(records) => {
                self.log.write(&records);
                records.into_iter().for_each(|record| self.group.replay(record));
                let left = if self.group.is_vacant() { "nothing is left" } else { "something is left" };
                writeln!(self.output, "delete: {left}")?;
            }
        }
        Ok(())
    }

    fn delete_offsets(&mut self, args: &mut ArgumentConsumer) -> Outcome {
        let (topic, partition) = required(args)?.rsplit_once('-').ok_or("not a partition")?;
        let decision = self.group.delete_offsets(&[(topic.into(), partition.parse()?)]);
        let errors = decision.map_or_else(|error| vec![error], |decision| decision.errors);
        writeln!(self.output, "delete_offsets: {}", errors[0].name())?;
        Ok(())
    }

    fn advance(&mut self, ms: u64) {
        let until = self.now_ms + ms;
        while let Some(at) = self.group.next_deadline().filter(|at| at.0 <= until) {
            self.now_ms = self.now_ms.max(at.0);
            let from = self.output.len();
            let (config, topics) = (self.config.clone(), self.topics.clone());
            let around = Circumstances { topics: &topics, config: &config, settings: self.settings, now: self.now() };
            match self.group.run_timers(&around) {
                Some(decision) => {
                    self.carry_out(decision);
                }
                None => self.event(Event::TimersDue),
            }
            let printed = self.output.split_off(from);
            for line in printed.lines() {
                writeln!(self.output, "[{}] {line}", self.now_ms).unwrap();
            }
        }
        self.now_ms = until;
    }

    /// Another broker takes over: it knows what the log holds.
    fn reload(&mut self) {
        self.group = Group::default();
        for record in self.log.clone().records() {
            self.group.replay(record.clone());
        }
        let (config, topics) = (self.config.clone(), self.topics.clone());
        let around = Circumstances { topics: &topics, config: &config, settings: self.settings, now: self.now() };
        let effects = self.group.on_loaded(&around);
        self.execute(effects);
    }

    fn now(&self) -> Now {
        Now { monotonic: Monotonic(self.now_ms), wall: Wall(WALL_START + self.now_ms as i64) }
    }

    fn partitions(&self, text: &str) -> Result<Partitions, Box<dyn Error>> {
        let named = named(text)?;
        let ids = named.iter().filter_map(|(name, indexes)| Some((self.topics.find(name)?.0, indexes)));
        Ok(ids.flat_map(|(id, indexes)| indexes.iter().map(move |index| (id, *index))).collect())
    }

    /// A subscription of version 1, which has owned partitions.
    fn subscription(&self, topics: &BTreeSet<String>, owned: &str) -> Result<Bytes, Box<dyn Error>> {
        let mut bytes = vec![0, 1];
        bytes.extend((topics.len() as i32).to_be_bytes());
        for topic in topics {
            bytes.extend((topic.len() as i16).to_be_bytes());
            bytes.extend(topic.as_bytes());
        }
        bytes.extend((-1_i32).to_be_bytes());
        // An assignment is a version, the same list, and user data.
        let assignment = consumer_protocol::encode_assignment(0, &named(owned)?);
        bytes.extend(&assignment[2..assignment.len() - 4]);
        Ok(bytes.into())
    }

    fn display<'a>(&self, partitions: impl IntoIterator<Item = &'a (TopicId, i32)>) -> String {
        partitions.into_iter().map(|partition| self.topics.display(partition)).collect::<Vec<_>>().join(" ")
    }

    fn print_refusal(&mut self, member: &str, refusal: &Refusal) -> Outcome {
        Ok(writeln!(self.output, "{member}: {} {}", refusal.error.name(), refusal.message)?)
    }

    fn print_note(&mut self, note: &Note) {
        let text = match note {
            Note::EpochBumped { epoch, reason } => format!("epoch {epoch}: {reason}"),
            Note::Assigned { epoch, assignor, members } => {
                format!("assigned for epoch {epoch} by {} to {members}", assignor.name())
            }
            Note::Migrated { to_consumer: true } => "now a consumer group".to_owned(),
            Note::Migrated { to_consumer: false } => "now a classic group".to_owned(),
            Note::MemberRemoved { member_id, reason, .. } => format!("removed {member_id}: {reason}"),
            Note::RebalanceStarted { reason, .. } => format!("rebalance: {reason}"),
            Note::JoinCompleted { generation, members, .. } => format!("joined gen={generation}: {members}"),
            Note::Stabilized { generation, .. } => format!("stable gen={generation}"),
            other => format!("{other:?}"),
        };
        writeln!(self.output, "  {text}").unwrap();
    }

    fn print_reply(&mut self, reply: &Reply) {
        let text = match reply {
            Reply::Join(reply) if reply.error == ErrorCode::None => {
                self.told.insert(reply.member_id.clone(), reply.generation);
                format!("{} gen={} leader={:?}", reply.member_id, reply.generation, reply.leader)
            }
            Reply::Join(reply) => format!("join {} {:?}", reply.error.name(), reply.member_id),
            Reply::Sync(reply) if reply.error == ErrorCode::None => {
                let read = consumer_protocol::assignment(&reply.assignment).expect("an assignment");
                let one = |(topic, indexes): (&String, &BTreeSet<i32>)| {
                    indexes.iter().map(|index| format!("{topic}-{index}")).collect::<Vec<_>>().join(" ")
                };
                format!("synced [{}]", read.partitions.iter().map(one).collect::<Vec<_>>().join(" "))
            }
            Reply::Sync(reply) => format!("sync {}", reply.error.name()),
            Reply::Heartbeat(error) => format!("heartbeat {}", error.name()),
            Reply::Leave(reply) => {
                let each: Vec<_> =
                    reply.members.iter().map(|m| format!("{}={}", m.member_id, m.error.name())).collect();
                format!("left {} {}", reply.error.name(), each.join(" "))
            }
        };
        writeln!(self.output, "{text}").unwrap();
    }

    fn print_group(&mut self) {
        let Some(group) = self.group.consumer().cloned() else {
            let view = self.group.classic().describe();
            let members: Vec<_> = view.members.iter().map(|member| member.member_id.as_str()).collect();
            let generation = self.group.classic().generation();
            writeln!(self.output, "classic {} gen={generation} [{}]", view.state, members.join(" ")).unwrap();
            return;
        };
        let (epoch, target) = (group.epoch(), group.assignment_epoch());
        writeln!(self.output, "{} epoch={epoch} target={target}", group.state()).unwrap();
        for (member_id, member) in group.members() {
            let current = &member.current;
            let mut line = format!("  {member_id} {:?} epoch={}", current.state, current.epoch);
            write!(line, " owns [{}]", self.display(current.assigned.keys())).unwrap();
            if !current.revoking.is_empty() {
                write!(line, " revokes [{}]", self.display(current.revoking.keys())).unwrap();
            }
            if !member.target.iter().eq(current.assigned.keys()) {
                write!(line, " shall own [{}]", self.display(member.target.iter())).unwrap();
            }
            writeln!(self.output, "{line}{}", if member.is_classic() { " (classic)" } else { "" }).unwrap();
        }
    }
}

fn required<'a>(args: &mut ArgumentConsumer<'a>) -> Result<&'a str, Box<dyn Error>> {
    args.next_pos().ok_or_else(|| "an argument is missing".into())
}

/// `t+u` is two topics; nothing is none.
fn names(text: &str) -> BTreeSet<String> {
    text.split('+').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// `t:0,1+u:0` is three partitions.
fn named(text: &str) -> Result<NamedPartitions, Box<dyn Error>> {
    let mut partitions = NamedPartitions::new();
    for topic in text.split('+').filter(|topic| !topic.is_empty()) {
        let (name, indexes) = topic.split_once(':').ok_or("not a list of partitions")?;
        let indexes = indexes.split(',').map(str::parse::<i32>).collect::<Result<_, _>>()?;
        partitions.insert(name.to_owned(), indexes);
    }
    Ok(partitions)
}
