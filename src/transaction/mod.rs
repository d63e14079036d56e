//! One transactional id's machine: which producer may write under it, and where its transaction stands.
//!
//! Owns the rules of producer ids and epochs (InitProducerId), of the states of a transaction, and of its two-phase
//! end; in the form of transactions that clients before KIP-890 speak (version 1) and in that which bumps the epoch at
//! each end (version 2). It decides and never acts: no clock, no randomness, no tokio, no log. What is to be done goes
//! out as [`Effect`]s; the state changes only by [`Transaction::replay`], after its record was appended.
//!
//! ```text
//!            InitProducerId           partition added              EndTxn             all markers written
//!   (absent) ─────────────▶ Empty ─────────────────▶ Ongoing ──────────────▶ PrepareCommit ─────────▶ CompleteCommit
//!      ▲                    ▲ │                       │  ▲ │ EndTxn, time-out,                          │ │
//!      │                    │ │                       │  │ │ InitProducerId                             │ │
//!      │                    │ │                       │  │ └────────────▶ PrepareAbort ─▶ CompleteAbort │ │
//!      │                    │ │                       │  │                                         │ │  │ │
//!      │                    │ │                       │  └── partition added (same or another) ────┼─┘──┘ │
//!      │                    │ └── version 2: abort of nothing ─▶ PrepareAbort                      │      │
//!      │                    └──────────────────── InitProducerId ◀─────────────────────────────────┴──────┤
//!      └──── unused for transactional.id.expiration.ms ◀── Empty, CompleteCommit, CompleteAbort ◀─────────┘
//! ```
//!
//! | event | epoch afterwards |
//! |---|---|
//! | InitProducerId | + 1; 0 of a new producer id when the old one's epochs are used up |
//! | EndTxn, version 1 | the same |
//! | EndTxn, version 2 | + 1 with the markers; when that uses the epochs up, 0 of a new producer id once they are written |
//! | abort by the coordinator | + 1, in version 2 + 2, so that no retry of EndTxn looks like it |
//!
//! Invariants: a producer of an older epoch changes nothing (B6); once an end is decided it is never another (B7); a
//! retry of EndTxn hears what the first one heard (B8).

mod config;
mod effect;
mod event;
mod record;
#[allow(clippy::module_inception, reason = "the type that gives the module its name has a file of its own")]
mod transaction;

pub use config::TransactionConfig;
pub use effect::{Effect, Markers};
pub use event::{AddPartitions, EndTransaction, Event, InitProducer, Producer, TransactionVersion};
pub use record::{TransactionRecord, TransactionState};
pub use transaction::Transaction;

#[cfg(test)]
mod script_tests;
