//! Several nodes of one cluster, each with a loopback address and a data directory of its own.
//!
//! The address of a cluster is drawn at random from 127.0.0.0/8 and its nodes have the usual ports on it, so that a
//! node comes back where it was without anybody else having taken its port.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use ottla::protocol::{
    DescribeClusterRequest, DescribeQuorumPartition, DescribeQuorumPartitionResponse, DescribeQuorumRequest,
    DescribeQuorumTopic,
};
use tempfile::TempDir;

use super::{Connection, Node, Process, Setup, eventually};

const CLIENT_PORT: u16 = 9092;
const CONTROLLER_PORT: u16 = 9093;

/// How a cluster is to be laid out.
pub struct Plan {
    /// Per node, from node 1 on: `process.roles`.
    roles: Vec<&'static str>,
    /// Whether `controller.quorum.voters` says who votes, or only where they are found.
    named_voters: bool,
    settings: Vec<(String, String)>,
}

impl Plan {
    /// Has the nodes find each other by `controller.quorum.bootstrap.servers` alone.
    pub fn without_voter_ids(mut self) -> Self {
        self.named_voters = false;
        self
    }

    /// Nodes that are broker and controller at once.
    pub fn combined(nodes: usize) -> Self {
        Self { roles: vec!["broker,controller"; nodes], named_voters: true, settings: Vec::new() }
    }

    /// Controllers from node 1 on, then brokers.
    pub fn isolated(controllers: usize, brokers: usize) -> Self {
        let mut plan = Self { roles: vec!["controller"; controllers], named_voters: true, settings: Vec::new() };
        plan.roles.resize(controllers + brokers, "broker");
        plan
    }

    /// Sets a key on every node.
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.settings.push((key.to_owned(), value.to_owned()));
        self
    }

    /// The cluster, with no node started yet.
    pub fn build(self) -> Cluster {
        let directory = tempfile::tempdir().expect("a directory");
        let nodes = self.roles.len();
        let hosts = free_hosts(nodes);
        let is_voter = |index: &usize| self.roles[*index].contains("controller");
        let voters: Vec<String> = (0..nodes)
            .filter(is_voter)
            .map(|index| match self.named_voters {
                true => format!("{}@{}:{CONTROLLER_PORT}", index + 1, hosts[index]),
                false => format!("{}:{CONTROLLER_PORT}", hosts[index]),
            })
            .collect();
        let voters_key = match self.named_voters {
            true => "controller.quorum.voters",
            false => "controller.quorum.bootstrap.servers",
        };
        let slots = (0..nodes).map(|index| {
            let (host, roles) = (&hosts[index], self.roles[index]);
            let home = directory.path().join(format!("node-{}", index + 1));
            std::fs::create_dir(&home).expect("a directory for the node");
            let mut setup = Setup::new(&home)
                .set("node.id", &(index + 1).to_string())
                .set("process.roles", roles)
                .set("listeners", &listeners(host, roles))
                .set("controller.listener.names", "CONTROLLER")
                .set(voters_key, &voters.join(","));
            for (key, value) in &self.settings {
                setup = setup.set(key, value);
            }
            Slot { setup, home, address: format!("{host}:{CLIENT_PORT}"), life: Life::Down }
        });
        let slots = slots.collect();
        Cluster { slots, directory }
    }

    /// The cluster, with all nodes started and ready.
    pub fn start(self) -> Cluster {
        let mut cluster = self.build();
        let all: Vec<i32> = cluster.nodes().collect();
        cluster.start_nodes(&all);
        cluster
    }
}

fn listeners(host: &str, roles: &str) -> String {
    let listener = |(role, name, port)| roles.contains(role).then(|| format!("{name}://{host}:{port}"));
    let both = [("broker", "PLAINTEXT", CLIENT_PORT), ("controller", "CONTROLLER", CONTROLLER_PORT)];
    both.into_iter().filter_map(listener).collect::<Vec<_>>().join(",")
}

/// `127.x.y.1` and on, where nobody listens.
fn free_hosts(nodes: usize) -> Vec<String> {
    let free = |host: &String| {
        [CLIENT_PORT, CONTROLLER_PORT].iter().all(|port| TcpListener::bind((host.as_str(), *port)).is_ok())
    };
    loop {
        let (high, low) = (rand::random_range(1..=254), rand::random_range(0..=255));
        let hosts: Vec<String> = (1..=nodes).map(|last| format!("127.{high}.{low}.{last}")).collect();
        if hosts.iter().all(free) {
            return hosts;
        }
    }
}

/// The nodes of one cluster, named by their `node.id` from 1 on. Whatever still runs ends with this value.
pub struct Cluster {
    slots: Vec<Slot>,
    directory: TempDir,
}

struct Slot {
    setup: Setup,
    home: PathBuf,
    address: String,
    life: Life,
}

enum Life {
    Down,
    /// Started, not known to be ready.
    Starting(Process),
    Ready(Node),
}

impl Cluster {
    /// Combined nodes, all started and ready.
    pub fn start(nodes: usize) -> Self {
        Plan::combined(nodes).start()
    }

    /// Adds a node that knows the present controllers by their addresses alone, not started yet; its id.
    pub fn add_node(&mut self, roles: &'static str) -> i32 {
        let index = self.slots.len();
        let prefix = self.slots[0].address.rsplit_once('.').expect("an IPv4 address").0.to_owned();
        let servers: Vec<String> =
            self.slots.iter().map(|slot| slot.address.replace(":9092", &format!(":{CONTROLLER_PORT}"))).collect();
        let home = self.directory.path().join(format!("node-{}", index + 1));
        std::fs::create_dir(&home).expect("a directory for the node");
        let host = format!("{prefix}.{}", index + 1);
        let setup = Setup::new(&home)
            .set("node.id", &(index + 1).to_string())
            .set("process.roles", roles)
            .set("listeners", &listeners(&host, roles))
            .set("controller.listener.names", "CONTROLLER")
            .set("controller.quorum.bootstrap.servers", &servers.join(","));
        self.slots.push(Slot { setup, home, address: format!("{host}:{CLIENT_PORT}"), life: Life::Down });
        i32::try_from(self.slots.len()).expect("few nodes")
    }

    /// Adds a broker to a cluster whose nodes are only one or the other, not started yet; its id.
    pub fn add_broker(&mut self) -> i32 {
        self.add_node("broker")
    }

    /// All node ids.
    pub fn nodes(&self) -> impl Iterator<Item = i32> + use<> {
        1..=i32::try_from(self.slots.len()).expect("few nodes")
    }

    /// Starts nodes at the same time and waits until all of them are ready.
    pub fn start_nodes(&mut self, nodes: &[i32]) {
        for node in nodes {
            self.spawn(*node);
        }
        for node in nodes {
            self.await_ready(*node);
        }
    }

    /// Starts a node without waiting for it.
    pub fn spawn(&mut self, node: i32) {
        let slot = self.slot_mut(node);
        assert!(matches!(slot.life, Life::Down), "node {node} runs already");
        slot.life = Life::Starting(slot.setup.spawn());
    }

    /// Waits until a node that was spawned is ready.
    pub fn await_ready(&mut self, node: i32) {
        let slot = self.slot_mut(node);
        slot.life = match std::mem::replace(&mut slot.life, Life::Down) {
            Life::Starting(process) => Life::Ready(Node::ready(process)),
            life => life,
        };
    }

    /// True when a node that was spawned has printed its banner.
    pub fn is_ready(&mut self, node: i32) -> bool {
        if let Life::Starting(process) = &mut self.slot_mut(node).life
            && process.has_banner()
        {
            self.await_ready(node);
        }
        matches!(self.slot(node).life, Life::Ready(_))
    }

    /// Ends a node as a crash would.
    pub fn kill(&mut self, node: i32) {
        let mut process = self.take(node);
        process.signal("KILL");
        process.wait();
    }

    /// Ends a node in order.
    pub fn stop(&mut self, node: i32) -> ExitStatus {
        let mut process = self.take(node);
        process.terminate();
        process.wait()
    }

    /// Ends a node in order and starts it again.
    pub fn restart(&mut self, node: i32) {
        assert!(self.stop(node).success(), "node {node} stops cleanly:\n{}", self.log(node));
        self.start_nodes(&[node]);
    }

    /// Stops a node's process in its tracks (SIGSTOP).
    pub fn pause(&self, node: i32) {
        self.process(node).pause();
    }

    /// Lets a paused node go on.
    pub fn resume(&self, node: i32) {
        self.process(node).signal("CONT");
    }

    /// Waits for the end of a node that ends by itself.
    pub fn await_end(&mut self, node: i32) -> ExitStatus {
        self.take(node).wait()
    }

    /// Changes a node's configuration from its next start on.
    pub fn reconfigure(&mut self, node: i32, key: &str, value: &str) {
        let slot = self.slot_mut(node);
        slot.setup = slot.setup.clone().set(key, value);
    }

    /// Sets an environment variable of a node from its next start on.
    pub fn set_environment(&mut self, node: i32, name: &str, value: &str) {
        let slot = self.slot_mut(node);
        slot.setup = slot.setup.clone().environment(name, value);
    }

    /// Has a node run by another binary from its next start on.
    pub fn set_binary(&mut self, node: i32, binary: &Path) {
        let slot = self.slot_mut(node);
        slot.setup = slot.setup.clone().binary(binary);
    }

    /// Removes all that a node which is down has on disk.
    pub fn wipe(&mut self, node: i32) {
        assert!(matches!(self.slot(node).life, Life::Down), "node {node} runs");
        std::fs::remove_dir_all(self.data(node)).expect("its data goes");
    }

    /// A node's data directory.
    pub fn data(&self, node: i32) -> PathBuf {
        self.slot(node).home.join("data")
    }

    /// What a node has logged in all its lives.
    pub fn log(&self, node: i32) -> String {
        std::fs::read_to_string(self.slot(node).home.join("stderr.log")).unwrap_or_default()
    }

    /// `host:port` of a broker for clients.
    pub fn address(&self, node: i32) -> &str {
        &self.slot(node).address
    }

    /// The host of a node, an address of its own on the loopback.
    pub fn host(&self, node: i32) -> &str {
        self.address(node).rsplit_once(':').expect("host:port").0
    }

    /// `bootstrap.servers` for a client: all brokers.
    pub fn bootstrap_servers(&self) -> String {
        self.slots.iter().map(|slot| slot.address.as_str()).collect::<Vec<_>>().join(",")
    }

    /// Waits until the log of a node that runs says something.
    pub fn await_log(&self, node: i32, text: &str) {
        self.process(node).await_log(text);
    }

    /// A connection to a broker.
    pub fn connect(&self, node: i32) -> Connection {
        Connection::open(self.address(node))
    }

    /// The process of a node that runs.
    pub fn process(&self, node: i32) -> &Process {
        match &self.slot(node).life {
            Life::Starting(process) => process,
            Life::Ready(running) => running.process(),
            Life::Down => panic!("node {node} is down"),
        }
    }

    /// The quorum as `asked`, a broker, tells it: leader and leader epoch once there is a leader.
    pub fn quorum_leader(&self, asked: i32) -> (i32, i32) {
        let mut connection = self.connect(asked);
        eventually("the quorum has a leader", || {
            let partition = describe_quorum(&mut connection);
            (!partition.error_code.is_error()).then_some((partition.leader_id, partition.leader_epoch))
        })
    }

    /// Waits until exactly these controllers vote, as `asked`, a broker, tells it.
    pub fn await_voters(&self, asked: i32, expected: &[i32]) {
        let mut connection = self.connect(asked);
        eventually(&format!("{expected:?} vote"), || {
            let partition = describe_quorum(&mut connection);
            let mut voters: Vec<i32> = partition.current_voters.iter().map(|voter| voter.replica_id).collect();
            voters.sort_unstable();
            (!partition.error_code.is_error() && voters == expected).then_some(())
        });
    }

    /// Waits until `asked`, a broker, counts exactly these brokers as alive.
    pub fn await_brokers(&self, asked: i32, expected: &[i32]) {
        let mut connection = self.connect(asked);
        eventually(&format!("node {asked} counts {expected:?} in"), || {
            let response = connection.send(0, &DescribeClusterRequest::default());
            let mut alive: Vec<i32> = response.brokers.iter().map(|broker| broker.broker_id).collect();
            alive.sort_unstable();
            (alive == expected).then_some(())
        });
    }

    /// Waits until `asked`, a broker, knows exactly these in-sync replicas of partition 0 and a leader among them; the
    /// leader.
    pub fn await_isr(&self, asked: i32, topic: &str, expected: &[i32]) -> i32 {
        let mut connection = self.connect(asked);
        eventually(&format!("the in-sync replicas of {topic} are {expected:?}"), || {
            let partition = connection.describe_topic(topic).partitions.remove(0);
            let mut isr = partition.isr_nodes.clone();
            isr.sort_unstable();
            (isr == expected && expected.contains(&partition.leader_id)).then_some(partition.leader_id)
        })
    }

    /// Waits until `asked`, a broker, knows who leads partition 0; the leader.
    pub fn leader_of(&self, asked: i32, topic: &str) -> i32 {
        let mut connection = self.connect(asked);
        eventually(&format!("{topic} has a leader"), || {
            let leader = connection.describe_topic(topic).partitions.first()?.leader_id;
            (leader >= 0).then_some(leader)
        })
    }

    /// A11: waits until the replicas on these nodes hold the same bytes of partition 0.
    pub fn await_equal_logs(&self, topic: &str, nodes: &[i32]) {
        let log = |&node: &i32| {
            let directory = self.data(node).join(format!("{topic}-0"));
            std::fs::read(directory.join("00000000000000000000.log")).unwrap_or_default()
        };
        eventually("the replicas hold the same bytes", || {
            let logs: Vec<Vec<u8>> = nodes.iter().map(log).collect();
            (!logs[0].is_empty() && logs.windows(2).all(|pair| pair[0] == pair[1])).then_some(())
        });
    }

    fn take(&mut self, node: i32) -> Process {
        match std::mem::replace(&mut self.slot_mut(node).life, Life::Down) {
            Life::Starting(process) => process,
            Life::Ready(running) => running.into_process(),
            Life::Down => panic!("node {node} is down"),
        }
    }

    fn slot(&self, node: i32) -> &Slot {
        &self.slots[usize::try_from(node - 1).expect("node ids begin with 1")]
    }

    fn slot_mut(&mut self, node: i32) -> &mut Slot {
        &mut self.slots[usize::try_from(node - 1).expect("node ids begin with 1")]
    }
}

fn describe_quorum(connection: &mut Connection) -> DescribeQuorumPartitionResponse {
    let partitions = vec![DescribeQuorumPartition { partition_index: 0 }];
    let topic = DescribeQuorumTopic { topic_name: "__cluster_metadata".to_owned(), partitions };
    connection.send(1, &DescribeQuorumRequest { topics: vec![topic] }).topics.remove(0).partitions.remove(0)
}
