//! How fast something goes, and how long it has to wait when that is too fast: a rate over samples, or tokens in a bucket.
//!
//! Pure: times are arguments. Who is measured, and what a limit is set for, is the business of those that use it.

mod bucket;
mod rate;

pub use bucket::{TokenBucket, refill_ms};
pub use rate::{QuotaWindows, SampledRate};
