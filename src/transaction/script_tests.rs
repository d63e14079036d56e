//! Runs the text scripts in `testscripts/`: requests go in, what the machine wants done comes out.
//!
//! Appends succeed at once. Producer ids that the machine asks for are 1000, 1001, ... Time stands still until
//! `advance`. A producer is written `id/epoch`. `UPDATE_GOLDENFILES=1 cargo test transaction::` writes the expected
//! output.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write;
use std::path::Path;

use goldenscript::{ArgumentConsumer, Command, Context, Runner};

use super::*;
use crate::model::{ProducerEpoch, ProducerId, TopicPartition, Wall};
use crate::record::TransactionResult;

type Outcome<T> = Result<T, Box<dyn Error>>;

struct Script {
    transaction: Transaction,
    config: TransactionConfig,
    now: Wall,
    last_producer_id: i64,
    output: String,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            transaction: Transaction::default(),
            config: TransactionConfig { timeout_ms_max: 900_000, expiration_ms: 604_800_000 },
            now: Wall(1_000_000),
            last_producer_id: 999,
            output: String::new(),
        }
    }
}

#[test]
fn scripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/transaction/testscripts");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 8, "the scripts are gone");
    for path in paths {
        goldenscript::run(&mut Script::default(), &path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

impl Runner for Script {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> Outcome<String> {
        let mut args = command.consume_args();
        match command.name.as_str() {
            "init" => self.init(&mut args)?,
            "add" => self.add(&mut args)?,
            "end" => self.end(&mut args)?,
            "verify" => self.verify(&mut args)?,
            "written" => {
                let partitions = partitions(&mut args)?;
                self.handle(|_| Event::MarkersWritten(partitions.iter().cloned().collect()));
            }
            "advance" => {
                self.now.0 += args.next_pos().ok_or("by how many ms?")?.parse::<i64>()?;
                self.handle(|_| Event::CheckTimeout);
                self.handle(|_| Event::CheckExpiration);
            }
            "reload" => self.reload(),
            "epoch" => self.set_epoch(args.next_pos().ok_or("which epoch?")?.parse()?),
            other => return Err(format!("no command {other}").into()),
        }
        args.reject_next()?;
        Ok(std::mem::take(&mut self.output))
    }
}

impl Script {
    fn init(&mut self, args: &mut ArgumentConsumer<'_>) -> Outcome<()> {
        let timeout_ms = args.take_key("timeout").map(str::parse).transpose()?.unwrap_or(60_000);
        let known = args.take_key("known").map(producer).transpose()?;
        self.handle(|fresh| Event::Init(InitProducer { timeout_ms, known, fresh }));
        Ok(())
    }

    fn add(&mut self, args: &mut ArgumentConsumer<'_>) -> Outcome<()> {
        let version = version(args)?;
        let producer = next_producer(args)?;
        let partitions = partitions(args)?;
        self.handle(|_| Event::AddPartitions(AddPartitions { producer, partitions: partitions.clone(), version }));
        Ok(())
    }

    fn end(&mut self, args: &mut ArgumentConsumer<'_>) -> Outcome<()> {
        let version = version(args)?;
        let result = match args.next_pos().ok_or("commit or abort?")? {
            "commit" => TransactionResult::Commit,
            "abort" => TransactionResult::Abort,
            other => return Err(format!("commit or abort, not {other}").into()),
        };
        let producer = next_producer(args)?;
        self.handle(|fresh| Event::End(EndTransaction { producer, result, version, fresh }));
        Ok(())
    }

    fn verify(&mut self, args: &mut ArgumentConsumer<'_>) -> Outcome<()> {
        let producer = next_producer(args)?;
        let partitions: Vec<_> = partitions(args)?.into_iter().collect();
        match self.transaction.verify(producer, &partitions) {
            Ok(found) => {
                for (partition, found) in partitions.iter().zip(found) {
                    writeln!(self.output, "{partition} is {}", if found { "in it" } else { "not in it" })?;
                }
            }
            Err(error) => writeln!(self.output, "{}", error.name())?,
        }
        Ok(())
    }

    /// Another broker becomes the coordinator: it knows what the log says.
    fn reload(&mut self) {
        let record = self.transaction.record().cloned();
        self.transaction = Transaction::default();
        let forgetful = |record| TransactionRecord { last_producer_epoch: ProducerEpoch::NONE, ..record };
        self.transaction.replay(record.map(forgetful));
        self.handle(|_| Event::Loaded);
    }

    fn set_epoch(&mut self, epoch: i16) {
        let record = self.transaction.record().cloned();
        self.transaction
            .replay(record.map(|record| TransactionRecord { producer_epoch: ProducerEpoch(epoch), ..record }));
    }

    fn handle(&mut self, event: impl Fn(Option<ProducerId>) -> Event) {
        let mut effects = self.transaction.on_event(event(None), &self.config, self.now);
        if effects == [Effect::NeedProducerId] {
            self.last_producer_id += 1;
            effects = self.transaction.on_event(event(Some(ProducerId(self.last_producer_id))), &self.config, self.now);
        }
        effects.into_iter().for_each(|effect| self.execute(effect));
    }

    fn execute(&mut self, effect: Effect) {
        let line = match effect {
            Effect::NeedProducerId => "asks for a producer id again".to_owned(),
            Effect::Reply(Ok(producer)) => format!("reply {}", name(producer)),
            Effect::Reply(Err(error)) => format!("reply {}", error.name()),
            Effect::WriteMarkers(Markers { producer, result, version, partitions }) => {
                format!("{result:?} markers of {} ({version:?}) to [{}]", name(producer), names(&partitions))
            }
            Effect::Append(record) => {
                let line = record.as_ref().map_or_else(|| "forget the id".to_owned(), describe);
                self.transaction.replay(record);
                line
            }
        };
        self.output.push_str(&line);
        self.output.push('\n');
    }
}

fn describe(record: &TransactionRecord) -> String {
    let producer = Producer { id: record.producer_id, epoch: record.producer_epoch };
    let mut line = format!("append {} {}", record.state, name(producer));
    if !record.partitions.is_empty() {
        line.push_str(&format!(" [{}]", names(&record.partitions)));
    }
    if record.next_producer_id != ProducerId::NONE {
        line.push_str(&format!(", next id {}", record.next_producer_id));
    }
    if record.previous_producer_id != ProducerId::NONE {
        line.push_str(&format!(", previous id {}", record.previous_producer_id));
    }
    line
}

fn name(producer: Producer) -> String {
    format!("{}/{}", producer.id, producer.epoch)
}

fn names(partitions: &BTreeSet<TopicPartition>) -> String {
    partitions.iter().map(TopicPartition::to_string).collect::<Vec<_>>().join(" ")
}

fn producer(text: &str) -> Outcome<Producer> {
    let (id, epoch) = text.split_once('/').ok_or("a producer is id/epoch")?;
    Ok(Producer { id: ProducerId(id.parse()?), epoch: ProducerEpoch(epoch.parse()?) })
}

fn next_producer(args: &mut ArgumentConsumer<'_>) -> Outcome<Producer> {
    producer(args.next_pos().ok_or("which producer?")?)
}

fn version(args: &mut ArgumentConsumer<'_>) -> Outcome<TransactionVersion> {
    Ok(TransactionVersion::from_level(args.take_key("version").map(str::parse).transpose()?.unwrap_or(1)))
}

fn partitions(args: &mut ArgumentConsumer<'_>) -> Outcome<BTreeSet<TopicPartition>> {
    let partition = |name: &str| -> Outcome<TopicPartition> {
        let (topic, index) = name.rsplit_once('-').ok_or("a partition is topic-index")?;
        Ok(TopicPartition::new(topic, index.parse()?))
    };
    std::iter::from_fn(|| args.next_pos()).map(partition).collect()
}
