//! The clocks of this process: the only place that reads them for the data plane.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::model::{Monotonic, Wall};

/// Milliseconds since the Unix epoch, as people's clocks show it. May jump.
pub fn wall() -> Wall {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Wall(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Milliseconds since this process first asked. Never jumps.
pub fn monotonic() -> Monotonic {
    static START: OnceLock<Instant> = OnceLock::new();
    let since = START.get_or_init(Instant::now).elapsed();
    Monotonic(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
