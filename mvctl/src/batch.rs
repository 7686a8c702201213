//! `-batch`: commands of a file, one per line, as `ip -batch` reads them.
//!
//! Changes that follow each other go to mvswitch together, which is what makes
//! thousands of them a second; what is shown or saved waits for those before it.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};

use crate::cli::{self, Command};
use crate::client::ClientError;
use crate::failure::{Failure, usage, warn};
use crate::options::Options;
use crate::proto::{Batch, BatchDone, Call, Outcome, Request, RpcError};
use crate::render::Style;
use crate::run::Session;

/// Bytes of one request's commands: a line of the protocol has 64 KiB.
const PART: usize = 60 << 10;

/// Carries out the commands of the file that the options name.
///
/// # Errors
/// One failed; which one has been told.
pub(crate) fn run(session: &mut Session, options: &Options) -> Result<(), Failure> {
    let file = options.batch.as_deref().unwrap_or("-");
    let input: Box<dyn Read> = if file == "-" {
        Box::new(std::io::stdin())
    } else {
        let opened = File::open(file);
        Box::new(opened.map_err(|error| Failure::Local(format!("cannot read {file}: {error}")))?)
    };
    let mut script = Script { input: BufReader::with_capacity(PART, input), line: 0 };
    let mut batch = Running { session, options, file, group: Group::default(), failed: None };
    if options.atomic { batch.atomically(&mut script) } else { batch.one_by_one(&mut script) }
}

/// The requests that commands ask for, by the number of their line, as a batch
/// reads them; nothing is carried out. `None` for commands that are more than one
/// request, such as `link show`, which also looks at its output's options.
///
/// # Errors
/// Of a line: it is no command. Nothing follows a line whose end cannot be told.
pub fn requests(text: &str) -> impl Iterator<Item = (usize, Result<Option<Request>, Failure>)> {
    let mut script = Script { input: BufReader::new(text.as_bytes()), line: 0 };
    let mut broken = false;
    std::iter::from_fn(move || {
        if broken {
            return None;
        }
        let words = script.next().transpose()?;
        broken = words.is_err();
        let request = words.and_then(parse).map(|(_, command)| match command {
            Command::Change(request) | Command::Call(request) => Some(request),
            _ => None,
        });
        Some((script.line, request))
    })
}

/// Commands line by line, with iproute2's comments, quotes and continuations.
struct Script<R: Read> {
    input: BufReader<R>,
    /// The number of the line read last, from 1.
    line: usize,
}

impl<R: Read> Script<R> {
    /// The words of the next line that has any.
    fn next(&mut self) -> Result<Option<Vec<String>>, Failure> {
        loop {
            let Some(mut text) = self.physical()? else { return Ok(None) };
            while let Some(begun) = text.strip_suffix("\\\n") {
                let begun = begun.to_owned();
                match self.physical()? {
                    Some(more) => text = begun + &more,
                    None => return usage("the last line goes on, but nothing follows"),
                }
            }
            let words = split(&text)?;
            if !words.is_empty() {
                return Ok(Some(words));
            }
        }
    }

    fn physical(&mut self) -> Result<Option<String>, Failure> {
        let mut text = String::new();
        let read = self.input.read_line(&mut text);
        let read =
            read.map_err(|error| Failure::Local(format!("cannot read commands: {error}")))?;
        self.line += usize::from(read > 0);
        if let Some((command, _)) = text.split_once('#') {
            text = command.to_owned();
        }
        Ok((read > 0).then_some(text))
    }

    /// Whether reading on would wait for whoever writes.
    fn would_wait(&self) -> bool {
        !self.input.buffer().contains(&b'\n')
    }
}

/// Words between blanks; a quote makes one of what is between it and the next.
fn split(text: &str) -> Result<Vec<String>, Failure> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, after) = match rest.strip_prefix(['\'', '"']) {
            Some(quoted) => match quoted.split_once(first) {
                Some(split) => split,
                None => return usage(format!("a quotation that begins with {first} has no end")),
            },
            None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    Ok(words)
}

/// Changes that have not been sent yet.
#[derive(Default)]
struct Group {
    calls: Vec<Call>,
    lines: Vec<usize>,
    bytes: usize,
}

impl Group {
    /// A change as part of a batch, if it may be part of one, and its size there.
    fn call(request: &Request) -> Option<(Call, usize)> {
        let (object, _) = request.method().split_once('.')?;
        let change = request.access() == crate::proto::Access::Write;
        let within = matches!(object, "link" | "lower" | "host" | "source" | "filter");
        if !(change && within) {
            return None;
        }
        let text = serde_json::to_string(request).ok()?;
        // With the comma behind it.
        Some((serde_json::from_str(&text).ok()?, text.len() + 1))
    }

    fn has_room(&self, bytes: usize) -> bool {
        // Room for what stands around the calls.
        self.bytes + bytes + 256 <= PART
    }

    fn push(&mut self, (call, bytes): (Call, usize), line: usize) {
        self.calls.push(call);
        self.lines.push(line);
        self.bytes += bytes;
    }
}

struct Running<'a> {
    session: &'a mut Session,
    options: &'a Options,
    file: &'a str,
    group: Group,
    /// The exit code of the first command that failed.
    failed: Option<u8>,
}

impl Running<'_> {
    fn one_by_one<R: Read>(&mut self, script: &mut Script<R>) -> Result<(), Failure> {
        loop {
            let words = match script.next() {
                Ok(Some(words)) => words,
                Ok(None) => break,
                // What the file goes on with cannot be told any more.
                Err(failure) => {
                    self.flush()?;
                    return Err(self.told(&failure, script.line));
                }
            };
            self.command(words, script.line)?;
            if script.would_wait() {
                self.flush()?;
            }
        }
        self.flush()?;
        self.failed.map_or(Ok(()), |code| Err(Failure::Told(code)))
    }

    fn command(&mut self, words: Vec<String>, line: usize) -> Result<(), Failure> {
        let parsed = parse(words).map(|(options, command)| match &command {
            Command::Change(request) => (Group::call(request), options, command),
            _ => (None, options, command),
        });
        match parsed {
            Ok((Some(call), ..)) => {
                if !self.group.has_room(call.1) {
                    self.flush()?;
                }
                self.group.push(call, line);
                Ok(())
            }
            Ok((None, options, command)) => {
                self.flush()?;
                let style = Style::new(&merged(self.options, &options));
                let done = self.session.carry_out(&command, &style);
                done.or_else(|failure| self.failed(&failure, line))
            }
            Err(failure) => {
                self.flush()?;
                self.failed(&failure, line)
            }
        }
    }

    /// Sends the changes that wait.
    fn flush(&mut self) -> Result<(), Failure> {
        let Group { calls, lines, .. } = std::mem::take(&mut self.group);
        if calls.is_empty() {
            return Ok(());
        }
        let force = self.options.force;
        let request = Request::Batch(Batch { requests: calls, force, ..Batch::default() });
        let done: BatchDone = match self.session.ask(&request) {
            Ok(done) => done,
            Err(failure) => {
                let line = index(&failure).and_then(|index| lines.get(index)).or(lines.first());
                return self.failed(&failure, line.copied().unwrap_or_default());
            }
        };
        for (outcome, line) in done.results.into_iter().zip(lines) {
            if let Outcome::Error(error) = outcome {
                self.failed(&error.into(), line)?;
            }
        }
        Ok(())
    }

    /// A command failed: says so, and goes on if that is asked for and of use.
    fn failed(&mut self, failure: &Failure, line: usize) -> Result<(), Failure> {
        let told = self.told(failure, line);
        let gone = matches!(failure, Failure::Client(ClientError::Unreachable(_)));
        if self.options.force && !gone {
            return Ok(());
        }
        Err(told)
    }

    fn told(&mut self, failure: &Failure, line: usize) -> Failure {
        failure.tell();
        warn(&format!("Command failed {}:{line}", self.file));
        // Help, too, is not what a batch is for.
        let code = if failure.code() == 0 { 2 } else { failure.code() };
        Failure::Told(*self.failed.get_or_insert(code))
    }

    /// All commands as one batch, or none of them.
    fn atomically<R: Read>(&mut self, script: &mut Script<R>) -> Result<(), Failure> {
        let mut groups = vec![Group::default()];
        loop {
            let words = match script.next() {
                Ok(Some(words)) => words,
                Ok(None) => break,
                Err(failure) => return Err(self.told(&failure, script.line)),
            };
            let call = parse(words).and_then(|(_, command)| match &command {
                Command::Change(request) => match Group::call(request) {
                    Some(call) => Ok(call),
                    None => usage("all or nothing is for links, lowers, hosts and filters alone"),
                },
                _ => usage("all or nothing is for changes alone"),
            });
            let call = call.map_err(|failure| self.told(&failure, script.line))?;
            if !groups.last().is_some_and(|group| group.has_room(call.1)) {
                groups.push(Group::default());
            }
            if let Some(group) = groups.last_mut() {
                group.push(call, script.line);
            }
        }
        let lines: Vec<usize> = groups.iter().flat_map(|group| group.lines.clone()).collect();
        if lines.is_empty() {
            return Ok(());
        }
        let parts = groups.len();
        for (part, group) in (1..).zip(groups) {
            let (requests, more) = (group.calls, part < parts);
            let request = Request::Batch(Batch { requests, atomic: true, force: false, more });
            let refused = match self.session.ask::<BatchDone>(&request) {
                Ok(done) => refusal(done),
                Err(failure) => Some((index(&failure), failure)),
            };
            if let Some((index, failure)) = refused {
                let line = index.and_then(|index| lines.get(index));
                match line {
                    Some(line) => _ = self.told(&failure, *line),
                    None => failure.tell(),
                }
                // Only an answer tells, unless the end has not been sent.
                let sentence = if more || failure.is_refusal() {
                    format!("mvctl: nothing of {} was carried out", self.file)
                } else {
                    format!("mvctl: {} may have been carried out, all of it or nothing", self.file)
                };
                warn(&sentence);
                return Err(Failure::Told(failure.code()));
            }
        }
        Ok(())
    }
}

/// The command of a line.
fn parse(words: Vec<String>) -> Result<(Options, Command), Failure> {
    match cli::parse_line(words)? {
        (options, Some(command)) => Ok((options, command)),
        (_, None) => usage("a batch cannot stand in a batch"),
    }
}

/// The options of a line and those of the whole batch.
fn merged(all: &Options, line: &Options) -> Options {
    Options {
        statistics: all.statistics.max(line.statistics),
        details: all.details || line.details,
        json: all.json || line.json,
        pretty: all.pretty || line.pretty,
        brief: all.brief || line.brief,
        oneline: all.oneline || line.oneline,
        color: line.color.or(all.color),
        ..Options::default()
    }
}

/// Which request of a batch a refusal is about.
fn index(failure: &Failure) -> Option<usize> {
    match failure {
        Failure::Client(ClientError::Refused(error)) => error.data.as_ref()?.index,
        _ => None,
    }
}

/// The refusal among the results of an atomic batch.
fn refusal(done: BatchDone) -> Option<(Option<usize>, Failure)> {
    let refused = |(place, outcome): (usize, Outcome)| match outcome {
        Outcome::Error(error) => Some((place, error)),
        Outcome::Result(_) => None,
    };
    let (place, error): (usize, RpcError) =
        done.results.into_iter().enumerate().find_map(refused)?;
    let index = error.data.as_ref().and_then(|data| data.index).unwrap_or(place);
    Some((Some(index), error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<(usize, Vec<String>)> {
        let mut script = Script { input: BufReader::new(text.as_bytes()), line: 0 };
        let mut lines = Vec::new();
        while let Some(words) = script.next().unwrap() {
            lines.push((script.line, words));
        }
        lines
    }

    #[test]
    fn lines_are_read_as_iproute2_reads_them() {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        assert_eq!(
            lines(
                "link show\n\n  # a comment\nlink add 'a b' \"\" x#y\nlink set mv0 \\\n  up\\\n\r\n\
                 a'b c'd\nlast"
            ),
            [
                (1, words(&["link", "show"])),
                (4, words(&["link", "add", "a b", "", "x"])),
                (7, words(&["link", "set", "mv0", "up"])),
                (8, words(&["a'b", "c'd"])),
                (9, words(&["last"])),
            ]
        );
        assert_eq!(lines("\n# only\n"), []);
        for text in ["link add 'a", "link show \\\n"] {
            let mut script = Script { input: BufReader::new(text.as_bytes()), line: 0 };
            assert_eq!(script.next().unwrap_err().code(), 2, "{text}");
        }
    }

    #[test]
    fn only_changes_of_the_switch_go_together() {
        for (line, together) in [
            ("link set mv0 up", true),
            ("lower del lan0", true),
            ("host del link lan0", true),
            ("fdb add 33:33:0:0:0:1 dev mv0", true),
            ("stats clear", false),
            ("shutdown", false),
        ] {
            let words = line.split_whitespace().map(str::to_owned).collect();
            let Command::Change(request) = parse(words).unwrap().1 else { panic!("{line}") };
            assert_eq!(Group::call(&request).is_some(), together, "{line}");
        }
    }

    #[test]
    fn a_group_ends_before_a_line_of_the_protocol_does() {
        let words = "link set mv0 address 02:00:00:00:00:01".split_whitespace();
        let (_, command) = parse(words.map(str::to_owned).collect()).unwrap();
        let Command::Change(request) = command else { panic!("{command:?}") };
        let mut group = Group::default();
        loop {
            let call = Group::call(&request).unwrap();
            if !group.has_room(call.1) {
                break;
            }
            group.push(call, 1);
        }
        let batch = Request::Batch(Batch { requests: group.calls, ..Batch::default() });
        let length = serde_json::to_string(&batch).unwrap().len();
        assert!(length < PART && length > PART - 1024, "{length}");
    }
}
