//! The replicas hosted here: append, read, waiters.

pub mod waiters;
