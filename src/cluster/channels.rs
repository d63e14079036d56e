//! gRPC channels to the voters: dialled when first needed, dropped when a call on them fails.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tonic::transport::{Channel, Endpoint};

use crate::rpc::controller::controller_client::ControllerClient;
use crate::rpc::controller::{ProbeRequest, ProbeResponse};

/// Longest wait for a connection to one voter.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A connection that answers no ping for so long is dead.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(2);
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(2);
/// Longest message on the control plane.
pub(super) const MESSAGE_BYTES_MAX: usize = 4 << 20;

/// One entry of `controller.quorum.voters` (`id@host:port`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VoterAddress {
    /// The voter's `node.id`.
    pub node_id: i32,
    /// Host of its controller listener, resolved anew at each dial.
    pub host: String,
    /// Port of its controller listener.
    pub port: u16,
}

impl fmt::Display for VoterAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}:{}", self.node_id, self.host, self.port)
    }
}

/// One channel per voter.
pub(super) struct Channels {
    voters: Vec<VoterAddress>,
    /// Held for a lookup, never across an await.
    open: Mutex<HashMap<i32, Channel>>,
}

impl Channels {
    pub(super) fn new(voters: Vec<VoterAddress>) -> Self {
        Self { voters, open: Mutex::new(HashMap::new()) }
    }

    pub(super) fn voters(&self) -> &[VoterAddress] {
        &self.voters
    }

    /// The voters as the configuration writes them.
    pub(super) fn describe(&self) -> String {
        self.voters.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }

    /// A client for the voter, dialling when there is no channel yet. An error means that nothing was sent.
    pub(super) async fn client(
        &self,
        voter: &VoterAddress,
    ) -> Result<ControllerClient<Channel>, tonic::transport::Error> {
        let known = self.lock().get(&voter.node_id).cloned();
        let channel = match known {
            Some(channel) => channel,
            None => {
                let channel = endpoint(voter)?.connect().await?;
                self.lock().insert(voter.node_id, channel.clone());
                channel
            }
        };
        Ok(ControllerClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX))
    }

    /// Forgets the channel after a call on it failed, so that the next call resolves and dials anew.
    pub(super) fn drop_channel(&self, node_id: i32) {
        self.lock().remove(&node_id);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<i32, Channel>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks one voter who it is, over a connection of its own. The error says why there is no answer.
pub async fn probe(voter: &VoterAddress, request: ProbeRequest) -> Result<ProbeResponse, String> {
    let endpoint = endpoint(voter).map_err(|error| with_causes(&error))?;
    let channel = endpoint.connect().await.map_err(|error| with_causes(&error))?;
    let answer = ControllerClient::new(channel).probe(request).await;
    answer.map(tonic::Response::into_inner).map_err(|status| status.message().to_owned())
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
