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
    /// Announces the addresses of a link, of a lower's links, or of all.
    #[serde(rename = "link.announce")]
    LinkAnnounce(Name),
    /// Lets a link hear a group, or a passthru link a further address.
    #[serde(rename = "filter.add")]
    FilterAdd(Filter),
    /// Ends that.
    #[serde(rename = "filter.del")]
    FilterDel(Filter),
    /// The lowers, or the one of this name.
    #[serde(rename = "lower.show")]
    LowerShow(Name),
    /// Changes a lower.
    #[serde(rename = "lower.set")]
    LowerSet(LowerSet),
}

/// Parameters of `filter.add` and `filter.del`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// The link.
    pub name: String,
    /// A group; on a passthru link also a unicast address.
    pub address: String,
}

/// Parameters of `lower.set`. What is left out stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LowerSet {
    /// The lower.
    pub name: String,
    /// Admin state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up: Option<bool>,
    /// In bytes; links with a larger one are cut to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u16>,
    /// A MAC address that no link has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// A change of a source list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Macaddr {
    /// Adds an address; it may be there already.
    Add(String),
    /// Removes an address; it need not be there.
    Del(String),
    /// Empties the list.
    Flush,
    /// Makes these the list.
    Set(Vec<String>),
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
    /// bridge (the default), vepa, private, passthru or source.
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
    /// Link type: `macvlan` (the default) or `macvtap`, which is the same here.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// passthru: leave the lower's promiscuity alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nopromisc: Option<bool>,
    /// source: what the list matches nobody else gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodst: Option<bool>,
    /// source: the list of senders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub macaddr: Option<Macaddr>,
    /// Frames the lower's broadcast queue shall hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bcqueuelen: Option<u32>,
    /// Members a group of this lower may have before it is queued; below 0 none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bclim: Option<i32>,
    /// Further MAC addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addresses: Option<Vec<String>>,
    /// Hear all groups, and make the lower promiscuous.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promisc: Option<bool>,
    /// Hear all groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allmulticast: Option<bool>,
    /// Drop frames that do not come from the link's own addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spoof_check: Option<bool>,
}

/// Parameters of `link.set`. What is left out stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkSet {
    /// The link.
    pub name: String,
    /// bridge, vepa, private or source; passthru can neither be set nor left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Admin state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up: Option<bool>,
    /// A MAC address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// In bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u16>,
    /// Link type: `macvlan` (the default) or `macvtap`, which is the same here.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// passthru: leave the lower's promiscuity alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nopromisc: Option<bool>,
    /// source: what the list matches nobody else gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodst: Option<bool>,
    /// source: the list of senders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub macaddr: Option<Macaddr>,
    /// Frames the lower's broadcast queue shall hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bcqueuelen: Option<u32>,
    /// Members a group of this lower may have before it is queued; below 0 none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bclim: Option<i32>,
    /// Further MAC addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addresses: Option<Vec<String>>,
    /// Hear all groups, and make the lower promiscuous.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promisc: Option<bool>,
    /// Hear all groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allmulticast: Option<bool>,
    /// Drop frames that do not come from the link's own addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spoof_check: Option<bool>,
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
    pub const METHODS: [&str; 9] = [
        "link.show",
        "link.add",
        "link.set",
        "link.del",
        "link.announce",
        "filter.add",
        "filter.del",
        "lower.show",
        "lower.set",
    ];

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
    pub mtu: u32,
    /// `UP`, `DOWN` or `LOWERLAYERDOWN`.
    pub operstate: String,
    /// Always `ether`.
    pub link_type: String,
    /// The link's address.
    pub address: String,
    /// Always `ff:ff:ff:ff:ff:ff`.
    pub broadcast: String,
    /// 1 if it is promiscuous.
    pub promiscuity: u32,
    /// 1 if it hears all groups.
    pub allmulti: u32,
    /// In bytes.
    pub min_mtu: u32,
    /// In bytes.
    pub max_mtu: u32,
    /// Kind, mode and what belongs to it.
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

fn is_false(value: &bool) -> bool {
    !value
}

/// What is particular to macvlan, in the order in which `ip` prints it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InfoData {
    /// bridge, vepa, private, passthru or source.
    pub mode: String,
    /// A passthru link leaves its lower's promiscuity alone.
    #[serde(default, skip_serializing_if = "is_false")]
    pub nopromisc: bool,
    /// What a source link's list matches nobody else gets.
    #[serde(default, skip_serializing_if = "is_false")]
    pub nodst: bool,
    /// Frames the link asks the lower's broadcast queue to hold.
    pub bcqueuelen: u32,
    /// Frames the queue holds.
    pub usedbcqueuelen: u32,
    /// Members a group may have before it is queued; left out if 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bclim: Option<i32>,
    /// In source mode: how many addresses are listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub macaddr_count: Option<usize>,
    /// In source mode: the addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub macaddr_data: Vec<String>,
}

/// Counters of both directions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats64 {
    /// To the guest.
    pub rx: RxStats,
    /// From the guest.
    pub tx: TxStats,
}

/// Counters of what an interface receives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RxStats {
    /// Without FCS.
    pub bytes: u64,
    /// Frames.
    pub packets: u64,
    /// Frames that could not be handed over.
    pub errors: u64,
    /// Frames that were dropped.
    pub dropped: u64,
    /// Always 0.
    pub over_errors: u64,
    /// Frames that came as one of several copies of a group frame.
    pub multicast: u64,
}

/// Counters of what an interface sends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TxStats {
    /// Without FCS.
    pub bytes: u64,
    /// Frames.
    pub packets: u64,
    /// Always 0.
    pub errors: u64,
    /// Frames that were dropped.
    pub dropped: u64,
    /// Always 0.
    pub carrier_errors: u64,
    /// Always 0.
    pub collisions: u64,
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
    /// Further addresses.
    pub addresses: Vec<String>,
    /// Groups it has joined.
    pub groups: Vec<String>,
    /// Its frames must come from its own addresses.
    pub spoof_check: bool,
    /// Frames dropped at this link, by direction and reason; zeros left out.
    pub drops: Vec<Drops>,
    /// The same at its lower.
    pub lower_drops: Vec<Drops>,
}

/// A lower as `lower.show` gives it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LowerShow {
    /// The lower's name.
    pub ifname: String,
    /// Such as `UP` and `PROMISC`.
    pub flags: Vec<String>,
    /// In bytes.
    pub mtu: u32,
    /// `UP` or `DOWN`.
    pub operstate: String,
    /// Always `ether`.
    pub link_type: String,
    /// The lower's address.
    pub address: String,
    /// 1 if its device hears everything.
    pub promiscuity: u32,
    /// 1 if its device hears all groups.
    pub allmulti: u32,
    /// In bytes.
    pub max_mtu: u32,
    /// Counters as the switch's port has them.
    pub stats64: Stats64,
    /// What the kernel has no key for.
    pub mvswitch: LowerExtra,
}

/// What only mvswitch knows of a lower.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LowerExtra {
    /// The device, or which VLAN of which lower it is.
    pub device: String,
    /// The host port's device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Links and host reach each other.
    pub reachable: bool,
    /// Why its device hears everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promiscuous_because: Option<String>,
    /// Addresses in the device's filter, beside its own.
    pub unicast: Vec<String>,
    /// Groups in the device's filter.
    pub groups: Vec<String>,
    /// Frames its broadcast queue holds.
    pub usedbcqueuelen: u32,
    /// Members a group may have before it is queued.
    pub bclim: i32,
    /// Its links, by age.
    pub links: Vec<String>,
    /// Frames dropped, by direction and reason; zeros left out.
    pub drops: Vec<Drops>,
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
