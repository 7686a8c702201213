//! What a failed DPDK call says: its name, errno and DPDK's own last words.
//! Used by everyone above; callers add what was being done and what to type.

use std::ffi::CStr;
use std::fmt;

use dpdk_sys as sys;

use super::log;

/// A DPDK call that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DpdkError {
    /// The function's name.
    pub call: &'static str,
    /// A positive errno value.
    pub errno: i32,
    /// What DPDK logged as the cause, if anything.
    pub said: Option<String>,
}

/// Runs one control-path call and keeps what DPDK logs meanwhile out of the
/// log, for the error if it fails: one message instead of a wall of them.
/// `call` returns a negative errno, or -1 with `rte_errno` set; -1 without is EPERM.
pub(super) fn attempt(name: &'static str, call: impl FnOnce() -> i32) -> Result<i32, DpdkError> {
    // An older failure would be taken for the cause of a plain -1.
    // SAFETY: writes this thread's rte_errno; no precondition.
    unsafe { sys::mv_errno_clear() };
    let (code, said) = log::capture(call);
    if code >= 0 { Ok(code) } else { Err(DpdkError { said, ..DpdkError::new(name, code) }) }
}

impl DpdkError {
    /// `code` is a negative errno, or -1 with `rte_errno` set.
    pub(super) fn new(call: &'static str, code: i32) -> Self {
        // SAFETY: reads this thread's rte_errno; no precondition.
        let last = unsafe { sys::mv_errno() };
        let errno = if code < -1 || last == 0 { code.saturating_abs() } else { last };
        Self { call, errno, said: None }
    }

    /// The device cannot do this at all, may not, or has no room for more: what
    /// a wider filter (all groups, all frames) makes up for. Anything else is a
    /// failure that will not go away by asking for more.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        use nix::libc::{ENOSPC, ENOSYS, ENOTSUP, EPERM};
        matches!(self.errno, ENOTSUP | ENOSPC | EPERM | ENOSYS)
    }
}

impl std::error::Error for DpdkError {}

impl fmt::Display for DpdkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: rte_strerror returns a NUL-terminated text in static or
        // thread-local storage that stays valid until this thread's next call.
        let text = unsafe { CStr::from_ptr(sys::rte_strerror(self.errno)) };
        write!(f, "{}: {}", self.call, text.to_string_lossy())?;
        match &self.said {
            Some(said) => write!(f, " ({said})"),
            None => Ok(()),
        }
    }
}

/// The release of the DPDK that is loaded, such as `22.11.11`.
#[must_use]
pub fn release() -> String {
    // SAFETY: rte_version returns a NUL-terminated static text.
    let text = unsafe { CStr::from_ptr(sys::rte_version()) };
    text.to_string_lossy().trim_start_matches("DPDK ").to_owned()
}

/// Refuses a loaded DPDK with known holes: being a shared library it can be
/// another one than the build saw.
///
/// # Errors
/// One sentence with the release and what to install.
pub fn check_release() -> Result<(), String> {
    sys::release::check(&release())
}
