//! Clients of every kind, against a service that does nothing.

use std::sync::atomic::{AtomicU32, Ordering};

use mvctl::proto::Subscribed;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use super::super::client::{FINISH, HELD, LINE};
use super::*;

/// Answers requests with `answer`, counts them, and keeps who listens.
#[derive(Clone)]
struct Fake<F> {
    answer: F,
    monitors: Arc<Mutex<Vec<Monitor>>>,
}

impl<F, R> Service for Fake<F>
where
    F: Fn(Request) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Result<Value, RpcError>> + Send + 'static,
{
    fn call(&self, request: Request) -> impl Future<Output = Result<Answer, RpcError>> + Send {
        let answer = (self.answer)(request);
        async { answer.await.map(Answer::of) }
    }

    async fn monitor(&self, monitor: Monitor) -> Result<Answer, RpcError> {
        self.monitors.lock().unwrap().push(monitor);
        Ok(Answer::of(Subscribed { sequence: 7 }))
    }
}

fn fake<F>(answer: F) -> Fake<F> {
    Fake { answer, monitors: Arc::default() }
}

/// A server whose every method succeeds with its own name, and which counts.
async fn served(calls: Arc<AtomicU32>) -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let answer = move |request: Request| {
        calls.fetch_add(1, Ordering::Relaxed);
        async move {
            match request {
                Request::LinkDel(link) => {
                    Err(RpcError::enoent(format!("there is no link {}", link.name)))
                }
                request => Ok(json!(format!("{request:?}"))),
            }
        }
    };
    tokio::spawn(serve(listener, Rights::default(), fake(answer)));
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

#[tokio::test]
async fn who_is_silent_makes_room_for_who_is_not() {
    let (_dir, path) = served(Arc::default()).await;
    let mut silent = Vec::new();
    for _ in 0..1000 {
        silent.push(connect(&path).await);
    }
    // Served at once, whoever else is there.
    for _ in 0..2 * CLIENTS {
        let mut late = connect(&path).await;
        let answer = timeout(PLACE, ask(&mut late, SHOW)).await.unwrap();
        assert_eq!(answer["id"], 1, "{answer}");
    }
    // The first of them were let go.
    assert_eq!(silent[0].read_line(&mut String::new()).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn nobody_who_is_served_is_sent_away() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let answer = |_| async {
        tokio::time::sleep(PLACE * 3).await;
        Ok(json!("done"))
    };
    tokio::spawn(serve(listener, Rights::default(), fake(answer)));
    let mut busy = Vec::new();
    for _ in 0..CLIENTS {
        let mut stream = connect(&path).await;
        stream.get_mut().write_all(SHOW.as_bytes()).await.unwrap();
        busy.push(stream);
    }
    tokio::time::sleep(PLACE / 4).await;
    let mut late = connect(&path).await;
    let answer = timeout(PLACE * 2, ask(&mut late, SHOW)).await.unwrap();
    assert_eq!(answer["error"]["data"]["errno"], "EBUSY", "{answer}");
    assert_eq!(late.read_line(&mut String::new()).await.unwrap_or(0), 0, "it is not closed");
    for mut stream in busy {
        assert_eq!(ask(&mut stream, "").await["result"], "done");
    }
}

#[tokio::test]
async fn a_request_can_come_in_parts() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let answer = |request| async {
        match request {
            Request::ConfigDiff(text) => Ok(json!(text.text)),
            Request::Batch(batch) => Ok(json!(batch.requests.len())),
            _ => Ok(json!("other")),
        }
    };
    tokio::spawn(serve(listener, Rights::default(), fake(answer)));
    let mut stream = connect(&path).await;
    let line = |method: &str, params: Value| {
        format!("{}\n", json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
    };
    let part = line("config.diff", json!({"text": "a", "more": true}));
    assert_eq!(ask(&mut stream, &part).await["result"]["applied"], false);
    assert_eq!(ask(&mut stream, &part).await["result"]["applied"], false);
    let last = line("config.diff", json!({"text": "b"}));
    assert_eq!(ask(&mut stream, &last).await["result"], "aab");
    assert_eq!(ask(&mut stream, &last).await["result"], "b");
    let call = json!({"method": "link.del", "params": {"name": "x"}});
    let part = line("batch", json!({"requests": [call, call], "more": true}));
    assert_eq!(ask(&mut stream, &part).await["result"]["held"], 2);
    // What was begun must be finished. The rest of it, which may be on its way,
    // is not carried out.
    let answer = ask(&mut stream, &format!("{SHOW}{part}{SHOW}")).await;
    assert_eq!(answer["error"]["data"]["errno"], "EINVAL", "{answer}");
    assert_eq!(stream.read_to_string(&mut String::new()).await.unwrap(), 0);
    let mut stream = connect(&path).await;
    assert_eq!(ask(&mut stream, &part).await["result"]["held"], 2);
    let answer = ask(&mut stream, &format!("{{\n{part}")).await;
    assert_eq!(answer["error"]["code"], -32700, "{answer}");
    assert_eq!(stream.read_to_string(&mut String::new()).await.unwrap(), 0);
    // And there is an end to it.
    let mut stream = connect(&path).await;
    let much = line("config.diff", json!({"text": "x".repeat(LINE - 200), "more": true}));
    let mut errno = Value::Null;
    for _ in 0..=HELD / (LINE - 300) {
        errno = ask(&mut stream, &much).await["error"]["data"]["errno"].clone();
    }
    assert_eq!(errno, "EMSGSIZE");
}

#[tokio::test]
async fn who_may_only_look_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let answer = move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        async { Ok(Value::Null) }
    };
    tokio::spawn(async move {
        let stream = listener.accept().await.unwrap().0;
        let seat = Places::default().take();
        _ = client::serve(stream, Access::Read, fake(answer), &seat).await;
    });
    let mut stream = connect(&path).await;
    for method in mvctl::proto::METHODS {
        let params = match method.name {
            "link.show" | "version" => json!({}),
            "link.del" => json!({"name": "x"}),
            _ => continue,
        };
        let line = json!({"jsonrpc": "2.0", "id": 1, "method": method.name, "params": params});
        let answer = ask(&mut stream, &format!("{line}\n")).await;
        let refused = answer["error"]["data"]["errno"] == "EPERM";
        assert_eq!(refused, method.access == Access::Write, "{answer}");
    }
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn who_listens_hears_of_changes_between_answers() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let service = fake(|_| async { Ok(json!("done")) });
    let monitors = Arc::clone(&service.monitors);
    tokio::spawn(serve(listener, Rights::default(), service));
    let mut stream = connect(&path).await;
    let monitor = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"monitor\"}\n";
    assert_eq!(ask(&mut stream, monitor).await["result"]["sequence"], 7);
    let sender = monitors.lock().unwrap().pop().unwrap();
    sender.send("{\"method\":\"event\"}\n".into()).await.unwrap();
    assert_eq!(ask(&mut stream, "").await["method"], "event");
    assert_eq!(ask(&mut stream, SHOW).await["result"], "done");
    drop(stream);
    sender.closed().await;
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
    let answer = move |_| {
        let wait = left.fetch_sub(1, Ordering::Relaxed);
        async move {
            tokio::time::sleep(Duration::from_millis(20) * wait).await;
            Ok(json!(wait))
        }
    };
    tokio::spawn(serve(listener, Rights::default(), fake(answer)));
    let mut stream = connect(&path).await;
    stream.get_mut().write_all(SHOW.repeat(3).as_bytes()).await.unwrap();
    for wait in [3, 2, 1] {
        assert_eq!(ask(&mut stream, "").await["result"], wait);
    }
}

#[tokio::test]
async fn the_end_comes_even_if_nobody_waits_for_its_answer() {
    let calls = Arc::new(AtomicU32::new(0));
    let (_dir, path) = served(Arc::clone(&calls)).await;
    let mut stream = connect(&path).await.into_inner();
    let line = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"shutdown\"}\n";
    stream.write_all(line.as_bytes()).await.unwrap();
    drop(stream);
    let called = async {
        while calls.load(Ordering::Relaxed) == 0 {
            tokio::time::sleep(WRITE / 100).await;
        }
    };
    timeout(WRITE, called).await.unwrap();
}
