//! The operations that a client may do, as a set of bits (KIP-430). Without an authorizer it may do everything that
//! there is on the kind of resource.

/// Kafka's numbers of operations.
const READ: i32 = 3;
const WRITE: i32 = 4;
const CREATE: i32 = 5;
const DELETE: i32 = 6;
const ALTER: i32 = 7;
const DESCRIBE: i32 = 8;
const CLUSTER_ACTION: i32 = 9;
const DESCRIBE_CONFIGS: i32 = 10;
const ALTER_CONFIGS: i32 = 11;
const IDEMPOTENT_WRITE: i32 = 12;

/// "Not asked for", Kafka's default of the field.
pub const NOT_ASKED: i32 = i32::MIN;

const fn bits(operations: &[i32]) -> i32 {
    let mut set = 0;
    let mut at = 0;
    while at < operations.len() {
        set |= 1 << operations[at];
        at += 1;
    }
    set
}

/// On a topic.
pub const TOPIC: i32 = bits(&[READ, WRITE, CREATE, DELETE, ALTER, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS]);
/// On the cluster.
pub const CLUSTER: i32 =
    bits(&[CREATE, ALTER, DESCRIBE, CLUSTER_ACTION, DESCRIBE_CONFIGS, ALTER_CONFIGS, IDEMPOTENT_WRITE]);
/// On a consumer group.
pub const GROUP: i32 = bits(&[READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sets_are_those_that_kafka_answers() {
        assert_eq!((TOPIC, CLUSTER, GROUP), (3576, 8096, 3400));
    }
}
