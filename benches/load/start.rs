//! From exec to the first acknowledged produce.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Args;
use ottla::protocol::{CreatableTopic, CreateTopicsRequest};
use serde_json::{Value, json};

use super::connection::{Connection, frame};
use super::produce;

#[derive(Args)]
pub struct StartTime {
    /// Where the broker will listen.
    #[arg(long)]
    bootstrap: String,
    /// Created when it does not exist.
    #[arg(long)]
    topic: String,
    /// Where the broker's output goes.
    #[arg(long)]
    log: PathBuf,
    /// The broker's command. It is left running; its process id is in the answer.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

impl StartTime {
    #[expect(clippy::zombie_processes, reason = "the broker is to outlive this program")]
    pub fn run(self) -> Value {
        let log = File::create(&self.log).expect("a log file");
        let errors = log.try_clone().expect("a log file");
        let begun = Instant::now();
        let broker = Command::new(&self.command[0])
            .args(&self.command[1..])
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .expect("the broker starts");
        let frame = frame(produce::VERSION, &produce::request(&self.topic, vec![0], 1, &produce::batch(1, 100)));
        let mut listening = None;
        while let Err(error) = self.try_once(&frame, &mut listening, begun) {
            assert!(begun.elapsed() < Duration::from_secs(300), "no acknowledgement in five minutes: {error}");
            sleep(Duration::from_millis(1));
        }
        json!({
            "seconds": begun.elapsed().as_secs_f64(),
            "listening_seconds": listening.map(|after: Duration| after.as_secs_f64()),
            "pid": broker.id(),
        })
    }

    fn try_once(&self, frame: &[u8], listening: &mut Option<Duration>, begun: Instant) -> io::Result<()> {
        let mut connection = Connection::open(&self.bootstrap)?;
        listening.get_or_insert_with(|| begun.elapsed());
        loop {
            connection.send(frame)?;
            match produce::check(&mut connection) {
                Ok(()) => return Ok(()),
                Err(error) if begun.elapsed() > Duration::from_secs(300) => return Err(error),
                Err(_) => self.create_topic(&mut connection)?,
            }
        }
    }

    /// Asks for the topic, which may exist already; a broker that is not ready refuses and is asked again.
    fn create_topic(&self, connection: &mut Connection) -> io::Result<()> {
        let topic = CreatableTopic {
            name: self.topic.clone(),
            num_partitions: 1,
            replication_factor: 1,
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 5_000, ..CreateTopicsRequest::default() };
        connection.call(5, &request).map(|_| ())
    }
}
