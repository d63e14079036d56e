//! The cluster's metadata machine: image, commands, records, decide, replay.
