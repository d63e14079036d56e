//! What an operator sees of a running node: its log lines.

mod logging;

pub use logging::start_logging;
