//! How fast something goes, and how long it has to wait when that is too fast.
//!
//! Pure: times are arguments. Who is measured, and what a limit is set for, is the business of those that use it.

mod rate;

pub use rate::{QuotaWindows, SampledRate};
