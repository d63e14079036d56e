//! One consumer group's machine.
