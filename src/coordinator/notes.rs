//! Puts what happens in groups into the log. A rebalance that somebody held up says who and for how long.

use crate::group::{Note, State};

/// A join that took longer than this is worth a line that operators see.
const SLOW_JOIN_MS: u64 = 5_000;

/// Logs one note of a group's machine.
pub(super) fn log(group_id: &str, note: &Note) {
    match note {
        Note::RebalanceStarted { generation, from, reason } => {
            tracing::info!(group_id, generation, %from, "rebalance: {reason}");
        }
        Note::JoinCompleted { generation, members, waited_ms, slowest, expelled } => {
            join_completed(group_id, *generation, *members, *waited_ms, slowest.as_ref(), expelled);
        }
        Note::Stabilized { generation, waited_ms } => {
            tracing::info!(group_id, generation, rebalance_ms = waited_ms, "group is {}", State::Stable);
        }
        Note::Emptied { generation } => tracing::info!(group_id, generation, "group is {}", State::Empty),
        Note::NobodyRejoined { generation } => {
            tracing::warn!(group_id, generation, "no member joined again; waiting for sessions to expire");
        }
        Note::MemberRemoved { member_id, client_host, reason } => {
            tracing::info!(group_id, member_id, client_host, "member removed: {reason}");
        }
        Note::AssignmentMissing { members } => {
            tracing::warn!(group_id, members = members.join(", "), "the leader assigned nothing to some members");
        }
        Note::EpochBumped { epoch, reason } => tracing::info!(group_id, epoch, "rebalance: {reason}"),
        Note::Assigned { epoch, assignor, members } => {
            tracing::info!(group_id, epoch, assignor = assignor.name(), members, "made a target assignment");
        }
        Note::Migrated { to_consumer } => {
            let protocol = if *to_consumer { "consumer" } else { "classic" };
            tracing::info!(group_id, "the group has changed to the {protocol} protocol");
        }
        Note::AppendFailed { error } => {
            tracing::warn!(group_id, error = error.name(), "records of the group could not be committed");
        }
    }
}

fn join_completed(
    group_id: &str,
    generation: i32,
    members: usize,
    waited_ms: u64,
    slowest: Option<&(String, u64)>,
    expelled: &[String],
) {
    if !expelled.is_empty() {
        let expelled = expelled.join(", ");
        tracing::warn!(group_id, generation, members, waited_ms, "the rebalance waited in vain for {expelled}");
        return;
    }
    match slowest {
        Some((slowest, after_ms)) if waited_ms >= SLOW_JOIN_MS => {
            tracing::info!(group_id, generation, members, waited_ms, "{slowest} joined last, after {after_ms} ms");
        }
        _ => tracing::debug!(group_id, generation, members, waited_ms, "all members have joined"),
    }
}
