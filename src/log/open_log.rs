//! What is known about a log before it is opened.

use std::sync::Arc;

use super::LogConfig;
use crate::model::{Offset, Wall};

/// What [`SegmentedLog::open`](super::SegmentedLog::open) is told.
#[derive(Clone, Debug)]
pub struct OpenLog {
    /// The settings.
    pub config: Arc<LogConfig>,
    /// Everything below was synced once: it is trusted, and its absence is a fault. Everything from here on is read
    /// and checked.
    pub recovery_point: Offset,
    /// Where a log without a segment begins.
    pub start_offset: Offset,
    /// The last stop was a clean one: the indexes are whole.
    pub clean: bool,
    /// The time.
    pub now: Wall,
}
