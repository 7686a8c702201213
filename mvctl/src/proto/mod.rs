//! JSON-RPC 2.0 over `control.sock`: one object per line, both ways.
//!
//! A method is one variant of [`Request`]. Errors carry an errno name and a
//! sentence. Shared by the daemon and its clients, so that neither can drift.

mod error;
mod message;
mod params;
mod show;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use error::{
    ErrorData, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR, REFUSED, RpcError,
};
pub use message::{Message, refusal};
pub use params::{
    Batch, Call, ConfigApply, ConfigText, Explain, Filter, HostAdd, HostDel, HostSet, LinkAdd,
    LinkSet, LowerAdd, LowerSet, Macaddr, Name, Named, Nothing, Source, SourceSet, StatsShow,
};
pub use show::{
    Announced, BatchDone, Change, ConfigShow, Difference, Done, Drops, Event, Explanation, Extra,
    InfoData, Keyed, LinkInfo, LinkShow, LowerExtra, LowerShow, MethodDone, Moved, Outcome,
    PortStats, Rebalanced, Receiver, Rule, RxStats, Saved, Stats64, Subscribed, TxStats, Version,
    WorkerPort, WorkerShow,
};

/// Who may call a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Whoever may connect: it changes nothing.
    Read,
    /// Whoever may change the switch.
    Write,
}

/// A method, as the schema lists it.
#[derive(Clone, Copy, Debug)]
pub struct Method {
    /// Its name, such as `link.add`.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    /// Who may call it.
    pub access: Access,
    /// The schema of its parameters.
    pub params: fn(&mut schemars::SchemaGenerator) -> schemars::Schema,
    /// The schema of its result.
    pub result: fn(&mut schemars::SchemaGenerator) -> schemars::Schema,
}

macro_rules! methods {
    ($($access:ident $name:literal $variant:ident($params:ty) -> $result:ty, $about:literal;)*) => {
        /// What a client asks for.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(tag = "method", content = "params")]
        pub enum Request {
            $(#[doc = $about] #[serde(rename = $name)] $variant($params),)*
        }

        /// All methods there are.
        pub const METHODS: &[Method] = &[$(Method {
            name: $name,
            about: $about,
            access: Access::$access,
            params: <$params as JsonSchema>::json_schema,
            result: <$result as JsonSchema>::json_schema,
        },)*];

        impl Request {
            /// The method's name.
            #[must_use]
            pub const fn method(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name,)* }
            }

            /// Who may send it.
            #[must_use]
            pub const fn access(&self) -> Access {
                match self { $(Self::$variant(_) => Access::$access,)* }
            }
        }
    };
}

methods! {
    Read "link.show" LinkShow(Name) -> Vec<LinkShow>, "The links by age, or the one of this name.";
    Write "link.add" LinkAdd(LinkAdd) -> Done, "Adds a link.";
    Write "link.set" LinkSet(LinkSet) -> Done, "Changes a link.";
    Write "link.del" LinkDel(Named) -> Done, "Deletes a link.";
    Read "lower.show" LowerShow(Name) -> Vec<LowerShow>, "The lowers, or the one of this name.";
    Write "lower.add" LowerAdd(LowerAdd) -> Done, "Adds a lower.";
    Write "lower.set" LowerSet(LowerSet) -> Done, "Changes a lower.";
    Write "lower.del" LowerDel(Named) -> Done, "Deletes a lower, its links and the VLANs on it.";
    Write "host.add" HostAdd(HostAdd) -> Done, "Gives a lower a host.";
    Write "host.set" HostSet(HostSet) -> Done, "Changes the host of a lower.";
    Write "host.del" HostDel(HostDel) -> Done, "Takes the host of a lower away.";
    Write "source.add" SourceAdd(Source) -> Done, "Adds a sender to the list of a link in source mode.";
    Write "source.del" SourceDel(Source) -> Done, "Removes a sender from the list of a link in source mode.";
    Write "source.set" SourceSet(SourceSet) -> Done, "Makes these the senders of a link in source mode.";
    Write "source.flush" SourceFlush(Named) -> Done, "Empties the list of a link in source mode.";
    Write "filter.add" FilterAdd(Filter) -> Done, "Lets a link hear a group, or a passthru link a further address.";
    Write "filter.del" FilterDel(Filter) -> Done, "Ends that.";
    Write "announce" Announce(Name) -> Announced, "Announces the addresses of a link, of a lower's links, or of all.";
    Write "batch" Batch(Batch) -> BatchDone, "Carries out several changes with one publication.";
    Read "config.show" ConfigShow(Nothing) -> ConfigShow, "The running state as the text of a config file.";
    Read "config.diff" ConfigDiff(ConfigText) -> Difference, "What config.apply would change.";
    Write "config.apply" ConfigApply(ConfigApply) -> Difference, "Makes the running state that of a config file: all of it, or nothing.";
    Write "config.save" ConfigSave(Nothing) -> Saved, "Writes the running state into the file the switch was started with.";
    Read "stats.show" StatsShow(StatsShow) -> Vec<PortStats>, "Counters of the switch's ports, since the baseline.";
    Write "stats.clear-baseline" StatsClear(Nothing) -> MethodDone, "Makes now the baseline that stats.show counts from.";
    Read "worker.show" WorkerShow(Nothing) -> Vec<WorkerShow>, "The workers, and what they do with their time.";
    Write "worker.rebalance" WorkerRebalance(Nothing) -> Rebalanced, "Spreads receive queues and links over the workers by what they have lately taken of them.";
    Read "monitor" Monitor(Nothing) -> Subscribed, "Sends every change from now on as a notification named event.";
    Read "explain" Explain(Explain) -> Explanation, "What would happen to a frame, and by which rules.";
    Read "version" Version(Nothing) -> Version, "Which switch this is.";
    Write "shutdown" Shutdown(Nothing) -> MethodDone, "Ends the switch in order.";
}

impl Request {
    /// The request of this method and these parameters.
    ///
    /// # Errors
    /// There is no such method, or its parameters are others.
    pub fn new(method: &str, params: Option<Value>) -> Result<Self, RpcError> {
        if !METHODS.iter().any(|known| known.name == method) {
            let methods: Vec<&str> = METHODS.iter().map(|method| method.name).collect();
            let sentence = format!("there is no method {method}: there are {}", methods.join(", "));
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
            ("link.add", json!({"name": "x", "link": "y", "mtu": -1}), INVALID_PARAMS),
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
        for method in METHODS {
            let error = Request::new(method.name, Some(json!({"?": 1}))).unwrap_err();
            assert_eq!(error.code, INVALID_PARAMS, "{}", method.name);
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
