//! What coordinators do on the partitions that keep their state.

mod groups;
mod host;
mod transactions;

pub use groups::GroupCoordinator;
pub use transactions::{Coordinator, leader_of, name};
