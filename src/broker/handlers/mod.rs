//! One file per API. A handler authorises, calls, and encodes; Kafka's rules live below.
//!
//! The head of each file is its contract: the versions served, what they mean, and what is left out.

pub mod api_versions;
pub mod fetch;
pub mod init_producer_id;
pub mod list_offsets;
pub mod metadata;
pub mod produce;
