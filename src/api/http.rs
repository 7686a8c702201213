//! `/metrics` for Prometheus, `/healthz` for supervisors. Read-only.
//!
//! Bounded like the control socket: so many connections, so long each. Whoever
//! connects and sends nothing holds a place for seconds, and never a share of
//! the descriptors that guests need.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::Listener;
use prometheus::{Encoder, Registry, TextEncoder};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

/// Connections at one time; further ones wait to be accepted.
const CONNECTIONS: usize = 8;

/// A connection serves one request, and ends after this in any case.
const LIFE: Duration = Duration::from_secs(5);

/// Serves for ever.
pub(super) async fn serve(listener: TcpListener, registry: Registry) {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "ok\n"))
        .layer(map_response(close))
        .with_state(registry);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    if let Err(error) = axum::serve(Bounded { listener, places }, router).await {
        tracing::error!("metrics are no longer served: {error}");
    }
}

async fn metrics(State(registry): State<Registry>) -> Response {
    let encoder = TextEncoder::new();
    match encoder.encode_to_string(&registry.gather()) {
        Ok(text) => {
            ([(header::CONTENT_TYPE, encoder.format_type().to_owned())], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// A connection that is kept for the next scrape would hold a place till then.
async fn close(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Accepts while there are places.
struct Bounded {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

impl Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // None only if the semaphore were closed, which nobody does.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        let (stream, peer) = Listener::accept(&mut self.listener).await;
        (Connection { stream, end: Box::pin(sleep(LIFE)), _place: place }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection with a place and an end.
struct Connection {
    stream: TcpStream,
    end: Pin<Box<Sleep>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Connection {
    /// The stream, as long as there is time.
    fn in_time(&mut self, context: &mut Context<'_>) -> io::Result<Pin<&mut TcpStream>> {
        match self.end.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(Pin::new(&mut self.stream)),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.in_time(context)?.poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.in_time(context)?.poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.in_time(context)?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::timeout;

    async fn served() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let registry = Registry::new();
        let gauge = prometheus::IntGauge::new("mvswitch_test", "A test.").unwrap();
        registry.register(Box::new(gauge)).unwrap();
        tokio::spawn(serve(listener, registry));
        address
    }

    /// Sends `request` and reads until the server closes.
    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(format!("{request} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn two_paths_one_method_and_nothing_else() {
        let address = served().await;
        let answer = ask(address, "GET /metrics").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let lower = answer.to_lowercase();
        assert!(lower.contains("content-type: text/plain; version=0.0.4"), "{answer}");
        assert!(answer.ends_with("\nmvswitch_test 0\n"), "{answer}");
        assert!(lower.contains("connection: close\r\n"), "{answer}");
        let answer = ask(address, "GET /healthz").await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\nok\n"), "{answer}");
        for (request, status) in [
            ("POST /metrics", 405),
            ("DELETE /healthz", 405),
            ("GET /", 404),
            ("GET /metrics/", 404),
            ("GET /metrics/../etc", 404),
        ] {
            let answer = ask(address, request).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn connections_are_few_and_end() {
        let address = served().await;
        let mut silent = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut stream = TcpStream::connect(address).await.unwrap();
            // One that trickles lives no longer than one that is silent.
            stream.write_all(b"GET /he").await.unwrap();
            silent.push(stream);
        }
        let mut late = Box::pin(ask(address, "GET /healthz"));
        assert!(timeout(LIFE / 2, &mut late).await.is_err(), "a ninth was served beside eight");
        assert!(timeout(LIFE, late).await.unwrap().ends_with("ok\n"));
        for mut stream in silent {
            let mut rest = Vec::new();
            // Closed with or without a word.
            _ = timeout(LIFE, stream.read_to_end(&mut rest)).await.unwrap();
        }
    }
}
