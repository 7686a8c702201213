//! The doors to the outside: control socket and metrics.
//!
//! One thread with a current-thread tokio runtime. It passes requests to control
//! and waits for the answers; it touches neither DPDK nor the data path, so a
//! client that is slow, silent or hostile costs nobody else anything.

mod http;
mod rpc;

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::thread::JoinHandle;

use tokio::net::UnixListener;
use tokio::sync::oneshot;

use crate::control::{Handle, clear_stale};

/// What the doors are opened with.
#[derive(Debug)]
pub struct Options {
    /// Path of the control socket.
    pub control_socket: PathBuf,
    /// Where metrics are served, already bound: a taken address is a start error.
    pub metrics: Option<TcpListener>,
    /// What is served there.
    pub registry: prometheus::Registry,
}

/// The running thread.
#[derive(Debug)]
pub struct Api {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
    control_socket: PathBuf,
}

/// Opens the doors.
///
/// # Errors
/// One sentence: the socket's path is not free, or the system refused.
pub fn spawn(control: Handle, options: Options) -> Result<Api, String> {
    let Options { control_socket, metrics, registry } = options;
    clear_stale(&control_socket)?;
    let shown = control_socket.display().to_string();
    let failed = |error: std::io::Error| format!("cannot open the control socket {shown}: {error}");
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let listener = {
        let _context = runtime.enter();
        // The directory is ours alone, so nobody comes between this and the next line.
        UnixListener::bind(&control_socket).map_err(failed)?
    };
    let rights = std::fs::Permissions::from_mode(0o660);
    std::fs::set_permissions(&control_socket, rights).map_err(failed)?;
    let (stop, stopped) = oneshot::channel();
    let serve = async move {
        if let Some(listener) = metrics {
            tokio::spawn(http::serve(listener, registry));
        }
        let call = move |request| {
            let control = control.clone();
            async move { control.call(request).await }
        };
        tokio::spawn(rpc::serve(listener, call));
        // Ends when told to, or when the owner is gone.
        _ = stopped.await;
    };
    let thread = std::thread::Builder::new().name("mv-api".to_owned()).spawn(move || {
        runtime.block_on(serve);
    });
    Ok(Api { stop, thread: thread.map_err(failed)?, control_socket })
}

impl Api {
    /// Closes the doors: open connections end, the control socket goes.
    pub fn stop(self) {
        drop(self.stop);
        _ = self.thread.join();
        _ = std::fs::remove_file(&self.control_socket);
    }
}
