//! The way that a proposed ISR goes, from the machine of its partition to the task that asks the controller
//! (`isr_proposals`).

use tokio::sync::mpsc;

use crate::model::{TopicId, TopicPartition};
use crate::replication::IsrProposal;

/// A proposal on its way from a partition's machine.
#[derive(Clone, Debug)]
pub(super) struct ProposedIsr {
    pub topic_partition: TopicPartition,
    pub topic_id: TopicId,
    pub proposal: IsrProposal,
}

/// Where replicas put their proposals.
#[derive(Clone, Debug)]
pub(super) struct IsrProposalSender(mpsc::UnboundedSender<ProposedIsr>);

impl IsrProposalSender {
    /// Where the proposals come out, one per partition at a time.
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<ProposedIsr>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    pub fn send(&self, proposed: ProposedIsr) {
        // Nobody takes it once the broker stops; the proposal stays pending, and the next life begins without it.
        let _ = self.0.send(proposed);
    }
}
