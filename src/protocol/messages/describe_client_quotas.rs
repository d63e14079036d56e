//! DescribeClientQuotas: which limits are set for whom (KIP-546).

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

use super::alter_client_quotas::QuotaEntityData;

schema! {
    /// Whose limits to tell.
    message DescribeClientQuotasRequest (versions 0..=1, flexible 1..) {
        components: Vec<QuotaFilter> [0..],
        /// Only entities that consist of just these types.
        strict: bool [0..],
    }

    /// What one part of an entity has to be.
    struct QuotaFilter {
        entity_type: String [0..],
        /// 0 this name, 1 the default, 2 any name.
        match_type: i8 [0..],
        r#match: Option<String> [0.., null 0..],
    }

    /// The limits.
    message DescribeClientQuotasResponse (versions 0..=1, flexible 1..) {
        throttle_time_ms: i32 [0..],
        error_code: ErrorCode [0..],
        error_message: Option<String> [0.., null 0..],
        entries: Option<Vec<QuotaEntry>> [0.., null 0..],
    }

    /// The limits of one entity.
    struct QuotaEntry {
        entity: Vec<QuotaEntityData> [0..],
        values: Vec<QuotaValue> [0..],
    }

    /// One limit.
    struct QuotaValue {
        key: String [0..],
        value: f64 [0..],
    }
}
