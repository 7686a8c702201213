//! A blocking client of the control socket.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::proto::{Request, RpcError};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

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

#[derive(Deserialize)]
struct Answer {
    result: Option<Value>,
    error: Option<RpcError>,
}

impl Client {
    /// Connects to the daemon that listens at `path`.
    ///
    /// # Errors
    /// It does not: whether it is absent, dead, or we lack the right.
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let shown = path.display();
        let stream = UnixStream::connect(path).map_err(|error| {
            ClientError::Unreachable(match error.kind() {
                ErrorKind::NotFound => format!(
                    "no mvswitch runs here: there is no {shown}. Start it with: mvswitch -c config/two-ports.toml"
                ),
                ErrorKind::ConnectionRefused => {
                    format!("no mvswitch runs here: the socket {shown} is left over from one that died")
                }
                ErrorKind::PermissionDenied => {
                    format!("no right to talk to the mvswitch at {shown}: use its user or group")
                }
                _ => format!("cannot connect to {shown}: {error}"),
            })
        })?;
        let timeouts =
            stream.set_read_timeout(Some(PATIENCE)).and(stream.set_write_timeout(Some(PATIENCE)));
        timeouts.map_err(|error| ClientError::Unreachable(format!("{shown}: {error}")))?;
        Ok(Self { stream: BufReader::new(stream), path: path.to_owned(), id: 0 })
    }

    /// Sends a request and waits for its result.
    ///
    /// # Errors
    /// The daemon refused it, or went away.
    pub fn call(&mut self, request: &Request) -> Result<Value, ClientError> {
        self.id += 1;
        let line = self.exchange(request).map_err(|error| {
            ClientError::Unreachable(format!(
                "the mvswitch at {} does not answer: {error}",
                self.path.display()
            ))
        })?;
        let answer: Answer = serde_json::from_str(&line).map_err(|error| {
            ClientError::Unreachable(format!(
                "{} is not mvswitch's control socket: {error}",
                self.path.display()
            ))
        })?;
        match answer {
            Answer { error: Some(error), .. } => Err(ClientError::Refused(error)),
            Answer { result, .. } => Ok(result.unwrap_or(Value::Null)),
        }
    }

    fn exchange(&mut self, request: &Request) -> std::io::Result<String> {
        let mut message = serde_json::to_value(request)?;
        if let Some(fields) = message.as_object_mut() {
            fields.insert("jsonrpc".to_owned(), json!("2.0"));
            fields.insert("id".to_owned(), json!(self.id));
        }
        let mut line = message.to_string();
        line.push('\n');
        self.stream.get_mut().write_all(line.as_bytes())?;
        let mut answer = String::new();
        match self.stream.read_line(&mut answer)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(answer),
        }
    }
}
