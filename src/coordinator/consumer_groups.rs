//! Groups of the consumer protocol (KIP-848): what handlers call about them.

use super::group_coordinator::GroupCoordinator;
use super::groups::{Groups, group_error};
use super::host::Shard;
use crate::group::{ConsumerGroupDescription, ConsumerHeartbeat, ConsumerHeartbeatReply, Rebalance, Refusal};
use crate::model::ErrorCode;

impl GroupCoordinator {
    /// ConsumerGroupHeartbeat: the answer, once what it says is committed to the log.
    pub async fn consumer_heartbeat(
        &self,
        group_id: &str,
        request: &ConsumerHeartbeat,
    ) -> Result<ConsumerHeartbeatReply, Refusal> {
        let decide = |shard: &mut Shard<Groups>| {
            let decided = shard.decide(group_id, |group, around| group.consumer_heartbeat(request, around));
            // An answer may also rest on what was written before.
            (decided, shard.written())
        };
        let (decided, written) = self.with(group_id, decide).map_err(refused)?;
        let reply = decided?;
        self.committed(&written, group_error).await.map_err(refused)?;
        Ok(reply)
    }

    /// ConsumerGroupDescribe, with the reason of the last rebalance; `None` for a group that does not exist or has
    /// another protocol.
    pub fn describe_consumer_group(
        &self,
        group_id: &str,
    ) -> Result<Option<(ConsumerGroupDescription, Option<Rebalance>)>, ErrorCode> {
        self.with(group_id, |shard| {
            let group = shard.machine.get(group_id)?;
            let description = group.consumer()?.describe(shard.machine.config());
            Some((description, group.last_rebalance().cloned()))
        })
    }
}

fn refused(error: ErrorCode) -> Refusal {
    Refusal::new(error, "")
}
