//! Runs the text scripts in `testscripts/`: requests go in, what the machine wants done comes out.
//!
//! Appends succeed at once unless `hold` is on. Time stands still until `advance`. A member called `alice` gets
//! the member ids `alice-1`, `alice-2`, ... `UPDATE_GOLDENFILES=1 cargo test group::` writes the expected output.

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::fmt::Write;
use std::path::Path;

use bytes::Bytes;
use goldenscript::{ArgumentConsumer, Command, Context, Runner};

use super::test_world::{self, TestTopics};
use super::*;
use crate::model::{ErrorCode, Monotonic, ProducerId, TopicId, Uuid, Wall};
use crate::record::TransactionResult;

type Outcome = Result<(), Box<dyn Error>>;

/// Wall time when a script begins; the monotonic clock begins at 0.
const WALL_START: i64 = 1_000_000;

#[derive(Default)]
struct Script {
    group: Group,
    config: GroupConfig,
    now_ms: u64,
    hold: bool,
    held: VecDeque<(AppendId, Vec<GroupRecord>)>,
    /// The log of the group, as compaction would leave it.
    log: BTreeMap<String, GroupRecord>,
    requests: u64,
    waiting: BTreeMap<Token, String>,
    names: BTreeMap<String, u32>,
    output: String,
}

#[test]
fn scripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/group/testscripts");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() > 10, "the scripts are gone");
    for path in paths {
        goldenscript::run(&mut Script::default(), &path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

impl Runner for Script {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> Result<String, Box<dyn Error>> {
        let mut args = command.consume_args();
        match command.name.as_str() {
            "set" => self.set(&mut args)?,
            "join" => self.join(&mut args)?,
            "sync" => self.sync(&mut args)?,
            "heartbeat" => self.heartbeat(&mut args)?,
            "leave" => self.leave(&mut args),
            "commit" => self.commit(&mut args)?,
            "end" => self.end(&mut args)?,
            "fetch" => self.fetch(&mut args)?,
            "delete_offsets" => self.delete_offsets(&mut args)?,
            "delete" => self.delete()?,
            "expire" => self.expire()?,
            "topics" => self.topics(&mut args)?,
            "advance" => self.advance(required(&mut args)?.parse()?)?,
            "hold" => self.hold = true,
            "appended" => self.report_append(ErrorCode::None)?,
            "append_fails" => self.report_append(ErrorCode::CoordinatorNotAvailable)?,
            "resign" => self.event(Event::Resign(ErrorCode::NotCoordinator)),
            "reload" => self.reload(),
            "group" => self.print_group(),
            "log" => self.print_log(),
            other => return Err(format!("unknown command {other}").into()),
        }
        args.reject_next()?;
        let output = std::mem::take(&mut self.output);
        Ok(if output.is_empty() { output } else { format!("> {command}\n{output}") })
    }
}

impl Script {
    fn set(&mut self, args: &mut ArgumentConsumer) -> Outcome {
        while let Some((key, value)) = args.next_key() {
            match key {
                "initial_rebalance_delay" => self.config.initial_rebalance_delay_ms = value.parse()?,
                "max_size" => self.config.size_max = value.parse()?,
                "metadata_max" => self.config.offset_metadata_bytes_max = value.parse()?,
                "retention" => self.config.offsets_retention_ms = value.parse()?,
                "member_metadata_max" => self.config.member_metadata_bytes_max = value.parse()?,
                "group_metadata_max" => self.config.group_metadata_bytes_max = value.parse()?,
                "pending_max" => self.config.pending_members_max = value.parse()?,
                other => return Err(format!("unknown setting {other}").into()),
            }
        }
        Ok(())
    }

    fn join(&mut self, args: &mut ArgumentConsumer) -> Outcome {
        let name = required(args)?.to_owned();
        let member_id = args.take_key("as").unwrap_or_default().to_owned();
        let version: i16 = number(args, "v", 9)?;
        let group_instance_id = args.take_key("instance").map(str::to_owned);
        let count = self.names.entry(group_instance_id.clone().unwrap_or(name.clone())).or_default();
        *count += u32::from(member_id.is_empty());
        let request = JoinGroup {
            token: Token(0),
            member_id,
            random_id: count.to_string(),
            group_instance_id,
            client_id: name.clone(),
            client_host: format!("/{name}.example"),
            session_timeout_ms: number(args, "session", 10_000)?,
            rebalance_timeout_ms: number(args, "rebalance", 60_000)?,
            protocol_type: args.take_key("type").unwrap_or(CONSUMER_PROTOCOL_TYPE).to_owned(),
            protocols: protocols(args.take_key("protocols").unwrap_or("range:t")),
            reason: args.take_key("reason").map(str::to_owned),
            requires_known_member_id: version >= 4,
            supports_skipping_assignment: version >= 9,
        };
        self.request(format!("join {name}"), |token| Event::Join(JoinGroup { token, ..request }));
        Ok(())
    }

    fn sync(&mut self, args: &mut ArgumentConsumer) -> Outcome {
        let member_id = required(args)?.to_owned();
        let request = SyncGroup {
            token: Token(0),
            generation: number(args, "gen", self.group.classic().generation())?,
            group_instance_id: args.take_key("instance").map(str::to_owned),
            protocol_type: args.take_key("type").map(str::to_owned),
            protocol: args.take_key("protocol").map(str::to_owned),
            assignments: assignments(args),
            member_id: member_id.clone(),
        };
        self.request(format!("sync {member_id}"), |token| Event::Sync(SyncGroup { token, ..request }));
        Ok(())
    }

    fn heartbeat(&mut self, args: &mut ArgumentConsumer) -> Outcome {
        let member_id = required(args)?.to_owned();
        let generation = number(args, "gen", self.group.classic().generation())?;
        let group_instance_id = args.take_key("instance").map(str::to_owned);
        self.request(format!("heartbeat {member_id}"), |token| {
            Event::Heartbeat(Heartbeat { token, member_id, group_instance_id, generation })
        });
        Ok(())
    }

    fn leave(&mut self, args: &mut ArgumentConsumer) {
        let mut members = Vec::new();
        let reason = args.take_key("reason").map(str::to_owned);
        while let Some(member) = args.next_pos() {
            let (member_id, instance) = member.split_once('@').map_or((member, None), |(m, i)| (m, Some(i)));
            members.push(LeavingMember {
                member_id: member_id.to_owned(),
                group_instance_id: instance.map(str::to_owned),
                reason: reason.clone(),
            });
        }
        self.request("leave".to_owned(), |token| Event::Leave(LeaveGroup { token, members }));
    }

    fn commit(&mut self, args: &mut ArgumentConsumer) -> Outcome {
        let mut request = OffsetCommit {
            member_id: args.next_pos().unwrap_or_default().to_owned(),
            group_instance_id: args.take_key("instance").map(str::to_owned),
            generation: number(args, "gen", -1)?,
            knows_member_epochs: true,
            retention_time_ms: args.take_key("retention").map(str::parse).transpose()?,
            partitions: Vec::new(),
        };
        let metadata = args.take_key("metadata").map(str::to_owned);
        let producer: Option<i64> = args.take_key("producer").map(str::parse).transpose()?;
        while let Some((partition, offset)) = args.next_key() {
            let (topic, topic_id, partition) = partition_of(partition)?;
            let metadata = metadata.clone();
            let offset = offset.parse()?;
            request.partitions.push(OffsetCommitPartition {
                topic: topic.into(),
                topic_id,
                partition,
                offset,
                leader_epoch: -1,
                metadata,
            });
        }
        let decided = match producer {
            None => self.group.commit_offsets(&request, &self.config, self.now()),
            Some(_) => self.group.commit_transactional_offsets(&request, &self.config, self.now()),
        };
        match decided {
            Err(error) => writeln!(self.output, "commit: {}", error.name())?,
            Ok(decision) => {
                for (partition, error) in request.partitions.iter().zip(&decision.errors) {
                    writeln!(self.output, "{}-{}: {}", partition.topic, partition.partition, error.name())?;
                }
                match producer {
                    None => self.write_and_replay(decision.records),
                    Some(id) => {
                        decision.records.into_iter().for_each(|r| self.group.replay_pending(ProducerId(id), r));
                    }
                }
            }
        }
        Ok(())
    }

    /// A transaction with offsets of this group ends.
    fn end(&mut self, args: &mut ArgumentConsumer) -> Outcome {
        let producer_id = ProducerId(required(args)?.parse()?);
        let result = if required(args)? == "commit" { TransactionResult::Commit } else { TransactionResult::Abort };
        self.group.end_transaction(producer_id, result);
        Ok(())
    }

    fn fetch(&mut self, args: &mut ArgumentConsumer) -> Outcome {
        while let Some(partition) = args.next_pos() {
            let (topic, topic_id, index) = partition_of(partition)?;
            if self.group.pending().contains(&topic, index) {
                write!(self.output, "(unstable) ")?;
            }
            match self.group.offsets().get(&topic, topic_id, index) {
                Some(at) if at.metadata.is_empty() => writeln!(self.output, "{partition}: {}", at.offset)?,
                Some(at) => writeln!(self.output, "{partition}: {} {:?}", at.offset, at.metadata)?,
                None => writeln!(self.output, "{partition}: none")?,
            }
        }
        Ok(())
    }

    fn delete_offsets(&mut self, args: &mut ArgumentConsumer) -> Outcome {
        let mut partitions = Vec::new();
        while let Some(partition) = args.next_pos() {
            let (topic, _, partition) = partition_of(partition)?;
            partitions.push((topic.into(), partition));
        }
        match self.group.delete_offsets(&partitions) {
            Err(error) => writeln!(self.output, "delete_offsets: {}", error.name())?,
            Ok(decision) => {
                for ((topic, partition), error) in partitions.iter().zip(&decision.errors) {
                    writeln!(self.output, "{topic}-{partition}: {}", error.name())?;
                }
                self.write_and_replay(decision.records);
            }
        }
        Ok(())
    }

    fn delete(&mut self) -> Outcome {
        match self.group.delete() {
            Err(error) => writeln!(self.output, "delete: {}", error.name())?,
            Ok(records) => self.write_and_replay(records),
        }
        Ok(())
    }

    fn expire(&mut self) -> Outcome {
        let records = self.group.expire_offsets(&self.config, self.now().wall);
        if records.is_empty() {
            writeln!(self.output, "nothing expires")?;
        }
        self.write_and_replay(records);
        Ok(())
    }

    /// Tells which topics exist; offsets of others are dropped.
    fn topics(&mut self, args: &mut ArgumentConsumer) -> Outcome {
        let mut exist = BTreeMap::new();
        while let Some(topic) = args.next_pos() {
            let (topic, id, _) = partition_of(&format!("{topic}-0"))?;
            exist.insert(topic, id);
        }
        let records = self.group.forget_deleted_topics(|topic, id| exist.get(topic) != Some(&id));
        self.write_and_replay(records);
        Ok(())
    }

    fn advance(&mut self, ms: u64) -> Outcome {
        let until = self.now_ms + ms;
        while let Some(at) = self.group.next_deadline().filter(|at| at.0 <= until) {
            self.now_ms = self.now_ms.max(at.0);
            let from = self.output.len();
            self.event(Event::TimersDue);
            let printed = self.output.split_off(from);
            for line in printed.lines() {
                writeln!(self.output, "[{}] {line}", self.now_ms)?;
            }
        }
        self.now_ms = until;
        Ok(())
    }

    fn report_append(&mut self, error: ErrorCode) -> Outcome {
        let (append, records) = self.held.pop_front().ok_or("no append is held")?;
        if error == ErrorCode::None {
            self.write(records);
            self.event(Event::Appended(append));
        } else {
            self.event(Event::AppendFailed(append, error));
        }
        Ok(())
    }

    /// Another broker takes over: it knows what the log holds.
    fn reload(&mut self) {
        self.event(Event::Resign(ErrorCode::NotCoordinator));
        self.group = Group::default();
        for record in self.log.values().cloned() {
            self.group.replay(record);
        }
        let effects =
            self.group.on_loaded(&test_world::circumstances(&TestTopics::default(), &self.config, self.now()));
        self.execute(effects);
    }

    fn now(&self) -> Now {
        Now { monotonic: Monotonic(self.now_ms), wall: Wall(WALL_START + self.now_ms as i64) }
    }

    fn request(&mut self, what: String, event: impl FnOnce(Token) -> Event) {
        self.requests += 1;
        let token = Token(self.requests);
        self.waiting.insert(token, what);
        self.event(event(token));
        if let Some(what) = self.waiting.get(&token) {
            writeln!(self.output, "({what} waits)").unwrap();
        }
    }

    fn event(&mut self, event: Event) {
        let effects = self.group.on_event(event, &self.config, self.now());
        self.execute(effects);
    }

    fn execute(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Note(note) => writeln!(self.output, "  {}", note_text(&note)).unwrap(),
                Effect::Reply { token, reply } => {
                    let what = self.waiting.remove(&token).expect("a request is answered once");
                    writeln!(self.output, "{what}: {}", reply_text(&reply)).unwrap();
                }
                Effect::Append { append, records } if self.hold => {
                    writeln!(self.output, "  (append held)").unwrap();
                    self.held.push_back((append, records));
                }
                Effect::Append { append, records } => {
                    self.write(records);
                    self.event(Event::Appended(append));
                }
            }
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
                self.log.insert(key, record);
            } else {
                writeln!(self.output, "  tombstone {key}").unwrap();
                self.log.remove(&key);
            }
        }
    }

    fn print_group(&mut self) {
        let group = self.group.classic();
        let view = group.describe();
        let leader = group.members().leader().unwrap_or("nobody");
        let line = format!(
            "{} gen={} type={:?} protocol={:?} leader={leader}",
            view.state,
            group.generation(),
            view.protocol_type,
            view.protocol
        );
        writeln!(self.output, "{line}{}", if self.group.is_vacant() { " vacant" } else { "" }).unwrap();
        for member in view.members {
            let instance = member.group_instance_id.map(|id| format!(" instance={id}")).unwrap_or_default();
            let assignment = String::from_utf8_lossy(&member.assignment).into_owned();
            writeln!(self.output, "  {}{instance} at {} has [{assignment}]", member.member_id, member.client_host)
                .unwrap();
        }
    }

    fn print_log(&mut self) {
        for (key, record) in &self.log {
            let GroupRecord::Metadata(Some(group)) = record else {
                writeln!(self.output, "{key}").unwrap();
                continue;
            };
            let members: Vec<_> = group
                .members
                .iter()
                .map(|m| format!("{}[{}]", m.member_id, String::from_utf8_lossy(&m.assignment)))
                .collect();
            writeln!(self.output, "{key}: gen={} members={}", group.generation, members.join(",")).unwrap();
        }
    }
}

fn required<'a>(args: &mut ArgumentConsumer<'a>) -> Result<&'a str, Box<dyn Error>> {
    args.next_pos().ok_or_else(|| "an argument is missing".into())
}

fn number<T: std::str::FromStr<Err: Error + 'static>>(
    args: &mut ArgumentConsumer,
    key: &str,
    default: T,
) -> Result<T, Box<dyn Error>> {
    Ok(args.take_key(key).map(str::parse).transpose()?.unwrap_or(default))
}

/// `range:a+b,sticky:a` is two protocols, the first with a subscription to the topics a and b.
fn protocols(text: &str) -> Vec<Protocol> {
    let protocol = |text: &str| {
        let (name, topics) = text.split_once(':').unwrap_or((text, ""));
        Protocol { name: name.to_owned(), metadata: subscription(topics) }
    };
    text.split(',').filter(|text| !text.is_empty()).map(protocol).collect()
}

fn subscription(topics: &str) -> Bytes {
    let topics: Vec<&str> = topics.split('+').filter(|topic| !topic.is_empty()).collect();
    let mut bytes = vec![0, 0];
    bytes.extend((topics.len() as i32).to_be_bytes());
    for topic in topics {
        bytes.extend((topic.len() as i16).to_be_bytes());
        bytes.extend(topic.as_bytes());
    }
    bytes.into()
}

fn assignments(args: &mut ArgumentConsumer) -> Vec<(String, Bytes)> {
    let mut assignments = Vec::new();
    while let Some((member_id, partitions)) = args.next_key() {
        assignments.push((member_id.to_owned(), Bytes::copy_from_slice(partitions.as_bytes())));
    }
    assignments
}

/// `t-0` is a partition of the first topic of that name; `t@2-0` of the second, after the first was deleted.
fn partition_of(text: &str) -> Result<(String, TopicId, i32), Box<dyn Error>> {
    let (topic, partition) = text.rsplit_once('-').ok_or("not a partition")?;
    let (topic, life) = topic.split_once('@').unwrap_or((topic, "1"));
    Ok((topic.to_owned(), TopicId(Uuid([life.parse()?; 16])), partition.parse()?))
}

fn reply_text(reply: &Reply) -> String {
    match reply {
        Reply::Heartbeat(error) => error.name().to_owned(),
        Reply::Sync(reply) if reply.error == ErrorCode::None => {
            format!("[{}]", String::from_utf8_lossy(&reply.assignment))
        }
        Reply::Sync(reply) => reply.error.name().to_owned(),
        Reply::Leave(reply) => {
            let each = reply.members.iter().map(|m| {
                let name = m.group_instance_id.as_ref().map_or(m.member_id.clone(), |i| format!("{}@{i}", m.member_id));
                format!(" {name}={}", m.error.name())
            });
            format!("{}{}", reply.error.name(), each.collect::<String>())
        }
        Reply::Join(reply) if reply.error != ErrorCode::None => {
            format!("{} member={:?}", reply.error.name(), reply.member_id)
        }
        Reply::Join(reply) => {
            let skip = if reply.skip_assignment { " skip_assignment" } else { "" };
            let members: Vec<_> = reply.members.iter().map(|m| m.member_id.as_str()).collect();
            let members = if members.is_empty() { String::new() } else { format!(" members={}", members.join(",")) };
            let protocol = reply.protocol.as_deref().unwrap_or_default();
            format!("{} gen={} {protocol} leader={}{members}{skip}", reply.member_id, reply.generation, reply.leader)
        }
    }
}

fn note_text(note: &Note) -> String {
    match note {
        Note::RebalanceStarted { generation, from, reason } => {
            format!("{from} gen={generation} -> rebalance: {reason}")
        }
        Note::JoinCompleted { generation, members, waited_ms, slowest, expelled } => {
            let slowest = slowest.as_ref().map(|(member, ms)| format!(", last {member} after {ms} ms"));
            let expelled =
                if expelled.is_empty() { String::new() } else { format!(", without {}", expelled.join(",")) };
            format!("joined gen={generation}: {members} in {waited_ms} ms{}{expelled}", slowest.unwrap_or_default())
        }
        Note::Stabilized { generation, waited_ms } => format!("stable gen={generation} after {waited_ms} ms"),
        Note::Emptied { generation } => format!("empty gen={generation}"),
        Note::NobodyRejoined { generation } => format!("nobody rejoined gen={generation}"),
        Note::MemberRemoved { member_id, reason, .. } => format!("removed {member_id}: {reason}"),
        Note::AssignmentMissing { members } => format!("nothing assigned to {}", members.join(",")),
        Note::AppendFailed { error } => format!("append failed: {}", error.name()),
        other => format!("{other:?}"),
    }
}
