//! Every command that README and man pages show runs, and says what they say it says.
//!
//! The commands of a document are typed one after the other, as a reader would,
//! with a switch of their own that the document starts. What a document shows of
//! their output is compared: `[..]` and a line of `...` stand for what varies.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::Parser;
use common::{Need, PATIENCE, Process, have};
use mvswitch::cli::args::Args;
use nix::sys::signal::Signal;
use snapbox::{Assert, Data};
use tempfile::TempDir;

/// Commands that are not run here, by how they begin, and why. Those of mvswitch
/// must still be understood by it.
const ELSEWHERE: &[(&str, &str)] = &[
    ("mvswitch demo", "pings in every mode for some ten seconds; tests/control.rs has it"),
    ("mvswitch doctor", "what it finds is this machine's; tests/doctor.rs has it"),
    ("mvswitch import", "needs root and macvlan links of the kernel; tests/import.rs has them"),
];

/// What README's first command starts; the rest of it is stage `run`.
const RUN: (&str, &str) = ("scripts/run.sh", "config/two-ports.toml");

/// Commands that go on until Ctrl-C, which is typed after a second.
const ENDLESS: &str = " monitor";

/// What README calls the runtime directory and the address of `/metrics`.
const RUNTIME_DIR: &str = "/run/user/1000/mvswitch";
const METRICS: &str = "127.0.0.1:9477";

/// A command of a document.
#[derive(Debug)]
struct Typed {
    command: String,
    /// What the document says it prints, if it says that.
    prints: Option<String>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

/// The commands of a text in Markdown: lines after `$ ` in fences, with those
/// after `> ` that belong to them. All else in there is output.
fn fenced(text: &str) -> Vec<Typed> {
    let mut typed: Vec<Typed> = Vec::new();
    let mut fence = None;
    for line in text.lines() {
        if let Some(language) = line.strip_prefix("```") {
            fence = match fence {
                None => Some(language),
                Some(_) => None,
            };
            let known = matches!(fence, None | Some("console" | "toml"));
            assert!(known, "say of what a fence is: console or toml");
        } else if fence != Some("console") {
        } else if let Some(command) = line.strip_prefix("$ ") {
            typed.push(Typed { command: command.to_owned(), prints: Some(String::new()) });
        } else {
            let last = typed.last_mut().unwrap_or_else(|| panic!("output of nothing: {line}"));
            match (line.strip_prefix("> "), last.prints.as_mut().unwrap()) {
                (Some(more), prints) if prints.is_empty() => {
                    last.command += "\n";
                    last.command += more;
                }
                (_, prints) => *prints += &format!("{line}\n"),
            }
        }
    }
    typed
}

/// The commands of a man page: lines of its examples.
fn examples(page: &str) -> Vec<Typed> {
    let Some((_, page)) = page.split_once("\n.SH EXAMPLES\n") else { return Vec::new() };
    let page = page.split("\n.SH ").next().unwrap();
    let blocks = page.split(".EX\n").skip(1).map(|block| block.split(".EE").next().unwrap());
    let typed = |line: &str| {
        let command = line.replace("\\-", "-").replace("\\(aq", "'").replace("\\e", "\\");
        Typed { command, prints: None }
    };
    blocks.flat_map(str::lines).map(typed).collect()
}

/// Where a reader sits: a directory with the examples, both programs at hand.
struct Terminal {
    directory: TempDir,
    metrics: String,
    switch: Option<Process>,
    /// The exit code of the last command.
    code: i32,
}

impl Terminal {
    fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("mvswitch-").tempdir().unwrap();
        // Free now, and nobody else on a test machine hunts for ports.
        let metrics = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).unwrap();
        let terminal = Self { directory, metrics: metrics.to_string(), switch: None, code: 0 };
        fs::create_dir(terminal.directory.path().join("config")).unwrap();
        for entry in fs::read_dir(root().join("config")).unwrap() {
            let name = entry.unwrap().file_name();
            let text = read(&format!("config/{}", name.to_str().unwrap()));
            // As many workers as the documents show, on any machine.
            let text = terminal.here(&text).replace("workers = \"auto\"", "workers = \"1\"");
            fs::write(terminal.directory.path().join("config").join(name), text).unwrap();
        }
        terminal
    }

    fn runtime_dir(&self) -> String {
        self.directory.path().join("run").to_str().unwrap().to_owned()
    }

    /// A text with the places of this terminal instead of the documents'.
    fn here(&self, text: &str) -> String {
        text.replace(RUNTIME_DIR, &self.runtime_dir()).replace(METRICS, &self.metrics)
    }

    /// The reverse.
    fn there(&self, text: &str) -> String {
        text.replace(&self.runtime_dir(), RUNTIME_DIR).replace(&self.metrics, METRICS)
    }

    fn program(&self, name: &str) -> Command {
        let programs = Path::new(env!("CARGO_BIN_EXE_mvswitch")).parent().unwrap();
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
        let mut program = Command::new(name);
        program.current_dir(self.directory.path()).env("PATH", path).env_remove("MVSWITCH_SOCKET");
        program.env("RUNTIME_DIRECTORY", self.runtime_dir());
        program
    }

    /// Types it. Returns what it printed.
    fn type_in(&mut self, command: &str) -> String {
        if let Some(arguments) = starts(command) {
            return self.start(&arguments);
        }
        let command = self.here(command);
        // In a shell of its own, which goes on from the last one's exit code.
        let script = format!("exec 2>&1; (exit {}); {command}", self.code);
        let mut shell = self.program("timeout");
        let limit = if command.contains(ENDLESS) { "1" } else { "20" };
        shell.args(["--preserve-status", "-s", "INT", limit, "bash", "-c", &script]);
        let output = shell.stdin(Stdio::null()).output().unwrap();
        self.code = output.status.code().unwrap_or_else(|| panic!("{command}: {output:?}"));
        self.there(&String::from_utf8(output.stdout).unwrap())
    }

    /// Starts a switch in place of the one there was.
    fn start(&mut self, arguments: &str) -> String {
        self.stop();
        let mut command = self.program("mvswitch");
        let switch = Process::start("mvswitch", command.args(arguments.split_whitespace()));
        let ready = |said: &str| said.contains("\nready ").then(|| said.to_owned());
        let said = switch.expect("line that begins with ready", 0, PATIENCE, ready);
        self.switch = Some(switch);
        self.code = 0;
        self.there(&said)
    }

    fn stop(&mut self) {
        let Some(mut switch) = self.switch.take() else { return };
        if switch.is_running() {
            switch.signal(Signal::SIGTERM);
        }
        let status = switch.ended(Duration::from_secs(2)).unwrap();
        assert!(status.success(), "{status}: {}", switch.stderr());
    }

    /// Types a document's commands. Returns how many were run.
    fn follow(&mut self, document: &str, typed: &[Typed]) -> usize {
        let mut run = 0;
        for Typed { command, prints } in typed {
            if let Some((_, why)) = elsewhere(command) {
                println!("{document}: not run: {command}: {why}");
                understood(command);
                continue;
            }
            run += 1;
            let printed = self.type_in(command);
            let prints = prints.as_deref();
            // A refusal is shown as one.
            let refused = prints.is_some_and(|prints| {
                prints
                    .lines()
                    .any(|line| line.starts_with("mvctl: ") || line.starts_with("mvswitch: "))
            });
            assert_eq!(self.code != 0, refused, "{document}: {command}: {} {printed}", self.code);
            let Some(prints) = prints else { continue };
            let shown = if command == RUN.0 { up_to_ready(prints) } else { prints.to_owned() };
            let same = Assert::new().normalize_paths(false).try_eq(
                Some(&command),
                Data::text(&printed),
                Data::text(shown),
            );
            same.unwrap_or_else(|difference| panic!("{document}: {command}\n{difference}"));
        }
        self.stop();
        run
    }
}

/// The arguments of the switch that a command starts, if it starts one.
fn starts(command: &str) -> Option<String> {
    if command == RUN.0 {
        return Some(format!("-c {}", RUN.1));
    }
    let arguments = command.strip_prefix("mvswitch ")?;
    arguments.starts_with("-c ").then(|| arguments.to_owned())
}

fn up_to_ready(shown: &str) -> String {
    let ready = shown.lines().position(|line| line.starts_with("ready ")).unwrap();
    shown.lines().take(ready + 1).map(|line| format!("{line}\n")).collect()
}

fn elsewhere(command: &str) -> Option<&'static (&'static str, &'static str)> {
    ELSEWHERE.iter().find(|(begin, _)| command.starts_with(begin))
}

/// mvswitch takes these words, and the config they name is there.
fn understood(command: &str) {
    let words: Vec<&str> = command.split_whitespace().collect();
    if words[0] == "mvswitch" {
        Args::try_parse_from(&words).unwrap_or_else(|error| panic!("{command}: {error}"));
    }
    if let Some(at) = words.iter().position(|word| *word == "-c") {
        assert!(root().join(words[at + 1]).exists(), "{command}");
    }
}

/// The pages with examples.
fn pages() -> Vec<(String, Vec<Typed>)> {
    let entries = fs::read_dir(root().join("man")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut pages: Vec<String> = names.filter(|name| name.ends_with(".1")).collect();
    pages.sort();
    let typed = |page: String| {
        let typed = examples(&read(&format!("man/{page}")));
        (page, typed)
    };
    pages.into_iter().map(typed).filter(|(_, typed)| !typed.is_empty()).collect()
}

#[test]
fn the_readme_s_commands_do_what_it_says() {
    let needs = ["jq", "curl", "socat"].map(Need::Program);
    if !have("the_readme_s_commands_do_what_it_says", &needs) {
        return;
    }
    let typed = fenced(&read("README.md"));
    let run = Terminal::new().follow("README.md", &typed);
    assert!(run >= 25, "{run} commands");
}

#[test]
fn the_examples_of_man_pages_work() {
    let pages = pages();
    let names: Vec<&str> = pages.iter().map(|(name, _)| &**name).collect();
    assert!(names.contains(&"mvctl.1") && names.contains(&"mvswitch.1"), "{names:?}");
    for (page, typed) in &pages {
        let run = Terminal::new().follow(page, typed);
        assert!(run >= 3, "{page}: {run} commands");
    }
}

/// Words between backquotes are no sequence, but must be commands as well.
#[test]
fn what_the_readme_mentions_is_understood() {
    let text = read("README.md");
    let terminal = Terminal::new();
    let mut seen = 0;
    for span in text.split("```").step_by(2).flat_map(|prose| prose.split('`').skip(1).step_by(2)) {
        if let Some(words) = span.strip_prefix("mvctl ") {
            let mut mvctl = terminal.program("mvctl");
            let status = mvctl.args(words.split_whitespace()).output().unwrap().status;
            // There is no switch and no such file; wrong words would be seen before that.
            assert!(matches!(status.code(), Some(0 | 1 | 3)), "{span}: {status}");
            seen += 1;
        } else if span.starts_with("mvswitch ") {
            understood(span);
            seen += 1;
        }
    }
    assert!(seen >= 5, "{seen}");
}

#[test]
fn each_command_that_is_not_run_is_there() {
    let documents = pages().into_iter().flat_map(|(_, typed)| typed);
    let all: Vec<Typed> = documents.chain(fenced(&read("README.md"))).collect();
    for (begin, _) in ELSEWHERE {
        assert!(all.iter().any(|typed| typed.command.starts_with(begin)), "{begin}");
    }
    assert!(all.iter().any(|typed| typed.command == RUN.0));
    assert!(read(RUN.0).contains(&format!("-c {}", RUN.1)));
}
