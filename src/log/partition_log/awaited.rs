//! Batches that come too early: those whose predecessor was refused here, or may still be on its way.
//!
//! A producer has several batches on the way. When the first of them is refused for a passing reason, Kafka tells the
//! producer that the others are out of order, and takes in the first batch that it ever sees of a producer, whatever
//! its sequence number. Clients then give up their epoch, and send again under the next one what other partitions have
//! already (B1); or have a batch taken for a duplicate that never was appended (A1). Here such batches are answered
//! with a retriable error until their predecessor is there, or has been waited for long enough.
//!
//! Invariant: nothing here ever lets a batch in; it only says why one is kept out, or keeps one out for a while.

use std::collections::HashMap;

use crate::model::{ProducerEpoch, ProducerId, Wall};
use crate::record::BatchHeader;

use super::super::producer_state::comes_after;

/// How long a predecessor is waited for, milliseconds: as long as clients wait for an answer, `request.timeout.ms`.
const PATIENCE_MS: i64 = 30_000;

/// What a leader waits for, by producer. Of one leadership: another one begins with nothing.
#[derive(Debug, Default)]
pub(super) struct Awaited {
    /// The first batch that was refused and will come again.
    refused: HashMap<ProducerId, Refused>,
    /// When a producer's first batch came that may have predecessors on their way to the previous leader.
    astray: HashMap<ProducerId, Wall>,
}

#[derive(Clone, Copy, Debug)]
struct Refused {
    epoch: ProducerEpoch,
    base_sequence: i32,
    /// When it was refused the last time.
    at: Wall,
}

impl Awaited {
    /// A batch was refused that its producer will send again.
    pub fn on_refused(&mut self, header: &BatchHeader, now: Wall) {
        if !header.has_producer_id() {
            return;
        }
        let (epoch, base_sequence) = (header.producer_epoch, header.base_sequence);
        let refused = self.refused.entry(header.producer_id).or_insert(Refused { epoch, base_sequence, at: now });
        refused.at = now;
        if epoch != refused.epoch || !comes_after(base_sequence, refused.base_sequence) {
            (refused.epoch, refused.base_sequence) = (epoch, base_sequence);
        }
    }

    /// A batch was appended: neither it nor what comes before it is waited for.
    pub fn on_appended(&mut self, header: &BatchHeader) {
        let waits_on = |refused: &Refused| {
            refused.epoch == header.producer_epoch && comes_after(refused.base_sequence, header.base_sequence)
        };
        if self.refused.get(&header.producer_id).is_some_and(|refused| !waits_on(refused)) {
            self.refused.remove(&header.producer_id);
        }
        self.astray.remove(&header.producer_id);
    }

    /// True when a batch before this one was refused, not long ago.
    pub fn is_behind_refused(&self, header: &BatchHeader, now: Wall) -> bool {
        self.refused.get(&header.producer_id).is_some_and(|refused| {
            refused.epoch == header.producer_epoch
                && comes_after(header.base_sequence, refused.base_sequence)
                && is_recent(refused.at, now)
        })
    }

    /// For a batch that may have predecessors on their way to the previous leader: true as long as they may come.
    pub fn may_be_astray(&mut self, producer_id: ProducerId, now: Wall) -> bool {
        is_recent(*self.astray.entry(producer_id).or_insert(now), now)
    }

    /// Another leadership begins, or time has passed: whoever is still at it is noted again.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

fn is_recent(then: Wall, now: Wall) -> bool {
    now.0.saturating_sub(then.0) < PATIENCE_MS
}
