//! Settings of the machine.

/// What an operator may set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransactionConfig {
    /// `transaction.max.timeout.ms`: the longest time-out a producer may ask for.
    pub timeout_ms_max: i32,
    /// `transactional.id.expiration.ms`: an id that is not used for so long is forgotten.
    pub expiration_ms: i64,
}
