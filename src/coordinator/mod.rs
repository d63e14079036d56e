//! Runs the group machines on `__consumer_offsets`.
