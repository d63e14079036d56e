//! The Kafka listener: connections, dispatch, one handler file per API.
