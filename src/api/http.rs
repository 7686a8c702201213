//! `/metrics` for Prometheus, `/healthz` for supervisors. Read-only.

use std::net::TcpListener;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus::{Encoder, Registry, TextEncoder};
use tokio::sync::Semaphore;

/// Scrapes at one time; further ones are told to come back.
const SCRAPES: usize = 8;

#[derive(Clone)]
struct Metrics {
    registry: Registry,
    scrapes: Arc<Semaphore>,
}

pub(super) async fn serve(listener: TcpListener, registry: Registry) {
    let state = Metrics { registry, scrapes: Arc::new(Semaphore::new(SCRAPES)) };
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "ok\n"))
        .with_state(state);
    let listener =
        listener.set_nonblocking(true).and_then(|()| tokio::net::TcpListener::from_std(listener));
    let served = match listener {
        Ok(listener) => axum::serve(listener, router).await,
        Err(error) => Err(error),
    };
    if let Err(error) = served {
        tracing::error!("metrics are no longer served: {error}");
    }
}

async fn metrics(State(state): State<Metrics>) -> Response {
    let Ok(_permit) = state.scrapes.try_acquire() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let encoder = TextEncoder::new();
    match encoder.encode_to_string(&state.registry.gather()) {
        Ok(text) => {
            ([(header::CONTENT_TYPE, encoder.format_type().to_owned())], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
