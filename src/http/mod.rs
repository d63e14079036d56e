//! The HTTP port of a node: is it alive, is it ready, how is it doing.
//!
//! | path | answers |
//! |---|---|
//! | `/healthz` | 200 while the process serves: restart it when this fails |
//! | `/readyz` | 200 when clients can use the node, else 503 and what it waits for |
//! | `/metrics` | the metrics of docs/metrics.md, in Prometheus's text format |
//!
//! Knows nothing of brokers and controllers: the node hands in what answers. Nothing here changes anything, and nothing
//! is secret but the names of topics and groups; the default listens on this machine only.

mod server;

pub use server::{Health, HttpServer};
