//! Serves the few pages, with bounds on connections and on patience.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::observability::metrics::Registry;

/// Connections at a time; more wait until one ends.
const CONNECTIONS_MAX: usize = 64;
/// A client that does not send its request's head, or the next request, in this time is dropped.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after an accept that failed, so that it cannot spin.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);
/// The text format's own media type.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Knows whether the node can be used.
pub trait Health: Send + Sync {
    /// `Err` tells what the node waits for.
    fn ready(&self) -> Result<(), String>;
}

/// The pages of one node.
pub struct HttpServer {
    listener: TcpListener,
    pages: Router,
}

#[derive(Clone)]
struct Pages {
    health: Arc<dyn Health>,
    registry: Arc<Registry>,
}

impl HttpServer {
    /// Serves on a bound socket, which must not block. To be called within the runtime that it will run on.
    pub fn new(
        socket: std::net::TcpListener,
        health: Arc<dyn Health>,
        registry: Arc<Registry>,
    ) -> std::io::Result<Self> {
        let pages = Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics))
            .with_state(Pages { health, registry });
        Ok(Self { listener: TcpListener::from_std(socket)?, pages })
    }

    /// Runs for ever.
    pub async fn run(self) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    let pages = self.pages.clone();
                    tokio::spawn(async move {
                        serve(stream, peer, pages).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::debug!("cannot accept an HTTP connection: {error}");
                    tokio::time::sleep(ACCEPT_BACKOFF).await;
                }
            }
        }
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, pages: Router) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(16 << 10);
    if let Err(error) = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(pages)).await {
        tracing::debug!(%peer, "the HTTP connection ended: {error}");
    }
}

async fn ready(State(pages): State<Pages>) -> Response {
    match pages.health.ready() {
        Ok(()) => "ready\n".into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

async fn metrics(State(pages): State<Pages>) -> Response {
    // Looking at ten thousand partitions takes a moment, which the heartbeats of this runtime must not notice.
    let text = tokio::task::spawn_blocking(move || pages.registry.text()).await;
    match text {
        Ok(text) => ([(header::CONTENT_TYPE, METRICS_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
