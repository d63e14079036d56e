//! Two kinds of time that never mix: one that only moves forward, and one that people read.

use std::ops::Add;
use std::time::Duration;

/// Milliseconds of a clock that never jumps, from an arbitrary start. For sessions, lag and waiters,
/// so that a wall-clock jump fences nobody.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Monotonic(pub u64);

/// Milliseconds since the Unix epoch. For record timestamps and retention only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Wall(pub i64);

impl Monotonic {
    /// Milliseconds from `earlier` to `self`; 0 when `earlier` is later.
    pub fn since_ms(self, earlier: Monotonic) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment `ms` milliseconds later.
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

impl Add<Duration> for Monotonic {
    type Output = Monotonic;

    fn add(self, rhs: Duration) -> Monotonic {
        self.plus_ms(u64::try_from(rhs.as_millis()).unwrap_or(u64::MAX))
    }
}
