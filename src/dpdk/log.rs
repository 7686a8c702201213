//! DPDK's log stream, routed into `tracing`.
//!
//! Installed once before EAL starts, so that no DPDK text reaches the terminal
//! past the log filter. Called by DPDK on whichever thread logs; never blocks
//! on anything but the subscriber.

use std::cell::RefCell;
use std::ffi::{c_char, c_int};
use std::sync::Once;

use dpdk_sys as sys;
use tracing::{debug, error, info, warn};

thread_local! {
    /// What DPDK said as the cause of a failure while [`capture`] runs.
    static CAPTURED: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Routes the log; further calls do nothing. Returns what DPDK returned: a
/// negative number if there is no memory for a stream.
pub(super) fn install() -> c_int {
    static ONCE: Once = Once::new();
    let mut opened: c_int = 0;
    ONCE.call_once(|| {
        // SAFETY: `sink` is a valid callback for the life of the process.
        opened = unsafe { sys::mv_log_open(Some(sink)) };
    });
    opened
}

/// Runs `call` with this thread's DPDK errors kept back. Returns its first
/// error line beside its result: the later ones only repeat it.
pub(super) fn capture<T>(call: impl FnOnce() -> T) -> (T, Option<String>) {
    CAPTURED.set(Some(Vec::new()));
    let result = call();
    let said = CAPTURED.take().and_then(|lines| lines.into_iter().next());
    (result, said)
}

extern "C" fn sink(level: u32, text: *const c_char, len: usize) {
    // SAFETY: the stream's write function passes `len` readable bytes.
    let bytes = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), len) };
    let text = String::from_utf8_lossy(bytes);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let kept = CAPTURED.with_borrow_mut(|captured| match captured {
            Some(lines) if level <= sys::RTE_LOG_ERR => {
                lines.push(line.to_owned());
                true
            }
            Some(_) => true,
            None => false,
        });
        match level {
            _ if kept => debug!(target: "dpdk", "{line}"),
            0..=sys::RTE_LOG_ERR => error!(target: "dpdk", "{line}"),
            sys::RTE_LOG_WARNING => warn!(target: "dpdk", "{line}"),
            sys::RTE_LOG_NOTICE => info!(target: "dpdk", "{line}"),
            _ => debug!(target: "dpdk", "{line}"),
        }
    }
}
