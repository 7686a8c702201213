//! A line of the control socket: it is a request, which survives being written
//! and read again, or the reason why it is none, which is an answer.

use mvctl::proto::{
    INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, Message, PARSE_ERROR, Request, RpcError,
    refusal,
};
use serde_json::{Value, json};

/// Reads `line` as the daemon does.
pub fn check(line: &[u8]) {
    let Message { id, request } = Message::read(line);
    match request {
        Ok(request) => {
            check_request(&request);
            if let Request::Batch(batch) = &request {
                for call in &batch.requests {
                    // The daemon reads them one by one.
                    match Request::new(&call.method, call.params.clone()) {
                        Ok(request) => check_request(&request),
                        Err(error) => check_error(&error),
                    }
                }
            }
        }
        Err(error) => {
            check_error(&error);
            let not_read = matches!(error.code, PARSE_ERROR | INVALID_REQUEST);
            assert!(id.is_some() || !not_read, "{error} is not told to anybody");
            check_answer(&id.unwrap_or_default(), &error);
        }
    }
}

/// What is written of a request is read as the same.
pub(super) fn check_request(request: &Request) {
    let Ok(Value::Object(mut written)) = serde_json::to_value(request) else {
        unreachable!("{request:?} cannot be written");
    };
    assert_eq!(written.get("method"), Some(&json!(request.method())));
    written.insert("jsonrpc".to_owned(), json!("2.0"));
    written.insert("id".to_owned(), json!(1));
    let line = Value::Object(written).to_string();
    assert!(!line.contains('\n'), "{line:?} is more than a line");
    let again = Message::read(line.as_bytes());
    assert_eq!((again.id, again.request.as_ref()), (Some(json!(1)), Ok(request)), "{line}");
}

fn check_error(error: &RpcError) {
    let codes = [PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS];
    assert!(codes.contains(&error.code), "{error:?}");
    assert!(!error.message.is_empty(), "{error:?}");
}

/// JSON-RPC 2.0, section 5: a client can read what it is told.
fn check_answer(id: &Value, error: &RpcError) {
    assert!(id.is_string() || id.is_number() || id.is_null(), "{id} is no id");
    let line = refusal(id, error).to_string();
    assert!(!line.contains('\n'), "{line:?} is more than a line");
    let Ok(mut read) = serde_json::from_str::<Value>(&line) else {
        unreachable!("{line} is not JSON");
    };
    assert_eq!(read.get("jsonrpc"), Some(&json!("2.0")), "{line}");
    assert_eq!(read.get("id"), Some(id), "{line}");
    assert_eq!(read.get("result"), None, "{line}");
    let error_read = read.get_mut("error").map(Value::take).unwrap_or_default();
    assert_eq!(serde_json::from_value(error_read).ok().as_ref(), Some(error), "{line}");
}
