//! Kafka's wire: frames, headers, the schema of every API we serve, the version table.
