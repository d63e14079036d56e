//! DescribeCluster, versions 0 to 2.
//!
//! The cluster's id and its brokers, with the addresses of the listener that the client came in by. Version 1 brings the
//! endpoint type (KIP-919): this is a broker's listener, so a client that wants a controller is told
//! MISMATCHED_ENDPOINT_TYPE. Version 2 may ask for fenced brokers too (KIP-1073). Any broker passes commands on to the
//! controllers, so each names itself as the controller.

use std::sync::Arc;

use crate::broker::authorized_operations;
use crate::broker::call::Call;
use crate::broker::cluster_view::{ClusterView, port};
use crate::broker::context::Context;
use crate::metadata::BrokerImage;
use crate::model::ErrorCode;
use crate::protocol::messages::{DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse};
use crate::rpc::metadata::Endpoint;

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

/// Describes the cluster.
pub async fn handle(context: &Context, call: Call, request: DescribeClusterRequest) -> DescribeClusterResponse {
    if request.endpoint_type != BROKERS {
        return wrong_endpoint(request.endpoint_type);
    }
    let view = ClusterView::new(context.image(), Arc::clone(&call.client.listener));
    DescribeClusterResponse {
        endpoint_type: BROKERS,
        cluster_id: view.image.cluster_id().map(|id| id.to_string()).unwrap_or_default(),
        controller_id: context.broker_id.0,
        brokers: view.brokers(request.include_fenced_brokers).map(broker).collect(),
        cluster_authorized_operations: match request.include_cluster_authorized_operations {
            true => authorized_operations::CLUSTER,
            false => authorized_operations::NOT_ASKED,
        },
        ..DescribeClusterResponse::default()
    }
}

fn broker((broker, endpoint): (&BrokerImage, &Endpoint)) -> DescribeClusterBroker {
    DescribeClusterBroker {
        broker_id: broker.id.0,
        host: endpoint.host.clone(),
        port: port(endpoint),
        rack: broker.rack.as_deref().map(str::to_owned),
        is_fenced: broker.fenced,
    }
}

fn wrong_endpoint(asked: i8) -> DescribeClusterResponse {
    let (error_code, message) = match asked {
        CONTROLLERS => {
            (ErrorCode::MismatchedEndpointType, "this is a broker's listener, not a controller's".to_owned())
        }
        _ => (ErrorCode::UnsupportedEndpointType, format!("there is no endpoint type {asked}")),
    };
    DescribeClusterResponse { error_code, error_message: Some(message), ..DescribeClusterResponse::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controllers_are_elsewhere() {
        assert_eq!(wrong_endpoint(2).error_code, ErrorCode::MismatchedEndpointType);
        assert_eq!(wrong_endpoint(0).error_code, ErrorCode::UnsupportedEndpointType);
        assert_eq!((wrong_endpoint(3).controller_id, wrong_endpoint(3).endpoint_type), (-1, 1));
    }
}
