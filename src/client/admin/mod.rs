//! What administrators do with a cluster, one module per thing it is done to.
//!
//! Each function is one operation: it finds the right brokers, repeats what may be repeated, and turns a broker's
//! refusal into a [`ClusterError`](super::ClusterError) that names what was refused.

pub mod cluster;
pub mod configs;
pub mod groups;
pub mod log_dirs;
pub mod offsets;
pub mod quotas;
pub mod reassignments;
pub mod records;
pub mod topics;
pub mod transactions;
pub mod voters;

use crate::model::ErrorCode;

/// The error that all answers share, which is then the request's; `None` as soon as one differs, because what was done
/// must not be asked again.
fn unanimous(codes: impl Iterator<Item = ErrorCode>) -> ErrorCode {
    let mut codes = codes.peekable();
    let Some(first) = codes.peek().copied() else { return ErrorCode::None };
    if codes.all(|code| code == first) { first } else { ErrorCode::None }
}
