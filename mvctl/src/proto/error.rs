//! Why a request was not carried out.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// JSON-RPC's own error codes.
pub const PARSE_ERROR: i64 = -32700;
/// Not a request object.
pub const INVALID_REQUEST: i64 = -32600;
/// No such method.
pub const METHOD_NOT_FOUND: i64 = -32601;
/// The method's parameters are others.
pub const INVALID_PARAMS: i64 = -32602;
/// The operation was refused; `data.errno` says what for.
pub const REFUSED: i64 = -32000;

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RpcError {
    /// One of JSON-RPC's codes, or [`REFUSED`].
    pub code: i64,
    /// A sentence: what is wrong, what is in the way, what to do.
    pub message: String,
    /// The errno, where an operation was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<ErrorData>,
}

/// The machine-readable part of [`RpcError`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorData {
    /// The errno's name, such as `EEXIST`.
    pub errno: String,
    /// Which request of a batch it was, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
}

macro_rules! refusals {
    ($($(#[$doc:meta])* $function:ident = $errno:literal;)*) => {
        $($(#[$doc])*
        pub fn $function(message: impl Into<String>) -> Self {
            Self::refused($errno, message)
        })*
    };
}

impl RpcError {
    refusals! {
        /// A value is not what it should be.
        einval = "EINVAL";
        /// There is no such link.
        enoent = "ENOENT";
        /// There is no such lower or device.
        enodev = "ENODEV";
        /// The name is taken.
        eexist = "EEXIST";
        /// The address, socket or device is taken.
        eaddrinuse = "EADDRINUSE";
        /// No link can have this address.
        eaddrnotavail = "EADDRNOTAVAIL";
        /// It will be free in a moment.
        ebusy = "EBUSY";
        /// There is no room for more.
        enospc = "ENOSPC";
        /// The device could not be opened.
        eio = "EIO";
    }

    /// A line that was no proper request.
    #[must_use]
    pub fn protocol(code: i64, message: String) -> Self {
        Self { code, message, data: None }
    }

    /// Refused with the errno of this name.
    pub fn refused(errno: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            code: REFUSED,
            message,
            data: Some(ErrorData { errno: errno.to_owned(), index: None }),
        }
    }

    /// The same, of one request of a batch: the `index`-th, from 0.
    #[must_use]
    pub fn of_batch(self, index: usize) -> Self {
        let errno = self.errno().unwrap_or("EINVAL").to_owned();
        Self { data: Some(ErrorData { errno, index: Some(index) }), ..self }
    }

    /// The errno's name, where there is one.
    #[must_use]
    pub fn errno(&self) -> Option<&str> {
        self.data.as_ref().map(|data| &*data.errno)
    }
}

impl std::error::Error for RpcError {}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.errno() {
            Some(errno) => write!(f, "{errno}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}
