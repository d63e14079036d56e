//! The Kafka listener: connections, dispatch, one handler file per API.

pub mod fetch_session;
pub mod receive;
