//! AlterClientQuotas: sets and removes limits (KIP-546).

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    /// The changes.
    message AlterClientQuotasRequest (versions 0..=1, flexible 1..) {
        entries: Vec<AlterQuotaEntry> [0..],
        validate_only: bool [0..],
    }

    /// The changes for one entity.
    struct AlterQuotaEntry {
        entity: Vec<QuotaEntityData> [0..],
        ops: Vec<QuotaOperation> [0..],
    }

    /// One part of an entity.
    struct QuotaEntityData {
        entity_type: String [0..],
        /// Null for the default.
        entity_name: Option<String> [0.., null 0..],
    }

    /// One limit to set or to remove.
    struct QuotaOperation {
        key: String [0..],
        value: f64 [0..],
        remove: bool [0..],
    }

    /// What became of them.
    message AlterClientQuotasResponse (versions 0..=1, flexible 1..) {
        throttle_time_ms: i32 [0..],
        entries: Vec<AlterQuotaResult> [0..],
    }

    /// What became of the changes for one entity.
    struct AlterQuotaResult {
        error_code: ErrorCode [0..],
        error_message: Option<String> [0.., null 0..],
        entity: Vec<QuotaEntityData> [0..],
    }
}
