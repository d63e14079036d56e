//! Structs that the messages of several APIs share.

use crate::protocol::schema::schema;

schema! {
    /// Who leads a partition, told to a client that asked the wrong broker (KIP-951).
    struct LeaderIdAndEpoch {
        leader_id: i32 [0.., default -1],
        leader_epoch: i32 [0.., default -1],
    }

    /// Where a broker is reached, sent along with [`LeaderIdAndEpoch`].
    struct NodeEndpoint {
        node_id: i32 [0..],
        host: String [0..],
        port: i32 [0..],
        rack: Option<String> [0.., null 0..],
    }
}
