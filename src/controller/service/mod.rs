//! The gRPC services on the controller listener. They check whom a message is for, translate, and decide nothing.

mod controller;
mod raft;

pub use controller::ControllerService;
pub use raft::RaftService;

/// The answer to a message for another node or another cluster; clients do not repeat it.
fn wrong_target(reason: String) -> tonic::Status {
    tonic::Status::failed_precondition(reason)
}
