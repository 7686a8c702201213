//! One client of the control socket.
//!
//! Bounded in everything it decides: length of a line, time to finish one, time
//! to read an answer, what is kept of a request that comes in parts.

use std::sync::Arc;
use std::time::Duration;

use mvctl::proto::{
    Access, BatchDone, Difference, INVALID_REQUEST, Message, MethodDone, Request, RpcError, refusal,
};
use serde_json::Value;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::rpc::{Seat, Service};
use crate::control::Answer;

/// Bytes of a line, its end included.
pub(super) const LINE: usize = 64 * 1024;

/// A line that was begun must end, and an answer be read, within these.
pub(super) const FINISH: Duration = Duration::from_secs(5);
pub(super) const WRITE: Duration = Duration::from_secs(1);

/// Bytes of lines kept of a request that comes in parts.
pub(super) const HELD: usize = 4 << 20;

/// Events kept for a client that listens and does not read.
const EVENTS: usize = 4096;

/// Serves it until it goes, or somebody else needs its place.
pub(super) async fn serve(
    stream: UnixStream,
    access: Access,
    service: impl Service,
    seat: &Seat,
) -> std::io::Result<()> {
    let (reader, writer) = stream.into_split();
    let mut client =
        Client { writer, access, service, held: None, spoilt: false, last: None, events: None };
    let mut reader = BufReader::new(reader);
    loop {
        // Cancelled or not, nothing of a line is lost: it is not read yet.
        tokio::select! {
            begun = reader.fill_buf() => if begun?.is_empty() { return Ok(()) },
            event = client.event() => {
                client.write(&event).await?;
                continue;
            }
            () = seat.left() => return Ok(()),
        }
        seat.busy();
        let last = match read_line(&mut reader).await? {
            Line::End => return Ok(()),
            Line::Whole(line) if line.trim_ascii().is_empty() => false,
            Line::Whole(line) => {
                let answered = match client.answer(&line).await {
                    Some(answer) => client.write(&answer).await,
                    None => Ok(()),
                };
                if let Some(last) = client.last.take() {
                    // Its answer is there before the switch ends; who does not
                    // wait for it has asked all the same.
                    _ = client.service.call(last).await;
                }
                answered?;
                client.spoilt
            }
            Line::TooLong => {
                client.reproach(&format!("a line is longer than {LINE} bytes")).await?
            }
            Line::TooSlow => {
                client.reproach(&format!("a line was not finished within {FINISH:?}")).await?
            }
        };
        if last {
            return Ok(());
        }
        // Who listens says nothing.
        if client.events.is_none() {
            seat.silent();
        }
    }
}

struct Client<S> {
    writer: OwnedWriteHalf,
    access: Access,
    service: S,
    /// What has come so far of a request in parts, and how long its lines were.
    held: Option<(Request, usize)>,
    /// A part was refused. The client goes: what else it has sent of the request
    /// would be taken for the whole.
    spoilt: bool,
    /// To be carried out once it has been answered.
    last: Option<Request>,
    events: Option<mpsc::Receiver<Arc<str>>>,
}

impl<S: Service> Client<S> {
    /// The next event, if it listens.
    async fn event(&mut self) -> Arc<str> {
        if let Some(events) = &mut self.events
            && let Some(event) = events.recv().await
        {
            return event;
        }
        std::future::pending().await
    }

    async fn write(&mut self, line: &str) -> std::io::Result<()> {
        timeout(WRITE, self.writer.write_all(line.as_bytes())).await?
    }

    /// Says what is wrong with the line itself, after which nothing is sure.
    async fn reproach(&mut self, sentence: &str) -> std::io::Result<bool> {
        let error = RpcError::protocol(INVALID_REQUEST, sentence.to_owned());
        self.write(&failure(&Value::Null, &error)).await?;
        Ok(true)
    }

    /// Carries out one line. `None` for a notification, which has no answer.
    async fn answer(&mut self, line: &[u8]) -> Option<String> {
        let Message { id, request } = Message::read(line);
        let result = match request {
            Ok(request) => self.call(request, line.len()).await,
            Err(error) => {
                self.spoilt = self.held.is_some();
                Err(error)
            }
        };
        let id = id?;
        Some(match result.and_then(Answer::write) {
            Ok(result) => {
                format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}\n")
            }
            Err(error) => failure(&id, &error),
        })
    }

    async fn call(&mut self, request: Request, length: usize) -> Result<Answer, RpcError> {
        if self.access == Access::Read && request.access() == Access::Write {
            let method = request.method();
            let sentence = format!("you may look, but not change anything: not {method}");
            return Err(RpcError::refused("EPERM", sentence));
        }
        if matches!(request, Request::Monitor(_)) {
            let (sender, events) = mpsc::channel(EVENTS);
            let subscribed = self.service.monitor(sender).await?;
            self.events = Some(events);
            return Ok(subscribed);
        }
        if matches!(request, Request::Shutdown(_)) {
            self.last = Some(request);
            return Ok(Answer::of(MethodDone {}));
        }
        match self.put_together(request, length) {
            Ok(Ok(request)) => self.service.call(request).await,
            Ok(Err(held)) => Ok(held),
            Err(error) => {
                self.spoilt = true;
                Err(error)
            }
        }
    }

    /// Adds a part to what was held; the whole once it is there, the answer to
    /// a part until then.
    fn put_together(
        &mut self,
        request: Request,
        length: usize,
    ) -> Result<Result<Request, Answer>, RpcError> {
        let (mut whole, length) = match self.held.take() {
            None => (request, length),
            Some((mut whole, before)) => {
                let method = whole.method();
                if !join(&mut whole, request) {
                    let sentence = format!("{method} was begun with more and is not finished");
                    return Err(RpcError::einval(sentence));
                }
                (whole, before + length)
            }
        };
        if !has_more(&mut whole) {
            return Ok(Ok(whole));
        }
        if length > HELD {
            let sentence = format!("a request is longer than {HELD} bytes in all");
            return Err(RpcError::refused("EMSGSIZE", sentence));
        }
        let answer = match &whole {
            Request::Batch(batch) => {
                let held = batch.requests.len();
                Answer::of(BatchDone { held, ..BatchDone::default() })
            }
            _ => Answer::of(Difference::default()),
        };
        self.held = Some((whole, length));
        Ok(Err(answer))
    }
}

/// Appends `part` to what it goes on from. `false`: it does not.
fn join(whole: &mut Request, part: Request) -> bool {
    match (whole, part) {
        (Request::Batch(whole), Request::Batch(part)) => {
            whole.requests.extend(part.requests);
            whole.more = part.more;
        }
        (Request::ConfigDiff(whole), Request::ConfigDiff(part)) => {
            whole.text.push_str(&part.text);
            whole.more = part.more;
        }
        (Request::ConfigApply(whole), Request::ConfigApply(part)) => {
            whole.text.push_str(&part.text);
            whole.more = part.more;
        }
        _ => return false,
    }
    true
}

/// It goes on in the next line.
fn has_more(request: &mut Request) -> bool {
    match request {
        Request::Batch(batch) => batch.more,
        Request::ConfigDiff(text) => text.more,
        Request::ConfigApply(text) => text.more,
        _ => false,
    }
}

enum Line {
    Whole(Vec<u8>),
    TooLong,
    TooSlow,
    End,
}

/// Reads to the end of a line.
async fn read_line(reader: &mut (impl AsyncBufRead + Unpin)) -> std::io::Result<Line> {
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

/// The line that says what went wrong.
pub(super) fn failure(id: &Value, error: &RpcError) -> String {
    format!("{}\n", refusal(id, error))
}
