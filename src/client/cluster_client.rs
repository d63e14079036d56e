//! A client of a whole cluster: it finds the broker that a request is for, and asks again where that is safe.
//!
//! Owns one connection to each broker it has talked to, and what the cluster last told about itself. A request goes to
//! a [`Target`]; when the target turns out to be elsewhere, or away, the client learns anew and sends again within its
//! patience, but only where repeat.rs says that nothing can happen twice.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::bootstrap::BootstrapServers;
use super::cluster_error::ClusterError;
use super::cluster_metadata::ClusterMetadata;
use super::error::ClientError;
use super::repeat;
use super::{Connection, ConnectionOptions, Unanswered};
use crate::model::{ErrorCode, TopicPartition};
use crate::protocol::{ApiKey, FindCoordinatorRequest, MetadataRequest, MetadataRequestTopic, Request};

const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// How long an advertised address is tried: longer than a dead broker stays in the metadata, and no longer, because an
/// address that is wrong stays wrong.
const ADVERTISED_PATIENCE: Duration = Duration::from_secs(5);

/// How a client of a cluster behaves.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// How each connection behaves.
    pub connection: ConnectionOptions,
    /// How long a request is tried altogether, repetitions included.
    pub patience: Duration,
}

/// What a coordinator coordinates.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Coordinates {
    /// A consumer group.
    Group = 0,
    /// A transactional id.
    Transaction = 1,
}

/// Whom a request is for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Target {
    /// Any broker.
    Any,
    /// The broker of this id.
    Broker(i32),
    /// The broker that takes requests for the controller.
    Controller,
    /// The leader of a partition.
    Leader(TopicPartition),
    /// The coordinator of a group or transactional id.
    Coordinator(Coordinates, String),
}

/// Where a connection goes: whichever bootstrap server answered, or a broker by its advertised address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Peer {
    Bootstrap,
    Broker(i32),
}

/// A client of a cluster.
pub struct ClusterClient {
    servers: BootstrapServers,
    options: ClusterOptions,
    connections: BTreeMap<Peer, Connection>,
    coordinators: BTreeMap<(Coordinates, String), i32>,
    metadata: ClusterMetadata,
}

impl ClusterClient {
    /// Finds a bootstrap server that answers, and learns the brokers from it. Does not wait for one to come up.
    pub async fn connect(servers: BootstrapServers, options: ClusterOptions) -> Result<Self, ClusterError> {
        let (connections, coordinators) = (BTreeMap::new(), BTreeMap::new());
        let mut client = Self { servers, options, connections, coordinators, metadata: ClusterMetadata::default() };
        client.learn(Some(&[]), false).await?;
        Ok(client)
    }

    /// What the cluster last told; see [`ClusterClient::learn_topics`].
    pub fn metadata(&self) -> &ClusterMetadata {
        &self.metadata
    }

    /// How this client behaves.
    pub fn options(&self) -> &ClusterOptions {
        &self.options
    }

    /// Asks for the brokers and for these topics, `None` for all of them. A name that no topic has is an error.
    pub async fn learn_topics(&mut self, topics: Option<&[String]>) -> Result<&ClusterMetadata, ClusterError> {
        self.learn(topics, false).await?;
        for topic in topics.unwrap_or_default() {
            if self.metadata.topic(topic).is_err() {
                // All names, to tell those that look like it.
                self.learn(None, false).await?;
                self.metadata.topic(topic)?;
            }
        }
        Ok(&self.metadata)
    }

    /// Asks for a topic until it and leaders of all its partitions are known; `create` lets the broker create it by
    /// `auto.create.topics.enable`. Right after a topic's creation its metadata may take a moment to come.
    pub async fn await_topic(&mut self, topic: &str, create: bool) -> Result<(), ClusterError> {
        let deadline = Instant::now() + self.options.patience;
        let mut pause = PAUSE_FIRST;
        loop {
            self.learn(Some(&[topic.to_owned()]), create).await?;
            let known = self.metadata.topic(topic);
            let led = |known: &super::TopicMetadata| known.partitions.iter().all(|partition| partition.leader_id >= 0);
            match known {
                Ok(known) if led(known) => return Ok(()),
                Err(unknown) if Instant::now() + pause > deadline => return Err(unknown),
                Ok(_) if Instant::now() + pause > deadline => return Ok(()),
                _ => {}
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Sends a request and returns its answer. `verdict` reads an answer's error: while that is one that may go away,
    /// and the same for a lost connection, the target is looked up anew and the request sent again. An answer whose
    /// error stays is returned as it is.
    pub async fn ask<R: Request>(
        &mut self,
        target: &Target,
        request: &R,
        verdict: impl Fn(&R::Response) -> ErrorCode,
    ) -> Result<R::Response, ClusterError> {
        self.ask_at_most(target, i16::MAX, request, verdict).await
    }

    /// The same, in no version above `at_most`.
    pub async fn ask_at_most<R: Request>(
        &mut self,
        target: &Target,
        at_most: i16,
        request: &R,
        verdict: impl Fn(&R::Response) -> ErrorCode,
    ) -> Result<R::Response, ClusterError> {
        let begun = Instant::now();
        let mut pause = PAUSE_FIRST;
        loop {
            let outcome = self.ask_once(target, at_most, request).await;
            let (again, patience) = match &outcome {
                Ok(response) => (repeat::after_answer(R::API_KEY, verdict(response)), self.options.patience),
                Err(error @ ClusterError::AdvertisedUnreachable { .. }) => {
                    (repeat::after_failure(R::API_KEY, error), self.options.patience.min(ADVERTISED_PATIENCE))
                }
                Err(error) => (repeat::after_failure(R::API_KEY, error), self.options.patience),
            };
            if !again || begun.elapsed() + pause > patience {
                return outcome;
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
            self.learn_anew(target).await?;
        }
    }

    /// Sends a request once.
    pub async fn ask_once<R: Request>(
        &mut self,
        target: &Target,
        at_most: i16,
        request: &R,
    ) -> Result<R::Response, ClusterError> {
        let peer = self.route(target).await?;
        let answer = self.connection(peer).await?.send_at_most(at_most, request).await;
        answer.map_err(|error| self.spent(peer, error))
    }

    /// Sends a request to a broker without waiting for the answer, so that several brokers work at the same time.
    /// The answers of one broker are to be taken in the order of the requests.
    pub async fn start<R: Request>(
        &mut self,
        broker: i32,
        at_most: i16,
        request: &R,
    ) -> Result<Unanswered<R>, ClusterError> {
        let peer = Peer::Broker(broker);
        let started = self.connection(peer).await?.start(at_most, request).await;
        started.map_err(|error| self.spent(peer, error))
    }

    /// Waits for the answer to a request that was started at a broker.
    pub async fn finish<R: Request>(
        &mut self,
        broker: i32,
        unanswered: Unanswered<R>,
    ) -> Result<R::Response, ClusterError> {
        let peer = Peer::Broker(broker);
        // The connection went with an earlier answer that did not come.
        let gone = || ClientError::Broken {
            address: format!("broker {broker}"),
            source: std::io::ErrorKind::ConnectionReset.into(),
        };
        let connection = self.connections.get_mut(&peer).ok_or_else(gone)?;
        let answer = connection.finish(unanswered).await;
        answer.map_err(|error| self.spent(peer, error))
    }

    /// Sends a request to a broker that gives no answer to it.
    pub async fn tell<R: Request>(&mut self, broker: i32, at_most: i16, request: &R) -> Result<(), ClusterError> {
        let peer = Peer::Broker(broker);
        let told = self.connection(peer).await?.tell(at_most, request).await;
        told.map_err(|error| self.spent(peer, error))
    }

    /// The broker that a target is now, by what is known or can be learned.
    pub async fn broker_of(&mut self, target: &Target) -> Result<Option<i32>, ClusterError> {
        Ok(match self.route(target).await? {
            Peer::Bootstrap => None,
            Peer::Broker(broker) => Some(broker),
        })
    }

    /// The versions that a broker serves, and a connection for questions of one's own.
    pub async fn connection_to(&mut self, target: &Target) -> Result<&mut Connection, ClusterError> {
        let peer = self.route(target).await?;
        self.connection(peer).await
    }

    /// Opens a further connection to a target, for requests that take long.
    pub async fn open_another(
        &mut self,
        target: &Target,
        options: ConnectionOptions,
    ) -> Result<Connection, ClusterError> {
        let begun = Instant::now();
        let mut pause = PAUSE_FIRST;
        loop {
            let error = match self.open_once(target, &options).await {
                Ok(connection) => return Ok(connection),
                Err(error) => error,
            };
            if !repeat::after_failure(ApiKey::Metadata, &error) || begun.elapsed() + pause > self.options.patience {
                return Err(error);
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
            self.learn_anew(target).await?;
        }
    }

    async fn open_once(&mut self, target: &Target, options: &ConnectionOptions) -> Result<Connection, ClusterError> {
        let peer = self.route(target).await?;
        let address = self.connection(peer).await?.address().to_owned();
        Ok(Connection::open(&address, options.clone()).await?)
    }

    async fn route(&mut self, target: &Target) -> Result<Peer, ClusterError> {
        Ok(match target {
            Target::Any => Peer::Bootstrap,
            Target::Broker(broker) => Peer::Broker(*broker),
            Target::Controller => self.metadata.controller_id.map_or(Peer::Bootstrap, Peer::Broker),
            Target::Leader(partition) => {
                if self.metadata.topic(&partition.topic).is_err() {
                    self.learn_topics(Some(&[partition.topic.to_string()])).await?;
                }
                Peer::Broker(self.metadata.leader(partition)?)
            }
            Target::Coordinator(coordinates, key) => Peer::Broker(self.coordinator(*coordinates, key).await?),
        })
    }

    async fn coordinator(&mut self, coordinates: Coordinates, key: &str) -> Result<i32, ClusterError> {
        if let Some(broker) = self.coordinators.get(&(coordinates, key.to_owned())) {
            return Ok(*broker);
        }
        let request = FindCoordinatorRequest {
            key: key.to_owned(),
            key_type: coordinates as i8,
            coordinator_keys: vec![key.to_owned()],
        };
        let response = self.connection(Peer::Bootstrap).await?.send(&request).await;
        let response = response.map_err(|error| self.spent(Peer::Bootstrap, error))?;
        let (node_id, code, message) = match response.coordinators.into_iter().next() {
            Some(found) => (found.node_id, found.error_code, found.error_message),
            None => (response.node_id, response.error_code, response.error_message),
        };
        if code.is_error() {
            let what = match coordinates {
                Coordinates::Group => "group",
                Coordinates::Transaction => "transactional id",
            };
            return Err(ClusterError::refused(format!("the coordinator of {what} {key:?}"), code, message));
        }
        self.coordinators.insert((coordinates, key.to_owned()), node_id);
        Ok(node_id)
    }

    /// Forgets what led to a target that could not serve, and asks for what has to be known.
    async fn learn_anew(&mut self, target: &Target) -> Result<(), ClusterError> {
        match target {
            Target::Coordinator(coordinates, key) => {
                self.coordinators.remove(&(*coordinates, key.clone()));
                self.learn(Some(&[]), false).await
            }
            Target::Leader(partition) => self.learn(Some(&[partition.topic.to_string()]), false).await,
            _ => self.learn(Some(&[]), false).await,
        }
    }

    /// One Metadata request to a broker that answers.
    async fn learn(&mut self, topics: Option<&[String]>, create: bool) -> Result<(), ClusterError> {
        let named = |name: &String| MetadataRequestTopic { name: Some(name.clone()), ..Default::default() };
        let request = MetadataRequest {
            topics: topics.map(|topics| topics.iter().map(named).collect()),
            allow_auto_topic_creation: create,
            ..MetadataRequest::default()
        };
        let mut answer = self.connection(Peer::Bootstrap).await?.send(&request).await;
        if let Err(ClientError::Broken { .. } | ClientError::TimedOut { .. }) = answer {
            // The broker that answered first may be gone; another one of the list may not.
            self.connections.remove(&Peer::Bootstrap);
            answer = self.connection(Peer::Bootstrap).await?.send(&request).await;
        }
        let response = answer.map_err(|error| self.spent(Peer::Bootstrap, error))?;
        if response.error_code.is_error() {
            return Err(ClusterError::refused("the cluster's metadata", response.error_code, None));
        }
        self.metadata.absorb(response, topics.is_none());
        Ok(())
    }

    async fn connection(&mut self, peer: Peer) -> Result<&mut Connection, ClusterError> {
        let options = &self.options.connection;
        match self.connections.entry(peer) {
            Entry::Occupied(open) => Ok(open.into_mut()),
            Entry::Vacant(vacant) => {
                let connection = match peer {
                    Peer::Bootstrap => first_that_answers(&self.servers, &self.metadata, options).await?,
                    Peer::Broker(broker) => {
                        let address = self.metadata.address(broker).ok_or(ClusterError::UnknownBroker(broker))?;
                        let opened = Connection::open(&address, options.clone()).await;
                        opened.map_err(|source| ClusterError::AdvertisedUnreachable { broker, source })?
                    }
                };
                Ok(vacant.insert(connection))
            }
        }
    }

    /// Drops a connection that failed.
    fn spent(&mut self, peer: Peer, error: ClientError) -> ClusterError {
        if !matches!(error, ClientError::NotServed { .. }) {
            self.connections.remove(&peer);
        }
        error.into()
    }
}

/// Connects to the first bootstrap server that answers, or to a broker that was learned, when none of them does.
async fn first_that_answers(
    servers: &BootstrapServers,
    metadata: &ClusterMetadata,
    options: &ConnectionOptions,
) -> Result<Connection, ClusterError> {
    let learned = metadata.brokers.keys().filter_map(|broker| metadata.address(*broker));
    let mut last = None;
    for address in servers.addresses().iter().cloned().chain(learned) {
        match Connection::open(&address, options.clone()).await {
            Ok(connection) => return Ok(connection),
            Err(error) => last = Some(error),
        }
    }
    let last = last.expect("there is a bootstrap server, and it failed");
    Err(ClusterError::NoBroker { servers: servers.to_string(), last })
}
