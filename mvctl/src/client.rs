//! A blocking client of the control socket.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::proto::{Access, Request, RpcError};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long it may take if it changes something: a thousand sockets or a NIC may
/// have to be opened, or another client's may come first, and to give up early
/// would leave open whether it was done.
const LONG_PATIENCE: Duration = Duration::from_secs(60);

fn patience(request: &Request) -> Duration {
    match request.access() {
        Access::Write => LONG_PATIENCE,
        Access::Read => PATIENCE,
    }
}

/// A connection to a daemon.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
    path: PathBuf,
    id: u64,
}

/// Why there is no result.
#[derive(Debug)]
pub enum ClientError {
    /// The daemon cannot be reached; a sentence.
    Unreachable(String),
    /// The daemon refused.
    Refused(RpcError),
}

impl std::error::Error for ClientError {}

impl std::fmt::Display for ClientError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreachable(sentence) => f.write_str(sentence),
            Self::Refused(error) => error.fmt(f),
        }
    }
}

#[derive(Serialize)]
struct Question<'a> {
    jsonrpc: &'a str,
    id: u64,
    #[serde(flatten)]
    request: &'a Request,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    id: Value,
    result: Option<Box<RawValue>>,
    error: Option<RpcError>,
}

/// Why there is no connection to `path`, and what to do about it.
fn unreachable(path: &Path, error: &std::io::Error) -> String {
    let shown = path.display();
    // The kernel refuses connections to a dead socket and to any other file alike.
    let is_socket = || std::fs::metadata(path).is_ok_and(|found| found.file_type().is_socket());
    match error.kind() {
        ErrorKind::NotFound => format!(
            "no mvswitch runs here: there is no {shown}. Start it with: mvswitch -c config/two-ports.toml"
        ),
        ErrorKind::ConnectionRefused if is_socket() => {
            format!("no mvswitch runs here: the socket {shown} is left over from one that died")
        }
        ErrorKind::ConnectionRefused => {
            format!("{shown} is not a socket: name mvswitch's control socket")
        }
        ErrorKind::PermissionDenied => {
            format!("no right to talk to the mvswitch at {shown}: use its user or group")
        }
        _ => format!("cannot connect to {shown}: {error}"),
    }
}

impl Client {
    /// Connects to the daemon that listens at `path`.
    ///
    /// # Errors
    /// It does not: whether it is absent, dead, or we lack the right.
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let stream = UnixStream::connect(path)
            .map_err(|error| ClientError::Unreachable(unreachable(path, &error)))?;
        let timeout = stream.set_write_timeout(Some(PATIENCE));
        timeout.map_err(|error| ClientError::Unreachable(unreachable(path, &error)))?;
        Ok(Self { stream: BufReader::new(stream), path: path.to_owned(), id: 0 })
    }

    /// Sends a request and waits for its result.
    ///
    /// # Errors
    /// The daemon refused it, or went away.
    pub fn call(&mut self, request: &Request) -> Result<Value, ClientError> {
        self.ask(request)
    }

    /// The same, for the type of the method's result.
    ///
    /// # Errors
    /// The daemon refused it, went away, or answered in another way.
    pub fn ask<T: DeserializeOwned>(&mut self, request: &Request) -> Result<T, ClientError> {
        let result = self.ask_raw(request)?;
        serde_json::from_str(result.get()).map_err(|error| {
            ClientError::Unreachable(format!(
                "the mvswitch at {} speaks another version: {error}",
                self.path.display()
            ))
        })
    }

    /// The same, for the result as it came.
    ///
    /// # Errors
    /// The daemon refused it, or went away.
    pub fn ask_raw(&mut self, request: &Request) -> Result<Box<RawValue>, ClientError> {
        self.id += 1;
        let patience = patience(request);
        let ready = self.stream.get_ref().set_read_timeout(Some(patience));
        ready.map_err(|error| silent(&self.path, patience, &error))?;
        let sent = self.send(request);
        sent.map_err(|error| silent(&self.path, patience, &error))?;
        loop {
            let line = self.receive().map_err(|error| silent(&self.path, patience, &error))?;
            let answer: Answer = serde_json::from_str(&line).map_err(|error| {
                ClientError::Unreachable(format!(
                    "{} is not mvswitch's control socket: {error}",
                    self.path.display()
                ))
            })?;
            // An answer that came too late for its request is not this one's.
            if answer.id != self.id && !answer.id.is_null() {
                continue;
            }
            return match answer {
                Answer { error: Some(error), .. } => Err(ClientError::Refused(error)),
                Answer { result, .. } => Ok(result.unwrap_or_else(|| RawValue::NULL.to_owned())),
            };
        }
    }

    /// The connection, and what has already been read of what the daemon sends by itself.
    #[must_use]
    pub fn into_parts(self) -> (UnixStream, Vec<u8>) {
        let read = self.stream.buffer().to_owned();
        (self.stream.into_inner(), read)
    }

    fn send(&mut self, request: &Request) -> std::io::Result<()> {
        let question = Question { jsonrpc: "2.0", id: self.id, request };
        let mut line = serde_json::to_vec(&question)?;
        line.push(b'\n');
        match self.stream.get_mut().write_all(&line) {
            // Who turns us away says why before hanging up.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            sent => sent,
        }
    }

    fn receive(&mut self) -> std::io::Result<String> {
        let mut answer = String::new();
        match self.stream.read_line(&mut answer)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(answer),
        }
    }
}

/// Why nothing came back.
fn silent(path: &Path, patience: Duration, error: &std::io::Error) -> ClientError {
    let shown = path.display();
    ClientError::Unreachable(match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            format!("the mvswitch at {shown} did not answer within {patience:?}")
        }
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset => {
            format!("the mvswitch at {shown} hung up")
        }
        _ => format!("the mvswitch at {shown} does not answer: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::Name;
    use serde_json::json;
    use std::os::unix::net::UnixListener;
    use std::thread::JoinHandle;

    /// A daemon for one client: it reads a line and says `answers`, in turn.
    fn daemon(path: &Path, answers: &'static [&'static str]) -> JoinHandle<Vec<Value>> {
        let listener = UnixListener::bind(path).unwrap();
        std::thread::spawn(move || {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            let read = |answer: &&str| {
                let mut line = String::new();
                stream.read_line(&mut line).unwrap();
                stream.get_mut().write_all(answer.as_bytes()).unwrap();
                serde_json::from_str(&line).unwrap()
            };
            answers.iter().map(read).collect()
        })
    }

    #[test]
    fn a_daemon_that_cannot_be_reached_is_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let why = |path: &Path| Client::connect(path).unwrap_err().to_string();
        assert!(why(&path).contains("there is no /"), "{}", why(&path));
        drop(UnixListener::bind(&path).unwrap());
        assert!(why(&path).contains("left over"), "{}", why(&path));
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(why(&file).contains("is not a socket"), "{}", why(&file));
        // Root, who may run this, has every right.
        let denied = unreachable(&path, &ErrorKind::PermissionDenied.into());
        assert!(denied.contains("no right"), "{denied}");
    }

    #[test]
    fn each_request_gets_its_own_answer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let daemon = daemon(
            &path,
            &[
                "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":[]}\n",
                // The late answer to an earlier request comes first.
                "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"late\"}\n{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":7}\n",
                "{\"jsonrpc\":\"2.0\",\"id\":3,\"error\":{\"code\":-32000,\"message\":\"no\",\"data\":{\"errno\":\"ENOENT\"}}}\n",
                // Whoever is turned away before the request was read gets no id.
                "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32000,\"message\":\"full\"}}\n",
                "HTTP/1.1 400 Bad Request\r\n",
            ],
        );
        let mut client = Client::connect(&path).unwrap();
        let request = Request::LinkShow(Name { name: Some("mv0".to_owned()) });
        assert_eq!(client.call(&request).unwrap(), json!([]));
        assert_eq!(client.call(&request).unwrap(), 7);
        for needle in ["ENOENT: no", "full", "is not mvswitch's control socket"] {
            let error = client.call(&request).unwrap_err().to_string();
            assert!(error.contains(needle), "{error}");
        }
        let asked = daemon.join().unwrap();
        assert_eq!(
            asked.first(),
            Some(
                &json!({"jsonrpc": "2.0", "id": 1, "method": "link.show", "params": {"name": "mv0"}})
            )
        );
        // It has gone away.
        let error = client.call(&request).unwrap_err();
        assert!(matches!(&error, ClientError::Unreachable(_)), "{error}");
        assert!(error.to_string().contains("hung up"), "{error}");
    }
}
