//! Compaction: of each key only the newest record is kept (`cleanup.policy=compact`).
//!
//! ```text
//!   log start         first dirty offset          first uncleanable offset
//!       |  clean segments  |     dirty segments      |  active segment, open transactions  |
//!                          └── keys and their newest offsets go into a table of bounded size
//!       └───────── every segment from the start is copied without what the table supersedes ─┘
//! ```
//!
//! A [`CompactionJob`] is taken under the partition's lock, runs outside of it, and its result takes the place of the
//! old segments under the lock again. Offsets never change and no batch is split: a batch loses records and keeps its
//! first and last offset. The last batch of a copied segment always stays, if need be without a record, so that a
//! segment says itself how far it reaches, and so does a producer's last batch, which its next one has to follow
//! (invariant B1). Nothing that is not committed and decided is touched, and nothing past the recovery point.
//!
//! A tombstone (a record without a value) and the marker of a transaction whose records are gone stay for
//! `delete.retention.ms` from the first cleaning that meets them, which writes that moment into the batch as its delete
//! horizon (KIP-534): readers that began before must learn of the deletion.
//!
//! After a crash a copy is either `….cleaned`, and dropped, or `….swap`, whole and durable, and put in place.

mod filter;
mod job;
mod offset_map;
mod plan;
mod swap;
mod transactions;

pub(super) use job::Replacement;
pub use job::{Compacted, CompactionJob, CompactionLimits};
pub(super) use plan::cleanable;
pub(super) use swap::finish_interrupted;
