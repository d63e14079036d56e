//! What an operator sees of a running node: its log lines and its metrics.

mod logging;
pub mod metrics;

pub use logging::start_logging;
