//! Runs `testscripts/*`: commands to the controller, answered with the records decided and the refusals.
//!
//! Unless a script says otherwise, broker epochs and partition epochs are the current ones, so that a script
//! names them only where they matter. After each command the invariants are checked, the batch's own image is
//! compared with the replayed one, and the image with what its snapshot restores.

use std::collections::BTreeMap;
use std::error::Error;

use goldenscript::ArgumentConsumer;

use super::properties::check_invariants;
use super::*;
use crate::model::{BrokerId, ErrorCode, TopicId, Uuid};
use crate::rpc::metadata::{self as proto, metadata_command::Kind as Command, metadata_record::Kind as Record};
use crate::rpc::metadata::{MetadataCommand, MetadataReply, metadata_reply::Kind as Reply};

type Outcome<T> = Result<T, Box<dyn Error>>;

#[derive(Default)]
struct Runner {
    defaults: ClusterDefaults,
    image: ClusterImage,
    topics_created: u64,
    registrations: u64,
    /// Names of topics by id, those deleted included.
    names: BTreeMap<Vec<u8>, String>,
    /// Commands between `begin` and `commit`.
    batch: Option<Vec<MetadataCommand>>,
}

fn number<T: std::str::FromStr<Err: Error + 'static>>(text: Option<&str>, default: T) -> Outcome<T> {
    Ok(text.map(str::parse).transpose()?.unwrap_or(default))
}

/// `tokens=NUMBER [rate=NUMBER] [strict=false]`: what the client may still create and delete.
fn quota(args: &mut ArgumentConsumer<'_>) -> Outcome<Option<proto::MutationQuota>> {
    let Some(tokens) = args.take_key("tokens") else { return Ok(None) };
    let rate = number(args.take_key("rate"), 1.0)?;
    let strict = number(args.take_key("strict"), true)?;
    Ok(Some(proto::MutationQuota { rate, tokens: tokens.parse()?, strict, ..Default::default() }))
}

fn show_spent(spent: Option<&proto::MutationsSpent>) -> Option<String> {
    spent.map(|spent| format!("{} partitions spent, to wait {} ms", spent.partitions, spent.throttle_time_ms))
}

fn ids(text: &str) -> Outcome<Vec<i32>> {
    text.split(',').filter(|id| !id.is_empty()).map(|id| Ok(id.parse()?)).collect()
}

fn list(ids: &[i32]) -> String {
    let ids: Vec<String> = ids.iter().map(i32::to_string).collect();
    format!("[{}]", ids.join(","))
}

fn small_uuid(number: u64) -> Uuid {
    Uuid((u128::from(number)).to_be_bytes())
}

fn partition_name(text: &str) -> Outcome<(String, i32)> {
    let (topic, partition) = text.rsplit_once('-').ok_or("TOPIC-PARTITION")?;
    Ok((topic.to_owned(), partition.parse()?))
}

fn code_name(code: i32) -> String {
    let code = i16::try_from(code).ok().and_then(ErrorCode::from_code).expect("a code of Kafka's");
    code.to_string()
}

fn refused(what: &str, code: i32, message: &str) -> Option<String> {
    (code != 0).then(|| format!("{what}refused {}: {message}", code_name(code)))
}

fn config_resource(args: &mut ArgumentConsumer<'_>) -> Outcome<proto::ConfigResource> {
    let resource_type = match args.next_pos().ok_or("a resource type")? {
        "topic" => 2,
        "broker" => 4,
        "broker-logger" => 8,
        "group" => 32,
        other => other.parse()?,
    };
    let resource_name = args.next_pos().ok_or("a resource name")?.to_owned();
    Ok(proto::ConfigResource { resource_type, resource_name })
}

fn key_value(text: &str) -> (String, Option<String>) {
    match text.split_once('=') {
        Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
        None => (text.to_owned(), None),
    }
}

/// `KEY=VALUE …`, then keys without a value.
fn keys_and_values(args: &mut ArgumentConsumer<'_>) -> Vec<(String, Option<String>)> {
    let mut found = Vec::new();
    while let Some((key, value)) = args.next_key() {
        found.push((key.to_owned(), Some(value.to_owned())));
    }
    while let Some(key) = args.next_pos() {
        found.push((key.to_owned(), None));
    }
    found
}

fn assignments(text: &str) -> Outcome<Vec<Vec<i32>>> {
    text.split(';').map(ids).collect()
}

impl Runner {
    fn epoch(&self, id: i32) -> i64 {
        self.image.broker(BrokerId(id)).map_or(-1, |broker| broker.epoch.0)
    }

    fn broker_arg(&self, args: &mut ArgumentConsumer<'_>) -> Outcome<(i32, i64)> {
        let id = args.next_pos().ok_or("a broker id")?.parse()?;
        Ok((id, number(args.take_key("epoch"), self.epoch(id))?))
    }

    fn register(&mut self, args: &mut ArgumentConsumer<'_>) -> Outcome<Command> {
        self.registrations += 1;
        let id: i32 = args.next_pos().ok_or("a broker id")?.parse()?;
        let incarnation = number(args.take_key("incarnation"), 1000 + self.registrations)?;
        let previous = match args.take_key("previous") {
            Some("current") => self.epoch(id),
            other => number(other, -1)?,
        };
        let start_number = number(args.take_key("start"), 0)?;
        let directories = args.take_key("directories").map(ids).transpose()?.unwrap_or(vec![id]);
        let listener = args.take_key("listener").unwrap_or("PLAINTEXT");
        let endpoint = proto::Endpoint {
            name: listener.to_owned(),
            host: format!("broker{id}"),
            port: 9092,
            security_protocol: 0,
        };
        Ok(Command::RegisterBroker(proto::RegisterBroker {
            broker_id: id,
            cluster_id: args.take_key("cluster").unwrap_or("test-cluster").to_owned(),
            incarnation_id: uuid_bytes(small_uuid(incarnation)),
            directory_ids: directories.iter().map(|id| uuid_bytes(small_uuid(*id as u64))).collect(),
            endpoints: if listener == "none" { vec![] } else { vec![endpoint] },
            rack: args.take_key("rack").map(str::to_owned),
            features: match args.take_key("features") {
                Some("none") => vec![],
                _ => supported_features(),
            },
            previous_broker_epoch: previous,
            start_number,
        }))
    }

    fn create_topics(&mut self, args: &mut ArgumentConsumer<'_>) -> Outcome<Command> {
        let assignment = args.take_key("assignment").map(assignments).transpose()?;
        let unless_assigned = if assignment.is_some() { -1 } else { 1 };
        let num_partitions = number(args.take_key("partitions"), unless_assigned)?;
        let replication_factor = number(args.take_key("factor"), unless_assigned)?;
        let first_partition = number(args.take_key("from"), 0)?;
        let seed = number(args.take_key("seed"), 1)?;
        let configs = args.take_key("configs").unwrap_or_default().split_whitespace().map(|config| {
            let (key, value) = key_value(config);
            proto::ConfigEntry { key, value }
        });
        let configs: Vec<_> = configs.collect();
        let validate_only = number(args.take_key("validate_only"), false)?;
        let quota = quota(args)?;
        let now_ms = number(args.take_key("now"), 0)?;
        let mut topics = Vec::new();
        while let Some(name) = args.next_pos() {
            self.topics_created += 1;
            let topic_id = uuid_bytes(small_uuid(self.topics_created));
            self.names.insert(topic_id.to_vec(), name.to_owned());
            let assignments = (first_partition..).zip(assignment.clone().unwrap_or_default());
            topics.push(proto::CreatableTopic {
                name: name.to_owned(),
                num_partitions,
                replication_factor,
                assignments: assignments
                    .map(|(partition, replicas)| proto::ReplicaAssignment { partition, replicas })
                    .collect(),
                configs: configs.clone(),
                topic_id,
                placement_seed: seed,
            });
        }
        Ok(Command::CreateTopics(proto::CreateTopics { topics, validate_only, now_ms, quota }))
    }

    /// `undelete NAME [id=NUMBER] [now=MS]`
    fn undelete(&self, args: &mut ArgumentConsumer<'_>) -> Outcome<Command> {
        let which = match args.take_key("id") {
            Some(id) => id.parse().map_or_else(|_| id.to_owned(), |id| small_uuid(id).to_string()),
            None => String::new(),
        };
        let config = proto::ConfigEntry { key: crate::config::UNDELETE_KEY.to_owned(), value: Some(which) };
        let topic = proto::CreatableTopic {
            name: args.next_pos().ok_or("a topic")?.to_owned(),
            num_partitions: number(args.take_key("partitions"), -1)?,
            replication_factor: -1,
            configs: vec![config],
            ..Default::default()
        };
        let now_ms = number(args.take_key("now"), 0)?;
        Ok(Command::CreateTopics(proto::CreateTopics { topics: vec![topic], now_ms, ..Default::default() }))
    }

    fn create_partitions(&self, args: &mut ArgumentConsumer<'_>) -> Outcome<Command> {
        let count = number(args.take_key("count"), 1)?;
        let assignments = args.take_key("assignment").map(assignments).transpose()?.unwrap_or_default();
        let assignments: Vec<_> = assignments.into_iter().map(|ids| proto::BrokerIds { ids }).collect();
        let validate_only = number(args.take_key("validate_only"), false)?;
        let quota = quota(args)?;
        let mut topics = Vec::new();
        while let Some(name) = args.next_pos() {
            let (name, assignments) = (name.to_owned(), assignments.clone());
            topics.push(proto::TopicPartitions { name, count, assignments, placement_seed: 1 });
        }
        Ok(Command::CreatePartitions(proto::CreatePartitions { topics, validate_only, quota }))
    }

    fn delete_topics(&self, args: &mut ArgumentConsumer<'_>) -> Outcome<Command> {
        use proto::deletable_topic::Topic;
        let now_ms = number(args.take_key("now"), 0)?;
        let quota = quota(args)?;
        let mut topics = Vec::new();
        if let Some(id) = args.take_key("id") {
            topics.push(Topic::TopicId(uuid_bytes(small_uuid(id.parse()?))));
        }
        while let Some(name) = args.next_pos() {
            topics.push(Topic::Name(name.to_owned()));
        }
        let topics = topics.into_iter().map(|topic| proto::DeletableTopic { topic: Some(topic) }).collect();
        Ok(Command::DeleteTopics(proto::DeleteTopics { topics, now_ms, quota }))
    }

    /// `alter-partition TOPIC-PARTITION BROKER[@EPOCH],…`, from the leader and with current epochs unless said.
    fn alter_partition(&self, args: &mut ArgumentConsumer<'_>) -> Outcome<Command> {
        let (name, partition) = partition_name(args.next_pos().ok_or("a partition")?)?;
        let topic_id = self.image.topic_id(&name).map_or(small_uuid(99), |id| id.0);
        let state = self.image.partition(TopicId(topic_id), partition);
        let sender = number(args.take_key("from"), state.map_or(-1, |state| state.leader.0))?;
        let members = args.next_pos().ok_or("an ISR")?.split(',').map(|member| -> Outcome<proto::IsrMember> {
            let (id, epoch) = match member.split_once('@') {
                Some((id, epoch)) => (id.parse()?, epoch.parse()?),
                None => (member.parse()?, self.epoch(member.parse()?)),
            };
            Ok(proto::IsrMember { broker_id: id, broker_epoch: epoch })
        });
        let recovering = number(args.take_key("recovering"), false)?;
        let proposal = proto::PartitionProposal {
            topic_id: uuid_bytes(topic_id),
            partition,
            leader_epoch: number(args.take_key("leader_epoch"), state.map_or(0, |state| state.leader_epoch.0))?,
            partition_epoch: number(
                args.take_key("partition_epoch"),
                state.map_or(0, |state| state.partition_epoch.0),
            )?,
            isr: members.collect::<Outcome<_>>()?,
            leader_recovery_state: i32::from(recovering),
        };
        Ok(Command::AlterPartition(proto::AlterPartition {
            broker_id: sender,
            broker_epoch: number(args.take_key("epoch"), self.epoch(sender))?,
            partitions: vec![proposal],
        }))
    }

    fn elect(&self, args: &mut ArgumentConsumer<'_>) -> Outcome<Command> {
        let kind = match args.next_pos().ok_or("preferred or unclean")? {
            "preferred" => 0,
            "unclean" => 1,
            other => other.parse()?,
        };
        let mut partitions = Vec::new();
        while let Some(name) = args.next_pos() {
            let (topic, partition) = partition_name(name)?;
            partitions.push(proto::NamedPartition { topic, partition });
        }
        let partitions = (!partitions.is_empty()).then_some(proto::NamedPartitions { partitions });
        Ok(Command::ElectLeaders(proto::ElectLeaders { kind, partitions }))
    }

    /// `reassign TOPIC-PARTITION REPLICAS|cancel …`
    fn reassign(&self, args: &mut ArgumentConsumer<'_>, allow_replication_factor_change: bool) -> Outcome<Command> {
        let mut partitions = Vec::new();
        while let Some(name) = args.next_pos() {
            let (topic, partition) = partition_name(name)?;
            let replicas = match args.next_pos().ok_or("replicas or cancel")? {
                "cancel" => None,
                target => Some(proto::BrokerIds { ids: ids(target)? }),
            };
            partitions.push(proto::ReassignablePartition { topic, partition, replicas });
        }
        Ok(Command::AlterPartitionReassignments(proto::AlterPartitionReassignments {
            partitions,
            allow_replication_factor_change,
        }))
    }

    /// `configure RESOURCE-TYPE NAME OPERATION KEY[=VALUE] [KEY[=VALUE] …]`
    fn configure(&self, args: &mut ArgumentConsumer<'_>) -> Outcome<Command> {
        let validate_only = number(args.take_key("validate_only"), false)?;
        let resource = Some(config_resource(args)?);
        let operation = match args.next_pos().ok_or("an operation")? {
            "set" => 0,
            "delete" => 1,
            "append" => 2,
            "subtract" => 3,
            other => other.parse()?,
        };
        let operations = keys_and_values(args);
        let operations =
            operations.into_iter().map(|(key, value)| proto::ConfigOperation { key, operation, value }).collect();
        let resources = vec![proto::IncrementalConfigChange { resource, operations }];
        Ok(Command::IncrementalAlterConfigs(proto::IncrementalAlterConfigs { resources, validate_only }))
    }

    /// `replace-configs RESOURCE-TYPE NAME [KEY=VALUE …]`
    fn replace_configs(&self, args: &mut ArgumentConsumer<'_>) -> Outcome<Command> {
        let validate_only = number(args.take_key("validate_only"), false)?;
        let resource = Some(config_resource(args)?);
        let configs = keys_and_values(args);
        let configs = configs.into_iter().map(|(key, value)| proto::ConfigEntry { key, value }).collect();
        let resources = vec![proto::ConfigReplacement { resource, configs }];
        Ok(Command::AlterConfigs(proto::AlterConfigs { resources, validate_only }))
    }

    fn update_feature(&self, args: &mut ArgumentConsumer<'_>) -> Outcome<Command> {
        let upgrade_type = number(args.take_key("type"), 1)?;
        let name = args.next_pos().ok_or("a feature")?.to_owned();
        let level = args.next_pos().ok_or("a level")?.parse()?;
        let updates = vec![proto::FeatureUpdate { name, level, upgrade_type }];
        Ok(Command::UpdateFeatures(proto::UpdateFeatures { updates, validate_only: false }))
    }

    fn command(&mut self, name: &str, args: &mut ArgumentConsumer<'_>) -> Outcome<Command> {
        Ok(match name {
            "initialize" => Command::InitializeCluster(proto::InitializeCluster {
                cluster_id: args.next_pos().unwrap_or_default().to_owned(),
            }),
            "register" => self.register(args)?,
            "fence" => {
                let (broker_id, broker_epoch) = self.broker_arg(args)?;
                Command::FenceBroker(proto::FenceBroker { broker_id, broker_epoch })
            }
            "unfence" => {
                let (broker_id, broker_epoch) = self.broker_arg(args)?;
                let current_metadata_index = number(args.take_key("applied"), self.image.applied_index())?;
                Command::UnfenceBroker(proto::UnfenceBroker { broker_id, broker_epoch, current_metadata_index })
            }
            "shut-down" => {
                let (broker_id, broker_epoch) = self.broker_arg(args)?;
                Command::BeginControlledShutdown(proto::BeginControlledShutdown { broker_id, broker_epoch })
            }
            "lose-replicas" => {
                let (broker_id, broker_epoch) = self.broker_arg(args)?;
                let mut replicas = Vec::new();
                while let Some(name) = args.next_pos() {
                    let (topic, partition) = partition_name(name)?;
                    let topic_id = uuid_bytes(self.image.topic_id(&topic).map_or(small_uuid(99), |id| id.0));
                    replicas.push(proto::TopicIdPartition { topic_id, partition });
                }
                Command::ReportOfflineReplicas(proto::ReportOfflineReplicas { broker_id, broker_epoch, replicas })
            }
            "unregister" => Command::UnregisterBroker(proto::UnregisterBroker { broker_id: self.broker_arg(args)?.0 }),
            "create-topics" => self.create_topics(args)?,
            "create-partitions" => self.create_partitions(args)?,
            "delete-topics" => self.delete_topics(args)?,
            "undelete" => self.undelete(args)?,
            "expire" => {
                let now_ms = number(args.take_key("now"), 0)?;
                Command::RemoveExpiredTopics(proto::RemoveExpiredTopics { now_ms })
            }
            "alter-partition" => self.alter_partition(args)?,
            "elect" => self.elect(args)?,
            "reassign" | "reassign-same-factor" => self.reassign(args, name == "reassign")?,
            "configure" => self.configure(args)?,
            "replace-configs" => self.replace_configs(args)?,
            "producer-ids" => {
                let (broker_id, broker_epoch) = self.broker_arg(args)?;
                Command::AllocateProducerIds(proto::AllocateProducerIds { broker_id, broker_epoch })
            }
            "update-feature" => self.update_feature(args)?,
            other => return Err(format!("unknown command {other}").into()),
        })
    }

    fn set_defaults(&mut self, args: &mut ArgumentConsumer<'_>) -> Outcome<String> {
        let defaults = &mut self.defaults;
        defaults.num_partitions = number(args.take_key("partitions"), defaults.num_partitions)?;
        defaults.default_replication_factor = number(args.take_key("factor"), defaults.default_replication_factor)?;
        defaults.min_insync_replicas = number(args.take_key("min_isr"), defaults.min_insync_replicas)?;
        defaults.unclean_leader_election_enable =
            number(args.take_key("unclean"), defaults.unclean_leader_election_enable)?;
        defaults.partition_count_max = number(args.take_key("partitions_max"), defaults.partition_count_max)?;
        defaults.topic_delete_retention_ms =
            number(args.take_key("delete_retention"), defaults.topic_delete_retention_ms)?;
        Ok(String::new())
    }

    /// Decides the commands as one batch and replays its records.
    fn decide(&mut self, commands: &[MetadataCommand]) -> String {
        let mut batch = Batch::new(&self.image, &self.defaults);
        let replies: Vec<MetadataReply> = commands.iter().map(|command| batch.decide(command)).collect();
        let (expected, base_index) = (batch.image().clone(), batch.base_index());
        assert_eq!(base_index, self.image.applied_index());
        let mut lines = Vec::new();
        for (index, record) in (base_index + 1..).zip(batch.into_records()) {
            self.image.replay(&record, index).expect("what was decided can be replayed");
            lines.push(self.show_record(index, record.kind.expect("a record")));
        }
        assert!(self.image == expected, "the batch saw {expected:?} but replay gives {:?}", self.image);
        check_invariants(&self.image, &self.defaults);
        lines.extend(replies.into_iter().flat_map(|reply| self.show_reply(reply)));
        lines.join("\n")
    }

    fn topic_name(&self, id: &[u8]) -> &str {
        self.names.get(id).map_or("?", String::as_str)
    }

    fn show_record(&self, index: i64, record: Record) -> String {
        let text = match record {
            Record::ClusterId(record) => format!("cluster {}", record.cluster_id),
            Record::FeatureLevel(record) => format!("feature {} at level {}", record.name, record.level),
            Record::RegisterBroker(record) => {
                format!("broker {} registered with epoch {}, fenced", record.broker_id, record.broker_epoch)
            }
            Record::BrokerRegistrationChange(record) => {
                let change = match (record.fenced, record.in_controlled_shutdown) {
                    (Some(true), None) => "fenced",
                    (Some(false), None) => "unfenced",
                    (None, Some(true)) => "in controlled shutdown",
                    other => panic!("a change that no command makes: {other:?}"),
                };
                format!("broker {} {change}", record.broker_id)
            }
            Record::OfflineReplicas(record) => {
                let name = |named: &proto::TopicIdPartition| {
                    format!("{}-{}", self.topic_name(&named.topic_id), named.partition)
                };
                let names: Vec<String> = record.replicas.iter().map(name).collect();
                format!("broker {} without {}", record.broker_id, names.join(", "))
            }
            Record::UnregisterBroker(record) => format!("broker {} unregistered", record.broker_id),
            Record::Topic(record) => {
                let id = uuid_from_bytes(&record.topic_id).expect("16 bytes");
                format!("topic {} with id {}", record.name, u128::from_be_bytes(id.0))
            }
            Record::Partition(record) => format!(
                "{}-{} replicas {} isr {} leader {}",
                self.topic_name(&record.topic_id),
                record.partition,
                list(&record.replicas),
                list(&record.isr),
                record.leader,
            ),
            Record::PartitionChange(record) => self.show_partition_change(&record),
            Record::RemoveTopic(record) => format!("topic {} removed", self.topic_name(&record.topic_id)),
            Record::SetTopicAside(record) => {
                assert_eq!(record.metadata_index, index);
                format!("topic {} set aside at {}", self.topic_name(&record.topic_id), record.deleted_ms)
            }
            Record::RestoreTopic(record) => format!("topic {} restored", self.topic_name(&record.topic_id)),
            Record::Config(record) => {
                let value = record.value.map_or("not set".to_owned(), |value| format!("= {value}"));
                let resource_type = i8::try_from(record.resource_type).ok().and_then(ConfigResourceType::from_code);
                let resource_type = resource_type.expect("a type that was decided on");
                format!("config {resource_type:?} {:?} {} {value}", record.resource_name, record.key)
            }
            Record::ProducerIds(record) => format!("next producer id {}", record.next_producer_id),
            Record::ClientQuota(record) => panic!("no command of these scripts sets a limit: {record:?}"),
        };
        format!("{index}: {text}")
    }

    fn show_partition_change(&self, record: &proto::PartitionChangeRecord) -> String {
        let mut parts = Vec::new();
        if let Some(replicas) = &record.replicas {
            parts.push(format!("replicas {}", list(&replicas.ids)));
        }
        if let Some(adding) = &record.adding_replicas {
            parts.push(format!("adding {}", list(&adding.ids)));
        }
        if let Some(removing) = &record.removing_replicas {
            parts.push(format!("removing {}", list(&removing.ids)));
        }
        if let Some(leader) = record.leader {
            parts.push(format!("leader {leader}"));
        }
        if let Some(epoch) = record.leader_epoch {
            parts.push(format!("leader epoch {epoch}"));
        }
        if let Some(isr) = &record.isr {
            parts.push(format!("isr {}", list(&isr.ids)));
        }
        if let Some(elr) = &record.elr {
            parts.push(format!("elr {}", list(&elr.ids)));
        }
        if let Some(state) = record.leader_recovery_state {
            parts.push(if state == 1 { "RECOVERING" } else { "RECOVERED" }.to_owned());
        }
        if let Some(leader) = record.last_known_leader {
            parts.push(format!("last known leader {leader}"));
        }
        parts.push(format!("partition epoch {}", record.partition_epoch));
        format!("{}-{} {}", self.topic_name(&record.topic_id), record.partition, parts.join(", "))
    }

    fn show_reply(&self, reply: MetadataReply) -> Vec<String> {
        assert!(reply.kind.is_none() || reply.error_code == 0, "a refusal with an answer");
        if let Some(refusal) = refused("", reply.error_code, &reply.error_message) {
            return vec![refusal];
        }
        let named = |name: &str| format!("{name} ");
        match reply.kind {
            None | Some(Reply::AlterClientQuotas(_)) => vec![],
            Some(Reply::InitializeCluster(reply)) => vec![format!("cluster is {}", reply.cluster_id)],
            Some(Reply::RegisterBroker(reply)) => vec![format!("broker epoch {}", reply.broker_epoch)],
            Some(Reply::CreateTopics(reply)) => reply
                .topics
                .iter()
                .map(|topic| {
                    refused(&named(&topic.name), topic.error_code, &topic.error_message).unwrap_or_else(|| {
                        format!("{} has {} × {}", topic.name, topic.num_partitions, topic.replication_factor)
                    })
                })
                .chain(show_spent(reply.spent.as_ref()))
                .collect(),
            Some(Reply::CreatePartitions(reply) | Reply::DeleteTopics(reply)) => reply
                .topics
                .iter()
                .map(|topic| {
                    let name = topic.name.clone().unwrap_or("?".to_owned());
                    refused(&named(&name), topic.error_code, &topic.error_message)
                        .unwrap_or_else(|| format!("{name} done"))
                })
                .chain(show_spent(reply.spent.as_ref()))
                .collect(),
            Some(Reply::AlterPartition(reply)) => {
                reply.partitions.iter().map(|result| self.show_proposal_result(result)).collect()
            }
            Some(Reply::ElectLeaders(reply)) => reply
                .partitions
                .iter()
                .map(|result| {
                    let name = format!("{}-{} ", result.topic, result.partition);
                    refused(&name, result.error_code, &result.error_message).unwrap_or_else(|| format!("{name}elected"))
                })
                .collect(),
            Some(Reply::AlterPartitionReassignments(reply)) => reply
                .partitions
                .iter()
                .map(|result| {
                    let name = format!("{}-{} ", result.topic, result.partition);
                    refused(&name, result.error_code, &result.error_message)
                        .unwrap_or_else(|| format!("{name}accepted"))
                })
                .collect(),
            Some(Reply::AlterConfigs(reply)) => reply
                .resources
                .iter()
                .filter_map(|result| refused("", result.error_code, &result.error_message))
                .collect(),
            Some(Reply::AllocateProducerIds(reply)) => {
                vec![format!("producer ids {} to {}", reply.start, reply.start + i64::from(reply.length) - 1)]
            }
            Some(Reply::UpdateFeatures(reply)) => reply
                .features
                .iter()
                .filter_map(|result| refused("", result.error_code, &result.error_message))
                .collect(),
        }
    }

    fn show_proposal_result(&self, result: &proto::PartitionProposalResult) -> String {
        if result.error_code != 0 {
            return format!("refused {}", code_name(result.error_code));
        }
        format!(
            "accepted: leader {} leader epoch {} partition epoch {} isr {}",
            result.leader,
            result.leader_epoch,
            result.partition_epoch,
            list(&result.isr)
        )
    }

    fn show_topic(&self, name: &str) -> Outcome<String> {
        let topic = self.image.topic_by_name(name).ok_or("no such topic")?;
        let mut lines = vec![format!("topic {name} with id {}", u128::from_be_bytes(topic.id.0.0))];
        for (partition, image) in topic.partitions() {
            let raw = |ids: &[BrokerId]| list(&ids.iter().map(|id| id.0).collect::<Vec<_>>());
            let moving = match image.is_reassigned() {
                true => format!(" adding {} removing {}", raw(&image.adding_replicas), raw(&image.removing_replicas)),
                false => String::new(),
            };
            lines.push(format!(
                "{name}-{partition} replicas {}{moving} leader {} isr {} elr {} leader epoch {} partition epoch {} {:?}",
                raw(&image.replicas),
                image.leader,
                raw(&image.isr),
                raw(&image.elr),
                image.leader_epoch,
                image.partition_epoch,
                image.leader_recovery_state,
            ));
        }
        let configs = self.image.config(&ConfigResource::topic(name));
        lines.extend(
            configs.into_iter().flat_map(|configs| configs.iter()).map(|(key, value)| format!("{key}={value}")),
        );
        Ok(lines.join("\n"))
    }
}

impl goldenscript::Runner for Runner {
    type Command = goldenscript::Command;

    fn run(&mut self, command: &Self::Command, _: &goldenscript::Context) -> Outcome<String> {
        let mut args = command.consume_args();
        let output = match command.name.as_str() {
            "defaults" => self.set_defaults(&mut args)?,
            "show" => self.show_topic(args.next_pos().ok_or("a topic")?)?,
            "misplaced" => {
                let misplaced = misplaced_leaders(&self.image, number(args.take_key("percentage"), 0)?);
                let names: Vec<_> =
                    misplaced.iter().map(|named| format!("{}-{}", named.topic, named.partition)).collect();
                names.join(" ")
            }
            "fragile" => {
                let fragile = fragile_topics(&self.image, &self.defaults);
                let lines: Vec<_> = fragile.iter().map(|(name, why)| format!("{name}: {why}")).collect();
                lines.join("\n")
            }
            "begin" => {
                self.batch = Some(Vec::new());
                String::new()
            }
            "commit" => {
                let commands = self.batch.take().ok_or("no batch has begun")?;
                self.decide(&commands)
            }
            name => {
                let command = MetadataCommand { kind: Some(self.command(name, &mut args)?) };
                match &mut self.batch {
                    Some(batch) => {
                        batch.push(command);
                        String::new()
                    }
                    None => self.decide(&[command]),
                }
            }
        };
        args.reject_next()?;
        Ok(output)
    }
}

#[test]
fn scripts() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/metadata/testscripts");
    for entry in std::fs::read_dir(folder).expect("the scripts") {
        let path = entry.expect("a script").path();
        goldenscript::run(&mut Runner::default(), &path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}
