//! A peer that answers as it is told and remembers what it was asked, and mvctl run against it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

pub type Asked = Arc<Mutex<Vec<Value>>>;

/// Where a peer listens, until it is dropped.
pub struct Peer {
    pub dir: tempfile::TempDir,
    asked: Asked,
}

/// A refusal with this errno.
pub fn refuse(errno: &str, index: Option<usize>) -> Value {
    let mut data = json!({ "errno": errno });
    if let Some(index) = index {
        data["index"] = json!(index);
    }
    json!({"error": {"code": -32000, "message": format!("because of {errno}"), "data": data}})
}

pub fn result(result: Value) -> Value {
    json!({ "result": result })
}

/// Answers each request, until there is no answer or it was the last one: then it hangs up.
fn serve(stream: UnixStream, asked: &Asked, answer: &impl Fn(&str, &Value) -> Option<Value>) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while stream.read_line(&mut line).unwrap_or(0) > 0 {
        assert!(line.len() < 65_536, "{}", line.len());
        let question: Value = serde_json::from_str(&line).unwrap();
        line.clear();
        let (method, params) = (question["method"].as_str().unwrap(), &question["params"]);
        asked.lock().unwrap().push(json!([method, params]));
        let Some(mut said) = answer(method, params) else { return };
        let after = said.as_object_mut().unwrap().remove("after");
        let last = said.as_object_mut().unwrap().remove("last").is_some();
        said["jsonrpc"] = json!("2.0");
        said["id"] = question["id"].clone();
        let lines = after.as_ref().and_then(Value::as_array).into_iter().flatten();
        let text: String =
            std::iter::once(&said).chain(lines).map(|line| format!("{line}\n")).collect();
        if stream.get_mut().write_all(text.as_bytes()).is_err() || last {
            return;
        }
    }
}

impl Peer {
    pub fn new(answer: impl Fn(&str, &Value) -> Option<Value> + Send + 'static) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("s")).unwrap();
        let asked = Asked::default();
        let remembers = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                serve(stream.unwrap(), &remembers, &answer);
            }
        });
        Self { dir, asked }
    }

    /// One that carries everything out.
    pub fn content() -> Self {
        Self::new(|method, params| {
            Some(result(match method {
                "batch" => {
                    let count = params["requests"].as_array().unwrap().len();
                    json!({"results": vec![json!({"result": {}}); count], "held": 0})
                }
                "link.show" | "lower.show" | "stats.show" | "worker.show" => json!([]),
                _ => json!({"name": "x"}),
            }))
        })
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("s")
    }

    /// A file beside the socket.
    pub fn file(&self, text: &str) -> String {
        let path = self.dir.path().join("file");
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Method and parameters of all requests up to now.
    pub fn asked(&self) -> Vec<Value> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    pub fn run(&self, line: &str) -> Ran {
        run(&self.socket(), line, "")
    }

    pub fn start(&self, line: &str) -> Child {
        start(&self.socket(), line)
    }
}

/// How a run of mvctl ended.
#[derive(Debug, PartialEq)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

pub fn start(socket: &Path, line: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_mvctl"))
        .args(line.split_whitespace())
        .env("MVSWITCH_SOCKET", socket)
        .env("TZ", "UTC0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// mvctl with the words of `line`, reading `input`.
pub fn run(socket: &Path, line: &str, input: &str) -> Ran {
    let mut child = start(socket, line);
    // It may end without having read everything.
    _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    ended(child)
}

pub fn ended(child: Child) -> Ran {
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}
