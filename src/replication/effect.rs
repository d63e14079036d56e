//! What the machine asks its shell to do.

use crate::model::Offset;

use super::isr::IsrProposal;

/// One thing to do, in the order given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// The high watermark is now `high_watermark`: publish it, complete acks=all produces up to it and wake
    /// the consumers that wait for it.
    AdvanceHighWatermark {
        /// First offset that is not yet on every member of the maximal ISR.
        high_watermark: Offset,
    },
    /// Ask the controller for this ISR (AlterPartition, KIP-497). One proposal is in flight at a time.
    ProposeIsr(IsrProposal),
}
