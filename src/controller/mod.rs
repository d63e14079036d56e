//! The controller: openraft adapter, its stores, gRPC services, liveness, metadata feed.
