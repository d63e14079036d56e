//! `ottla server --dev-cluster N`: several real nodes on this machine, to play with.
//!
//! Each node is a process of its own, as in production, so that one can be killed and looked at. They live as long as
//! this process: what they hold lies in a temporary folder and goes with them, and should this process be killed, they
//! notice the end of their standard input and stop.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::common::run_until_done;
use super::exit::{Exit, Failure};

/// Where the first node's clients connect, if the port is free.
const FIRST_CLIENT_PORT: u16 = 9092;
/// How often it is looked whether all nodes still run.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Runs the nodes until this process is told to stop.
pub(super) fn run(nodes: u16, overrides: &[String]) -> Result<(), Failure> {
    let mut cluster = DevCluster::start(nodes, overrides)?;
    cluster.await_ready()?;
    println!("{}", cluster.description());
    run_until_done(cluster.watch())
}

/// The nodes. They end, and their folder goes, with this value.
struct DevCluster {
    directory: PathBuf,
    nodes: Vec<DevNode>,
}

struct DevNode {
    child: Child,
    address: String,
    http: String,
    log: PathBuf,
}

impl DevCluster {
    fn start(nodes: u16, overrides: &[String]) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::new(Exit::Failed, format!("cannot start a node: {error}"));
        let directory = std::env::temp_dir().join(format!("ottla-dev-cluster-{}", std::process::id()));
        fs::create_dir_all(&directory).map_err(failed)?;
        let mut cluster = Self { directory, nodes: Vec::new() };
        let ports = Ports::choose(nodes).map_err(failed)?;
        for (index, id) in (1..=nodes).enumerate() {
            let settings = ports.settings(index, id, &cluster.directory);
            let log = cluster.directory.join(format!("node-{id}.log"));
            let child = spawn(&settings, overrides, &log).map_err(failed)?;
            let address = format!("127.0.0.1:{}", ports.clients[index]);
            cluster.nodes.push(DevNode { child, address, http: format!("127.0.0.1:{}", ports.http[index]), log });
        }
        Ok(cluster)
    }

    /// Waits for each node's banner.
    fn await_ready(&mut self) -> Result<(), Failure> {
        for node in &mut self.nodes {
            let banner = node.child.stdout.take().map(BufReader::new);
            let ready = banner.is_some_and(|banner| {
                banner.lines().map_while(Result::ok).any(|line| line.trim_start().starts_with("configured"))
            });
            if !ready {
                return Err(node.ended());
            }
        }
        Ok(())
    }

    fn description(&self) -> String {
        let addresses: Vec<&str> = self.nodes.iter().map(|node| node.address.as_str()).collect();
        let mut text = format!(
            "{} nodes are ready. They end with this process (Ctrl-C), and what they hold goes with them.\n  \
             bootstrap  {}\n",
            self.nodes.len(),
            addresses.join(",")
        );
        for (id, node) in (1..).zip(&self.nodes) {
            let (pid, address, http) = (node.child.id(), &node.address, &node.http);
            text += &format!(
                "  node {id}     {address}, http://{http}/metrics, process {pid}, log {}\n",
                node.log.display()
            );
        }
        text
    }

    /// Waits for a signal. A node that is killed by hand is told, and the others go on.
    async fn watch(mut self) -> Result<(), Failure> {
        let failed = |error: io::Error| Failure::new(Exit::Failed, format!("cannot catch signals: {error}"));
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut looks = tokio::time::interval(LOOK_EVERY);
        while !self.nodes.is_empty() {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => return Ok(()),
                _ = terminate.recv() => return Ok(()),
                _ = looks.tick() => self.nodes.retain_mut(DevNode::is_running),
            }
        }
        Err(Failure::new(Exit::Failed, "all nodes have ended"))
    }
}

impl Drop for DevCluster {
    fn drop(&mut self) {
        // Nothing is kept, so there is nothing to hand over or to flush.
        for node in &mut self.nodes {
            let _ = node.child.kill();
            let _ = node.child.wait();
        }
        if let Err(error) = fs::remove_dir_all(&self.directory) {
            eprintln!("ottla: cannot remove {}: {error}", self.directory.display());
        }
    }
}

impl DevNode {
    fn is_running(&mut self) -> bool {
        match self.child.try_wait() {
            Ok(Some(status)) => {
                println!("the node at {} has ended ({status}); its log is {}", self.address, self.log.display());
                false
            }
            _ => true,
        }
    }

    fn ended(&self) -> Failure {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let last = log.lines().last().unwrap_or("it said nothing");
        Failure::new(Exit::Failed, format!("the node at {} did not start: {last}", self.address))
    }
}

/// The ports of all nodes, by index.
struct Ports {
    clients: Vec<u16>,
    controllers: Vec<u16>,
    http: Vec<u16>,
}

impl Ports {
    fn choose(nodes: u16) -> io::Result<Self> {
        // Held until all are chosen, so that none is chosen twice.
        let mut held = Vec::new();
        let mut free = |wanted: u16| {
            let socket = TcpListener::bind(("127.0.0.1", wanted)).or_else(|_| TcpListener::bind(("127.0.0.1", 0)))?;
            let port = socket.local_addr()?.port();
            held.push(socket);
            Ok::<_, io::Error>(port)
        };
        Ok(Self {
            clients: (0..nodes).map(|index| free(FIRST_CLIENT_PORT + index)).collect::<io::Result<_>>()?,
            controllers: (0..nodes).map(|_| free(0)).collect::<io::Result<_>>()?,
            http: (0..nodes).map(|_| free(0)).collect::<io::Result<_>>()?,
        })
    }

    fn settings(&self, index: usize, id: u16, directory: &Path) -> Vec<(&'static str, String)> {
        let voters: Vec<String> =
            (1..).zip(&self.controllers).map(|(id, port): (u16, _)| format!("{id}@127.0.0.1:{port}")).collect();
        let (client, controller) = (self.clients[index], self.controllers[index]);
        vec![
            ("node.id", id.to_string()),
            ("process.roles", "broker,controller".to_owned()),
            ("controller.quorum.voters", voters.join(",")),
            ("controller.listener.names", "CONTROLLER".to_owned()),
            ("listeners", format!("PLAINTEXT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}")),
            ("advertised.listeners", format!("PLAINTEXT://127.0.0.1:{client}")),
            ("ottla.http.listener", format!("127.0.0.1:{}", self.http[index])),
            ("log.dirs", directory.join(format!("node-{id}")).display().to_string()),
        ]
    }
}

fn spawn(settings: &[(&'static str, String)], overrides: &[String], log: &Path) -> io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["server", "--end-with-stdin"]);
    let settings = settings.iter().map(|(key, value)| format!("{key}={value}"));
    for pair in settings.chain(overrides.iter().cloned()) {
        command.args(["--override", &pair]);
    }
    // A group of its own: Ctrl-C is for this process, which ends the nodes.
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(log)?).spawn()
}

/// Has this process stop as by SIGTERM when its standard input ends.
pub(super) fn end_with_stdin() {
    std::thread::spawn(|| {
        let mut input = io::stdin().lock();
        let mut ignored = [0; 64];
        while !matches!(input.read(&mut ignored), Ok(0) | Err(_)) {}
        // The process itself exists.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM);
    });
}
