//! Metrics registry and tracing setup.
