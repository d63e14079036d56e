//! One partition's replication machine: leader, follower, ISR, high watermark.
