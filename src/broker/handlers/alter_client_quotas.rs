//! AlterClientQuotas, versions 0 and 1.
//!
//! Sets and removes limits of users, client ids, both together and addresses (KIP-546, KIP-599, KIP-612). Version 1 is
//! flexible.

use crate::broker::call::Call;
use crate::broker::context::Context;
use crate::broker::controller_answers::{ask, error_code, message, unexpected};
use crate::protocol::messages::{
    AlterClientQuotasRequest, AlterClientQuotasResponse, AlterQuotaEntry, AlterQuotaResult, QuotaEntityData,
};
use crate::rpc::metadata::{
    AlterClientQuotas, ClientQuotaChange, ClientQuotaOperation, QuotaEntityPart, metadata_command, metadata_reply,
};

/// Has the controllers change the limits.
pub async fn handle(context: &Context, _call: Call, request: AlterClientQuotasRequest) -> AlterClientQuotasResponse {
    let changes = request.entries.iter().map(change).collect();
    let command = AlterClientQuotas { changes, validate_only: request.validate_only };
    // The request names no time.
    let refused = match ask(context, metadata_command::Kind::AlterClientQuotas(command), 0).await {
        Ok(metadata_reply::Kind::AlterClientQuotas(reply)) => {
            let entries = reply.results.into_iter().map(|result| AlterQuotaResult {
                error_code: error_code(result.error_code),
                error_message: message(result.error_message),
                entity: result.entity.into_iter().map(data).collect(),
            });
            return AlterClientQuotasResponse { entries: entries.collect(), ..AlterClientQuotasResponse::default() };
        }
        Ok(_) => unexpected(),
        Err(refused) => refused,
    };
    let entries = request.entries.into_iter().map(|entry| AlterQuotaResult {
        error_code: refused.error_code,
        error_message: refused.error_message.clone(),
        entity: entry.entity,
    });
    AlterClientQuotasResponse { entries: entries.collect(), ..AlterClientQuotasResponse::default() }
}

fn change(entry: &AlterQuotaEntry) -> ClientQuotaChange {
    let part = |data: &QuotaEntityData| QuotaEntityPart {
        entity_type: data.entity_type.clone(),
        name: data.entity_name.clone(),
    };
    let operations = entry.ops.iter().map(|operation| ClientQuotaOperation {
        key: operation.key.clone(),
        value: (!operation.remove).then_some(operation.value),
    });
    ClientQuotaChange { entity: entry.entity.iter().map(part).collect(), operations: operations.collect() }
}

fn data(part: QuotaEntityPart) -> QuotaEntityData {
    QuotaEntityData { entity_type: part.entity_type, entity_name: part.name }
}
