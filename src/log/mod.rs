//! The log on disk: segments, indexes, leader epochs, producer state, recovery, retention.
