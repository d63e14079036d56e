//! Composition root: roles become tasks; start, drain, stop.
