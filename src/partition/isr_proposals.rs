//! Asks the controller for the ISRs that leaders here propose (AlterPartition, KIP-497).
//!
//! What has come together since the last answer goes out as one command; one is under way at a time. Each proposal is a
//! compare-and-set on its leader and partition epochs, and a retry is the same proposal with the broker epochs that were
//! captured when it was made (KIP-903). What the answers mean (invariant A10):
//!
//! | answer | the proposal |
//! |---|---|
//! | NONE | is decided: the machine takes the state in, as it would from the metadata feed |
//! | INELIGIBLE_REPLICA | was not carried out and never will be: the partition epoch has moved on. It is given up |
//! | FENCED_LEADER_EPOCH, INVALID_UPDATE_VERSION, INVALID_REQUEST, unknown topic | stays pending: an earlier try may have been carried out, and the metadata feed will tell |
//! | anything else | is sent again |

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::cluster::{BrokerLifecycle, ClusterError, ControllerCalls};
use crate::metadata::{uuid_bytes, uuid_from_bytes};
use crate::model::{BrokerId, ErrorCode, LeaderEpoch, PartitionEpoch, TopicId, TopicPartition};
use crate::replication::IsrProposal;
use crate::rpc::metadata::{
    AlterPartition, IsrMember, LeaderRecoveryState, MetadataCommand, PartitionProposal, PartitionProposalResult,
    metadata_command, metadata_reply,
};

use super::leading::IsrDecision;
use super::proposed_isr::ProposedIsr;
use super::replica::Replica;
use super::replicas::Replicas;

/// How long one command may take before it is made up anew.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause before proposals that were not decided are sent again.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// The proposals that are not decided yet, by partition.
type Waiting = BTreeMap<(TopicId, i32), ProposedIsr>;

/// The task that asks.
pub(super) struct IsrProposals {
    pub broker_id: BrokerId,
    pub replicas: Weak<Replicas>,
    pub calls: ControllerCalls,
    pub lifecycle: BrokerLifecycle,
    pub proposed: mpsc::UnboundedReceiver<ProposedIsr>,
}

/// What becomes of one proposal.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Verdict {
    Tell(IsrDecision),
    LeaveToTheFeed,
    SendAgain,
}

impl IsrProposals {
    /// Runs until the broker stops.
    pub async fn run(mut self) {
        let mut waiting = Waiting::new();
        while self.collect(&mut waiting).await {
            let Some(replicas) = self.replicas.upgrade() else { return };
            // What has been settled by the metadata feed or by a new leadership needs no answer any more.
            waiting.retain(|_, proposed| {
                find(&replicas, proposed).is_some_and(|replica| replica.is_pending(&proposed.proposal))
            });
            if waiting.is_empty() {
                continue;
            }
            match self.ask(&waiting).await {
                Ok(results) => take_results(&replicas, &mut waiting, &results),
                Err(error) => tracing::info!("cannot change the in-sync replicas, trying again: {error}"),
            }
            if !waiting.is_empty() {
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }

    /// Takes what has been proposed; waits for it when nothing else waits. False when nothing can come any more.
    async fn collect(&mut self, waiting: &mut Waiting) -> bool {
        if waiting.is_empty() {
            let Some(proposed) = self.proposed.recv().await else { return false };
            insert(waiting, proposed);
        }
        while let Ok(proposed) = self.proposed.try_recv() {
            insert(waiting, proposed);
        }
        true
    }

    async fn ask(&self, waiting: &Waiting) -> Result<Vec<PartitionProposalResult>, String> {
        // The sender's own epoch is that of now: it says who asks, not what was seen.
        let broker_epoch = self.lifecycle.broker_epoch().ok_or("this broker is not registered")?;
        let command = AlterPartition {
            broker_id: self.broker_id.0,
            broker_epoch: broker_epoch.0,
            partitions: waiting.values().map(to_wire).collect(),
        };
        let command = MetadataCommand { kind: Some(metadata_command::Kind::AlterPartition(command)) };
        let reply =
            self.calls.submit(command, COMMAND_TIMEOUT).await.map_err(|error: ClusterError| error.to_string())?;
        match reply.kind {
            Some(metadata_reply::Kind::AlterPartition(reply)) => Ok(reply.partitions),
            _ => Err(format!("{}: {}", error_code(reply.error_code), reply.error_message)),
        }
    }
}

fn insert(waiting: &mut Waiting, proposed: ProposedIsr) {
    waiting.insert((proposed.topic_id, proposed.topic_partition.partition), proposed);
}

fn find(replicas: &Replicas, proposed: &ProposedIsr) -> Option<Arc<Replica>> {
    let TopicPartition { topic, partition } = &proposed.topic_partition;
    replicas.find(topic, *partition).ok().filter(|replica| replica.topic_id() == proposed.topic_id)
}

fn to_wire(proposed: &ProposedIsr) -> PartitionProposal {
    let IsrProposal { leader_epoch, partition_epoch, isr, .. } = &proposed.proposal;
    PartitionProposal {
        topic_id: uuid_bytes(proposed.topic_id.0),
        partition: proposed.topic_partition.partition,
        leader_epoch: leader_epoch.0,
        partition_epoch: partition_epoch.0,
        isr: isr
            .iter()
            .map(|member| IsrMember { broker_id: member.broker_id.0, broker_epoch: member.broker_epoch.0 })
            .collect(),
        // Whoever leads has its log as it is; there is nothing else to recover.
        leader_recovery_state: LeaderRecoveryState::Recovered.into(),
    }
}

fn take_results(replicas: &Replicas, waiting: &mut Waiting, results: &[PartitionProposalResult]) {
    for result in results {
        let Some(topic_id) = uuid_from_bytes(&result.topic_id).map(TopicId) else { continue };
        let Some(proposed) = waiting.get(&(topic_id, result.partition)) else { continue };
        match verdict(&proposed.proposal, result) {
            Verdict::SendAgain => continue,
            Verdict::LeaveToTheFeed => {}
            Verdict::Tell(decision) => {
                if let Some(replica) = find(replicas, proposed) {
                    replica.take_isr_decision(decision);
                }
            }
        }
        waiting.remove(&(topic_id, result.partition));
    }
}

fn error_code(code: i32) -> ErrorCode {
    i16::try_from(code).ok().and_then(ErrorCode::from_code).unwrap_or(ErrorCode::UnknownServerError)
}

fn verdict(proposal: &IsrProposal, result: &PartitionProposalResult) -> Verdict {
    match error_code(result.error_code) {
        ErrorCode::None => Verdict::Tell(IsrDecision::Decided {
            leader_epoch: LeaderEpoch(result.leader_epoch),
            partition_epoch: PartitionEpoch(result.partition_epoch),
            isr: result.isr.iter().copied().map(BrokerId).collect(),
        }),
        ErrorCode::IneligibleReplica => {
            let (request_id, leader_epoch) = (proposal.request_id, proposal.leader_epoch);
            Verdict::Tell(IsrDecision::Refused { request_id, leader_epoch })
        }
        ErrorCode::FencedLeaderEpoch
        | ErrorCode::NewLeaderElected
        | ErrorCode::InvalidUpdateVersion
        | ErrorCode::InvalidRequest
        | ErrorCode::UnknownTopicId
        | ErrorCode::UnknownTopicOrPartition => Verdict::LeaveToTheFeed,
        _ => Verdict::SendAgain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::BrokerEpoch;
    use crate::replication;

    fn proposal() -> IsrProposal {
        let member = |id, epoch| replication::IsrMember { broker_id: BrokerId(id), broker_epoch: BrokerEpoch(epoch) };
        IsrProposal {
            request_id: 7,
            leader_epoch: LeaderEpoch(3),
            partition_epoch: PartitionEpoch(5),
            isr: vec![member(1, 100), member(2, 200)],
        }
    }

    fn answered(code: ErrorCode) -> Verdict {
        let result = PartitionProposalResult { error_code: code.code().into(), ..Default::default() };
        verdict(&proposal(), &result)
    }

    /// Trap 3 of the invariants: a retry must not take the epochs of a later life.
    #[test]
    fn a_proposal_carries_the_epochs_it_was_made_with() {
        let topic_partition = TopicPartition::new("t", 4);
        let sent = to_wire(&ProposedIsr { topic_partition, topic_id: TopicId::default(), proposal: proposal() });
        assert_eq!((sent.partition, sent.leader_epoch, sent.partition_epoch), (4, 3, 5));
        let epochs: Vec<_> = sent.isr.iter().map(|member| (member.broker_id, member.broker_epoch)).collect();
        assert_eq!(epochs, [(1, 100), (2, 200)]);
    }

    /// Rolling back after INVALID_UPDATE_VERSION would drop a member that an earlier try has already made one (A8).
    #[test]
    fn only_an_answer_that_excludes_the_change_gives_a_proposal_up() {
        let refused = IsrDecision::Refused { request_id: 7, leader_epoch: LeaderEpoch(3) };
        assert_eq!(answered(ErrorCode::IneligibleReplica), Verdict::Tell(refused));
        for code in [
            ErrorCode::FencedLeaderEpoch,
            ErrorCode::NewLeaderElected,
            ErrorCode::InvalidUpdateVersion,
            ErrorCode::InvalidRequest,
        ] {
            assert_eq!(answered(code), Verdict::LeaveToTheFeed, "{code}");
        }
        for code in [ErrorCode::NotController, ErrorCode::UnknownServerError, ErrorCode::RequestTimedOut] {
            assert_eq!(answered(code), Verdict::SendAgain, "{code}");
        }
    }
}
