//! One line of the control socket: what a client wrote, read into a request.
//!
//! Owns JSON-RPC's envelope on the daemon's side, which line gets an answer and
//! under which id. Pure: how long a line may be and how long it may take is the
//! business of whoever reads it.

use serde_json::{Map, Value, json};

use super::{INVALID_REQUEST, PARSE_ERROR, Request, RpcError};

/// A line that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// The id of the answer: a string, a number or null. `None` for a
    /// notification, which has no answer whatever becomes of it.
    pub id: Option<Value>,
    /// What is asked for, or why it is no request.
    pub request: Result<Request, RpcError>,
}

impl Message {
    /// Reads a line, with or without its end.
    #[must_use]
    pub fn read(line: &[u8]) -> Self {
        let message: Value = match serde_json::from_slice(line) {
            Ok(message) => message,
            Err(error) => {
                let error = RpcError::protocol(PARSE_ERROR, format!("not JSON: {error}"));
                return Self { id: Some(Value::Null), request: Err(error) };
            }
        };
        let id = message.get("id").cloned();
        let envelope = open(message);
        // What is no request cannot be a notification either: it is answered.
        let id = if envelope.is_err() { Some(id.filter(is_id).unwrap_or_default()) } else { id };
        let request = envelope.and_then(|(method, params)| Request::new(&method, params));
        Self { id, request }
    }
}

/// The answer to a refused request of this id, without the end of its line.
#[must_use]
pub fn refusal(id: &Value, error: &RpcError) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": error })
}

fn is_id(id: &Value) -> bool {
    id.is_string() || id.is_number() || id.is_null()
}

/// The method and the parameters of a request object.
fn open(message: Value) -> Result<(String, Option<Value>), RpcError> {
    let invalid = |sentence: &str| RpcError::protocol(INVALID_REQUEST, sentence.to_owned());
    let mut message: Map<String, Value> = match message {
        Value::Object(message) => message,
        Value::Array(_) => {
            return Err(invalid("send one request per line; the method batch takes several"));
        }
        _ => return Err(invalid("not a request object")),
    };
    if message.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err(invalid("\"jsonrpc\" is not \"2.0\""));
    }
    if !message.get("id").is_none_or(is_id) {
        return Err(invalid("\"id\" is neither a string nor a number"));
    }
    let Some(Value::String(method)) = message.remove("method") else {
        return Err(invalid("\"method\" is not a string"));
    };
    Ok((method, message.remove("params")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{METHOD_NOT_FOUND, Named};

    #[test]
    fn a_request_keeps_its_id_and_a_notification_has_none() {
        let line = br#"{"jsonrpc":"2.0","id":"a","method":"link.del","params":{"name":"mv0"}}"#;
        let request = Ok(Request::LinkDel(Named { name: "mv0".into() }));
        assert_eq!(Message::read(line), Message { id: Some(json!("a")), request });
        let note = Message::read(b"{\"jsonrpc\":\"2.0\",\"method\":\"link.frob\"}\n");
        assert_eq!(note.id, None);
        assert_eq!(note.request.unwrap_err().code, METHOD_NOT_FOUND);
    }

    #[test]
    fn the_id_of_an_answer_is_that_of_the_request() {
        for id in ["1.12896944041802150e3", "18446744073709551616", "-7", "\"7\"", "null"] {
            let line = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"version\"}}");
            let asked = Message::read(line.as_bytes()).id.unwrap();
            let answered = refusal(&asked, &RpcError::einval("no")).to_string();
            let answered: Value = serde_json::from_str(&answered).unwrap();
            assert_eq!(answered.get("id"), Some(&asked), "{id}");
        }
    }

    #[test]
    fn what_is_no_request_is_answered_even_without_an_id() {
        for (line, id, code) in [
            ("{\"jsonrpc\":", Value::Null, PARSE_ERROR),
            ("[]", Value::Null, INVALID_REQUEST),
            ("7", Value::Null, INVALID_REQUEST),
            ("{\"method\":\"link.show\"}", Value::Null, INVALID_REQUEST),
            ("{\"jsonrpc\":\"2.0\",\"id\":3}", json!(3), INVALID_REQUEST),
            (
                "{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"version\"}",
                Value::Null,
                INVALID_REQUEST,
            ),
        ] {
            let message = Message::read(line.as_bytes());
            assert_eq!(message.id, Some(id), "{line}");
            assert_eq!(message.request.unwrap_err().code, code, "{line}");
        }
    }
}
