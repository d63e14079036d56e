//! One table of Kafka's property keys: type, default, scope, documentation, validation; file and environment parsing.
