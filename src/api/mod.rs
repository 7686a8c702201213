//! The doors to the outside: control socket and metrics.
//!
//! One thread with a current-thread tokio runtime. It passes requests to control
//! and waits for the answers; it touches neither DPDK nor the data path, so a
//! client that is slow, silent or hostile costs nobody else anything.

pub mod access;
mod client;
mod http;
mod rpc;

use std::net::TcpListener;
use std::path::PathBuf;
use std::thread::JoinHandle;

use tokio::net::UnixListener;
use tokio::sync::oneshot;

use crate::control::{Handle, clear_stale};
use access::Rights;
use rpc::Service;

/// What the doors are opened with.
#[derive(Debug)]
pub struct Options {
    /// Path of the control socket.
    pub control_socket: PathBuf,
    /// Where metrics are served, already bound: a taken address is a start error.
    pub metrics: Option<TcpListener>,
    /// What is served there.
    pub registry: prometheus::Registry,
    /// Who may use the control socket.
    pub rights: Rights,
}

/// The running thread.
#[derive(Debug)]
pub struct Api {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
    _socket: SocketFile,
}

/// Opens the doors.
///
/// # Errors
/// One sentence: the socket's path is not free, or the system refused.
pub fn spawn(control: Handle, options: Options) -> Result<Api, String> {
    open(control, options)
}

fn open(service: impl Service, options: Options) -> Result<Api, String> {
    let Options { control_socket, metrics, registry, rights } = options;
    clear_stale(&control_socket)?;
    let shown = control_socket.display().to_string();
    let failed = |error: std::io::Error| format!("cannot open the control socket {shown}: {error}");
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let context = runtime.enter();
    let metrics = match metrics {
        Some(listener) => Some(register(listener).map_err(|error| {
            format!("cannot serve metrics: {error}; name another address in [metrics] listen")
        })?),
        None => None,
    };
    // The directory is ours alone, so nobody comes between this and the rights.
    let listener = UnixListener::bind(&control_socket).map_err(failed)?;
    let socket = SocketFile(control_socket);
    rights.open(&socket.0).map_err(failed)?;
    drop(context);
    let (stop, stopped) = oneshot::channel();
    let serve = async move {
        if let Some(listener) = metrics {
            tokio::spawn(http::serve(listener, registry));
        }
        tokio::spawn(rpc::serve(listener, rights, service));
        // Ends when told to, or when the owner is gone.
        _ = stopped.await;
    };
    let thread = std::thread::Builder::new().name("mv-api".to_owned()).spawn(move || {
        runtime.block_on(serve);
        // A look into the user database that takes long is not waited for.
        runtime.shutdown_background();
    });
    Ok(Api { stop, thread: thread.map_err(failed)?, _socket: socket })
}

/// Hands a bound listener to the runtime whose context this is called in.
fn register(listener: TcpListener) -> std::io::Result<tokio::net::TcpListener> {
    listener.set_nonblocking(true)?;
    tokio::net::TcpListener::from_std(listener)
}

impl Api {
    /// Closes the doors: open connections end, the control socket goes.
    pub fn stop(self) {
        drop(self.stop);
        _ = self.thread.join();
    }
}

/// The control socket's place in the file system, given back in the end.
#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // It may have been taken away already.
        _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{Answer, Monitor};
    use mvctl::client::Client;
    use mvctl::proto::{Name, Request, RpcError};
    use serde_json::json;
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    /// A control that knows no link.
    #[derive(Clone)]
    struct Empty;

    impl Service for Empty {
        async fn call(&self, _: Request) -> Result<Answer, RpcError> {
            Ok(Answer::of(json!([])))
        }

        async fn monitor(&self, _: Monitor) -> Result<Answer, RpcError> {
            Ok(Answer::of(json!({})))
        }
    }

    /// Doors to it.
    fn opened(control_socket: &Path, metrics: Option<TcpListener>) -> Result<Api, String> {
        let registry = prometheus::Registry::new();
        let (control_socket, rights) = (control_socket.to_owned(), Rights::default());
        open(Empty, Options { control_socket, metrics, registry, rights })
    }

    #[test]
    fn both_doors_open_and_close() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let api = opened(&path, Some(listener)).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);

        let mut client = Client::connect(&path).unwrap();
        let show = Request::LinkShow(Name::default());
        assert_eq!(client.call(&show).unwrap(), json!([]));
        let mut http = TcpStream::connect(address).unwrap();
        http.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        http.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("ok\n"), "{answer}");

        api.stop();
        assert!(!path.exists());
        assert!(client.call(&show).is_err());
        assert!(TcpStream::connect(address).is_err());
    }

    #[test]
    fn a_path_that_is_taken_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        let first = opened(&path, None).unwrap();
        let error = opened(&path, None).unwrap_err();
        assert!(error.contains("in use") && error.contains("control.sock"), "{error}");
        assert!(Client::connect(&path).is_ok(), "the first one's socket is gone");
        first.stop();

        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        opened(&path, None).unwrap().stop();

        let error = opened(&dir.path().join("nowhere/control.sock"), None).unwrap_err();
        assert!(error.contains("nowhere/control.sock"), "{error}");
    }
}
