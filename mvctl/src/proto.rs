//! JSON-RPC 2.0 over `control.sock`: one object per line, both ways.
//!
//! A method is one variant of [`Request`]. Errors carry an errno name and a
//! sentence. Shared by the daemon and its clients, so that neither can drift.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "method", content = "params")]
pub enum Request {
    /// The links, or the one of this name.
    #[serde(rename = "link.show")]
    LinkShow(Name),
    /// Adds a link.
    #[serde(rename = "link.add")]
    LinkAdd(LinkAdd),
    /// Changes a link.
    #[serde(rename = "link.set")]
    LinkSet(LinkSet),
    /// Deletes a link.
    #[serde(rename = "link.del")]
    LinkDel(LinkDel),
}

/// Parameters of `link.show`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Name {
    /// All links if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Parameters of `link.add`. What is left out has a default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkAdd {
    /// The new link's name.
    pub name: String,
    /// Its lower.
    pub link: String,
    /// bridge (the default), vepa or private.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// A MAC address, or `auto` (the default).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// In bytes; the lower's by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u16>,
    /// Admin state; up by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up: Option<bool>,
    /// Path of the vhost-user socket; NAME.sock by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<String>,
    /// server (the default) or client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// An ethdev instead of a socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
}

/// Parameters of `link.set`. What is left out stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkSet {
    /// The link.
    pub name: String,
    /// bridge, vepa or private.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Admin state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up: Option<bool>,
}

/// Parameters of `link.del`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkDel {
    /// The link.
    pub name: String,
}

impl Request {
    /// The methods there are.
    pub const METHODS: [&str; 4] = ["link.show", "link.add", "link.set", "link.del"];

    /// The request of this method and these parameters.
    ///
    /// # Errors
    /// There is no such method, or its parameters are others.
    pub fn new(method: &str, params: Option<Value>) -> Result<Self, RpcError> {
        if !Self::METHODS.contains(&method) {
            let methods = Self::METHODS.join(", ");
            let sentence = format!("there is no method {method}: there are {methods}");
            return Err(RpcError::protocol(METHOD_NOT_FOUND, sentence));
        }
        let params = params.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
        let invalid = |why: &str| {
            RpcError::protocol(INVALID_PARAMS, format!("parameters of {method}: {why}"))
        };
        // serde would take an array, too, and give it meaning by the order of fields.
        if !params.is_object() {
            return Err(invalid("an object is expected, such as {\"name\": \"mv0\"}"));
        }
        let request = serde_json::json!({ "method": method, "params": params });
        serde_json::from_value(request).map_err(|error| invalid(&error.to_string()))
    }
}

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorData {
    /// The errno's name, such as `EEXIST`.
    pub errno: String,
}

macro_rules! refusals {
    ($($(#[$doc:meta])* $function:ident = $errno:literal;)*) => {
        $($(#[$doc])*
        pub fn $function(message: impl Into<String>) -> Self {
            Self::refused($errno, message.into())
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

    fn refused(errno: &str, message: String) -> Self {
        Self { code: REFUSED, message, data: Some(ErrorData { errno: errno.to_owned() }) }
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

/// A link as `link.show` gives it: the keys, types and nesting of
/// `ip -j -d -s link show`, and what only mvswitch knows under one further key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkShow {
    /// The link's name.
    pub ifname: String,
    /// The lower's name.
    pub link: String,
    /// Such as `UP` and `LOWER_UP`.
    pub flags: Vec<String>,
    /// In bytes.
    pub mtu: u16,
    /// `UP`, `DOWN` or `LOWERLAYERDOWN`.
    pub operstate: String,
    /// Always `ether`.
    pub link_type: String,
    /// The link's address.
    pub address: String,
    /// Always `ff:ff:ff:ff:ff:ff`.
    pub broadcast: String,
    /// Kind and mode.
    pub linkinfo: LinkInfo,
    /// Counters as the guest's interface would have them.
    pub stats64: Stats64,
    /// What the kernel has no key for.
    pub mvswitch: Extra,
}

/// Kind of a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkInfo {
    /// Always `macvlan`.
    pub info_kind: String,
    /// What is particular to the kind.
    pub info_data: InfoData,
}

/// What is particular to macvlan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InfoData {
    /// bridge, vepa or private.
    pub mode: String,
}

/// Counters of both directions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats64 {
    /// To the guest.
    pub rx: Stats,
    /// From the guest.
    pub tx: Stats,
}

/// Counters of one direction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Without FCS.
    pub bytes: u64,
    /// Frames.
    pub packets: u64,
    /// Frames that were wrong.
    pub errors: u64,
    /// Frames that were dropped.
    pub dropped: u64,
}

/// What only mvswitch knows of a link.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extra {
    /// The vhost-user socket's path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<String>,
    /// server or client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The ethdev instead of a socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// A guest is there.
    pub peer_connected: bool,
    /// Guests that have connected since the link was added.
    pub connections: u64,
    /// The worker that polls it.
    pub worker: u16,
    /// Frames dropped at this link, by direction and reason; zeros left out.
    pub drops: Vec<Drops>,
    /// The same at its lower.
    pub lower_drops: Vec<Drops>,
}

/// Frames dropped for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drops {
    /// `receive` (from the guest or wire) or `transmit`, as the switch sees it.
    pub direction: String,
    /// The reason's name.
    pub reason: String,
    /// How many.
    pub frames: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn requests_are_read_strictly() {
        let add =
            Request::new("link.add", Some(json!({"name": "mv2", "link": "lan0", "mtu": 1400})));
        let Ok(Request::LinkAdd(add)) = add else { panic!("{add:?}") };
        assert_eq!((add.name.as_str(), add.mtu, add.mode), ("mv2", Some(1400), None));
        assert_eq!(Request::new("link.show", None), Ok(Request::LinkShow(Name::default())));
        for (method, params, code) in [
            ("link.dell", json!({}), METHOD_NOT_FOUND),
            ("link.del", json!({}), INVALID_PARAMS),
            ("link.del", json!({"nam": "x"}), INVALID_PARAMS),
            ("link.del", json!({"name": "x", "force": true}), INVALID_PARAMS),
            ("link.add", json!({"name": "x", "link": "y", "mtu": 70000}), INVALID_PARAMS),
            // By position they would change their meaning with the next field.
            ("link.del", json!(["mv0"]), INVALID_PARAMS),
            ("link.show", json!([]), INVALID_PARAMS),
            ("link.show", Value::Null, INVALID_PARAMS),
            ("link.show", json!("mv0"), INVALID_PARAMS),
        ] {
            let error = Request::new(method, Some(params.clone())).unwrap_err();
            assert_eq!(error.code, code, "{method} {params}: {error}");
        }
    }

    #[test]
    fn every_method_has_a_variant() {
        for method in Request::METHODS {
            let error = Request::new(method, Some(json!({"?": 1}))).unwrap_err();
            assert_eq!(error.code, INVALID_PARAMS, "{method}");
        }
    }

    #[test]
    fn errors_carry_an_errno() {
        let error = RpcError::eexist("mv0 exists already");
        assert_eq!(
            serde_json::to_value(&error).unwrap(),
            json!({"code": -32000, "message": "mv0 exists already", "data": {"errno": "EEXIST"}})
        );
        assert_eq!(error.to_string(), "EEXIST: mv0 exists already");
    }
}
