//! One partition's replication machine: who is in sync, and how far every reader may read.
//!
//! Pure: no disk, socket, task or clock; events and times come in, [`Effect`]s go out, and `partition` carries
//! them out. It must never raise the high watermark past what every member of the *maximal* ISR holds
//! (invariant A5), never count a shrink before the controller has decided it, and never have a log truncated by its high
//! watermark (A17).

mod effect;
mod follower;
mod isr;
mod leader;

pub use effect::Effect;
pub use follower::{Follower, FollowerEffect, FollowerLog, FollowerStart, LeaderAnswer, NextFetch};
pub use isr::{IsrMember, IsrProposal};
pub use leader::{FollowerFetch, Leader, LeaderStart};

#[cfg(test)]
mod follower_script_tests;
#[cfg(test)]
mod leader_script_tests;
