//! A disk in memory that can crash.

/// What an operation of a [`SimDisk`] does instead of succeeding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The n-th operation and all after it fail, as if the power were gone.
    Cut,
    /// That one operation fails with an I/O error.
    Error,
    /// That one operation fails because the disk is full.
    Full,
}
