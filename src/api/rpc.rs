//! JSON-RPC 2.0 on the control socket, one object per line.
//!
//! Bounded in everything a client decides: clients at one time, length of a
//! line, time to finish one, time to read an answer.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use mvctl::proto::{INVALID_REQUEST, PARSE_ERROR, Request, RpcError};
use serde_json::{Value, json};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Clients at one time.
const CLIENTS: usize = 16;

/// A further one waits so long for a place and is then turned away, well before
/// it loses patience itself.
const PLACE: Duration = Duration::from_secs(1);

/// Bytes of a line, its end included.
const LINE: usize = 64 * 1024;

/// A line that was begun must end, and an answer be read, within these.
const FINISH: Duration = Duration::from_secs(5);
const WRITE: Duration = Duration::from_secs(1);

/// Accepts clients for ever. `call` carries out a request.
pub(super) async fn serve<C, F>(listener: UnixListener, call: C)
where
    C: Fn(Request) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Value, RpcError>> + Send + 'static,
{
    let clients = Arc::new(Semaphore::new(CLIENTS));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors: others will end and free some.
                tracing::warn!("a control client could not be accepted: {error}");
                tokio::time::sleep(WRITE).await;
                continue;
            }
        };
        let Ok(place) = timeout(PLACE, Arc::clone(&clients).acquire_owned()).await else {
            turn_away(&stream);
            continue;
        };
        let call = call.clone();
        tokio::spawn(async move {
            let _place = place;
            // A client that goes away in the middle is its own affair.
            _ = client(stream, call).await;
        });
    }
}

fn turn_away(stream: &UnixStream) {
    let sentence = format!("{CLIENTS} clients are connected: close one, or try again");
    let line = format!("{}\n", failure(Value::Null, &RpcError::ebusy(sentence)));
    // Its buffer is empty: what does not fit is not worth waiting for.
    _ = stream.try_write(line.as_bytes());
}

async fn client<C, F>(stream: UnixStream, call: C) -> std::io::Result<()>
where
    C: Fn(Request) -> F,
    F: Future<Output = Result<Value, RpcError>>,
{
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    loop {
        let (answer, last) = match read_line(&mut reader).await? {
            Line::End => return Ok(()),
            Line::Whole(line) if line.trim_ascii().is_empty() => continue,
            Line::Whole(line) => (answer(&line, &call).await, false),
            Line::TooLong => {
                let sentence = format!("a line is longer than {LINE} bytes");
                (Some(failure(Value::Null, &RpcError::protocol(INVALID_REQUEST, sentence))), true)
            }
            Line::TooSlow => {
                let sentence = format!("a line was not finished within {FINISH:?}");
                (Some(failure(Value::Null, &RpcError::protocol(INVALID_REQUEST, sentence))), true)
            }
        };
        if let Some(answer) = answer {
            let line = format!("{answer}\n");
            timeout(WRITE, writer.write_all(line.as_bytes())).await??;
        }
        if last {
            return Ok(());
        }
    }
}

enum Line {
    Whole(Vec<u8>),
    TooLong,
    TooSlow,
    End,
}

/// Reads to the end of a line. Waits for its first byte for ever, for the rest
/// not.
async fn read_line(reader: &mut (impl AsyncBufRead + Unpin)) -> std::io::Result<Line> {
    if reader.fill_buf().await?.is_empty() {
        return Ok(Line::End);
    }
    let mut line = Vec::new();
    let rest = async {
        loop {
            let part = reader.fill_buf().await?;
            let end = part.iter().position(|&byte| byte == b'\n');
            let taken = end.map_or(part.len(), |end| end + 1);
            line.extend(part.iter().take(taken));
            // What was read of a line that never ended is no request.
            let hung_up = taken == 0;
            reader.consume(taken);
            if hung_up {
                return Ok(Line::End);
            }
            if line.len() > LINE {
                return Ok(Line::TooLong);
            }
            if end.is_some() {
                return Ok(Line::Whole(std::mem::take(&mut line)));
            }
        }
    };
    timeout(FINISH, rest).await.unwrap_or(Ok(Line::TooSlow))
}

/// Carries out one line. `None` for a notification, which has no answer.
async fn answer<C, F>(line: &[u8], call: &C) -> Option<Value>
where
    C: Fn(Request) -> F,
    F: Future<Output = Result<Value, RpcError>>,
{
    let message: Value = match serde_json::from_slice(line) {
        Ok(message) => message,
        Err(error) => {
            let error = RpcError::protocol(PARSE_ERROR, format!("not JSON: {error}"));
            return Some(failure(Value::Null, &error));
        }
    };
    let id = message.get("id").cloned();
    let result = match read_request(message) {
        Ok(request) => call(request).await,
        Err(error) if error.code == INVALID_REQUEST => {
            return Some(failure(id.filter(is_id).unwrap_or_default(), &error));
        }
        Err(error) => Err(error),
    };
    let id = id?;
    Some(match result {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(error) => failure(id, &error),
    })
}

fn is_id(id: &Value) -> bool {
    id.is_string() || id.is_number() || id.is_null()
}

fn read_request(message: Value) -> Result<Request, RpcError> {
    let invalid = |sentence: &str| RpcError::protocol(INVALID_REQUEST, sentence.to_owned());
    let Value::Object(mut message) = message else {
        let sentence = if message.is_array() {
            "batches are not supported: send one request per line"
        } else {
            "not a request object"
        };
        return Err(invalid(sentence));
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
    Request::new(&method, message.remove("params"))
}

fn failure(id: Value, error: &RpcError) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};
    use tokio::io::AsyncReadExt;

    /// A server whose every method succeeds with its own name, and which counts.
    async fn served(calls: Arc<AtomicU32>) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        tokio::spawn(serve(listener, move |request| {
            calls.fetch_add(1, Ordering::Relaxed);
            async move {
                match request {
                    Request::LinkDel(link) => {
                        Err(RpcError::enoent(format!("there is no link {}", link.name)))
                    }
                    request => Ok(json!(format!("{request:?}"))),
                }
            }
        }));
        (dir, path)
    }

    async fn ask(stream: &mut BufReader<UnixStream>, line: &str) -> Value {
        stream.get_mut().write_all(line.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_line(&mut answer).await.unwrap();
        serde_json::from_str(&answer).unwrap_or(Value::Null)
    }

    async fn connect(path: &std::path::Path) -> BufReader<UnixStream> {
        BufReader::new(UnixStream::connect(path).await.unwrap())
    }

    #[tokio::test]
    async fn requests_and_what_is_wrong_with_them() {
        let (_dir, path) = served(Arc::default()).await;
        let mut stream = connect(&path).await;
        let answer =
            ask(&mut stream, "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"link.show\"}\n").await;
        assert_eq!(answer["id"], 7);
        assert!(answer["result"].is_string(), "{answer}");
        for (line, code, id) in [
            (
                "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"link.del\",\"params\":{\"name\":\"x\"}}",
                -32000,
                json!("a"),
            ),
            ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"link.frob\"}", -32601, json!(1)),
            (
                "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"link.del\",\"params\":{\"name\":7}}",
                -32602,
                json!(1),
            ),
            ("{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"link.show\"}", -32600, Value::Null),
            ("{\"id\":3,\"method\":\"link.show\"}", -32600, json!(3)),
            ("{\"jsonrpc\":\"2.0\",\"id\":3}", -32600, json!(3)),
            ("[]", -32600, Value::Null),
            ("7", -32600, Value::Null),
            ("{\"jsonrpc\":", -32700, Value::Null),
            ("\u{1}\u{fffd}", -32700, Value::Null),
        ] {
            let answer = ask(&mut stream, &format!("{line}\n")).await;
            assert_eq!(
                (&answer["error"]["code"], &answer["id"]),
                (&json!(code), &id),
                "{line}: {answer}"
            );
        }
        let deep = "[".repeat(10_000);
        assert_eq!(ask(&mut stream, &format!("{deep}\n")).await["error"]["code"], -32700);
    }

    #[tokio::test]
    async fn notifications_are_carried_out_without_an_answer() {
        let calls = Arc::new(AtomicU32::new(0));
        let (_dir, path) = served(Arc::clone(&calls)).await;
        let mut stream = connect(&path).await;
        let note = "{\"jsonrpc\":\"2.0\",\"method\":\"link.show\"}\n\n";
        let answer = ask(
            &mut stream,
            &format!("{note}{{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"link.show\"}}\n"),
        )
        .await;
        assert_eq!(answer["id"], 9);
        assert_eq!(calls.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_line_without_end_is_refused_and_closed() {
        let (_dir, path) = served(Arc::default()).await;
        let mut stream = connect(&path).await;
        let answer = ask(&mut stream, &"x".repeat(LINE + 1)).await;
        assert_eq!(answer["error"]["code"], -32600);
        let mut rest = Vec::new();
        assert_eq!(stream.read_to_end(&mut rest).await.unwrap_or(0), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_line_is_not_waited_for() {
        let (_dir, path) = served(Arc::default()).await;
        let mut stream = connect(&path).await;
        let answer = timeout(FINISH * 2, ask(&mut stream, "{\"jsonrpc\"")).await.unwrap();
        assert!(answer["error"]["message"].as_str().unwrap().contains("not finished"), "{answer}");
    }

    const SHOW: &str = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"link.show\"}\n";

    #[tokio::test(start_paused = true)]
    async fn the_seventeenth_client_waits_or_is_told() {
        let (_dir, path) = served(Arc::default()).await;
        let mut silent: Vec<_> = Vec::new();
        for _ in 0..CLIENTS {
            silent.push(connect(&path).await);
        }
        let mut late = connect(&path).await;
        let answer = timeout(PLACE * 2, ask(&mut late, SHOW)).await.unwrap();
        assert_eq!(answer["error"]["data"]["errno"], "EBUSY", "{answer}");
        assert_eq!(late.read_line(&mut String::new()).await.unwrap_or(0), 0, "it is not closed");

        let mut late = connect(&path).await;
        let mut asked = Box::pin(ask(&mut late, SHOW));
        assert!(timeout(PLACE / 2, &mut asked).await.is_err());
        silent.pop();
        let answer = asked.await;
        assert_eq!(answer["id"], 1, "{answer}");
        drop(silent);
        // Every place is free again.
        for _ in 0..CLIENTS {
            silent = vec![connect(&path).await];
            assert_eq!(ask(silent.last_mut().unwrap(), SHOW).await["id"], 1);
        }
    }

    #[tokio::test]
    async fn a_client_that_never_reads_is_let_go() {
        let calls = Arc::new(AtomicU32::new(0));
        let (_dir, path) = served(Arc::clone(&calls)).await;
        let mut deaf = connect(&path).await;
        // Ends when the server, whose answers fill the buffers, hangs up.
        let flood = async { while deaf.get_mut().write_all(SHOW.as_bytes()).await.is_ok() {} };
        timeout(Duration::from_secs(20), flood).await.unwrap();
        let flooded = calls.load(Ordering::Relaxed);
        assert!(flooded > 0);
        // Others were and are served.
        assert_eq!(ask(&mut connect(&path).await, SHOW).await["id"], 1);
        assert_eq!(calls.load(Ordering::Relaxed), flooded + 1);
    }

    #[tokio::test]
    async fn requests_of_one_client_are_answered_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        // The first takes longest.
        let listener = UnixListener::bind(&path).unwrap();
        let left = Arc::new(AtomicU32::new(3));
        tokio::spawn(serve(listener, move |_| {
            let wait = left.fetch_sub(1, Ordering::Relaxed);
            async move {
                tokio::time::sleep(Duration::from_millis(20) * wait).await;
                Ok(json!(wait))
            }
        }));
        let mut stream = connect(&path).await;
        stream.get_mut().write_all(SHOW.repeat(3).as_bytes()).await.unwrap();
        for wait in [3, 2, 1] {
            assert_eq!(ask(&mut stream, "").await["result"], wait);
        }
    }
}
