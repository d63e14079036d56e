//! A producer that writes without a pause, whatever happens to the brokers, and remembers what was acknowledged.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use std::{io, thread};

use ottla::model::ErrorCode;

use super::{Cluster, Connection, eventually};

/// How long a broker is waited for before another is asked: one that is paused answers nothing.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(3);

/// Numbered records with acks=all to partition 0 of a topic, each again and again until it is acknowledged: a record may
/// be there twice, but not be missing.
pub struct Load {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    topic: String,
    brokers: Mutex<Vec<String>>,
    acknowledged: AtomicUsize,
    stop: AtomicBool,
}

impl Load {
    /// Begins to write to a topic that exists.
    pub fn start(cluster: &Cluster, topic: &str) -> Self {
        let brokers = cluster.bootstrap_servers().split(',').map(str::to_owned).collect();
        let shared = Arc::new(Shared {
            topic: topic.to_owned(),
            brokers: Mutex::new(brokers),
            acknowledged: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
        });
        let thread = thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.run()
        });
        let load = Self { shared, thread: Some(thread) };
        load.await_progress();
        load
    }

    /// Tells it of brokers that came later.
    pub fn know_all_of(&self, cluster: &Cluster) {
        let brokers = cluster.bootstrap_servers().split(',').map(str::to_owned).collect();
        *self.shared.brokers.lock().expect("no panic") = brokers;
    }

    /// Waits until a good number of records more has been acknowledged: what was sent before is over then.
    pub fn await_progress(&self) {
        let before = self.acknowledged();
        eventually("records are acknowledged", || (self.acknowledged() >= before + 10).then_some(()));
    }

    /// How many records have been acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.shared.acknowledged.load(Ordering::Acquire)
    }

    /// Ends, and asserts that whoever leads now has every record that was acknowledged.
    pub fn stop_and_check(mut self, cluster: &Cluster, asked: i32) {
        self.end();
        let topic = self.shared.topic.clone();
        let leader = cluster.leader_of(asked, &topic);
        let mut connection = cluster.connect(leader);
        let count = self.acknowledged();
        eventually("every acknowledged record is there", || {
            let values = connection.fetch_all(&topic).into_iter().map(|value| String::from_utf8(value).expect("text"));
            let read: BTreeSet<String> = values.collect();
            (0..count).all(|number| read.contains(&number.to_string())).then_some(())
        });
    }

    fn end(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the load does not panic");
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
    }
}

impl Shared {
    fn run(&self) {
        let mut connection = None;
        while !self.stop.load(Ordering::Acquire) {
            let number = self.acknowledged.load(Ordering::Acquire);
            match self.produce(&mut connection, &number.to_string()) {
                Ok(Ok(_)) => _ = self.acknowledged.fetch_add(1, Ordering::AcqRel),
                Ok(Err(_)) | Err(_) => connection = None,
            }
            thread::sleep(PAUSE);
        }
    }

    fn produce(&self, connection: &mut Option<Connection>, value: &str) -> io::Result<Result<i64, ErrorCode>> {
        let to_leader = match connection {
            Some(connection) => connection,
            none => none.insert(self.find_leader()?),
        };
        to_leader.produce_within(&self.topic, value.as_bytes(), 1_000)
    }

    fn find_leader(&self) -> io::Result<Connection> {
        let brokers = self.brokers.lock().expect("no panic").clone();
        for broker in brokers {
            let found = Connection::try_open(&broker, PATIENCE).and_then(|mut asked| asked.find_leader(&self.topic));
            if let Ok(Some(leader)) = found
                && let Ok(connection) = Connection::try_open(&leader, PATIENCE)
            {
                return Ok(connection);
            }
        }
        Err(io::ErrorKind::NotFound.into())
    }
}
