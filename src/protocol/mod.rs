//! Kafka's wire: headers, frames, and the schema of every API we speak.
//!
//! Messages are declared once (`schema!`, see schema.rs; one file per API in messages/), and from the
//! declaration come the types, their decoding and encoding. Decoding is safe against any bytes: it does
//! not panic and does not allocate by a length that a frame only claims. Which versions a broker
//! serves is not said here but in its dispatch table.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::indexing_slicing))]

mod api_key;
mod error;
mod field;
mod frame;
mod group_records;
mod header;
mod message;
pub mod messages;
mod reader;
mod records;
mod schema;
mod transaction_records;
mod versioned;
mod writer;

pub use api_key::{ApiKey, ApiVisitor, Request, SchemaVersions, visit_apis};
pub use error::{DecodeError, DecodeFault};
pub use field::{Field, FieldSchema, FieldType, Nullable, Structure};
pub use frame::{
    EncodedFrame, FRAME_LENGTH_SIZE, decode_response, encode_request, encode_response, encode_response_into,
};
pub use group_records::{
    ClassicMemberMetadata, ClassicProtocol, ConsumerGroupCurrentMemberAssignmentKey,
    ConsumerGroupCurrentMemberAssignmentValue, ConsumerGroupMemberMetadataKey, ConsumerGroupMemberMetadataValue,
    ConsumerGroupMetadataKey, ConsumerGroupMetadataValue, ConsumerGroupRegularExpressionKey,
    ConsumerGroupRegularExpressionValue, ConsumerGroupTargetAssignmentMemberKey,
    ConsumerGroupTargetAssignmentMemberValue, ConsumerGroupTargetAssignmentMetadataKey,
    ConsumerGroupTargetAssignmentMetadataValue, CurrentTopicPartitions, GroupMetadataKey, GroupMetadataValue,
    GroupRecordKey, MemberMetadata, OffsetCommitKey, OffsetCommitValue, TargetTopicPartitions,
};
pub use header::{RequestHeader, ResponseHeader};
pub use message::Message;
pub use messages::*;
pub use reader::Reader;
pub use records::Records;
pub use transaction_records::{TransactionLogKey, TransactionLogPartitions, TransactionLogValue};
pub use versioned::{decode_with_version, encode_with_version};
pub use writer::{ExternalMark, Writer};
