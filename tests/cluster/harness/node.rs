//! A process of the binary, before and after it is ready.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::{Connection, PATIENCE};

/// A process of the binary. Ends with this value.
pub struct Process {
    child: Child,
    lines: Receiver<String>,
    /// Lines of the banner that have come so far.
    banner: Vec<String>,
    log: PathBuf,
}

impl Process {
    pub(super) fn new(child: Child, lines: Receiver<String>, log: PathBuf) -> Self {
        Self { child, lines, banner: Vec::new(), log }
    }

    /// Waits for the banner and returns its lines.
    pub fn banner(&mut self) -> Vec<String> {
        while !is_whole(&self.banner) {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => self.banner.push(line),
                Err(RecvTimeoutError::Timeout) => panic!("not ready after {PATIENCE:?}:\n{}", self.log()),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("ended before it was ready ({:?}):\n{}", self.child.wait(), self.log())
                }
            }
        }
        self.banner.clone()
    }

    /// True when the banner has come.
    pub fn has_banner(&mut self) -> bool {
        self.banner.extend(self.lines.try_iter());
        is_whole(&self.banner)
    }

    /// What was logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until the log says something.
    pub fn await_log(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.log().contains(text) {
            assert!(Instant::now() < deadline, "{text:?} is not in the log:\n{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.id().to_string()]).status();
        assert!(sent.expect("kill runs").success(), "the process takes SIG{name}");
    }

    /// Stops it where it is. The signal alone is no more than a request: until the last of its threads has seen it, which
    /// takes a while on a busy machine, the others go on.
    pub fn pause(&self) {
        self.signal("STOP");
        let stopped = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let deadline = Instant::now() + PATIENCE;
        while waitid(WaitId::Pid(Pid::from_child(&self.child)), stopped).expect("it can be waited for").is_none() {
            assert!(Instant::now() < deadline, "not stopped after {PATIENCE:?}:\n{}", self.log());
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits for the end.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                return status;
            }
            assert!(Instant::now() < deadline, "still running after {PATIENCE:?}:\n{}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn is_whole(banner: &[String]) -> bool {
    banner.iter().any(|line| line.trim_start().starts_with("configured"))
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A node that is ready.
pub struct Node {
    process: Process,
    /// The lines of its banner.
    pub banner: Vec<String>,
}

impl Node {
    /// Waits for the banner.
    pub fn ready(mut process: Process) -> Self {
        let banner = process.banner();
        Self { process, banner }
    }

    /// `host:port` of the first listener for clients.
    pub fn address(&self) -> String {
        let line = self.banner.iter().find_map(|line| line.trim_start().strip_prefix("clients"));
        let listener = line.unwrap_or_else(|| panic!("a listener in {:?}", self.banner)).trim();
        listener.split_once("://").expect("NAME://address").1.to_owned()
    }

    /// A connection for requests.
    pub fn connect(&self) -> Connection {
        Connection::open(&self.address())
    }

    /// The process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The process, whatever becomes of the node.
    pub fn into_process(self) -> Process {
        self.process
    }

    /// Ends the node as a crash would.
    pub fn kill(mut self) {
        self.process.signal("KILL");
        assert_eq!(self.process.wait().signal(), Some(9));
    }

    /// Ends the node in order, and returns how it went.
    pub fn stop(mut self) -> ExitStatus {
        self.process.terminate();
        self.process.wait()
    }
}
