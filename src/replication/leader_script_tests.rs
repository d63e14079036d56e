//! Runs `testscripts/leader/*`: one leadership, told as commands, answered with effects.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write;

use crate::model::{BrokerEpoch, BrokerId, LeaderEpoch, Monotonic, PartitionEpoch};

use super::{Effect, FollowerFetch, IsrMember, Leader, LeaderStart};

#[derive(Default)]
struct Runner {
    leader: Option<Leader>,
    now: Monotonic,
}

fn ids(text: &str) -> Vec<BrokerId> {
    text.split(',').map(|id| BrokerId(id.parse().expect("a broker id"))).collect()
}

fn number<T: std::str::FromStr<Err: Error + 'static>>(text: Option<&str>, default: T) -> Result<T, Box<dyn Error>> {
    Ok(text.map(str::parse).transpose()?.unwrap_or(default))
}

fn show(effects: impl IntoIterator<Item = Effect>) -> String {
    let mut out = String::new();
    for effect in effects {
        match effect {
            Effect::AdvanceHighWatermark { high_watermark } => writeln!(out, "high watermark {high_watermark}"),
            Effect::ProposeIsr(p) => {
                let isr: Vec<_> = p.isr.iter().map(|m| format!("{}@{}", m.broker_id, m.broker_epoch)).collect();
                writeln!(
                    out,
                    "propose #{} isr {} at leader epoch {} partition epoch {}",
                    p.request_id,
                    isr.join(","),
                    p.leader_epoch,
                    p.partition_epoch
                )
            }
        }
        .expect("writing to a string");
    }
    out
}

impl goldenscript::Runner for Runner {
    type Command = goldenscript::Command;

    fn run(&mut self, command: &Self::Command, _: &goldenscript::Context) -> Result<String, Box<dyn Error>> {
        let mut args = command.consume_args();
        let output = match command.name.as_str() {
            "lead" => {
                let replicas = ids(args.take_key("replicas").unwrap_or("1"));
                let isr = ids(args.take_key("isr").unwrap_or("1")).into_iter().collect();
                let start = LeaderStart {
                    broker: IsrMember { broker_id: BrokerId(1), broker_epoch: BrokerEpoch(100) },
                    leader_epoch: LeaderEpoch(number(args.take_key("epoch"), 0)?),
                    partition_epoch: PartitionEpoch(0),
                    replicas,
                    isr,
                    min_isr: number(args.take_key("min_isr"), 1)?,
                    replica_lag_time_max_ms: 30_000,
                    log_end_offset: number(args.take_key("end"), 0)?,
                    high_watermark: number(args.take_key("hw"), 0)?,
                    flushed_offset: args.take_key("flushed").map(str::parse).transpose()?,
                    recovering: args.take_key("recovering") == Some("true"),
                };
                let (leader, effects) = Leader::new(start, self.now);
                self.leader = Some(leader);
                show(effects)
            }
            "append" => {
                let end = args.next_pos().ok_or("append END")?.parse()?;
                show(self.leader()?.on_append(end))
            }
            "flushed" => {
                let offset = args.next_pos().ok_or("flushed OFFSET")?.parse()?;
                show(self.leader()?.on_flushed(offset))
            }
            "flush_before_ack" => {
                let flushed = args.next_pos().map(str::parse).transpose()?;
                show(self.leader()?.on_flush_before_ack(flushed))
            }
            "fetch" => {
                let broker_id = BrokerId(args.next_pos().ok_or("fetch BROKER OFFSET")?.parse()?);
                let fetch_offset = args.next_pos().ok_or("fetch BROKER OFFSET")?.parse()?;
                let broker_epoch = BrokerEpoch(number(args.take_key("broker_epoch"), 200)?);
                let eligible = args.take_key("eligible") != Some("false");
                let flushed_offset = args.take_key("flushed").map(str::parse).transpose()?;
                let now = self.now;
                let follower = IsrMember { broker_id, broker_epoch };
                let fetch = FollowerFetch { follower, fetch_offset, flushed_offset, eligible };
                show(self.leader()?.on_follower_fetch(fetch, now))
            }
            "decided" => {
                let epoch = PartitionEpoch(args.next_pos().ok_or("decided EPOCH ISR")?.parse()?);
                let isr: BTreeSet<_> = ids(args.next_pos().ok_or("decided EPOCH ISR")?).into_iter().collect();
                let min_isr = number(args.take_key("min_isr"), 1)?;
                show(self.leader()?.on_isr_decided(epoch, isr, min_isr))
            }
            "refused" => {
                let id = args.next_pos().ok_or("refused ID")?.parse()?;
                show(self.leader()?.on_isr_refused(id))
            }
            "broker" => {
                let id = BrokerId(args.next_pos().ok_or("broker ID")?.parse()?);
                let active = args.take_key("epoch").map(str::parse).transpose()?.map(BrokerEpoch);
                show(self.leader()?.on_broker(id, active))
            }
            "replicas" => {
                let epoch = PartitionEpoch(args.next_pos().ok_or("replicas EPOCH IDS")?.parse()?);
                let replicas = ids(args.next_pos().ok_or("replicas EPOCH IDS")?);
                let now = self.now;
                self.leader()?.on_replicas(epoch, &replicas, now);
                String::new()
            }
            "wait" => {
                self.now = self.now.plus_ms(args.next_pos().ok_or("wait MS")?.parse()?);
                let now = self.now;
                show(self.leader()?.tick(now))
            }
            name => return Err(format!("unknown command {name}").into()),
        };
        args.reject_next()?;
        Ok(output)
    }
}

impl Runner {
    fn leader(&mut self) -> Result<&mut Leader, Box<dyn Error>> {
        self.leader.as_mut().ok_or_else(|| "no leader yet: use lead".into())
    }
}

#[test]
fn scripts() {
    for entry in std::fs::read_dir("src/replication/testscripts/leader").expect("the folder of scripts") {
        let path = entry.expect("a script").path();
        goldenscript::run(&mut Runner::default(), path.to_str().expect("a readable path"))
            .expect("the script's output");
    }
}
