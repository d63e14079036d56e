//! ListTransactions, versions 0 to 2.
//!
//! The transactional ids that this broker coordinates, filtered by state, by producer id, from version 1 on by how long
//! their transaction has been going on (KIP-994), and from version 2 on by a regular expression for the whole id
//! (KIP-1152). One that is none is INVALID_REGULAR_EXPRESSION.

use std::collections::BTreeSet;

use regex::Regex;

use crate::broker::call::Call;
use crate::broker::context::Context;
use crate::clock;
use crate::model::ErrorCode;
use crate::protocol::messages::{ListTransactionsRequest, ListTransactionsResponse, ListTransactionsState};
use crate::transaction::{TransactionRecord, TransactionState};

/// States of Kafka's that no transaction is ever seen in here.
const NEVER_SEEN: [&str; 2] = ["Dead", "PrepareEpochFence"];

/// Lists transactions.
pub async fn handle(context: &Context, _: Call, request: ListTransactionsRequest) -> ListTransactionsResponse {
    let (states, unknown_state_filters) = states(&request.state_filters);
    let ids: BTreeSet<i64> = request.producer_id_filters.iter().copied().collect();
    let (now, duration_ms) = (clock::wall(), request.duration_filter);
    let pattern = match request.transactional_id_pattern.as_deref().map(whole).transpose() {
        Ok(pattern) => pattern,
        Err(error_code) => return ListTransactionsResponse { error_code, ..ListTransactionsResponse::default() },
    };
    let wanted = |id: &str, record: &TransactionRecord| {
        let lasts_ms = record.started.map(|started| now.0.saturating_sub(started.0));
        (request.state_filters.is_empty() || states.contains(record.state.name()))
            && (ids.is_empty() || ids.contains(&record.producer_id.0))
            && pattern.as_ref().is_none_or(|pattern| pattern.is_match(id))
            && (duration_ms < 0 || lasts_ms.is_some_and(|lasts_ms| lasts_ms > duration_ms))
    };
    match context.transactions.list(wanted) {
        Ok(found) => {
            let state = |(transactional_id, record): (String, TransactionRecord)| ListTransactionsState {
                transactional_id,
                producer_id: record.producer_id.0,
                transaction_state: record.state.name().to_owned(),
            };
            let transaction_states = found.into_iter().map(state).collect();
            ListTransactionsResponse {
                unknown_state_filters,
                transaction_states,
                ..ListTransactionsResponse::default()
            }
        }
        Err(error_code) => ListTransactionsResponse { error_code, ..ListTransactionsResponse::default() },
    }
}

/// A pattern that matches whole ids; an empty one lets all pass.
fn whole(pattern: &str) -> Result<Regex, ErrorCode> {
    let invalid = |_| ErrorCode::InvalidRegularExpression;
    // By itself first: a parenthesis too many would fit the one put around it.
    let alone = Regex::new(pattern).map_err(invalid)?;
    if pattern.is_empty() { Ok(alone) } else { Regex::new(&format!("^(?:{pattern})$")).map_err(invalid) }
}

/// The states that are asked for, and what is the name of none.
fn states(filters: &[String]) -> (BTreeSet<&'static str>, Vec<String>) {
    let known = |name: &str| {
        let names = TransactionState::ALL.into_iter().map(TransactionState::name).chain(NEVER_SEEN);
        names.into_iter().find(|known| *known == name)
    };
    let states = filters.iter().filter_map(|name| known(name)).collect();
    (states, filters.iter().filter(|name| known(name).is_none()).cloned().collect())
}
