//! JSON-RPC 2.0 over `control.sock`: one object per line, both ways.
//!
//! A method is one variant of [`Request`]. Errors carry an errno name and a
//! sentence. Shared by the daemon and its clients, so that neither can drift.

mod error;
mod params;
mod show;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use error::{
    ErrorData, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR, REFUSED, RpcError,
};
pub use params::{Filter, LinkAdd, LinkDel, LinkSet, LowerSet, Macaddr, Name};
pub use show::{
    Drops, Extra, InfoData, LinkInfo, LinkShow, LowerExtra, LowerShow, RxStats, Stats64, TxStats,
};

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
