//! The replicas hosted here: append, read, waiters.
