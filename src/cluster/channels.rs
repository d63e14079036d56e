//! gRPC channels to the voters: dialled when first needed, dropped when a call on them fails.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tonic::transport::{Channel, Endpoint};

use crate::rpc::controller::controller_client::ControllerClient;
use crate::rpc::controller::{self as wire, AnnounceRequest, AnnounceResponse, ProbeRequest, ProbeResponse};

/// Longest wait for a connection to one voter.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A connection that answers no ping for so long is dead.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(2);
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(2);
/// Longest message on the control plane.
pub(super) const MESSAGE_BYTES_MAX: usize = 4 << 20;

/// One entry of `controller.quorum.voters` (`id@host:port`) or `controller.quorum.bootstrap.servers` (`host:port`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VoterAddress {
    /// The voter's `node.id`; [`VoterAddress::UNKNOWN`] while only its address is known.
    pub node_id: i32,
    /// Host of its controller listener, resolved anew at each dial.
    pub host: String,
    /// Port of its controller listener.
    pub port: u16,
}

impl VoterAddress {
    /// Stands for the `node.id` of whoever answers at the address.
    pub const UNKNOWN: i32 = -1;

    /// True when the voter's `node.id` is known.
    pub fn is_named(&self) -> bool {
        self.node_id != Self::UNKNOWN
    }
}

impl fmt::Display for VoterAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_named() {
            true => write!(f, "{}@{}:{}", self.node_id, self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl From<&VoterAddress> for wire::VoterAddress {
    fn from(voter: &VoterAddress) -> Self {
        Self { node_id: voter.node_id, host: voter.host.clone(), port: voter.port.into() }
    }
}

impl TryFrom<&wire::VoterAddress> for VoterAddress {
    type Error = std::num::TryFromIntError;

    fn try_from(voter: &wire::VoterAddress) -> Result<Self, Self::Error> {
        Ok(Self { node_id: voter.node_id, host: voter.host.clone(), port: voter.port.try_into()? })
    }
}

/// One channel per voter.
pub(super) struct Channels {
    /// As configured at first; what the quorum says once it has been heard.
    voters: watch::Sender<Arc<[VoterAddress]>>,
    /// Held for a lookup, never across an await.
    open: Mutex<HashMap<VoterAddress, Channel>>,
}

impl Channels {
    pub(super) fn new(voters: Vec<VoterAddress>) -> Self {
        Self { voters: watch::channel(voters.into()).0, open: Mutex::new(HashMap::new()) }
    }

    pub(super) fn voters(&self) -> Arc<[VoterAddress]> {
        self.voters.borrow().clone()
    }

    /// The voters, as they change.
    pub(super) fn voter_changes(&self) -> watch::Receiver<Arc<[VoterAddress]>> {
        self.voters.subscribe()
    }

    /// Goes by the quorum's own word on who votes; an empty or unreadable list changes nothing.
    pub(super) fn note_voters(&self, told: &[wire::VoterAddress]) {
        let voters: Result<Vec<VoterAddress>, _> = told.iter().map(VoterAddress::try_from).collect();
        let Ok(mut voters) = voters else { return };
        voters.sort();
        if voters.is_empty() || *voters == **self.voters.borrow() {
            return;
        }
        self.lock().retain(|voter, _| voters.contains(voter));
        self.voters.send_replace(voters.into());
    }

    /// The voters as the configuration writes them.
    pub(super) fn describe(&self) -> String {
        self.voters().iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }

    /// A client for the voter, dialling when there is no channel yet. An error means that nothing was sent.
    pub(super) async fn client(
        &self,
        voter: &VoterAddress,
    ) -> Result<ControllerClient<Channel>, tonic::transport::Error> {
        let known = self.lock().get(voter).cloned();
        let channel = match known {
            Some(channel) => channel,
            None => {
                let channel = endpoint(voter)?.connect().await?;
                self.lock().insert(voter.clone(), channel.clone());
                channel
            }
        };
        Ok(ControllerClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX))
    }

    /// Forgets the channel after a call on it failed, so that the next call resolves and dials anew.
    pub(super) fn drop_channel(&self, voter: &VoterAddress) {
        self.lock().remove(voter);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<VoterAddress, Channel>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks one voter who it is, over a connection of its own. The error says why there is no answer.
pub async fn probe(voter: &VoterAddress, request: ProbeRequest) -> Result<ProbeResponse, String> {
    let answer = dial(voter).await?.probe(request).await;
    answer.map(tonic::Response::into_inner).map_err(|status| status.message().to_owned())
}

/// Announces a controller to one voter, over a connection of its own. The error says why there is no answer.
pub async fn announce(voter: &VoterAddress, request: AnnounceRequest) -> Result<AnnounceResponse, String> {
    let answer = dial(voter).await?.announce(request).await;
    answer.map(tonic::Response::into_inner).map_err(|status| status.message().to_owned())
}

async fn dial(voter: &VoterAddress) -> Result<ControllerClient<Channel>, String> {
    let endpoint = endpoint(voter).map_err(|error| with_causes(&error))?;
    endpoint.connect().await.map(ControllerClient::new).map_err(|error| with_causes(&error))
}

/// `error` with all its causes: tonic's own text says only "transport error".
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn endpoint(voter: &VoterAddress) -> Result<Endpoint, tonic::transport::Error> {
    let host = if voter.host.contains(':') { format!("[{}]", voter.host) } else { voter.host.clone() };
    Ok(Endpoint::from_shared(format!("http://{host}:{}", voter.port))?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true))
}
