//! A process that cannot outlive its test.
//!
//! Owns one child and what it says: both streams are read all the time, so a
//! child never blocks on a full pipe and a test can wait for a word of it. On
//! drop the child is killed by the id it was started with; when the test is
//! failing, the end of what it said is shown.

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// What one stream has said so far.
#[derive(Debug, Default)]
struct Said {
    text: Mutex<(String, bool)>,
    grew: Condvar,
}

impl Said {
    fn lock(&self) -> MutexGuard<'_, (String, bool)> {
        self.text.lock().unwrap()
    }

    /// Reads `from` to its end on a thread of its own.
    fn follow(self: &Arc<Self>, mut from: impl Read + Send + 'static) -> JoinHandle<()> {
        let said = Arc::clone(self);
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            loop {
                let read = from.read(&mut chunk).unwrap_or(0);
                let mut text = said.lock();
                text.0.push_str(&String::from_utf8_lossy(&chunk[..read]));
                text.1 = read == 0;
                said.grew.notify_all();
                if read == 0 {
                    return;
                }
            }
        })
    }

    /// Waits until `look` finds something in what was said after byte `from`.
    fn wait<T>(&self, from: usize, limit: Duration, look: impl Fn(&str) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + limit;
        let mut text = self.lock();
        loop {
            if let Some(found) = text.0.get(from..).and_then(&look) {
                return Some(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if text.1 || left.is_zero() {
                return None;
            }
            text = self.grew.wait_timeout(text, left).unwrap().0;
        }
    }
}

/// A running child.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Arc<Said>,
    stderr: Arc<Said>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts `command` with all three streams piped; `name` is for messages.
    #[track_caller]
    pub(crate) fn start(name: &str, command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{name}: {command:?}: {e}"));
        let (stdout, stderr) = (Arc::new(Said::default()), Arc::new(Said::default()));
        let readers = vec![
            stdout.follow(child.stdout.take().unwrap()),
            stderr.follow(child.stderr.take().unwrap()),
        ];
        let stdin = child.stdin.take();
        Self { name: name.to_owned(), child, stdin, stdout, stderr, readers }
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// All that was said on standard output so far.
    pub(crate) fn stdout(&self) -> String {
        self.stdout.lock().0.clone()
    }

    /// All that was said on standard error so far.
    pub(crate) fn stderr(&self) -> String {
        self.stderr.lock().0.clone()
    }

    /// Writes a line to standard input and returns where its answer begins on standard output.
    #[track_caller]
    pub(crate) fn say(&mut self, line: &str) -> usize {
        let from = self.stdout.lock().0.len();
        let stdin = self.stdin.as_mut().unwrap();
        let written = writeln!(stdin, "{line}").and_then(|()| stdin.flush());
        written.unwrap_or_else(|e| panic!("{}: cannot say {line:?}: {e}", self.name));
        from
    }

    /// Waits until `look` finds something on standard output after byte `from`.
    #[track_caller]
    pub(crate) fn expect<T>(
        &self,
        what: &str,
        from: usize,
        limit: Duration,
        look: impl Fn(&str) -> Option<T>,
    ) -> T {
        self.stdout
            .wait(from, limit, look)
            .unwrap_or_else(|| panic!("{}: no {what} within {limit:?}, or it ended", self.name))
    }

    /// Sends a signal.
    #[track_caller]
    pub(crate) fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(self.child.id().try_into().unwrap());
        kill(id, signal).unwrap_or_else(|e| panic!("{}: {signal}: {e}", self.name));
    }

    /// True as long as it has not ended.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for the end and for the last word; `None` if that takes longer than `limit`.
    pub(crate) fn ended(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if Instant::now() >= deadline => return None,
                None => super::pause(Duration::from_millis(2)),
            }
        };
        self.readers.drain(..).for_each(|reader| reader.join().unwrap());
        Some(status)
    }

    /// Ends it as a crash would, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            for (stream, said) in [("stdout", self.stdout()), ("stderr", self.stderr())] {
                let lines: Vec<&str> = said.lines().collect();
                let last = &lines[lines.len().saturating_sub(60)..];
                eprintln!("--- {} {stream}, last lines:\n{}", self.name, last.join("\n"));
            }
        }
    }
}

/// Runs a short command to its end; panics with its output unless it succeeds.
#[track_caller]
pub(crate) fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|e| panic!("{program} {args:?}: {e}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{program} {args:?}: code {:?}, signal {:?}\n{said}{}",
        output.status.code(),
        output.status.signal(),
        String::from_utf8_lossy(&output.stderr)
    );
    said
}
