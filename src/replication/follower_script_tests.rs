//! Runs `testscripts/follower/*`: a log that follows, told the leader's answers, and what that does to it.

use std::error::Error;
use std::fmt::Write;

use goldenscript::ArgumentConsumer;

use crate::model::{BrokerId, EpochEntry, LeaderEpoch, LeaderEpochs, Offset};

use super::{Follower, FollowerEffect, FollowerLog, FollowerStart, LeaderAnswer, NextFetch};

#[derive(Default)]
struct Runner {
    log_start_offset: Offset,
    log_end_offset: Offset,
    high_watermark: Offset,
    leader_epochs: LeaderEpochs,
    follower: Option<Follower>,
    asked: Option<NextFetch>,
}

fn number<T: std::str::FromStr<Err: Error + 'static>>(text: Option<&str>, default: T) -> Result<T, Box<dyn Error>> {
    Ok(text.map(str::parse).transpose()?.unwrap_or(default))
}

fn epochs(text: &str) -> Result<LeaderEpochs, Box<dyn Error>> {
    let entry = |text: &str| -> Result<EpochEntry, Box<dyn Error>> {
        let (epoch, start_offset) = text.split_once(':').ok_or("EPOCH:START")?;
        Ok(EpochEntry { epoch: LeaderEpoch(epoch.parse()?), start_offset: start_offset.parse()? })
    };
    Ok(LeaderEpochs::from_entries(text.split(',').map(entry).collect::<Result<_, _>>()?))
}

impl goldenscript::Runner for Runner {
    type Command = goldenscript::Command;

    fn run(&mut self, command: &Self::Command, _: &goldenscript::Context) -> Result<String, Box<dyn Error>> {
        let mut args = command.consume_args();
        let output = match command.name.as_str() {
            "log" => {
                self.log_start_offset = number(args.take_key("start"), 0)?;
                self.log_end_offset = number(args.take_key("end"), 0)?;
                self.high_watermark = number(args.take_key("hw"), 0)?;
                self.leader_epochs = args.take_key("epochs").map(epochs).transpose()?.unwrap_or_default();
                self.show_log()
            }
            "follow" => {
                let leader = BrokerId(args.next_pos().ok_or("follow LEADER EPOCH")?.parse()?);
                let leader_epoch = LeaderEpoch(args.next_pos().ok_or("follow LEADER EPOCH")?.parse()?);
                let high_watermark = self.high_watermark;
                self.follower = Some(Follower::new(FollowerStart { leader, leader_epoch, high_watermark }));
                String::new()
            }
            "ask" => self.ask()?,
            "records" => {
                let end = args.next_pos().map(str::parse).transpose()?.unwrap_or(self.log_end_offset);
                let epoch = args.take_key("epoch").map(str::parse).transpose()?.map(LeaderEpoch);
                let answer = LeaderAnswer::Records {
                    high_watermark: number(args.take_key("hw"), 0)?,
                    log_start_offset: number(args.take_key("start"), 0)?,
                };
                self.answer(answer, end, epoch)?
            }
            "diverging" => self.diverging(&mut args)?,
            "out_of_range" => {
                let log_start_offset = number(args.take_key("start"), 0)?;
                self.answer(LeaderAnswer::OutOfRange { log_start_offset }, self.log_end_offset, None)?
            }
            name => return Err(format!("unknown command {name}").into()),
        };
        args.reject_next()?;
        Ok(output)
    }
}

impl Runner {
    fn log(&self) -> FollowerLog<'_> {
        let Self { log_start_offset, log_end_offset, leader_epochs, .. } = self;
        FollowerLog { log_start_offset: *log_start_offset, log_end_offset: *log_end_offset, leader_epochs }
    }

    fn ask(&mut self) -> Result<String, Box<dyn Error>> {
        let follower = self.follower.as_ref().ok_or("no follower yet: use follow")?;
        let asked = follower.next_fetch(&self.log());
        self.asked = Some(asked);
        let NextFetch { leader_epoch, fetch_offset, last_fetched_epoch, log_start_offset } = asked;
        let leader = follower.leader();
        Ok(format!(
            "fetch from {leader} in epoch {leader_epoch}: offset {fetch_offset} last epoch {last_fetched_epoch} start \
             {log_start_offset}\n"
        ))
    }

    fn diverging(&mut self, args: &mut ArgumentConsumer<'_>) -> Result<String, Box<dyn Error>> {
        let epoch = LeaderEpoch(args.next_pos().ok_or("diverging EPOCH END")?.parse()?);
        let end_offset = args.next_pos().ok_or("diverging EPOCH END")?.parse()?;
        self.answer(LeaderAnswer::Diverging { epoch, end_offset }, self.log_end_offset, None)
    }

    /// Gives the answer to what was asked last, and does to the log what the machine says. Records reach to `end`.
    fn answer(
        &mut self,
        answer: LeaderAnswer,
        end: Offset,
        epoch: Option<LeaderEpoch>,
    ) -> Result<String, Box<dyn Error>> {
        let asked = self.asked.ok_or("nothing was asked yet: use ask")?;
        let mut follower = self.follower.take().ok_or("no follower yet: use follow")?;
        let mut effects = follower.on_answer(&asked, answer, &self.log());
        if effects.iter().any(|effect| matches!(effect, FollowerEffect::Append { .. })) {
            if let Some(epoch) = epoch {
                self.leader_epochs.assign(epoch, self.log_end_offset);
            }
            self.log_end_offset = end;
            effects.extend(follower.on_append(self.log_start_offset, end));
        }
        self.follower = Some(follower);
        let shown: String = effects.iter().map(|effect| self.carry_out(effect)).collect();
        Ok(shown + &self.show_log())
    }

    fn carry_out(&mut self, effect: &FollowerEffect) -> String {
        match *effect {
            FollowerEffect::Append { .. } => "append\n".to_owned(),
            FollowerEffect::TruncateTo { offset } => {
                self.log_end_offset = offset;
                self.leader_epochs.truncate_from(offset);
                format!("truncate to {offset}\n")
            }
            FollowerEffect::ResetTo { offset } => {
                (self.log_start_offset, self.log_end_offset) = (offset, offset);
                self.leader_epochs.clear();
                format!("reset to {offset}\n")
            }
            FollowerEffect::AdvanceLogStart { offset } => {
                self.log_start_offset = offset;
                self.leader_epochs.advance_start(offset);
                format!("advance log start to {offset}\n")
            }
            FollowerEffect::SetHighWatermark { high_watermark } => {
                self.high_watermark = high_watermark;
                format!("high watermark {high_watermark}\n")
            }
        }
    }

    fn show_log(&self) -> String {
        let mut out = format!("log {}..{} epochs", self.log_start_offset, self.log_end_offset);
        for entry in self.leader_epochs.entries() {
            write!(out, " {}:{}", entry.epoch, entry.start_offset).expect("writing to a string");
        }
        out.push('\n');
        out
    }
}

#[test]
fn scripts() {
    for entry in std::fs::read_dir("src/replication/testscripts/follower").expect("the folder of scripts") {
        let path = entry.expect("a script").path();
        goldenscript::run(&mut Runner::default(), path.to_str().expect("a readable path"))
            .expect("the script's output");
    }
}
